//! Who is found after somebody has been lost.

#![expect(clippy::print_stdout, reason = "a test tells how much it has checked")]

use std::num::NonZeroU32;
use std::time::{Duration, Instant};

use crate::test_server::{Valkey, options, start, until};
use crate::{
    CountKeys, CountKind, CountLimit, SharedCounts, ValkeyKey, ValkeyOptions, ValkeyUrl, Wish,
};

/// After a new master is there, counts are shared again within so long.
const SHARED_AGAIN_MAX: Duration = Duration::from_secs(3);

async fn counts(server: &Valkey, url: &str) -> SharedCounts {
    let url = ValkeyUrl::parse(url).unwrap();
    let options = ValkeyOptions {
        url,
        ..options(server)
    };
    SharedCounts::start(options, CountKeys::new(b"secret")).await
}

/// Whether a call can be counted.
async fn counts_at(counts: &SharedCounts, key: &ValkeyKey) -> bool {
    let limit = CountLimit::per(NonZeroU32::new(60_000).unwrap(), Duration::from_secs(60));
    let one = Wish {
        needed: 1,
        wanted: 0,
        replicas: 1,
    };
    counts.take(key, limit, one).await.is_ok()
}

fn is_master(server: &Valkey) -> bool {
    server.ask(&["ROLE"]).starts_with("master")
}

#[tokio::test]
async fn after_a_failover_sentinel_says_who_is_the_master() {
    let Some(mut master) = start() else { return };
    let follower = Valkey::follower_of(&master).unwrap();
    let sentinel = Valkey::sentinel_of(&master).unwrap();
    until("it is so", async || {
        sentinel
            .ask(&["SENTINEL", "REPLICAS", "limits"])
            .contains(&follower.host)
    })
    .await;
    until("it is so", async || {
        follower.ask(&["ROLE"]).contains("connected")
    })
    .await;
    let url = format!(
        "redis+sentinel://{}:{}/limits",
        sentinel.host, sentinel.port
    );
    let counts = counts(&master, &url).await;
    let key = counts.keys().key(CountKind::Access, &[b"shop"]);
    assert!(counts_at(&counts, &key).await);

    master.kill();
    until("it is so", async || {
        counts_at(&counts, &key).await;
        is_master(&follower)
    })
    .await;
    let promoted = Instant::now();
    until("it is so", async || counts_at(&counts, &key).await).await;
    println!(
        "shared again {} ms after the new master",
        promoted.elapsed().as_millis()
    );
    assert!(promoted.elapsed() < SHARED_AGAIN_MAX);
    assert_eq!(follower.ask(&["EXISTS", &key.0]), "1");
}

#[tokio::test]
async fn a_cluster_goes_on_when_one_of_its_masters_is_lost() {
    let Some(mut nodes) = cluster().await else {
        return;
    };
    let urls: Vec<_> = nodes
        .iter()
        .map(|node| format!("{}:{}", node.host, node.port))
        .collect();
    let counts = counts(&nodes[0], &format!("redis+cluster://{}", urls.join(","))).await;
    // Some on each node.
    let keys: Vec<_> = (0..64_u8)
        .map(|n| counts.keys().key(CountKind::Access, &[&[n]]))
        .collect();
    let all = async || {
        for key in &keys {
            if !counts_at(&counts, key).await {
                return false;
            }
        }
        true
    };
    assert!(all().await);

    nodes[0].kill();
    let follower = &nodes[3];
    until("it is so", async || {
        all().await;
        is_master(follower)
            && follower
                .ask(&["CLUSTER", "INFO"])
                .contains("cluster_state:ok")
    })
    .await;
    let promoted = Instant::now();
    until("it is so", async || all().await).await;
    println!(
        "shared again {} ms after the new master",
        promoted.elapsed().as_millis()
    );
    assert!(promoted.elapsed() < SHARED_AGAIN_MAX);
}

/// Three masters that share the slots, and a follower of the first.
async fn cluster() -> Option<Vec<Valkey>> {
    let nodes: Vec<_> = (0..4).map_while(|_| Valkey::node()).collect();
    let [first, second, third, follower] = &nodes[..] else {
        start();
        return None;
    };
    for (node, from, to) in [
        (first, "0", "5460"),
        (second, "5461", "10922"),
        (third, "10923", "16383"),
    ] {
        node.ask(&["CLUSTER", "ADDSLOTSRANGE", from, to]);
    }
    for node in &nodes[1..] {
        first.ask(&["CLUSTER", "MEET", &node.host, &node.port.to_string()]);
    }
    let is_whole = |node: &Valkey| {
        let info = node.ask(&["CLUSTER", "INFO"]);
        info.contains("cluster_state:ok") && info.contains("cluster_known_nodes:4")
    };
    until("all nodes know each other", async || {
        nodes.iter().all(is_whole)
    })
    .await;
    let id = first.ask(&["CLUSTER", "MYID"]);
    until("the follower follows", async || {
        follower.ask(&["CLUSTER", "REPLICATE", &id]) == "OK"
    })
    .await;
    until("it has what the first has", async || {
        follower.ask(&["ROLE"]).contains("connected")
    })
    .await;
    Some(nodes)
}
