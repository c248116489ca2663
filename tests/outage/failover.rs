//! Tests of failover to a standby of the database server. If the standby has everything, nothing is sent twice. A former primary
//! that returns is not trusted.

use std::sync::Arc;
use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::{Value, json};

use super::stage::{ReplicaSettings, Stage};
use super::storm::{ANSWER_MAX, Storm, Verdict, judge};
use crate::crash::seed;
use crate::harness::{
    Answer, Cluster, Link, LinkState, SplitMix64, admin, assert_within, has_line, load, made, pass,
    rows, skipped, until,
};

const REPLICATED: ReplicaSettings<'_> = &[("CHATGATE__STORE__DURABILITY", "replicated")];

/// Maximum time for which callers send between two failovers, in milliseconds.
const BETWEEN_MS: u64 = 2_000;

/// Two servers, one of which follows the other, and replicas that know both.
struct Pair {
    /// The first one is the primary.
    servers: [Cluster; 2],
    stage: Arc<Stage>,
}

impl Pair {
    async fn start(settings: ReplicaSettings<'_>) -> Option<Pair> {
        let first = Cluster::start().await?;
        if !settings.is_empty() {
            // The standby copies this setting, for the time when it is the primary.
            first.set("synchronous_standby_names", "*");
        }
        let second = first.standby().await;
        Some(Pair::over([first, second], settings).await)
    }

    /// Starts a pair whose second server follows the first over a link that can be cut.
    async fn linked() -> Option<(Pair, Link)> {
        let first = Cluster::start().await?;
        let link = Link::to(first.socket());
        let second = first.standby_over(&link).await;
        Some((Pair::over([first, second], &[]).await, link))
    }

    async fn over([first, second]: [Cluster; 2], settings: ReplicaSettings<'_>) -> Pair {
        let url = first.url_or(&second);
        let replicas: Vec<_> = (0..3).map(|_| (url.clone(), settings)).collect();
        Pair {
            stage: Arc::new(Stage::over(&replicas).await),
            servers: [first, second],
        }
    }

    /// Kills the primary, promotes the standby, and makes the former primary follow it.
    async fn fail_over(&mut self) {
        self.servers[0].kill();
        self.servers[1].promote();
        self.servers.swap(0, 1);
        let [now, before] = &mut self.servers;
        before.follow(now).await;
    }

    /// Waits until every replica sends again.
    async fn resumed(&self, round: usize) -> Duration {
        let began = Instant::now();
        for replica in 0..self.stage.gateways.len() {
            let mut number = 0;
            until("sends go on", async || {
                number += 1;
                let mark = format!("probe-{round}-{replica}-{number}");
                let answer = Answer::of(self.stage.keyed(replica, &mark)).await;
                !answer.body.contains("OVERLOADED")
            })
            .await;
        }
        began.elapsed()
    }
}

/// Fails over while callers send, and returns the verdict.
async fn storm(settings: ReplicaSettings<'_>, failovers: usize) -> Option<(Pair, Verdict)> {
    let (mut pair, mut chance) = (Pair::start(settings).await?, SplitMix64(seed()));
    let storm = Storm::over(&pair.stage, chance.branch());
    for round in 0..failovers {
        pass(Duration::from_millis(500 + chance.below(BETWEEN_MS))).await;
        pair.fail_over().await;
        let resumed = pair.resumed(round).await;
        println!("failover {round}: sends went on {resumed:?} after there was a standby again");
    }
    let (asked, stage) = storm.end().await;
    for replica in 0..stage.gateways.len() {
        stage.is_whole(replica).await;
    }
    let verdict = judge(&stage, &asked).await;
    Some((pair, verdict))
}

#[tokio::test(flavor = "multi_thread")]
async fn failovers_to_a_synchronous_standby_double_and_lose_no_send() {
    let failovers = load(1, 10);
    let Some((pair, verdict)) = storm(REPLICATED, failovers).await else {
        return skipped("PostgreSQL");
    };
    println!(
        "replicated, {failovers} failovers: {} doubled, {} lost",
        verdict.doubled, verdict.lost
    );
    assert_eq!((verdict.doubled, verdict.lost), (0, 0));
    assert_within(verdict.slowest, ANSWER_MAX);
    for gateway in &pair.stage.gateways {
        let metrics = gateway.metrics().await;
        let line = format!("chatgate_store_failovers_total {failovers}");
        assert!(has_line(&metrics, &line), "{metrics}");
    }
    let rows = rows(&pair.stage.gateways[0], "").await;
    let noted = rows.iter().filter(|row| row["kind"] == "failover");
    assert_eq!(noted.count(), failovers * pair.stage.gateways.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn failovers_to_a_lagging_standby_leave_no_send_open_and_serve_reads() {
    let failovers = load(1, 10);
    let Some((_, verdict)) = storm(&[], failovers).await else {
        return skipped("PostgreSQL");
    };
    println!(
        "local, {failovers} failovers: {} doubled, {} lost",
        verdict.doubled, verdict.lost
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn replicas_restore_the_sends_that_a_promoted_standby_lacks() {
    let Some((mut pair, link)) = Pair::linked().await else {
        return skipped("PostgreSQL");
    };
    let stage = Arc::clone(&pair.stage);
    stage.upstream.think(Duration::from_millis(1));
    pair.resumed(0).await;
    // From now on the standby receives no changes.
    link.set(LinkState::Swallows);
    let ended: Vec<String> = (0..20).map(|n| format!("ended-{n}")).collect();
    for (number, mark) in ended.iter().enumerate() {
        let sent = Answer::of(stage.keyed(number % 3, mark)).await;
        assert_eq!(sent.json()["delivery"], "sent", "{}", sent.body);
    }
    stage.upstream.think(Duration::from_secs(2));
    let open: Vec<String> = (0..6).map(|n| format!("open-{n}")).collect();
    let sends = open.iter().enumerate();
    let sends = sends.map(|(n, mark)| tokio::spawn(Answer::of(stage.keyed(n % 3, mark))));
    let sends: Vec<_> = sends.collect();
    until("the upstream has them", async || {
        open.iter().all(|mark| stage.upstream.taken(mark) == 1)
    })
    .await;
    pair.servers[0].kill();
    pair.servers[1].promote();
    for send in sends {
        let answer = send.await.unwrap();
        assert_eq!(answer.json()["delivery"], "sent", "{}", answer.body);
    }
    stage.upstream.think(Duration::from_millis(1));
    pair.resumed(1).await;
    let all = rows(&stage.gateways[0], "").await;
    let sent = all.iter().filter(|row| row["delivery"] == "sent").count();
    println!(
        "put back: {sent} rows of {} sends",
        stage.upstream.all_taken()
    );
    assert_eq!(u32::try_from(sent).unwrap(), stage.upstream.all_taken());
    for (number, mark) in ended.iter().chain(&open).enumerate() {
        let again = Answer::of(stage.keyed(number % 3, mark)).await;
        let replayed = again.header("idempotent-replayed");
        assert_eq!(replayed, "true", "{mark}: {}", again.body);
        assert_eq!(again.json()["delivery"], "sent", "{}", again.body);
        assert_eq!(stage.upstream.taken(mark), 1, "{mark}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_lost_in_a_failover_is_reverted_and_later_changes_apply_everywhere() {
    let Some((mut pair, link)) = Pair::linked().await else {
        return skipped("PostgreSQL");
    };
    let gateways = &pair.stage.gateways;
    let draft = json!({"name": "shop", "allow": ["127.0.0.0/8"], "methods": ["getchats"]});
    made(&gateways[0], draft).await;
    let note = async |replica: usize, note: &str| {
        let change = json!({"note": note});
        let changed = admin(&gateways[replica], Method::PATCH, "accesses/shop", change).await;
        assert_eq!(changed.status, 200, "{}", changed.body);
    };
    let all_say = async |expected: &str| {
        until(&format!("all replicas say {expected}"), async || {
            for gateway in gateways {
                let shown = admin(gateway, Method::GET, "accesses/shop", Value::Null).await;
                if shown.json()["note"] != expected {
                    return false;
                }
            }
            true
        })
        .await;
    };
    note(0, "kept").await;
    all_say("kept").await;
    let standby = &pair.servers[1];
    until("the standby has it as well", async || {
        standby
            .sql("SELECT document FROM chatgate.accesses WHERE name = 'shop'")
            .contains("kept")
    })
    .await;
    link.set(LinkState::Swallows);
    note(0, "lost").await;
    all_say("lost").await;
    pair.servers[0].kill();
    pair.servers[1].promote();
    pair.resumed(0).await;
    all_say("kept").await;
    note(1, "new").await;
    all_say("new").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_promoted_server_without_a_standby_serves_reads_and_rejects_sends() {
    let fresh = [REPLICATED[0], ("CHATGATE__REPLICAS__STALE_MAX", "5s")];
    let Some(mut pair) = Pair::start(&fresh).await else {
        return skipped("PostgreSQL");
    };
    pair.resumed(0).await;
    pair.servers[0].kill();
    pair.servers[1].promote();
    for gateway in &pair.stage.gateways {
        gateway
            .process
            .wait_for("memory that is read anew", |line| {
                line.contains("accesses and keys were read again")
            });
    }
    // Nothing can be sent before there is a standby.
    let answer = Answer::of(pair.stage.keyed(0, "never")).await;
    assert!(answer.body.contains("OVERLOADED"), "{}", answer.body);
    let reading = Answer::of(pair.stage.read(0)).await;
    assert_eq!(reading.status, 200, "{}", reading.body);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_returning_former_primary_gets_no_writes() {
    let Some(mut pair) = Pair::start(&[]).await else {
        return skipped("PostgreSQL");
    };
    pair.servers[0].kill();
    pair.servers[1].promote();
    pair.resumed(0).await;
    // The former primary is the first in the URL, accepts writes, and does not know that it was replaced.
    pair.servers[0].run().await;
    let count = "SELECT count(*) FROM chatgate.receipts";
    let before = pair.servers[0].sql(count);
    let end = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE application_name = 'chatgate'";
    pair.servers[1].sql(end);
    pair.resumed(1).await;
    assert_eq!(pair.servers[0].sql(count), before);
    pair.stage.upstream.think(Duration::from_millis(1));
    // A connection may be ended after it was checked; a send over it is refused, and the next send succeeds.
    until("a send arrives", async || {
        let sent = Answer::of(pair.stage.keyed(0, "after")).await;
        sent.json()["delivery"] == "sent"
    })
    .await;
    assert_eq!(pair.servers[0].sql(count), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_its_standby_sends_are_rejected_in_time_and_none_stays_open() {
    // Replicas that serve reads always know the current state, although nothing can be written.
    let fresh = [REPLICATED[0], ("CHATGATE__REPLICAS__STALE_MAX", "5s")];
    let Some(mut pair) = Pair::start(&fresh).await else {
        return skipped("PostgreSQL");
    };
    let storm = Storm::over(&pair.stage, SplitMix64(seed()));
    pass(Duration::from_millis(500)).await;
    pair.servers[1].kill();
    pass(Duration::from_secs(load(7, 30) as u64)).await;
    let ready = pair.stage.ready(0).await;
    assert!(
        ready.status == 200 && ready.body.contains("\"store\""),
        "{}",
        ready.body
    );
    pair.servers[1].run().await;
    let resumed = pair.resumed(0).await;
    let (asked, stage) = storm.end().await;
    println!("the standby is back: sends went on within {resumed:?}");
    for replica in 0..stage.gateways.len() {
        stage.is_whole(replica).await;
    }
    let verdict = judge(&stage, &asked).await;
    assert_eq!((verdict.doubled, verdict.lost), (0, 0));
    assert_within(verdict.slowest, ANSWER_MAX);
    assert!(verdict.not_sent > 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_synchronous_standby_names_replicated_sends_are_rejected() {
    let Some(mut pair) = Pair::start(REPLICATED).await else {
        return skipped("PostgreSQL");
    };
    pair.resumed(0).await;
    pair.servers[0].set("synchronous_standby_names", "");
    until("the demand is missed", async || {
        let answer = Answer::of(pair.stage.send(0, "never")).await;
        answer.body.contains("OVERLOADED")
    })
    .await;
    let ready = pair.stage.ready(0).await;
    assert!(
        ready.status == 200 && ready.body.contains("\"standby\""),
        "{}",
        ready.body
    );
    assert_eq!(pair.stage.status(0).await["degraded"], json!(["standby"]));
    let reading = Answer::of(pair.stage.read(0)).await;
    assert_eq!(reading.status, 200, "{}", reading.body);
    // A new connection notices it immediately.
    pair.servers[1].kill();
    pair.servers[0].kill();
    pair.servers[0].run().await;
    let answer = Answer::of(pair.stage.send(0, "never either")).await;
    assert!(answer.body.contains("OVERLOADED"), "{}", answer.body);
    assert_eq!(pair.stage.upstream.taken("never either"), 0);
}
