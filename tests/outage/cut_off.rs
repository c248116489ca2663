//! Two of three replicas lose their connection to the database: the acknowledgement of a change names them, and they do not admit
//! calls by the old state for longer than their settings permit.

use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::json;

use super::stage::{LEASE, Stage, linked};
use crate::harness::{
    Answer, Cluster, Link, LinkState, admin, assert_within, load, pass, skipped, until,
};

/// How long an acknowledgement waits for silent replicas.
const ACK_WAIT: Duration = Duration::from_secs(2);

/// How long the replica that keeps serving when it is cut off may do so.
const STALE_MAX: Duration = Duration::from_secs(7);

/// How much before the end of its lease a replica considers the lease expired.
const MARGIN: Duration = Duration::from_secs(1);

/// Pause between two calls of a caller.
const PAUSE: Duration = Duration::from_millis(20);

/// Two replicas, each behind a link: one that refuses when it is cut off, and one that keeps serving.
struct Cut {
    stage: Stage,
    links: [Link; 2],
    _cluster: Cluster,
}

const REFUSES: usize = 1;
const SERVES: usize = 2;

impl Cut {
    async fn start() -> Option<Cut> {
        let cluster = Cluster::start().await?;
        let [(first, first_url), (second, second_url)] = [linked(&cluster), linked(&cluster)];
        let refuses = [("CHATGATE__REPLICAS__CUT_OFF", "refuse")];
        let serves = [("CHATGATE__REPLICAS__STALE_MAX", "7s")];
        let replicas = [
            (cluster.url(), &[][..]),
            (first_url, &refuses),
            (second_url, &serves),
        ];
        Some(Cut {
            stage: Stage::over(&replicas).await,
            links: [first, second],
            _cluster: cluster,
        })
    }

    fn set(&self, states: [LinkState; 2]) {
        let links = self.links.iter().zip(states);
        links.for_each(|(link, state)| link.set(state));
    }

    /// Calls a replica until this time after the cut. Returns the time between the cut and the start of the last admitted call.
    async fn last_admitted(&self, replica: usize, cut: Instant, until: Duration) -> Duration {
        let mut last = Duration::ZERO;
        while cut.elapsed() < until {
            let began = cut.elapsed();
            let answer = Answer::of(self.stage.read(replica)).await;
            match answer.status {
                200 => last = began,
                _ => assert!(answer.body.contains("OVERLOADED"), "{}", answer.body),
            }
            pass(PAUSE).await;
        }
        last
    }

    /// Waits until a replica reports that it lacks its store, and returns the time between the cut and the poll that found it.
    /// Until then the replica still admits calls by the state that it knows.
    async fn wait_until_the_store_is_lost(&self, replica: usize, cut: Instant) -> Duration {
        let mut looked = Duration::ZERO;
        until("a replica says that it lacks its store", async || {
            looked = cut.elapsed();
            let ready = self.stage.ready(replica).await;
            assert_eq!(ready.status, 200, "{}", ready.body);
            ready.body.contains("\"store\"")
        })
        .await;
        let metrics = self.stage.gateways[replica].metrics().await;
        assert!(metrics.contains("chatgate_store_failing 1\n"), "{metrics}");
        looked
    }

    /// Checks that, after a cut of this kind, changes are acknowledged without these two replicas, and that they stop admitting
    /// calls in time.
    async fn is_cut(&self, states: [LinkState; 2]) {
        let stage = &self.stage;
        for replica in [REFUSES, SERVES] {
            stage.is_whole(replica).await;
        }
        let cut = Instant::now();
        self.set(states);
        let changing = async {
            let changed = stage.change(0, json!({"state": "suspended"})).await;
            (changed, cut.elapsed())
        };
        let ((changed, waited), first, second) = tokio::join!(
            changing,
            self.wait_until_the_store_is_lost(REFUSES, cut),
            self.wait_until_the_store_is_lost(SERVES, cut)
        );
        assert_eq!(changed.status, 200, "{}", changed.body);
        assert_eq!(changed.header("chatgate-in-force"), "1/3");
        let pending = changed.header("chatgate-pending");
        assert!(
            pending.contains("replica-1") && pending.contains("replica-2"),
            "{pending}"
        );
        assert!(waited >= ACK_WAIT, "{waited:?}");
        assert_within(waited, ACK_WAIT + Duration::from_secs(1));
        assert_eq!(Answer::of(stage.read(0)).await.status, 403);
        assert!(first.max(second) < LEASE - MARGIN, "{first:?}, {second:?}");
        let (refuses, serves) = tokio::join!(
            self.last_admitted(REFUSES, cut, LEASE + ACK_WAIT),
            self.last_admitted(SERVES, cut, STALE_MAX + ACK_WAIT),
        );
        println!("{states:?}: let in for {refuses:?} with refuse, {serves:?} with serve");
        assert!(refuses <= LEASE && refuses > ACK_WAIT, "{refuses:?}");
        assert!(serves <= STALE_MAX && serves > LEASE, "{serves:?}");
        for replica in [REFUSES, SERVES] {
            let ready = stage.ready(replica).await;
            assert!(
                ready.status == 503 && ready.body.contains("cut_off"),
                "{}",
                ready.body
            );
            // Its keys may have been deleted.
            for (method, path) in [
                (Method::GET, "export"),
                (Method::GET, "accesses"),
                (Method::POST, "explain"),
            ] {
                let gateway = &stage.gateways[replica];
                let refused = admin(gateway, method, path, json!({"access": "caller"})).await;
                assert_eq!(refused.status, 503, "{path}: {}", refused.body);
            }
            let status = stage.status(replica).await;
            assert_eq!(
                (&status["ready"], &status["store"]["state"]),
                (&json!(false), &json!("failing"))
            );
        }
    }

    /// Checks that the replicas catch up by themselves when they are connected again.
    async fn check_recovery(&self, round: usize) {
        let stage = &self.stage;
        let began = Instant::now();
        self.set([LinkState::Passes; 2]);
        for replica in [REFUSES, SERVES] {
            until("it has missed nothing", async || {
                Answer::of(stage.read(replica)).await.status == 403
            })
            .await;
        }
        println!("connected again: {:?}", began.elapsed());
        let changed = stage.change(0, json!({"state": "active"})).await;
        assert_eq!(
            changed.header("chatgate-in-force"),
            "3/3",
            "{}",
            changed.body
        );
        for replica in 0..3 {
            stage.is_whole(replica).await;
            let sent = Answer::of(stage.keyed(replica, &format!("after-{replica}-{round}"))).await;
            assert!(!sent.body.contains("OVERLOADED"), "{}", sent.body);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cut_off_replica_is_named_and_stops_admitting_calls_in_time() {
    let Some(cut) = Cut::start().await else {
        return skipped("PostgreSQL");
    };
    let (closes, swallows) = (LinkState::Closes, LinkState::Swallows);
    for round in 0..load(1, 4) {
        let states = [[closes, swallows], [swallows, closes]][round % 2];
        cut.is_cut(states).await;
        cut.check_recovery(round).await;
    }
}
