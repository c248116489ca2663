//! Tests of replicas on machines of which two in three have a clock that is ten minutes wrong.

use std::time::UNIX_EPOCH;

use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::{
    Answer, Fleet, Gateway, HttpSink, Sandbox, admin, client, made, skipped, until,
};
use crate::streams::reading::SALES;

/// The cheapest read.
const READ: &str = "class=chat&method=getchatchannels";

/// Checks that all replicas accept the tokens of each one, although the tokens live for only a minute.
async fn check_tokens_at_all_replicas(gateways: &[Gateway]) {
    let draft = json!({"name": "tokens", "allow": ["127.0.0.1"]});
    let made = admin(&gateways[0], Method::POST, "accesses", draft).await;
    let member = |name: &str| made.json()[name].as_str().unwrap().to_owned();
    let (client_id, secret) = (member("client_id"), member("password"));
    for issuer in gateways {
        let ask = client().post(issuer.url("/oauth/token"));
        let ask = ask.basic_auth(&client_id, Some(&secret));
        let issued = Answer::of(ask.form(&[("grant_type", "client_credentials")])).await;
        let token = issued.json()["access_token"].as_str().unwrap().to_owned();
        for verifier in gateways {
            let call = client().post(verifier.url("/api/jwt/")).bearer_auth(&token);
            let answer = Answer::of(call.body(READ)).await;
            assert_eq!(answer.status, 200, "{}", answer.body);
        }
    }
}

#[tokio::test]
async fn replicas_judge_times_of_accesses_and_tokens_by_the_database_clock() {
    let Some(fleet) = Fleet::with_false_clocks(3, "[jwt]\ntoken_life = \"60s\"\n") else {
        return skipped("PostgreSQL, or Debian's package faketime");
    };
    let gateways = &fleet.gateways;
    // Times by the database's clock, which is right.
    let at = |minutes: i64| {
        fleet.sql(&format!(
            "SELECT to_char(now() AT TIME ZONE 'UTC' + interval '{minutes} min', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"')"
        ))
    };
    for (name, not_before, expires, expected) in [
        ("current", at(-5), at(5), 200),
        ("over", at(-60), at(-5), 403),
        ("early", at(5), at(60), 403),
    ] {
        let draft = json!({
            "name": name, "allow": ["127.0.0.1"], "not_before": not_before, "expires": expires,
        });
        let password = made(&gateways[0], draft).await;
        for (number, gateway) in gateways.iter().enumerate() {
            let call = client().post(gateway.url("/api/basic/"));
            let call = call.basic_auth(name, Some(&password));
            let answer = Answer::of(call.body(READ)).await;
            assert_eq!(
                answer.status, expected,
                "{name} at {number}: {}",
                answer.body
            );
        }
    }
    check_tokens_at_all_replicas(gateways).await;
    // The last use over all replicas is recorded by that clock as well.
    let used =
        "SELECT count(*) FROM chatgate.last_uses WHERE abs(extract(epoch FROM now()) - at) < 60";
    until("the last use", async || fleet.sql(used) == "2").await;
    for gateway in &gateways[1..] {
        let differs = |line: &str| line.contains("clock differs from this machine's");
        gateway.process.wait_for("a warning", differs);
        let metrics = gateway.metrics().await;
        let ahead = metrics
            .lines()
            .find_map(|line| line.strip_prefix("chatgate_replica_clock_ahead_seconds "));
        let ahead: f64 = ahead.unwrap().parse().unwrap();
        assert!((ahead.abs() - 600.0).abs() < 30.0, "{ahead}");
    }
}

/// Maximum difference, in seconds, of times that are by the same clock.
const SAME_TIME_S: i64 = 60;

/// Asserts that a time of the admin API is this many seconds ahead of the database's clock.
fn is_ahead(fleet: &Fleet, time: &Value, seconds: i64) {
    let of = time.as_str().unwrap();
    let ahead = fleet.sql(&format!(
        "SELECT extract(epoch FROM '{of}'::timestamptz - now())::bigint"
    ));
    let ahead: i64 = ahead.trim().parse().unwrap();
    assert!((ahead - seconds).abs() < SAME_TIME_S, "{of}: {ahead}");
}

/// Asserts that the receiver's newest delivery bears the current time.
fn assert_newest_delivery_is_current(sink: &HttpSink) {
    let newest = sink.requests().pop().unwrap();
    let at: i64 = newest.headers["webhook-timestamp"].parse().unwrap();
    let now = i64::try_from(UNIX_EPOCH.elapsed().unwrap().as_secs()).unwrap();
    assert!((at - now).abs() < SAME_TIME_S, "{at} at {now}");
}

/// Makes an access that lasts until `expires`, and its webhook. Returns what the admin API shows of the webhook.
async fn webhook(gateway: &Gateway, (name, expires): (&str, &str), sink: &HttpSink) -> Value {
    let draft = json!({"name": name, "allow": ["127.0.0.1"], "expires": expires});
    made(gateway, draft).await;
    let url = format!("http://{}/", sink.address);
    let draft = json!({"access": name, "url": url, "types": ["message.received"]});
    let made = admin(gateway, Method::POST, "webhooks", draft).await;
    assert_eq!(made.status, 201, "{}", made.body);
    made.json()
}

async fn receive(sandbox: &Sandbox) {
    let message = json!({"platform": SALES.0, "platformid": SALES.1, "destination": "34600000000", "message": "hello"});
    let request = client().post(format!("http://{}/sandbox/receive", sandbox.address));
    let answer = Answer::of(request.body(message.to_string())).await;
    assert_eq!(answer.status, 201, "{}", answer.body);
}

#[tokio::test(flavor = "multi_thread")]
async fn webhook_times_follow_the_database_clock_on_every_replica() {
    let toml = "unread_clears = \"no\"\n[events]\npoll_min = \"100ms\"\npoll_max = \"500ms\"\n\
        [webhooks]\nallow_networks = [\"127.0.0.0/8\"]\n";
    let Some(fleet) = Fleet::with_false_clocks(0, toml) else {
        return skipped("PostgreSQL, or Debian's package faketime");
    };
    let (sink, fast) = (HttpSink::start("").await, fleet.replica("replica-1"));
    let shown = webhook(&fast, ("shop", "1h"), &sink).await;
    is_ahead(&fleet, &shown["state_since"], 0);
    is_ahead(&fleet, &shown["secrets"][0]["created"], 0);
    let path = format!("webhooks/{}", shown["id"].as_str().unwrap());
    let rotate = format!("{path}/rotate");
    let rotated = admin(&fast, Method::POST, &rotate, json!({"grace_s": 600})).await;
    is_ahead(&fleet, &rotated.json()["secrets"][1]["until"], 600);
    // The receiver fails, so that the webhook rests.
    sink.set_status(503);
    let state = async |gateway: &Gateway| {
        let shown = admin(gateway, Method::GET, &path, Value::Null).await;
        shown.json()["state"].as_str().unwrap().to_owned()
    };
    until("a rest", async || {
        receive(fleet.sandbox()).await;
        state(&fast).await == "resting"
    })
    .await;
    assert_newest_delivery_is_current(&sink);
    // A gateway whose clock is behind takes over, and does not rest any longer.
    let slow = fleet.replica("replica-2");
    drop(fast);
    sink.set_status(200);
    until("the delivery", async || state(&slow).await == "active").await;
    assert_newest_delivery_is_current(&sink);
    // The history and the journal convert the time of a state change once.
    let changes = admin(&slow, Method::GET, "accesses/shop/changes", Value::Null).await;
    let changes = changes.json();
    assert_eq!(changes["changes"][0]["actor"], "(webhooks)", "{changes}");
    is_ahead(&fleet, &changes["changes"][0]["at"], 0);
    // By the own clock of this gateway, this access would not be over yet.
    let over = fleet.sql("SELECT to_char(now() AT TIME ZONE 'UTC' - interval '5 min', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"')");
    let shown = webhook(&slow, ("over", over.trim()), &sink).await;
    assert_eq!(shown["cause"], "its access is not active", "{shown}");
}

#[tokio::test]
async fn operators_times_are_read_and_shown_by_the_database_clock() {
    let Some(fleet) = Fleet::with_false_clocks(2, "") else {
        return skipped("PostgreSQL, or Debian's package faketime");
    };
    let fast = &fleet.gateways[1];
    let draft = json!({"name": "shop", "allow": ["127.0.0.1"], "expires": "2h"});
    let made = admin(fast, Method::POST, "accesses", draft).await.json();
    is_ahead(&fleet, &made["expires"], 7200);
    is_ahead(&fleet, &made["secrets"][0]["created"], 0);
    let since = "journal?since=5m&follow=true";
    let rows = admin(fast, Method::GET, since, Value::Null).await.json();
    assert_ne!(rows["rows"].as_array().unwrap().len(), 0, "{rows}");
}
