//! PostgreSQL is killed and restarted, its disk is full, or it is read-only: reads are served, nothing is sent without a trace, and
//! everything recovers by itself.

use std::sync::Arc;
use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::json;

use super::stage::Stage;
use super::storm::{ANSWER_MAX, Storm, judge};
use crate::console::Visitor;
use crate::crash::seed;
use crate::harness::{Answer, Cluster, SplitMix64, admin, assert_within, load, pass, skipped};

/// Maximum time until sends continue after the database can be written again.
const RESUMED_MAX: Duration = Duration::from_secs(3);

/// Maximum time between two kills, in milliseconds.
const BETWEEN_MS: u64 = 2_000;

/// Replicas over a server, while callers send.
struct Scene {
    cluster: Cluster,
    stage: Arc<Stage>,
    sends: usize,
}

impl Scene {
    async fn over(cluster: Cluster) -> Scene {
        let stage = Stage::of(3, &cluster.url()).await;
        Scene {
            cluster,
            stage: Arc::new(stage),
            sends: 0,
        }
    }

    /// Waits until every replica sends again, and returns the time that it took.
    async fn resumed(&mut self) -> Duration {
        let began = Instant::now();
        for replica in 0..self.stage.gateways.len() {
            loop {
                self.sends += 1;
                let mark = format!("probe-{}", self.sends);
                let answer = Answer::of(self.stage.keyed(replica, &mark)).await;
                if !answer.body.contains("OVERLOADED") {
                    break;
                }
                assert!(began.elapsed() < 10 * RESUMED_MAX, "{}", answer.body);
                pass(Duration::from_millis(20)).await;
            }
        }
        began.elapsed()
    }

    /// Checks that, while the database cannot be written, every replica refuses sends in time, serves reads, and reports the
    /// failure.
    async fn is_degraded(&self) {
        for replica in 0..self.stage.gateways.len() {
            for (what, request) in [
                ("send", self.stage.send(replica, "never")),
                ("keyed", self.stage.keyed(replica, "never-keyed")),
            ] {
                let began = Instant::now();
                let answer = Answer::of(request).await;
                let took = began.elapsed();
                assert_within(took, ANSWER_MAX);
                assert_eq!(answer.status, 503, "{what}: {}", answer.body);
                let said = answer.json();
                assert_eq!(
                    (&said["error"], &said["delivery"]),
                    (&"OVERLOADED".into(), &"not_sent".into())
                );
                assert!(!answer.header("retry-after").is_empty());
            }
            let read = Answer::of(self.stage.read(replica)).await;
            assert_eq!(read.status, 200, "{}", read.body);
            let ready = self.stage.ready(replica).await;
            assert_eq!(ready.status, 200, "{}", ready.body);
            assert!(ready.body.contains("\"store\""), "{}", ready.body);
            let status = self.stage.status(replica).await;
            assert_eq!(status["store"]["state"], "failing", "{status}");
            let change = self.stage.change(replica, json!({"note": "never"})).await;
            let said = (change.status, &change.json()["code"]);
            assert_eq!(said, (503, &json!("store_failing")), "{}", change.body);
        }
    }

    /// Checks that no refused message was sent, and that no replica is degraded.
    async fn is_whole(&self) {
        for replica in 0..self.stage.gateways.len() {
            self.stage.is_whole(replica).await;
        }
        for mark in ["never", "never-keyed"] {
            assert_eq!(self.stage.upstream.taken(mark), 0, "{mark}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn repeated_kills_of_the_database_double_and_lose_no_send() {
    let Some(cluster) = Cluster::start().await else {
        return skipped("PostgreSQL");
    };
    let (mut scene, mut chance) = (Scene::over(cluster).await, SplitMix64(seed()));
    let storm = Storm::over(&scene.stage, chance.branch());
    let (kills, mut slowest) = (load(3, 20), Duration::ZERO);
    for _ in 0..kills {
        pass(Duration::from_millis(500 + chance.below(BETWEEN_MS))).await;
        scene.cluster.kill();
        pass(Duration::from_millis(chance.below(BETWEEN_MS))).await;
        scene.cluster.run().await;
        slowest = slowest.max(scene.resumed().await);
    }
    let (asked, stage) = storm.end().await;
    scene.is_whole().await;
    let verdict = judge(&stage, &asked).await;
    println!("the database killed {kills} times: sends went on within {slowest:?}");
    assert_eq!((verdict.doubled, verdict.lost), (0, 0));
    assert!(verdict.sent > 0 && verdict.not_sent > 0);
    assert_within(slowest, RESUMED_MAX);
    assert_within(verdict.slowest, ANSWER_MAX);
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_database_is_down_sends_are_rejected_in_time_and_reads_served() {
    let Some(cluster) = Cluster::start().await else {
        return skipped("PostgreSQL");
    };
    let mut scene = Scene::over(cluster).await;
    let stage = Arc::clone(&scene.stage);
    let operator = Visitor::first(&stage.gateways[0]).await;
    scene.cluster.kill();
    scene.is_degraded().await;
    // The console reports the failure and does not ask a signed-in operator to sign in.
    for path in ["/console/", "/console/health", "/console/sign-in"] {
        let page = operator.page(path).await;
        assert_eq!(page.status, 503, "{path}");
        assert!(page.body.contains("The store is failing"), "{}", page.body);
    }
    let rotated = admin(&stage.gateways[0], Method::POST, "keys/rotate", json!({})).await;
    assert_eq!(
        (rotated.status, rotated.json()["code"].as_str()),
        (503, Some("store_failing"))
    );
    scene.cluster.run().await;
    let resumed = scene.resumed().await;
    assert_eq!(operator.page("/console/health").await.status, 200);
    println!("away: sends went on after {resumed:?}");
    assert_within(resumed, RESUMED_MAX);
    scene.is_whole().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_database_is_read_only_sends_are_rejected_and_reads_served() {
    let Some(cluster) = Cluster::start().await else {
        return skipped("PostgreSQL");
    };
    let mut scene = Scene::over(cluster).await;
    scene.cluster.set("default_transaction_read_only", "on");
    scene.is_degraded().await;
    scene.cluster.set("default_transaction_read_only", "off");
    let resumed = scene.resumed().await;
    println!("read-only: sends went on after {resumed:?}");
    assert_within(resumed, RESUMED_MAX);
    scene.is_whole().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_database_disk_is_full_sends_are_rejected_and_reads_served() {
    let Some(cluster) = Cluster::on_disk("160m").await else {
        return skipped("PostgreSQL, or a small disk that can be mounted");
    };
    let mut scene = Scene::over(cluster).await;
    let (storm, began) = (
        Storm::over(&scene.stage, SplitMix64(seed())),
        Instant::now(),
    );
    scene.cluster.fill();
    // The existing files still have room, which callers fill.
    let mut number = 0;
    let is_full = async || {
        number += 1;
        let answer = Answer::of(scene.stage.keyed(0, &format!("fills-{number}"))).await;
        answer.body.contains("OVERLOADED")
    };
    crate::harness::until("nothing can be written", is_full).await;
    let (asked, stage) = storm.end().await;
    println!(
        "full after {:?}; the server has ended: {}",
        began.elapsed(),
        scene.cluster.has_ended()
    );
    // Existing pages may still take a row or two. Refusals come in time.
    let ready = scene.stage.ready(0).await;
    assert_eq!(ready.status, 200, "{}", ready.body);
    scene.cluster.free();
    // A server that cannot write its log ends itself, and is restarted as an administrator would do.
    if scene.cluster.has_ended() {
        scene.cluster.run().await;
    } else {
        scene.cluster.answers().await;
    }
    let resumed = scene.resumed().await;
    println!("room again: sends went on after {resumed:?}");
    assert_within(resumed, RESUMED_MAX);
    scene.is_whole().await;
    let verdict = judge(&stage, &asked).await;
    assert_eq!((verdict.doubled, verdict.lost), (0, 0));
    assert!(verdict.not_sent > 0);
    assert_within(verdict.slowest, ANSWER_MAX);
}
