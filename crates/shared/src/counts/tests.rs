//! Tests what processes count together, with a separate server for each test.

use std::num::NonZeroU32;
use std::time::Duration;

use crate::keeper::send_refunds;
use crate::refunds::Refund;
use crate::test_server::{Valkey, counts, options, start, until};
use crate::{CallWait, CountKeys, CountKind, CountLimit, CountPeek, SharedCounts, TakeRequest};

use crate::CountsUnavailable;

const ONE: TakeRequest = TakeRequest {
    needed: 1,
    wanted: 0,
    replicas: 1,
};

fn hourly(burst: u32) -> CountLimit {
    CountLimit::spaced(NonZeroU32::new(burst).unwrap(), Duration::from_secs(3600))
}

#[tokio::test]
async fn taken_and_refunded_calls_are_visible_to_other_processes() {
    let Some(server) = start() else { return };
    let (one, other) = (counts(&server).await, counts(&server).await);
    let key = one.keys().key(CountKind::Access, &[b"shop"]);
    let taken = one
        .take(
            &key,
            hourly(10),
            TakeRequest {
                needed: 2,
                wanted: 100,
                replicas: 1,
            },
            &CallWait::default(),
        )
        .await
        .unwrap();
    assert_eq!((taken.cells, taken.remaining), (2, 8));
    for remaining in (0..8).rev() {
        assert_eq!(
            other
                .take(&key, hourly(10), ONE, &CallWait::default())
                .await
                .unwrap()
                .remaining,
            remaining
        );
    }
    let refused = other
        .take(&key, hourly(10), ONE, &CallWait::default())
        .await
        .unwrap();
    assert_eq!(refused.cells, 0);
    assert!(refused.wait > Duration::from_secs(3590) && refused.wait <= Duration::from_secs(3600));
    assert_eq!(
        one.peek(&key, hourly(10), &CallWait::default())
            .await
            .unwrap()
            .remaining,
        0
    );
    one.refund(&key, hourly(10), 2);
    until("it is so", async || {
        other.peek(&key, hourly(10), &CallWait::default()).await
            == Ok(CountPeek {
                remaining: 2,
                wait: Duration::ZERO,
            })
    })
    .await;
    // No key lives forever.
    let lives: i64 = server.ask(&["PTTL", &key.0]).parse().unwrap();
    assert!(lives > 0);
}

#[tokio::test]
async fn a_lost_server_is_not_asked_and_is_used_again_after_its_restart() {
    let Some(mut server) = start() else { return };
    let counts = counts(&server).await;
    let key = counts.keys().key(CountKind::Access, &[b"shop"]);
    counts
        .take(&key, hourly(10), ONE, &CallWait::default())
        .await
        .unwrap();
    server.kill();
    // The loss is noticed before any call asks.
    until("it is so", async || !counts.is_up()).await;
    assert_eq!(
        counts
            .take(&key, hourly(10), ONE, &CallWait::default())
            .await,
        Err(CountsUnavailable)
    );
    let asked = counts.status().asked;
    assert_eq!(
        counts
            .take(&key, hourly(10), ONE, &CallWait::default())
            .await,
        Err(CountsUnavailable)
    );
    assert_eq!(counts.status().asked, asked);
    server.run();
    until("it is so", async || counts.is_up()).await;
    assert_eq!(
        counts
            .take(&key, hourly(10), ONE, &CallWait::default())
            .await
            .unwrap()
            .remaining,
        9
    );
}

#[tokio::test]
async fn ends_of_leases_wait_for_a_server_that_does_not_answer() {
    let Some(mut server) = start() else { return };
    let counts = counts(&server).await;
    let key = counts.keys().key(CountKind::Leases, &[b"shop"]);
    server.kill();
    until("it is so", async || !counts.is_up()).await;
    for task in &counts.tasks {
        task.abort();
    }
    counts.refund(&key, hourly(10), 2);
    counts.end_lease(&key, "one");
    send_refunds(&counts.state).await;
    // Nobody knows whether the server has taken calls back, but a lease can be ended twice.
    let waiting = counts.state.refunds.take();
    assert!(matches!(waiting[..], [Refund::Lease { .. }]), "{waiting:?}");
}

#[tokio::test]
async fn a_demoted_server_is_replaced_by_the_writable_one() {
    let (Some(server), Some(next)) = (start(), start()) else {
        return;
    };
    let mut options = options(&server);
    options.url.hosts.push((next.host.clone(), next.port));
    let counts = SharedCounts::start(options, CountKeys::new(b"secret")).await;
    let key = counts.keys().key(CountKind::Access, &[b"shop"]);
    counts
        .take(&key, hourly(10), ONE, &CallWait::default())
        .await
        .unwrap();
    follow(&server, &next);
    until("it is so", async || {
        counts
            .take(&key, hourly(10), ONE, &CallWait::default())
            .await
            == Err(CountsUnavailable)
    })
    .await;
    until("it is so", async || {
        counts
            .take(&key, hourly(10), ONE, &CallWait::default())
            .await
            .is_ok()
    })
    .await;
    assert_eq!(next.ask(&["EXISTS", &key.0]), "1");
}

fn follow(server: &Valkey, leader: &Valkey) {
    server.ask(&["REPLICAOF", &leader.host, &leader.port.to_string()]);
}

#[tokio::test]
async fn flushed_scripts_are_loaded_again() {
    let Some(server) = start() else { return };
    let counts = counts(&server).await;
    let key = counts.keys().key(CountKind::Access, &[b"shop"]);
    server.ask(&["SCRIPT", "FLUSH"]);
    assert_eq!(
        counts
            .take(&key, hourly(2), ONE, &CallWait::default())
            .await
            .unwrap()
            .remaining,
        1
    );
}

#[tokio::test]
async fn redis_counts_calls_like_valkey() {
    let Some(server) = Valkey::redis() else {
        return;
    };
    let counts = counts(&server).await;
    let key = counts.keys().key(CountKind::Access, &[b"shop"]);
    for remaining in [1, 0] {
        assert_eq!(
            counts
                .take(&key, hourly(2), ONE, &CallWait::default())
                .await
                .unwrap()
                .remaining,
            remaining
        );
    }
    assert_eq!(
        counts
            .take(&key, hourly(2), ONE, &CallWait::default())
            .await
            .unwrap()
            .cells,
        0
    );
}
