//! A replica that is stopped in the middle of sends and continues later, as on a machine that was migrated.

use std::time::{Duration, Instant};

use serde_json::json;

use super::stage::{LEASE, Stage};
use crate::crash::seed;
use crate::harness::{
    Answer, Cluster, SplitMix64, assert_within, load, pass, rows, skipped, until,
};

/// How long after the end of its lease other replicas report the outcome of a send: the pause between their polls.
const REAPED_MAX: Duration = Duration::from_secs(2);

/// Number of sends that are under way when the replica is stopped.
const SENDS: usize = 10;

/// The upstream answers while the replica is stopped, so the timeouts must not have expired when it continues.
const PATIENT: [(&str, &str); 2] = [
    ("CHATGATE__UPSTREAM__TIMEOUT", "60s"),
    ("CHATGATE__LIMITS__REQUEST_TIMEOUT", "60s"),
];

#[tokio::test(flavor = "multi_thread")]
async fn sends_of_a_stopped_replica_are_unknown_until_it_reports_their_outcome() {
    let Some(cluster) = Cluster::start().await else {
        return skipped("PostgreSQL");
    };
    let lasting = Duration::from_secs(load(9, 30) as u64);
    let replicas = [(cluster.url(), &PATIENT[..]), (cluster.url(), &PATIENT)];
    let stage = Stage::over(&replicas).await;
    stage.upstream.think(Duration::from_secs(2));
    let mut chance = SplitMix64(seed());
    let marks: Vec<String> = (0..SENDS).map(|n| format!("paused-{n}")).collect();
    let sends: Vec<_> = marks
        .iter()
        .map(|mark| tokio::spawn(Answer::of(stage.keyed(0, mark))))
        .collect();
    until("the upstream has them", async || {
        marks.iter().all(|mark| stage.upstream.taken(mark) == 1)
    })
    .await;
    pass(Duration::from_millis(chance.below(500))).await;
    stage.gateways[0].process.signal("STOP");
    let stopped = Instant::now();
    for mark in &marks {
        until("the other one says what became of it", async || {
            let answer = Answer::of(stage.keyed(1, mark)).await;
            let said = answer.json();
            let is_open = said["error"] == "IDEMPOTENCY_IN_PROGRESS";
            assert!(is_open || said["delivery"] == "unknown", "{}", answer.body);
            !is_open
        })
        .await;
    }
    let known = stopped.elapsed();
    println!("{SENDS} sends of a stopped replica are unknown after {known:?}");
    assert_within(known, LEASE + REAPED_MAX);
    pass(lasting.saturating_sub(stopped.elapsed())).await;
    stage.gateways[0].process.signal("CONT");
    for (send, mark) in sends.into_iter().zip(&marks) {
        let answer = send.await.unwrap();
        assert_eq!(answer.json()["delivery"], "sent", "{}", answer.body);
        until("the truth that came late counts", async || {
            let again = Answer::of(stage.keyed(1, mark)).await;
            assert_eq!(
                again.header("idempotent-replayed"),
                "true",
                "{}",
                again.body
            );
            again.json()["delivery"] == "sent"
        })
        .await;
        assert_eq!(stage.upstream.taken(mark), 1, "{mark}");
    }
    let rows = rows(&stage.gateways[1], "method=sendmessage").await;
    let is_late = |row: &serde_json::Value| row["cause"] == json!("the outcome was known late");
    let late: Vec<_> = rows.iter().filter(|row| is_late(row)).collect();
    assert_eq!(late.len(), SENDS);
    assert!(late.iter().all(|row| row["delivery"] == "sent"));
    stage.is_whole(0).await;
    let sent = Answer::of(stage.keyed(0, "goes-on")).await;
    assert_eq!(sent.json()["delivery"], "sent", "{}", sent.body);
}
