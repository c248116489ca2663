//! After an erasure no replica shows the erased events, not even from its memory, and the erased messages do not become events again.

use serde_json::{Value, json};

use reqwest::Method;

use super::arrivals::receive;
use crate::harness::{Answer, Fleet, Gateway, admin, client, made, skipped, until};
use crate::streams::reading::UNLIMITED;

const DESTINATION: &str = "34600111222";

/// Returns the result of `getevents` at this gateway.
async fn asked(gateway: &Gateway, password: &str, cursor: &str) -> Value {
    let url = gateway.url(&format!(
        "/api/basic/?class=chat&method=getevents&limit=1000{cursor}"
    ));
    let request = client().get(url).basic_auth("shop", Some(password));
    let answer = Answer::of(request).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    answer.json()["result"].take()
}

#[tokio::test(flavor = "multi_thread")]
async fn after_an_erasure_no_replica_returns_the_erased_events() {
    let toml = format!(
        "unread_clears = \"no\"\n{UNLIMITED}[events]\npoll_min = \"100ms\"\npoll_max = \"500ms\"\ncalls_per_second = 200\n"
    );
    let Some(fleet) = Fleet::of(2, &toml) else {
        return skipped("PostgreSQL");
    };
    let [eraser, other] = [&fleet.gateways[0], &fleet.gateways[1]];
    let password = made(eraser, json!({"name": "shop", "allow": ["127.0.0.0/8"]})).await;
    let now = asked(other, &password, "").await["cursor"].take();
    let cursor = format!("&cursor={}", now.as_str().unwrap());
    let shows = async |gateway, text| {
        let result = asked(gateway, &password, &cursor).await;
        result["list"].to_string().contains(text)
    };
    let base = super::base(fleet.sandbox());
    // Messages that exist at the first poll are history and make no events.
    until("the events are shown", async || {
        receive(&client(), &base, DESTINATION, "erase me").await;
        shows(eraser, DESTINATION).await && shows(other, DESTINATION).await
    })
    .await;
    let destination = json!({"destination": DESTINATION});
    let erased = admin(eraser, Method::POST, "journal/erase", destination).await;
    assert_eq!(erased.status, 200, "{}", erased.body);
    for (name, gateway) in [("the eraser", eraser), ("the other", other)] {
        assert!(
            !shows(gateway, DESTINATION).await,
            "{name} shows erased events"
        );
    }
    // A caller lists the messages, and another one arrives.
    let listed = client().get(other.url(&format!(
        "/api/basic/?class=chat&method=getmessages&platform=whatsapp&platformid=100&destination={DESTINATION}"
    )));
    let listed = Answer::of(listed.basic_auth("shop", Some(&password))).await;
    assert!(listed.body.contains("erase me"), "{}", listed.body);
    receive(&client(), &base, DESTINATION, "new").await;
    for (name, gateway) in [("the eraser", eraser), ("the other", other)] {
        until("the new message is shown", async || {
            shows(gateway, "\"new\"").await
        })
        .await;
        assert!(
            !shows(gateway, "erase me").await,
            "{name} shows erased messages"
        );
    }
}
