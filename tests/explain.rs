//! Tests of `explain`, over the admin API and on the command line: the predicted result of a call and its reason.

use std::process::Command;

use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::{Answer, Gateway, admin, binary, client, client_from};

const CONFIGURATION: &str = r#"
[server]
trusted_proxies = ["127.0.0.100/32"]
[limits]
guesses_per_name = 4
# One comes back in two seconds: none within a test that looks.
per_address_per_minute = 30
[ways.soap]
enabled = false
"#;

/// Starts a gateway with the access `shop` and returns it with the access's secret.
async fn gateway() -> (Gateway, String) {
    gateway_of(CONFIGURATION).await
}

async fn gateway_of(configuration: &str) -> (Gateway, String) {
    let gateway = Gateway::configured(configuration, &[]);
    let draft = json!({
        "name": "shop", "allow": ["127.0.0.2", "203.0.113.0/24"], "rate": "5/min",
        "per_destination": "2/min", "per_day": 5, "concurrent": 3, "ways": ["http", "basic", "soap"],
        "methods": ["getchatchannels", "getmessages", "sendmessage"], "query_credentials": false,
    });
    let made = admin(&gateway, Method::POST, "accesses", &draft).await;
    assert_eq!(made.status, 201, "{}", made.body);
    let secret = made.json()["password"].as_str().unwrap().to_owned();
    (gateway, secret)
}

/// Asks about `shop` from its own address, with some members of the question changed.
async fn explained(gateway: &Gateway, changed: Value) -> Value {
    let mut question = json!({"peer": "127.0.0.2", "access": "shop", "method": "getchatchannels"});
    let changed = changed.as_object().unwrap().clone();
    question.as_object_mut().unwrap().extend(changed);
    let answer = admin(gateway, Method::POST, "explain", &question).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    answer.json()
}

fn judgement<'a>(explained: &'a Value, rule: &str) -> &'a Value {
    let judgements = explained["judgements"].as_array().unwrap();
    let found = judgements
        .iter()
        .find(|judgement| judgement["rule"] == rule);
    found.unwrap_or_else(|| panic!("{rule} is not in {explained:#}"))
}

/// Returns the remaining count of each limit, by name.
fn left(explained: &Value) -> Vec<(String, u64)> {
    let judgements = explained["judgements"].as_array().unwrap().iter();
    let limits = judgements.filter(|judgement| !judgement["limit"].is_null());
    let limit = |judgement: &Value| {
        let name = judgement["rule"].as_str().unwrap().to_owned();
        (name, judgement["limit"]["left"].as_u64().unwrap())
    };
    limits.map(limit).collect()
}

/// Makes a call of `shop` and returns `(code, cause in the log)`.
async fn call(
    gateway: &Gateway,
    secret: &str,
    id: &str,
    (path, call): (&str, &str),
) -> [String; 2] {
    let form = format!("class=chat&{call}&user=shop&password={secret}");
    let caller = client_from([127, 0, 0, 2].into());
    let request = match path.split_once('?') {
        Some((path, _)) => caller.get(gateway.url(&format!("{path}?{form}"))),
        None => caller.post(gateway.url(path)).body(form),
    };
    Answer::of(request.header("X-Request-ID", id)).await;
    let logged = gateway.logged(id);
    ["code", "cause"].map(|member| logged[member].as_str().unwrap().to_owned())
}

/// Returns code and reason of an explanation.
fn verdict(explained: &Value) -> [String; 2] {
    ["code", "reason"].map(|member| explained[member].as_str().unwrap_or_default().to_owned())
}

const SEND: &str = "method=sendmessage&platform=whatsapp&platformid=100&destination=1&message=x";

const READ: &str = "method=getchatchannels";

/// Explains a call and makes it; both have to give the same code for the same reason.
async fn agree(
    (gateway, secret): (&Gateway, &str),
    id: &str,
    (question, path, made): (Value, &str, &str),
    expected: [&str; 2],
) {
    let said = verdict(&explained(gateway, question).await);
    assert_eq!(said, expected, "explain: {id}");
    let heard = call(gateway, secret, id, (path, made)).await;
    assert_eq!(heard, expected, "the call: {id}");
}

#[tokio::test]
async fn explain_and_calls_report_the_same_first_refusing_rule() {
    let (gateway, secret) = gateway().await;
    let all_wrong = json!({
        "state": "suspended", "not_before": "2100-01-01T00:00:00Z",
        "allow": ["127.0.0.0/8"], "deny": ["127.0.0.2"], "ways": ["basic"], "methods": [],
        "rate": "1/min", "query_credentials": false,
    });
    let disabled = "ACCESS_DISABLED";
    let not_allowed = "OPERATION_NOT_ALLOWED";
    // Each fault is fixed after it has been reported.
    for (n, (draft, expected)) in [
        (all_wrong, [disabled, "state: suspended"]),
        (json!({"state": "active"}), [disabled, "state: not yet"]),
        (
            json!({"not_before": null, "expires": "2020-01-01T00:00:00Z"}),
            [disabled, "state: expired"],
        ),
        (
            json!({"expires": null}),
            ["IP_NOT_ALLOWED", "access networks: denied by 127.0.0.2/32"],
        ),
        (
            json!({"deny": [], "allow": []}),
            ["IP_NOT_ALLOWED", "access networks: on no list"],
        ),
        (json!({"allow": ["any"]}), [not_allowed, "way: not allowed"]),
        (
            json!({"ways": ["http"]}),
            [not_allowed, "query credentials: not allowed"],
        ),
        (
            json!({"query_credentials": true}),
            [not_allowed, "method: not allowed"],
        ),
        (json!({"methods": ["getchatchannels"]}), ["", ""]),
        (json!({}), ["RATE_LIMITED", "limit of the access"]),
        (json!({"report": ["limits"]}), ["", ""]),
    ]
    .into_iter()
    .enumerate()
    {
        let changed = admin(&gateway, Method::PATCH, "accesses/shop", &draft).await;
        assert_eq!(changed.status, 200, "{}", changed.body);
        let asked = (json!({"secret_in_url": true}), "/api/http/?", READ);
        agree((&gateway, &secret), &format!("rule-{n}"), asked, expected).await;
    }
    let unseen = json!({"query_credentials": false, "ways": ["basic"]});
    let changed = admin(&gateway, Method::PATCH, "accesses/shop", &unseen).await;
    assert_eq!(changed.status, 200, "{}", changed.body);
    // Basic reads no secret from the URL.
    let question = json!({"secret_in_url": true, "way": "basic"});
    assert_eq!(verdict(&explained(&gateway, question).await), ["", ""]);
}

#[tokio::test]
async fn explain_predicts_when_a_limit_rejects_the_next_call() {
    let (gateway, secret) = gateway().await;
    let to = |destination: &str| {
        let question = json!({"method": "sendmessage", "destination": destination});
        let call = SEND.replace("destination=1", &format!("destination={destination}"));
        (question, call)
    };
    for (n, (destination, expected)) in [
        ("1", ["", ""]),
        ("1", ["", ""]),
        ("1", ["RATE_LIMITED", "limit per destination"]),
        ("2", ["", ""]),
        ("3", ["", ""]),
        ("4", ["RATE_LIMITED", "limit of the access"]),
        ("5", ["", ""]),
        ("6", ["RATE_LIMITED", "limit per day"]),
    ]
    .into_iter()
    .enumerate()
    {
        // Without the earlier limits, the limit per day is reached.
        if destination == "5" {
            let draft = json!({"rate": null, "per_destination": null});
            let changed = admin(&gateway, Method::PATCH, "accesses/shop", &draft).await;
            assert_eq!(changed.status, 200, "{}", changed.body);
        }
        let (question, call) = to(destination);
        let asked = (question, "/api/http/", call.as_str());
        agree((&gateway, &secret), &format!("send-{n}"), asked, expected).await;
    }
}

#[tokio::test]
async fn disabled_events_are_an_unknown_method_for_explain_and_calls() {
    let configuration = format!("{CONFIGURATION}[events]\nenabled = false\n");
    let (gateway, secret) = gateway_of(&configuration).await;
    // The access's own methods are not checked any more.
    for (id, methods) in [("off", json!(["getchats"])), ("on", json!(["getevents"]))] {
        let draft = json!({"methods": methods});
        let changed = admin(&gateway, Method::PATCH, "accesses/shop", &draft).await;
        assert_eq!(changed.status, 200, "{}", changed.body);
        let asked = (
            json!({"method": "getevents"}),
            "/api/http/",
            "method=getevents",
        );
        let expected = ["INCORRECT_METHOD", "events are switched off"];
        agree((&gateway, &secret), id, asked, expected).await;
    }
    let stranger = json!({"method": "getevents", "access": "nobody"});
    let stranger = verdict(&explained(&gateway, stranger).await);
    assert_eq!(stranger[0], "INCORRECT_USER_PASSWORD");
}

#[tokio::test]
async fn explain_reports_limits_without_consuming_them() {
    let (gateway, secret) = gateway().await;
    let send = json!({"method": "sendmessage", "destination": "1"});
    let full = left(&explained(&gateway, send.clone()).await);
    let names: Vec<&str> = full.iter().map(|(name, _)| name.as_str()).collect();
    let expected = [
        "limit per address",
        "guesses from the address",
        "guesses for the name, from inside its networks",
        "limit of the access",
        "limit per destination",
        "calls at once",
        "limit per day",
    ];
    assert_eq!(names, expected);
    // A call that waits for events counts for no limit on concurrent calls, and a read goes to no destination.
    let waits = left(&explained(&gateway, json!({"method": "getevents"})).await);
    let names = waits.iter().map(|(name, _)| name.as_str());
    let no_send = |name: &&str| !["limit per destination", "calls at once"].contains(name);
    assert!(names.eq(expected.into_iter().filter(no_send)), "{waits:?}");
    for _ in 0..100 {
        assert_eq!(left(&explained(&gateway, send.clone()).await), full);
    }
    assert_eq!(
        call(&gateway, &secret, "one", ("/api/http/", SEND)).await[0],
        ""
    );
    let after = left(&explained(&gateway, send.clone()).await);
    for ((name, before), (_, after)) in full.iter().zip(&after) {
        let counts = name.starts_with("limit");
        assert_eq!(*after, before - u64::from(counts), "{name}");
    }
    // All calls that the limit has left are admitted, because the hundred questions consumed none.
    for n in 1..5 {
        let id = format!("left-{n}");
        let heard = call(
            &gateway,
            &secret,
            &id,
            ("/api/http/", "method=getchatchannels"),
        )
        .await;
        assert_eq!(heard[0], "");
    }
    assert_eq!(gateway.request_log().len(), 5);
}

#[tokio::test]
async fn every_refusal_logs_the_walk_through_forwarded_addresses() {
    let (gateway, secret) = gateway().await;
    let walked = async |id: &str, path: &str, hops: &str, body: &str| {
        let request = client_from([127, 0, 0, 100].into()).post(gateway.url(path));
        let request = request
            .header("X-Request-ID", id)
            .header("X-Forwarded-For", hops);
        let request = request.header("Content-Type", "application/x-www-form-urlencoded");
        Answer::of(request.body(body.to_owned())).await;
        gateway.logged(id)["walk"].as_str().unwrap().to_owned()
    };
    let call = format!("class=chat&method=getchatchannels&user=shop&password={secret}");
    let (hops, reported) = ("203.0.113.7", "127.0.0.100 trusted, 203.0.113.7 client");
    for n in 0..5 {
        assert_eq!(
            walked(&format!("in-{n}"), "/api/http/", hops, &call).await,
            ""
        );
    }
    assert_eq!(walked("limit", "/api/http/", hops, &call).await, reported);
    assert_eq!(gateway.logged("limit")["code"], "RATE_LIMITED");
    assert_eq!(
        walked("secret", "/api/http/", hops, "class=chat").await,
        reported
    );
    assert_eq!(walked("path", "/nothing", hops, "").await, reported);
    assert_eq!(
        walked("keys", "/.well-known/jwks.json", hops, "").await,
        reported
    );
    assert_eq!(walked("token", "/oauth/token", hops, "").await, reported);
    let long = format!("{}, {}", "1.2.3.4", "x".repeat(1000));
    let reported = format!("127.0.0.100 trusted, {:?} unreadable", "x".repeat(64));
    assert_eq!(walked("long", "/api/http/", &long, &call).await, reported);
}

#[tokio::test]
async fn explain_reports_a_spent_guess_budget() {
    let (gateway, _) = gateway().await;
    // Only the first refusal has a log line; the others are counted with it.
    for _ in 0..4 {
        let form = format!("class=chat&{SEND}&user=shop&password=cgs_wrong");
        let caller = client_from([127, 0, 0, 2].into());
        Answer::of(caller.post(gateway.url("/api/http/")).body(form)).await;
    }
    let answer = explained(&gateway, json!({})).await;
    let guesses = judgement(&answer, "guesses for the name, from inside its networks");
    assert_eq!(guesses["refuses"], "TOO_MANY_FAILURES", "{guesses:#}");
    assert_eq!(guesses["limit"]["left"], 0);
    assert_eq!(answer["code"], "TOO_MANY_FAILURES");
    // A call from outside the access's networks uses another budget.
    let outside = explained(&gateway, json!({"peer": "127.0.0.9"})).await;
    assert_eq!(outside["code"], "IP_NOT_ALLOWED");
}

#[tokio::test]
async fn explain_reports_unknown_names_unknown_methods_and_disabled_ways_in() {
    let (gateway, _) = gateway().await;
    let said = async |question| verdict(&explained(&gateway, question).await);
    let nobody = json!({"access": "nobody"});
    assert_eq!(
        said(nobody).await,
        ["INCORRECT_USER_PASSWORD", "unknown name"]
    );
    let token = json!({"access": "nobody", "way": "jwt"});
    assert_eq!(said(token).await, ["INCORRECT_TOKEN", "no such access"]);
    assert_eq!(
        said(json!({"method": "nothing"})).await[0],
        "INCORRECT_METHOD"
    );
    assert_eq!(
        said(json!({"way": "jwt"})).await,
        ["OPERATION_NOT_ALLOWED", "way: not allowed"]
    );
    assert_eq!(said(json!({"way": "soap"})).await[0], "NOT_FOUND");
}

#[tokio::test]
async fn explain_reports_the_cache_lifetime_and_partition() {
    let (gateway, _) = gateway().await;
    let answer = explained(&gateway, json!({})).await;
    let version = admin(&gateway, Method::GET, "accesses/shop", &Value::Null)
        .await
        .json()["version"]
        .clone();
    let partition = json!({"access": "shop", "version": version, "method": "getchatchannels"});
    assert_eq!(
        answer["cache"],
        json!({"kept_s": 60.0, "partition": partition})
    );
    let send = explained(&gateway, json!({"method": "sendmessage"})).await;
    assert_eq!(send["cache"]["why"], "the method has an effect");
    admin(
        &gateway,
        Method::PATCH,
        "accesses/shop",
        &json!({"cache": false}),
    )
    .await;
    let off = explained(&gateway, json!({})).await;
    assert_eq!(off["cache"]["why"], "switched off for the access");
}

#[tokio::test]
async fn viewers_can_use_explain_and_mistakes_are_reported_by_field() {
    let (gateway, _) = gateway().await;
    let draft = json!({"name": "eyes", "role": "viewer"});
    let made = admin(&gateway, Method::POST, "admin-keys", &draft)
        .await
        .json();
    let ask = async |key: &str, question: Value| {
        let url = format!("http://{}/admin/v1/explain", gateway.admin);
        Answer::of(
            client()
                .post(url)
                .bearer_auth(key)
                .body(question.to_string()),
        )
        .await
    };
    let key = made["key"].as_str().unwrap();
    let right = json!({"peer": "[::1]:80", "access": "shop", "method": "getchats"});
    let answer = ask(key, right.clone()).await;
    assert_eq!(
        (answer.status, &answer.json()["address"]),
        (200, &json!("::1"))
    );
    assert_eq!(ask("cgk_none", right).await.status, 401);
    let wrong = json!({
        "peer": "fe80::1%eth0", "access": "shop", "method": "getchats", "way": "fax",
        "headers": {"X Y": "1"},
    });
    let answer = ask(key, wrong).await;
    assert_eq!(answer.status, 400);
    assert_eq!(answer.header("content-type"), "application/problem+json");
    let errors = answer.json()["errors"].as_array().unwrap().clone();
    let fields: Vec<&str> = errors
        .iter()
        .map(|error| error["field"].as_str().unwrap())
        .collect();
    assert_eq!(fields, ["peer", "headers", "way"]);
    let answer = ask(key, json!({"peer": "::1", "access": "shop"})).await;
    assert_eq!(answer.status, 400);
    assert!(answer.body.contains("`method`"), "{}", answer.body);
}

#[tokio::test]
async fn the_explain_command_prints_hops_judgements_and_the_verdict_last() {
    let (gateway, _) = gateway().await;
    let run = |arguments: &[&str]| {
        let (admin, data) = (gateway.admin.to_string(), gateway.data());
        let mut command = Command::new(binary());
        command.args(["explain", "--admin", &admin, "--data"]);
        let ran = command.arg(data).args(arguments).output().unwrap();
        let said = [ran.stdout, ran.stderr].map(|said| String::from_utf8(said).unwrap());
        (ran.status.code(), said)
    };
    let question = [
        "--peer",
        "127.0.0.100",
        "--header",
        "X-Forwarded-For: 203.0.113.7",
        "--header",
        "x-forwarded-for:127.0.0.100",
        "--access",
        "shop",
        "--method",
        "getchats",
    ];
    let (code, [reported, error]) = run(&question);
    assert_eq!(code, Some(0), "{error}");
    let expected = "\
peer 127.0.0.100: trusted, a trusted proxy, so its x-forwarded-for is used
x-forwarded-for line 2, \"127.0.0.100\": trusted, a trusted proxy, so the walk continues
x-forwarded-for line 1, \"203.0.113.7\": client, the first hop that is not a trusted proxy
caller: 203.0.113.7
deployment networks: allowed by 0.0.0.0/0
limit per address: 30 of 30 left
guesses from the address: 300 of 300 left
guesses for the name, from inside its networks: 3 of 3 left
access: known
state: active
access networks: allowed by 203.0.113.0/24
way: allowed
query credentials: not in the URL
method: not allowed (OPERATION_NOT_ALLOWED)
limit of the access: 5 of 5 left
calls at once: 3 of 3 left
limit per day: 5 of 5 left
cache: cached 2 s for getchats of shop, version 2
verdict: refused with 403 OPERATION_NOT_ALLOWED, method: not allowed
";
    assert_eq!(reported, expected);
    let (code, [json, error]) = run(&[&question[..], &["--json"]].concat());
    assert_eq!(code, Some(0), "{error}");
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["code"], "OPERATION_NOT_ALLOWED");
    assert_eq!(json["address"], "203.0.113.7");
    let rest = ["--access", "shop", "--method", "getchats"];
    for wrong in [
        ["--peer", "127.1", "--way", "http"],
        ["--peer", "127.0.0.1", "--way", "fax"],
        ["--peer", "127.0.0.1", "--header", "no line"],
    ] {
        let (code, [reported, complained]) = run(&[&wrong[..], &rest].concat());
        assert_eq!((code, reported.as_str()), (Some(64), ""), "{complained}");
    }
}
