//! Tests of a limit per minute that each replica counts for itself.

use std::time::Instant;

use reqwest::Method;
use serde_json::json;

use crate::accesses::said;
use crate::harness::{Fleet, Gateway, admin, client, made, skipped, until};

/// Returns the number of calls of the access `a` that a gateway would admit now.
async fn left(gateway: &Gateway) -> u64 {
    let question = json!({"peer": "127.0.0.1", "access": "a", "method": "getchatchannels"});
    let explained = admin(gateway, Method::POST, "explain", question).await;
    let explained = explained.json();
    let judgements = explained["judgements"].as_array().unwrap();
    let rate = judgements
        .iter()
        .find(|judgement| judgement["rule"] == "limit of the access");
    rate.unwrap()["limit"]["left"].as_u64().unwrap()
}

/// Makes this many calls and returns the number of admitted ones. Asserts that the others are refused for the limit.
async fn admitted(gateway: &Gateway, secret: &str, calls: usize) -> usize {
    let mut admitted = 0;
    for _ in 0..calls {
        let call = client().post(gateway.url("/api/basic/"));
        let call = call.basic_auth("a", Some(secret));
        match said(call.body("class=chat&method=getchatchannels"))
            .await
            .as_str()
        {
            "SUCCESS" => admitted += 1,
            word => assert_eq!(word, "RATE_LIMITED"),
        }
    }
    admitted
}

#[tokio::test]
async fn three_replicas_together_admit_the_rate_limit_of_an_access() {
    let Some(fleet) = Fleet::of(3, "") else {
        return skipped("PostgreSQL");
    };
    // Each replica admits a call a minute and two at the same time, so that hardly any call becomes available again during the
    // test.
    let draft = json!({"name": "a", "allow": ["any"], "rate": "6/min"});
    let secret = made(&fleet.gateways[0], draft).await;
    for gateway in &fleet.gateways {
        until("it knows the others", async || left(gateway).await == 2).await;
    }
    let began = Instant::now();
    let mut all = 0;
    for gateway in &fleet.gateways {
        all += admitted(gateway, &secret, 6).await;
    }
    let earned = usize::try_from(began.elapsed().as_secs() / 10).unwrap();
    assert!((6..=6 + earned).contains(&all), "{all}");
}
