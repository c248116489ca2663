//! Tests of replicas on machines of which two in three have a clock that is ten minutes wrong.

use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::{Answer, Fleet, Gateway, admin, client, made, skipped, until};

/// The cheapest read.
const READ: &str = "class=chat&method=getchatchannels";

/// Checks that all replicas accept the tokens of each one, although the tokens live for only a minute.
async fn tokens_are_good(gateways: &[Gateway]) {
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
async fn all_judge_the_time_of_an_access_and_of_a_token_by_one_clock() {
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
    tokens_are_good(gateways).await;
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

#[tokio::test]
async fn operators_write_and_see_times_by_one_clock() {
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
