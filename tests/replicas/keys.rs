//! Tests of a rotation of the signing key while tokens of one replica are presented to the others.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Instant;

use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::{Answer, Fleet, Gateway, admin, client, load, skipped, until};

const REPLICAS: usize = 3;
const CALLERS: usize = 4;

const SETTINGS: &str = "[limits]\nper_address_per_minute = 4000000000\n[log]\nlevel = \"warn\"\n";

struct Stage {
    gateways: Vec<Gateway>,
    client: reqwest::Client,
    /// The access's client id and secret.
    access: (String, String),
    next: AtomicUsize,
    is_over: AtomicBool,
}

impl Stage {
    fn next(&self) -> &Gateway {
        &self.gateways[self.next.fetch_add(1, Ordering::SeqCst) % self.gateways.len()]
    }

    async fn token(&self, gateway: &Gateway) -> String {
        let ask = self.client.post(gateway.url("/oauth/token"));
        let ask = ask.basic_auth(&self.access.0, Some(&self.access.1));
        let answer = Answer::of(ask.form(&[("grant_type", "client_credentials")])).await;
        let token = answer.json()["access_token"].as_str().map(str::to_owned);
        token.unwrap_or_else(|| panic!("{}", answer.body))
    }

    /// Requests a token from one replica and immediately presents it to another, again and again. Returns the number of tokens.
    async fn call(&self) -> usize {
        let mut shown = 0;
        while !self.is_over.load(Ordering::SeqCst) {
            let token = self.token(self.next()).await;
            let url = self
                .next()
                .url("/api/jwt/?class=chat&method=getchatchannels");
            let answer = Answer::of(self.client.get(url).bearer_auth(token)).await;
            assert_eq!(answer.status, 200, "{}", answer.body);
            shown += 1;
        }
        shown
    }

    /// Rotates the key at a replica and waits until each replica signs with the new key.
    async fn rotate(&self) {
        let body = json!({"revoke": false});
        let rotated = admin(self.next(), Method::POST, "keys/rotate", &body).await;
        assert_eq!(rotated.status, 200, "{}", rotated.body);
        let kid = rotated.json()["keys"][0]["kid"].clone();
        for gateway in &self.gateways {
            until("the new key signs", async || {
                let keys = admin(gateway, Method::GET, "keys", &Value::Null)
                    .await
                    .json();
                let newest = keys["keys"][0].clone();
                (&newest["kid"], &newest["state"]) == (&kid, &json!("signing"))
            })
            .await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_are_valid_at_every_replica_during_a_key_rotation() {
    let Some(fleet) = Fleet::of(REPLICAS, SETTINGS) else {
        return skipped("PostgreSQL");
    };
    rotate_over(fleet).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_are_valid_during_a_rotation_with_clocks_ten_minutes_wrong() {
    let Some(fleet) = Fleet::with_false_clocks(REPLICAS, SETTINGS) else {
        return skipped("PostgreSQL, or Debian's package faketime");
    };
    rotate_over(fleet).await;
}

async fn rotate_over(mut fleet: Fleet) {
    let gateways = std::mem::take(&mut fleet.gateways);
    let draft = json!({"name": "shop", "allow": ["127.0.0.1"]});
    let made = admin(&gateways[0], Method::POST, "accesses", &draft)
        .await
        .json();
    let member = |name: &str| made[name].as_str().unwrap().to_owned();
    let stage = Arc::new(Stage {
        gateways,
        client: client(),
        access: (member("client_id"), member("password")),
        next: AtomicUsize::new(0),
        is_over: AtomicBool::new(false),
    });
    let mut calling = tokio::task::JoinSet::new();
    for _ in 0..CALLERS {
        let stage = Arc::clone(&stage);
        calling.spawn(async move { stage.call().await });
    }
    let rotations = load(4, 20);
    let mut took = Vec::new();
    for _ in 0..rotations {
        let began = Instant::now();
        stage.rotate().await;
        took.push(began.elapsed());
    }
    stage.is_over.store(true, Ordering::SeqCst);
    let shown: usize = calling.join_all().await.into_iter().sum();
    took.sort();
    println!(
        "{rotations} rotations over {REPLICAS} replicas, {shown} tokens shown at another one at once: 0 INCORRECT_TOKEN; the new key signs \
         everywhere after {:.1?} (median)",
        took[took.len() / 2]
    );
    assert!(shown > rotations);
}
