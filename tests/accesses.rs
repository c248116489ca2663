//! Tests that manage accesses while the gateway runs: a change applies from the next request on, and every change is logged.

use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::{Answer, Gateway, admin, client, client_from, has_line, made, run_on};

const READ: &str = "class=chat&method=getchatchannels";
const SEND: &str =
    "class=chat&method=sendmessage&platform=whatsapp&platformid=100&destination=1&message=x";

async fn by_key(
    gateway: &Gateway,
    key: &str,
    (method, path): (Method, &str),
    body: Value,
) -> Answer {
    let url = format!("http://{}/admin/v1/{path}", gateway.admin);
    let request = client().request(method, url).bearer_auth(key);
    Answer::of(if body.is_null() {
        request
    } else {
        request.body(body.to_string())
    })
    .await
}

pub(crate) fn call(
    caller: &reqwest::Client,
    gateway: &Gateway,
    secret: &str,
    call: &str,
) -> reqwest::RequestBuilder {
    let request = caller
        .post(gateway.url("/api/basic/"))
        .basic_auth("a", Some(secret));
    request.body(call.to_owned())
}

pub(crate) async fn said(request: reqwest::RequestBuilder) -> String {
    let answer = Answer::of(request).await.json();
    answer["error"].as_str().unwrap_or("SUCCESS").to_owned()
}

#[tokio::test]
async fn access_changes_apply_to_the_next_request_on_an_open_connection() {
    let gateway = Gateway::start();
    let old = made(&gateway, json!({"name": "a", "allow": ["127.0.0.2"]})).await;
    // One client keeps one connection, so that the changes below reach an open connection.
    let (two, three) = (
        client_from([127, 0, 0, 2].into()),
        client_from([127, 0, 0, 3].into()),
    );
    assert_eq!(said(call(&two, &gateway, &old, READ)).await, "SUCCESS");
    assert_eq!(
        said(call(&three, &gateway, &old, READ)).await,
        "IP_NOT_ALLOWED"
    );
    let wider = json!({"allow": ["127.0.0.2", "127.0.0.3/32"]});
    assert_eq!(
        admin(&gateway, Method::PATCH, "accesses/a", wider)
            .await
            .status,
        200
    );
    assert_eq!(said(call(&three, &gateway, &old, READ)).await, "SUCCESS");

    let rotated = admin(&gateway, Method::POST, "accesses/a/rotate", Value::Null)
        .await
        .json();
    let new = rotated["password"].as_str().unwrap().to_owned();
    for secret in [&old, &new] {
        assert_eq!(said(call(&two, &gateway, secret, READ)).await, "SUCCESS");
    }
    let again = admin(
        &gateway,
        Method::POST,
        "accesses/a/rotate",
        json!({"drop_old": true}),
    )
    .await;
    assert_eq!(again.json()["secrets"].as_array().map(Vec::len), Some(1));
    for secret in [&old, &new] {
        assert_eq!(
            said(call(&two, &gateway, secret, READ)).await,
            "INCORRECT_USER_PASSWORD"
        );
    }
    let newest = again.json()["password"].as_str().unwrap().to_owned();
    let suspended = json!({"state": "suspended"});
    admin(&gateway, Method::PATCH, "accesses/a", suspended).await;
    assert_eq!(
        said(call(&two, &gateway, &newest, READ)).await,
        "ACCESS_DISABLED"
    );
    let deleted = admin(&gateway, Method::DELETE, "accesses/a", Value::Null).await;
    assert_eq!(deleted.status, 204);
    assert_eq!(
        said(call(&two, &gateway, &newest, READ)).await,
        "INCORRECT_USER_PASSWORD"
    );
}

#[tokio::test]
async fn a_stale_if_match_is_rejected_and_changes_list_before_and_after() {
    let gateway = Gateway::start();
    made(
        &gateway,
        json!({"name": "a", "allow": ["127.0.0.0/8"], "note": "first"}),
    )
    .await;
    let key = std::fs::read_to_string(gateway.data().join("admin.key")).unwrap();
    let patch = |tag: String, note: &'static str| {
        let url = format!("http://{}/admin/v1/accesses/a", gateway.admin);
        let request = client()
            .patch(url)
            .bearer_auth(key.trim())
            .header("If-Match", tag);
        Answer::of(request.body(json!({"note": note}).to_string()))
    };
    let seen = admin(&gateway, Method::GET, "accesses/a", Value::Null).await;
    let tag = seen.header("etag").to_owned();
    let changed = patch(tag.clone(), "second").await;
    assert_eq!(changed.status, 200);
    assert_ne!(changed.header("etag"), tag);
    let stale = patch(tag, "third").await;
    assert_eq!(
        (stale.status, stale.header("content-type")),
        (412, "application/problem+json")
    );
    // Several lines are one list, and a change requires that the access exists.
    let tag = changed.header("etag");
    for conditions in [
        [("If-Match", tag), ("If-Match", "\"x\"")],
        [("If-Match", tag), ("If-None-Match", "*")],
    ] {
        let url = format!("http://{}/admin/v1/accesses/a", gateway.admin);
        let mut request = client().patch(url).bearer_auth(key.trim());
        for (name, value) in conditions {
            request = request.header(name, value);
        }
        let refused = Answer::of(request.body("{\"note\": \"fourth\"}")).await;
        assert_eq!(refused.status, 412, "{conditions:?}");
    }

    let changes = admin(&gateway, Method::GET, "accesses/a/changes", Value::Null).await;
    let reported = changes.json();
    let latest = &reported["changes"][0];
    assert_eq!(
        (
            &latest["actor"],
            &latest["before"]["note"],
            &latest["after"]["note"]
        ),
        (&json!("first"), &json!("first"), &json!("second"))
    );
    assert!(
        !changes.body.contains("hash") && !changes.body.contains("keyed"),
        "{}",
        changes.body
    );
}

#[tokio::test]
async fn every_mistake_of_a_draft_is_reported_and_names_and_users_are_unique() {
    let gateway = Gateway::start();
    let wrong = json!({"name": "a", "allow": ["0.0.0.0/0"], "deny": ["10.1.2.3/8"], "ways": ["fax"],
        "methods": ["getchats", "nothing"], "rate": "often", "expires": "tomorrow", "state": "asleep"});
    let answer = admin(&gateway, Method::POST, "accesses", wrong).await;
    let errors = answer.json()["errors"].clone();
    let fields: Vec<_> = errors
        .as_array()
        .unwrap()
        .iter()
        .map(|e| e["field"].as_str().unwrap())
        .collect();
    assert_eq!(
        (answer.status, fields),
        (
            422,
            vec![
                "state", "expires", "allow", "deny", "ways", "methods", "rate"
            ]
        )
    );
    for (body, status) in [
        (json!({"name": "a b"}), 422),
        (json!({"name": "demo"}), 409),
        (json!({"name": "b", "user": "demo"}), 409),
        (json!({"name": "b", "password": "short"}), 422),
        (json!({"name": "b", "unknown": 1}), 400),
        (json!([]), 400),
    ] {
        let answer = admin(&gateway, Method::POST, "accesses", body.clone()).await;
        assert_eq!(
            (answer.status, answer.header("content-type")),
            (status, "application/problem+json"),
            "{body}"
        );
    }
    assert_eq!(
        admin(&gateway, Method::GET, "accesses/nobody", Value::Null)
            .await
            .status,
        404
    );
}

#[tokio::test]
async fn an_export_round_trips_with_its_secrets() {
    let (gateway, other) = (Gateway::start(), Gateway::start());
    let chosen = "a chosen password";
    let random = made(&gateway, json!({"name": "a", "allow": ["any"]})).await;
    made(
        &gateway,
        json!({"name": "b", "user": "b", "password": chosen, "allow": ["any"]}),
    )
    .await;
    let export = admin(&gateway, Method::GET, "export", Value::Null)
        .await
        .json();
    admin(&gateway, Method::DELETE, "accesses/a", Value::Null).await;
    assert_eq!(
        admin(&gateway, Method::POST, "import", export.clone())
            .await
            .json(),
        json!({"changed": 1})
    );
    assert_eq!(
        admin(&gateway, Method::POST, "import", export.clone())
            .await
            .json(),
        json!({"changed": 0})
    );
    assert_eq!(
        said(call(&client(), &gateway, &random, READ)).await,
        "SUCCESS"
    );
    // Hashes of chosen passwords can be imported anywhere. Hashes of random secrets belong to the store whose key made them.
    admin(&other, Method::POST, "import", export).await;
    let by_b = client()
        .post(other.url("/api/basic/"))
        .basic_auth("b", Some(chosen))
        .body(READ);
    assert_eq!(said(by_b).await, "SUCCESS");
}

#[tokio::test]
async fn a_viewer_can_only_read_and_the_last_operator_key_cannot_be_deleted() {
    let gateway = Gateway::start();
    let viewer = json!({"name": "ann", "role": "viewer"});
    let made = admin(&gateway, Method::POST, "admin-keys", viewer).await;
    let key = made.json()["key"].as_str().unwrap().to_owned();
    assert_eq!((made.status, &key[..4]), (201, "cgk_"));
    for path in [
        "accesses",
        "accesses/demo",
        "accesses/demo/changes",
        "admin-keys",
        "status",
    ] {
        assert_eq!(
            by_key(&gateway, &key, (Method::GET, path), Value::Null)
                .await
                .status,
            200,
            "{path}"
        );
    }
    for (method, path) in [
        (Method::POST, "accesses"),
        (Method::PATCH, "accesses/demo"),
        (Method::DELETE, "accesses/demo"),
        (Method::POST, "accesses/demo/rotate"),
        (Method::GET, "export"),
        (Method::POST, "import"),
        (Method::POST, "admin-keys"),
    ] {
        let refused = by_key(&gateway, &key, (method, path), json!({})).await;
        assert_eq!(
            (refused.status, refused.json()["code"].as_str()),
            (403, Some("viewer")),
            "{path}"
        );
    }
    assert_eq!(
        admin(&gateway, Method::DELETE, "admin-keys/first", Value::Null)
            .await
            .status,
        409
    );
    let rotated = admin(&gateway, Method::POST, "admin-keys/ann/rotate", Value::Null)
        .await
        .json();
    assert_eq!(
        by_key(&gateway, &key, (Method::GET, "accesses"), Value::Null)
            .await
            .status,
        401
    );
    let key = rotated["key"].as_str().unwrap();
    assert_eq!(
        by_key(&gateway, key, (Method::GET, "accesses"), Value::Null)
            .await
            .status,
        200
    );
}

#[tokio::test]
async fn per_destination_and_query_credentials_apply_and_report_mode_only_logs() {
    let gateway = Gateway::start();
    let draft = json!({"name": "a", "allow": ["any"], "per_destination": "1/min", "query_credentials": false});
    let secret = made(&gateway, draft).await;
    let caller = client();
    assert_eq!(
        said(call(&caller, &gateway, &secret, SEND)).await,
        "SUCCESS"
    );
    assert_eq!(
        said(call(&caller, &gateway, &secret, SEND)).await,
        "RATE_LIMITED"
    );
    let elsewhere = SEND.replace("destination=1", "destination=2");
    assert_eq!(
        said(call(&caller, &gateway, &secret, &elsewhere)).await,
        "SUCCESS"
    );
    let url = gateway.url(&format!("/api/http/?{READ}&user=a&password={secret}"));
    assert_eq!(said(client().get(url)).await, "OPERATION_NOT_ALLOWED");

    // Networks come before limits, and the first rule that would have rejected the call is reported.
    let networks = json!(["192.0.2.0/24"]);
    for (id, report, cause) in [
        (
            "limits",
            json!({"report": ["limits"]}),
            "limit per destination",
        ),
        (
            "networks",
            json!({"report": ["limits", "networks"], "allow": networks}),
            "access networks: on no list",
        ),
    ] {
        let changed = admin(&gateway, Method::PATCH, "accesses/a", report).await;
        assert_eq!(changed.status, 200);
        let reported = call(&caller, &gateway, &secret, SEND).header("X-Request-ID", id);
        assert_eq!(said(reported).await, "SUCCESS");
        assert_eq!(gateway.logged(id)["would_refuse"], cause);
    }
    let metrics = gateway.metrics().await;
    assert!(has_line(&metrics, "chatgate_would_deny_total 2"));
}

/// Runs `chatgate access` with these arguments and returns its exit code, its output and its errors.
fn access_command(gateway: &Gateway, arguments: &[&str]) -> (Option<i32>, String, String) {
    let ran = std::process::Command::new(crate::harness::binary())
        .arg("access")
        .args(arguments)
        .args(["--admin", &gateway.admin.to_string(), "--data"])
        .arg(gateway.data())
        .output()
        .unwrap();
    let said = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (ran.status.code(), said(&ran.stdout), said(&ran.stderr))
}

#[tokio::test]
async fn the_networks_shown_for_allow_any_can_be_written_back_and_removed() {
    let gateway = Gateway::start();
    let json = |arguments: &[&str]| {
        let (code, out, err) = access_command(&gateway, &[arguments, &["--json"]].concat());
        assert_eq!(code, Some(0), "{err}");
        serde_json::from_str::<Value>(&out).unwrap()
    };
    // "Everybody" is shown as two networks, which can be extended, written back and removed like any others.
    json(&["create", "wide", "--allow", "any"]);
    let shown = json(&["allow", "wide", "192.0.2.0/24", "any"]);
    assert_eq!(shown["allow"], json!(["0.0.0.0/0", "::/0", "192.0.2.0/24"]));
    let patch = json!({"allow": shown["allow"]});
    let same = admin(&gateway, Method::PATCH, "accesses/wide", &patch).await;
    assert_eq!((same.status, &same.json()["allow"]), (200, &shown["allow"]));
    let half = json!({"allow": ["0.0.0.0/0", "192.0.2.0/24"]});
    let half = admin(&gateway, Method::PATCH, "accesses/wide", &half).await;
    assert!(
        half.status == 422 && half.body.contains("write \\\"any\\\""),
        "{}",
        half.body
    );
    let narrow = json(&["allow", "wide", "any", "--remove"]);
    assert_eq!(narrow["allow"], json!(["192.0.2.0/24"]));
}

#[tokio::test]
async fn the_command_line_creates_changes_lists_and_deletes_an_access() {
    let gateway = Gateway::start();
    let run = |arguments: &[&str]| access_command(&gateway, arguments);
    let json = |arguments: &[&str]| {
        let (code, out, err) = run(&[arguments, &["--json"]].concat());
        assert_eq!(code, Some(0), "{err}");
        serde_json::from_str::<Value>(&out).unwrap()
    };
    let made = json(&[
        "create",
        "a",
        "--allow",
        "127.0.0.2",
        "--rate",
        "600/min",
        "--ways",
        "http,basic",
    ]);
    let secret = made["password"].as_str().unwrap().to_owned();
    let three = client_from([127, 0, 0, 3].into());
    assert_eq!(
        said(call(&three, &gateway, &secret, READ)).await,
        "IP_NOT_ALLOWED"
    );
    json(&["allow", "a", "127.0.0.3"]);
    assert_eq!(said(call(&three, &gateway, &secret, READ)).await, "SUCCESS");
    json(&["allow", "a", "127.0.0.2/32", "--remove"]);
    let newer = json(&["rotate", "a"])["password"]
        .as_str()
        .unwrap()
        .to_owned();
    assert_eq!(said(call(&three, &gateway, &newer, READ)).await, "SUCCESS");
    json(&["suspend", "a"]);
    assert_eq!(
        said(call(&three, &gateway, &newer, READ)).await,
        "ACCESS_DISABLED"
    );
    assert_eq!(json(&["resume", "a"])["state"], "active");
    assert_eq!(json(&["changes", "a"]).as_array().map(Vec::len), Some(6));
    let (_, table, _) = run(&["list"]);
    let mut lines = table
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>());
    let header = ["NAME", "USER", "STATE", "RATE", "LAST", "USED", "ALLOW"];
    assert_eq!(lines.next().unwrap(), header, "{table}");
    let row = lines.next().unwrap();
    assert_eq!(row[..4], ["a", "a", "active", "600/min"], "{table}");
    assert!(row[4].ends_with('Z') && row[5] == "127.0.0.3/32", "{table}");
    assert_eq!(run(&["delete", "a"]).0, Some(0));
    let (code, _, err) = run(&["show", "a"]);
    assert_eq!(code, Some(1));
    assert!(err.contains("There is no such access."), "{err}");
}

#[tokio::test]
async fn lists_of_accesses_are_paged_and_searchable() {
    let gateway = Gateway::start();
    for number in 0..7 {
        let owner = if number % 2 == 0 { "Éva" } else { "Ole" };
        let draft = json!({"name": format!("n{number}"), "allow": ["any"], "owner": owner});
        made(&gateway, draft).await;
    }
    for (query, pages) in [
        ("limit=3", &["demo n0 n1", "n2 n3 n4", "n5 n6"][..]),
        ("limit=4&after=n0", &["n1 n2 n3 n4", "n5 n6"]),
        ("limit=2&q=%C3%89VA", &["n0 n2", "n4 n6"]),
        ("q=nobody", &[""]),
        ("", &["demo n0 n1 n2 n3 n4 n5 n6"]),
    ] {
        let mut after = String::new();
        for (number, page) in pages.iter().enumerate() {
            let path = format!("accesses?{query}{after}");
            let answer = admin(&gateway, Method::GET, &path, Value::Null)
                .await
                .json();
            let names = answer["accesses"].as_array().unwrap().iter();
            let names: Vec<_> = names
                .map(|access| access["name"].as_str().unwrap())
                .collect();
            assert_eq!(names.join(" "), *page, "{path}");
            assert_eq!(
                answer["next"].is_null(),
                number + 1 == pages.len(),
                "{path}"
            );
            if query.contains("after") {
                break;
            }
            after = format!("&after={}", answer["next"].as_str().unwrap_or_default());
        }
    }
    let wrong = admin(&gateway, Method::GET, "accesses?limit=0&x=1", Value::Null).await;
    assert_eq!(wrong.status, 422, "{}", wrong.body);

    let list = |arguments: &[&str]| {
        let arguments = [&["access", "list", "--json"], arguments].concat();
        let listed = run_on(&gateway, &arguments).json();
        let names = listed.as_array().unwrap().iter();
        let names: Vec<_> = names
            .map(|access| access["name"].as_str().unwrap())
            .collect();
        names.join(" ")
    };
    assert_eq!(list(&["--search", "éva", "--after", "n2"]), "n4 n6");
    assert_eq!(list(&["--limit", "2"]), "demo n0");
    assert_eq!(list(&[]), "demo n0 n1 n2 n3 n4 n5 n6");
}
