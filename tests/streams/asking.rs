//! Tests of `getevents` by every way in.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use reqwest::Method;
use serde_json::{Value, json};

use super::reading::{SALES, UNLIMITED, ask, logged, now, write};
use crate::harness::{Answer, Gateway, admin, client, envelope, made, rows};

async fn token(gateway: &Gateway, scope: &str) -> Answer {
    let demo = gateway.demo();
    let form = [("grant_type", "client_credentials"), ("scope", scope)];
    let request = client().post(gateway.url("/oauth/token")).form(&form);
    Answer::of(request.basic_auth(demo.client_id, Some(demo.client_secret))).await
}

async fn bearer(gateway: &Gateway, scope: &str) -> String {
    let answer = token(gateway, scope).await.json();
    format!("Bearer {}", answer["access_token"].as_str().unwrap())
}

async fn soap(gateway: &Gateway, pairs: &[(&str, &str)]) -> String {
    let demo = gateway.demo();
    let mut all = vec![("user", &*demo.user), ("password", &*demo.password)];
    all.extend(pairs);
    let request = client()
        .post(gateway.url("/api/soap/"))
        .header("Content-Type", "text/xml");
    let answer = Answer::of(request.body(envelope("getevents", &all))).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    answer.body
}

/// Returns the values of an element, wherever it is in the document.
fn values(xml: &str, name: &str) -> Vec<String> {
    let (open, close) = (format!("<c:{name}>"), format!("</c:{name}>"));
    let parts = xml.split(&open).skip(1);
    let value = |part: &str| part.split(&close).next().unwrap().to_owned();
    parts
        .map(|part| {
            value(part)
                .replace("&lt;", "<")
                .replace("&gt;", ">")
                .replace("&amp;", "&")
        })
        .collect()
}

#[expect(clippy::too_many_lines, reason = "one story, read step by step")]
#[tokio::test]
async fn getevents_returns_the_same_events_by_every_way_in() {
    let gateway = Gateway::configured(UNLIMITED, &[]);
    let (from, heard) = logged(&gateway, 5).await;
    let pairs = [
        ("cursor", &*from),
        ("limit", "3"),
        ("types", "message.received,chat.changed"),
    ];
    let by_http = ask(&gateway, &pairs).await.json();
    let list = by_http["result"]["list"].as_array().unwrap();
    assert_eq!(list.len(), 3);
    let ids: Vec<_> = heard.iter().map(|event| &event["id"]).collect();
    for event in list {
        assert!(ids.contains(&&event["id"]), "{event}");
        let fields: Vec<_> = event
            .as_object()
            .unwrap()
            .keys()
            .map(String::as_str)
            .collect();
        let mut expected = [
            "id",
            "type",
            "timestamp",
            "platformid",
            "platform",
            "destination",
            "messageid",
            "message",
            "sent",
            "status",
            "datetime",
            "gap",
            "late",
        ];
        expected.sort_unstable();
        assert_eq!(fields, expected);
        assert!(
            event.as_object().unwrap().values().all(Value::is_string),
            "{event}"
        );
    }
    assert_eq!(
        (&by_http["result"]["more"], &by_http["result"]["reset"]),
        (&json!("1"), &json!("0"))
    );

    // The gateway stores nothing about the reader: the same cursor gives the same answer.
    assert_eq!(ask(&gateway, &pairs).await.json(), by_http);
    let demo = gateway.demo();
    let form: Vec<_> = [("class", "chat"), ("method", "getevents")]
        .into_iter()
        .chain(pairs)
        .collect();
    let basic = client()
        .post(gateway.url("/api/basic/"))
        .form(&form)
        .basic_auth(&demo.user, Some(&demo.password));
    assert_eq!(Answer::of(basic).await.json(), by_http);
    for scope in ["chat", "getevents getchats"] {
        let token = bearer(&gateway, scope).await;
        let jwt = client()
            .post(gateway.url("/api/jwt/"))
            .form(&form)
            .header("Authorization", token);
        assert_eq!(Answer::of(jwt).await.json(), by_http);
    }
    let xml = soap(&gateway, &pairs).await;
    for (name, field) in [
        ("id", "id"),
        ("message", "message"),
        ("destination", "destination"),
        ("gap", "gap"),
    ] {
        let of_list = list.iter().map(|event| event[field].as_str().unwrap());
        assert!(
            values(&xml, name).iter().map(String::as_str).eq(of_list),
            "{xml}"
        );
    }
    for name in ["cursor", "more", "reset"] {
        assert_eq!(
            values(&xml, name),
            [by_http["result"][name].as_str().unwrap()]
        );
    }

    // The next page begins where this one ends, and each text arrives unchanged.
    let cursor = by_http["result"]["cursor"].as_str().unwrap();
    let rest = ask(&gateway, &[("cursor", cursor)]).await.json();
    assert_eq!(rest["result"]["more"], "0");
    let all = [
        list.clone(),
        rest["result"]["list"].as_array().unwrap().clone(),
    ]
    .concat();
    let texts: Vec<_> = all
        .iter()
        .map(|event| event["message"].as_str().unwrap())
        .collect();
    for number in 0..5 {
        assert!(
            texts.contains(&&*format!("Message {number} <&> ü 😀")),
            "{texts:?}"
        );
    }
    let order: Vec<_> = all.iter().map(|event| event["id"].clone()).collect();
    let of_stream: Vec<_> = heard.iter().map(|event| event["id"].clone()).collect();
    assert!(
        of_stream.ends_with(&order) || order.ends_with(&of_stream),
        "{order:?} {of_stream:?}"
    );
}

#[tokio::test]
async fn a_waiting_getevents_call_returns_at_the_first_event_or_its_timeout() {
    let gateway = Gateway::configured(UNLIMITED, &[]);
    let (_, _) = logged(&gateway, 1).await;
    let cursor = now(&gateway).await;
    let began = std::time::Instant::now();
    let empty = ask(&gateway, &[("cursor", &cursor), ("wait", "1")])
        .await
        .json();
    assert!(began.elapsed().as_millis() >= 1000);
    assert_eq!(empty["result"]["list"], json!([]));
    let pairs = [("cursor", &*cursor), ("wait", "25")];
    let waiting = ask(&gateway, &pairs);
    let writing = write(&gateway, SALES, "34600999999", "At last");
    let (answer, ()) = tokio::join!(waiting, writing);
    let answer = answer.json();
    assert_eq!(
        answer["result"]["list"][0]["destination"], "34600999999",
        "{answer}"
    );
    // Each call has a row, like any other call.
    let rows = rows(&gateway, "method=getevents").await;
    assert!(rows.len() >= 5, "{}", rows.len());
    assert!(rows.iter().all(|row| row["status"] == 200));
}

#[expect(clippy::too_many_lines, reason = "one story, read step by step")]
#[tokio::test]
async fn getevents_validates_cursors_parameters_and_permissions() {
    let gateway = Gateway::configured(UNLIMITED, &[]);
    for (name, wrong) in [
        ("cursor", "yesterday"),
        // A cursor of a future time: the gateway never issued it, and its reader would receive nothing.
        ("cursor", "7zzzzzzzzzzzz"),
        ("wait", "26"),
        ("limit", "0"),
        ("types", "message.lost"),
    ] {
        assert_eq!(
            ask(&gateway, &[(name, wrong)]).await.json()["error"],
            "INCORRECT_PARAM",
            "{name}"
        );
    }
    assert_eq!(
        ask(&gateway, &[("platform", "fax")]).await.json()["error"],
        "CHANNEL_NOT_FOUND"
    );
    // A rejected stream names its method in the journal, as a rejected call does.
    let demo = gateway.demo();
    let stream = client()
        .get(gateway.url("/api/events?cursor=yesterday"))
        .basic_auth(&demo.user, Some(&demo.password))
        .header("X-Request-ID", "stream");
    assert_eq!(Answer::of(stream).await.status, 400);
    let row = &rows(&gateway, "request_id=stream").await[0];
    assert_eq!(row["method"], "getevents");
    assert_eq!(gateway.logged("stream")["method"], "getevents");
    // A cursor from before the retention: the answer begins with the oldest event.
    let old = ask(&gateway, &[("cursor", "0000000000001")]).await.json();
    assert_eq!(old["status"], "SUCCESS");
    // An access with a list of methods may use only those on the list.
    let draft = json!({"name": "sender", "allow": ["127.0.0.0/8"], "methods": ["sendmessage"]});
    let password = made(&gateway, draft).await;
    let pair = format!(
        "Basic {}",
        BASE64_STANDARD.encode(format!("sender:{password}"))
    );
    let form = [("class", "chat"), ("method", "getevents")];
    let asked = client()
        .post(gateway.url("/api/basic/"))
        .form(&form)
        .header("Authorization", &pair);
    assert_eq!(
        Answer::of(asked).await.json()["error"],
        "OPERATION_NOT_ALLOWED"
    );
    let stream = client()
        .get(gateway.url("/api/events"))
        .header("Authorization", &pair);
    let stream = Answer::of(stream).await;
    assert_eq!(
        (stream.status, stream.json()["error"].as_str()),
        (403, Some("OPERATION_NOT_ALLOWED"))
    );
    // A token is limited by its scope.
    let narrow = bearer(&gateway, "getchats").await;
    let stream = client()
        .get(gateway.url("/api/events"))
        .header("Authorization", narrow);
    assert_eq!(Answer::of(stream).await.status, 403);
    // An access that was created with all methods has this one.
    let password = made(&gateway, json!({"name": "whole", "allow": ["127.0.0.0/8"]})).await;
    let access = admin(&gateway, Method::GET, "accesses/whole", Value::Null)
        .await
        .json();
    assert!(
        access["methods"]
            .as_array()
            .unwrap()
            .contains(&json!("getevents")),
        "{access}"
    );
    let asked = client()
        .post(gateway.url("/api/basic/"))
        .form(&form)
        .basic_auth("whole", Some(password));
    assert_eq!(Answer::of(asked).await.json()["status"], "SUCCESS");
}

#[tokio::test]
async fn a_getevents_wait_is_shortened_to_fit_the_request_timeout() {
    let gateway = Gateway::configured("[limits]\nrequest_timeout = \"2s\"\n", &[]);
    let cursor = now(&gateway).await;
    let began = std::time::Instant::now();
    let empty = ask(&gateway, &[("cursor", &cursor), ("wait", "25")])
        .await
        .json();
    assert_eq!(empty["result"]["list"], json!([]));
    assert!(began.elapsed().as_millis() >= 1200, "{:?}", began.elapsed());
}

#[tokio::test]
async fn a_forbidden_channel_is_rejected_by_platform_and_by_id() {
    let gateway = Gateway::configured(UNLIMITED, &[]);
    let channels = json!([{"platform": "whatsapp", "platformid": "100"}]);
    let draft = json!({"name": "bound", "allow": ["127.0.0.0/8"], "channels": channels});
    let password = made(&gateway, draft).await;
    for (named, status) in [
        (&[("platform", "whatsapp")][..], 200),
        (&[("platformid", "100")], 200),
        (&[("platform", "telegram")], 403),
        (&[("platformid", "101")], 403),
        (&[("platform", "telegram"), ("platformid", "100")], 403),
    ] {
        let form = [&[("class", "chat"), ("method", "getevents")], named].concat();
        let asked = client().post(gateway.url("/api/basic/")).form(&form);
        let asked = Answer::of(asked.basic_auth("bound", Some(&password))).await;
        assert_eq!(asked.status, status, "{named:?}: {}", asked.body);
        if status == 403 {
            let query: Vec<_> = named
                .iter()
                .map(|(name, value)| format!("{name}={value}"))
                .collect();
            let url = gateway.url(&format!("/api/events?{}", query.join("&")));
            let stream = client().get(url);
            let stream = Answer::of(stream.basic_auth("bound", Some(&password))).await;
            assert_eq!(stream.json()["error"], "OPERATION_NOT_ALLOWED", "{named:?}");
        }
    }
}

#[tokio::test]
async fn with_events_disabled_getevents_does_not_exist() {
    let gateway = Gateway::configured(&format!("{UNLIMITED}[events]\nenabled = false\n"), &[]);
    assert_eq!(ask(&gateway, &[]).await.json()["error"], "INCORRECT_METHOD");
    for path in ["/api/events", "/docs/events"] {
        assert_eq!(
            Answer::of(client().get(gateway.url(path))).await.status,
            404,
            "{path}"
        );
    }
    let demo = gateway.demo();
    let asked = [
        ("grant_type", "client_credentials"),
        ("client_id", &demo.client_id),
        ("client_secret", &demo.client_secret),
        ("scope", "getevents"),
    ];
    let token = Answer::of(client().post(gateway.url("/oauth/token")).form(&asked)).await;
    assert_eq!(token.json()["error"], "invalid_scope", "{}", token.body);
    let metadata = "/.well-known/oauth-authorization-server";
    for path in [
        metadata,
        "/docs/operations",
        "/docs/openapi.json",
        "/api/soap/?wsdl",
    ] {
        let page = Answer::of(client().get(gateway.url(path))).await;
        assert_eq!(page.status, 200);
        assert!(!page.body.contains("getevents"), "{path}");
    }
}
