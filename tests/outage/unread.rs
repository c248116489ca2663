//! A replica whose heartbeat the database answers, but which cannot read the changes: it acts by what it knows for no longer than a
//! replica that cannot reach the database.

use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::{Answer, Fleet, HttpSink, admin, client, made, skipped, until};

const SETTINGS: &str = "unread_clears = \"no\"\n[replicas]\nlease = \"5s\"\nstale_max = \"8s\"\n\
    [events]\npoll_min = \"100ms\"\npoll_max = \"200ms\"\n[webhooks]\nallow_networks = [\"127.0.0.0/8\"]\n";

/// A replica with a caller, and a receiver of the caller's events.
struct Unread {
    fleet: Fleet,
    sink: HttpSink,
    password: String,
}

impl Unread {
    async fn start() -> Option<Unread> {
        let fleet = Fleet::of(1, SETTINGS)?;
        let (gateway, sink) = (&fleet.gateways[0], HttpSink::start("").await);
        let password = made(gateway, json!({"name": "shop", "allow": ["127.0.0.0/8"]})).await;
        let url = format!("http://{}/", sink.address);
        let draft = json!({"access": "shop", "url": url, "types": ["message.received"]});
        let webhook = admin(gateway, Method::POST, "webhooks", draft).await;
        assert_eq!(webhook.status, 201, "{}", webhook.body);
        Some(Unread {
            fleet,
            sink,
            password,
        })
    }

    /// Makes the changes of accesses unreadable, or readable again, and makes one that every replica has to read.
    fn rename(&self, from: &str, to: &str) {
        self.fleet.sql(&format!(
            "ALTER TABLE chatgate.changes RENAME COLUMN {from} TO {to};
             UPDATE chatgate.epochs SET epoch = epoch + 1 WHERE what = 'accesses'"
        ));
    }

    async fn call(&self, form: &[(&str, &str)]) -> Answer {
        let call = client().post(self.fleet.gateways[0].url("/api/basic/"));
        let call = call.basic_auth("shop", Some(&self.password));
        Answer::of(call.form(&[&[("class", "chat")], form].concat())).await
    }

    /// Sends a message and returns what the answer says of its delivery.
    async fn send(&self) -> Value {
        let sent = self.call(&[
            ("method", "sendmessage"),
            ("platform", "whatsapp"),
            ("platformid", "100"),
            ("destination", "34600000000"),
            ("message", "hello"),
        ]);
        sent.await.json()["delivery"].clone()
    }

    async fn receive(&self) {
        let message = json!({"platform": "whatsapp", "platformid": "100", "destination": "34600000001", "message": "hello"});
        let url = format!("http://{}/sandbox/receive", self.fleet.sandbox().address);
        let received = Answer::of(client().post(url).body(message.to_string())).await;
        assert_eq!(received.status, 201, "{}", received.body);
    }

    /// Returns the number of recorded events.
    async fn events(&self) -> Value {
        let status = admin(&self.fleet.gateways[0], Method::GET, "status", Value::Null).await;
        status.json()["events"]["events"].clone()
    }

    async fn ready(&self) -> Answer {
        let url = format!("http://{}/readyz", self.fleet.gateways[0].admin);
        Answer::of(client().get(url)).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_that_cannot_read_changes_stops_sending_and_serving_in_time() {
    let Some(unread) = Unread::start().await else {
        return skipped("PostgreSQL");
    };
    let (gateway, delivered) = (&unread.fleet.gateways[0], || unread.sink.requests().len());
    // Messages that exist at the first poll make no events.
    until("a first message", async || {
        unread.receive().await;
        delivered() > 0
    })
    .await;
    assert_eq!(unread.send().await, "sent");

    unread.rename("access", "lost");
    gateway.process.wait_for("the cause", |line| {
        line.contains("it may lack changes") && line.contains("access")
    });
    until("it is cut off", async || {
        let metrics = gateway.metrics().await;
        metrics.contains("chatgate_replica_cut_off 1\n")
    })
    .await;
    let (known, before) = (unread.events().await, delivered());
    unread.receive().await;
    until("the event", async || unread.events().await != known).await;
    assert_eq!(unread.send().await, "not_sent");
    until("it is not ready", async || {
        let ready = unread.ready().await;
        ready.status == 503 && ready.body.contains("cut_off")
    })
    .await;
    let read = unread.call(&[("method", "getchatchannels")]).await;
    assert_eq!(read.json()["error"], "OVERLOADED", "{}", read.body);
    assert_eq!(delivered(), before, "the access may be suspended");

    unread.rename("lost", "access");
    until("it is whole", async || {
        let ready = unread.ready().await;
        ready.status == 200 && !ready.body.contains("degraded")
    })
    .await;
    until("the delivery", async || delivered() > before).await;
    assert_eq!(unread.send().await, "sent");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_that_cannot_read_the_signing_keys_stops_sending_until_it_can() {
    let Some(unread) = Unread::start().await else {
        return skipped("PostgreSQL");
    };
    let gateway = &unread.fleet.gateways[0];
    assert_eq!(unread.send().await, "sent");
    // A key may have been revoked.
    let rename = |from: &str, to: &str| {
        unread.fleet.sql(&format!(
            "ALTER TABLE chatgate.keys RENAME COLUMN {from} TO {to};
             UPDATE chatgate.epochs SET epoch = epoch + 1 WHERE what = 'signing_keys'"
        ));
    };
    rename("sealed", "lost");
    gateway.process.wait_for("the cause", |line| {
        line.contains("signing keys can't be read")
    });
    until("it is cut off", async || {
        let metrics = gateway.metrics().await;
        metrics.contains("chatgate_replica_cut_off 1\n")
    })
    .await;
    assert_eq!(unread.send().await, "not_sent");
    rename("lost", "sealed");
    until("it sends", async || unread.send().await == "sent").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signing_key_that_does_not_open_keeps_no_revoked_key_alive() {
    let Some(unread) = Unread::start().await else {
        return skipped("PostgreSQL");
    };
    let gateway = &unread.fleet.gateways[0];
    let kids = async || {
        let keys = admin(gateway, Method::GET, "keys", Value::Null)
            .await
            .json();
        let keys = keys["keys"].as_array().unwrap().clone();
        keys.into_iter()
            .map(|key| key["kid"].clone())
            .collect::<Vec<_>>()
    };
    let rotated = admin(gateway, Method::POST, "keys/rotate", json!({})).await;
    assert_eq!(rotated.status, 200, "{}", rotated.body);
    let before = kids().await;
    assert_eq!(before.len(), 2);
    unread.fleet.sql(
        "DELETE FROM chatgate.keys WHERE id = (SELECT min(id) FROM chatgate.keys WHERE starts_with(purpose, 'tokens/'));
         INSERT INTO chatgate.keys (purpose, sealed, created_at, signs_from) VALUES ('tokens/Later', 'x', 1, 1);
         UPDATE chatgate.epochs SET epoch = epoch + 1 WHERE what = 'signing_keys'",
    );
    until("the deleted key is dropped", async || {
        kids().await == before[..1]
    })
    .await;
    until("it sends", async || unread.send().await == "sent").await;
}
