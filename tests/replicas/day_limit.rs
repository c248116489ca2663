//! Tests of a limit per day over replicas that are killed.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use reqwest::Method;
use serde_json::json;

use crate::harness::{Answer, Fleet, Gateway, admin, client, load, skipped, until};

const CALLERS: usize = 8;

/// Returns the number of kills that cost at most a twentieth of the calls. A killed replica has set aside one and a half blocks,
/// and the blocks of all replicas together are a twentieth.
fn kills(replicas: usize) -> usize {
    replicas / 2 + 1
}

/// The number of calls per day, and the number of replicas that share them: on every day, and in the full load.
const LIMIT: (usize, usize) = (800, 10_000);
const REPLICAS: (usize, usize) = (3, 8);

const SETTINGS: &str = "[limits]\nper_address_per_minute = 4000000000\n[log]\nlevel = \"warn\"\n";

struct Stage {
    addresses: Mutex<Vec<SocketAddr>>,
    password: String,
    next: AtomicUsize,
    admitted: AtomicUsize,
    unanswered: AtomicUsize,
}

impl Stage {
    fn next(&self) -> SocketAddr {
        let addresses = self.addresses.lock().unwrap();
        addresses[self.next.fetch_add(1, Ordering::SeqCst) % addresses.len()]
    }

    /// Calls until every replica refuses, one call after the other.
    async fn call(&self) {
        let (client, mut refusals) = (client(), 0);
        let all = self.addresses.lock().unwrap().len();
        while refusals < 2 * all {
            let url = format!(
                "http://{}/api/basic/?class=chat&method=getchatchannels",
                self.next()
            );
            let call = client.get(url).basic_auth("shop", Some(&self.password));
            let Ok(answer) = call.send().await else {
                self.unanswered.fetch_add(1, Ordering::SeqCst);
                continue;
            };
            if answer.status() == 200 {
                self.admitted.fetch_add(1, Ordering::SeqCst);
                refusals = 0;
            } else {
                let said = answer.text().await.unwrap();
                assert!(said.contains("RATE_LIMITED"), "{said}");
                refusals += 1;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn replicas_share_a_limit_per_day_and_kills_lose_at_most_a_twentieth() {
    let (limit, replicas) = (load(LIMIT.0, LIMIT.1), load(REPLICAS.0, REPLICAS.1));
    let Some(mut fleet) = Fleet::of(replicas, SETTINGS) else {
        return skipped("PostgreSQL");
    };
    let draft = json!({"name": "shop", "allow": ["127.0.0.1"], "per_day": limit});
    let made = admin(&fleet.gateways[0], Method::POST, "accesses", &draft)
        .await
        .json();
    let addresses = fleet.gateways.iter().map(|gateway| gateway.public);
    let stage = Arc::new(Stage {
        addresses: Mutex::new(addresses.collect()),
        password: made["password"].as_str().unwrap().to_owned(),
        next: AtomicUsize::new(0),
        admitted: AtomicUsize::new(0),
        unanswered: AtomicUsize::new(0),
    });
    let mut calling = tokio::task::JoinSet::new();
    for _ in 0..CALLERS {
        let stage = Arc::clone(&stage);
        calling.spawn(async move { stage.call().await });
    }
    // A part of the calls falls between two kills.
    for at in 0..kills(replicas) {
        let from = stage.admitted.load(Ordering::SeqCst);
        let next: Gateway = tokio::task::block_in_place(|| fleet.replica(&format!("next-{at}")));
        let enough = (from + limit / (4 * replicas)).min(limit / 2);
        until("calls are admitted", async || {
            stage.admitted.load(Ordering::SeqCst) >= enough
        })
        .await;
        stage.addresses.lock().unwrap()[at] = next.public;
        drop(std::mem::replace(&mut fleet.gateways[at], next));
    }
    calling.join_all().await;
    let admitted = stage.admitted.load(Ordering::SeqCst);
    let unanswered = stage.unanswered.load(Ordering::SeqCst);
    println!(
        "{limit} calls a day over {replicas} replicas, {} of them killed: {admitted} admitted, {unanswered} without an answer",
        kills(replicas)
    );
    assert!(
        admitted <= limit && admitted >= limit * 95 / 100,
        "{admitted} of {limit}"
    );
    // A new replica refuses as well.
    let fresh = fleet.replica("fresh");
    let call = client().get(fresh.url("/api/basic/?class=chat&method=getchatchannels"));
    let answer = Answer::of(call.basic_auth("shop", Some(&stage.password))).await;
    assert!(answer.body.contains("RATE_LIMITED"), "{}", answer.body);
}
