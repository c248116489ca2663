//! Tests which server is found after a server was lost.

#![expect(clippy::print_stdout, reason = "a test tells how much it has checked")]

use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::test_server::{Valkey, options, start, until};
use crate::{
    CallWait, CountKeys, CountKind, CountLimit, CountsUnavailable, Invalidation, SharedCounts,
    TakeRequest, ValkeyKey, ValkeyOptions, ValkeyUrl, inspect_counts,
};

/// Maximum number of calls at the same time.
const CALLS: u32 = 60_000;

/// Longest time until counts are shared again after a new master exists.
const SHARED_AGAIN_MAX: Duration = Duration::from_secs(3);

async fn counts(server: &Valkey, url: &str) -> SharedCounts {
    let url = ValkeyUrl::parse(url).unwrap();
    let options = ValkeyOptions {
        url,
        ..options(server)
    };
    SharedCounts::start(options, CountKeys::new(b"secret")).await
}

/// Returns a limit whose calls do not become available again while a test lasts.
fn limit() -> CountLimit {
    CountLimit::spaced(NonZeroU32::new(CALLS).unwrap(), Duration::from_secs(3600))
}

/// Returns whether a call can be counted.
async fn can_count(counts: &SharedCounts, key: &ValkeyKey) -> bool {
    let one = TakeRequest {
        needed: 1,
        wanted: 0,
        replicas: 1,
    };
    counts
        .take(key, limit(), one, &CallWait::default())
        .await
        .is_ok()
}

fn is_master(server: &Valkey) -> bool {
    server.ask(&["ROLE"]).starts_with("master")
}

#[tokio::test]
async fn counts_move_to_the_new_master_that_sentinel_reports() {
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
    assert!(can_count(&counts, &key).await);

    master.kill();
    until("it is so", async || {
        can_count(&counts, &key).await;
        is_master(&follower)
    })
    .await;
    let promoted = Instant::now();
    until("it is so", async || can_count(&counts, &key).await).await;
    println!(
        "shared again {} ms after the new master",
        promoted.elapsed().as_millis()
    );
    assert!(promoted.elapsed() < SHARED_AGAIN_MAX);
    assert_eq!(follower.ask(&["EXISTS", &key.0]), "1");
}

/// Starts a host that accepts connections and never answers, like a host that is cut off.
async fn silent_host() -> (tokio::net::TcpListener, String) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address.to_string())
}

#[tokio::test]
async fn a_silent_host_does_not_block_the_other_hosts() {
    let Some(master) = start() else { return };
    let (_silent, nowhere) = silent_host().await;
    let there = format!("{}:{}", master.host, master.port);
    let shares = async |url: &str| {
        let counts = counts(&master, url).await;
        let key = counts.keys().key(CountKind::Access, &[b"shop"]);
        can_count(&counts, &key).await
    };
    assert!(shares(&format!("redis://{nowhere},{there}")).await);
    assert!(!shares(&format!("redis://{nowhere}")).await);
    let sentinel = Valkey::sentinel_of(&master).unwrap();
    let knows = format!("{}:{}", sentinel.host, sentinel.port);
    until("it knows the master", async || {
        !sentinel.ask(&["SENTINEL", "MASTERS"]).is_empty()
    })
    .await;
    assert!(shares(&format!("redis+sentinel://{nowhere},{knows}/limits")).await);
}

#[tokio::test]
async fn a_cluster_counts_again_after_losing_one_master() {
    let Some(mut nodes) = cluster().await else {
        return;
    };
    let urls: Vec<_> = nodes
        .iter()
        .map(|node| format!("{}:{}", node.host, node.port))
        .collect();
    let counts = counts(&nodes[0], &format!("redis+cluster://{}", urls.join(","))).await;
    // Each node has some of these keys.
    let keys: Vec<_> = (0..64_u8)
        .map(|n| counts.keys().key(CountKind::Access, &[&[n]]))
        .collect();
    let all = async || {
        for key in &keys {
            if !can_count(&counts, key).await {
                return false;
            }
        }
        true
    };
    assert!(all().await);
    // The calls given back together are on several nodes.
    for key in &keys {
        counts.refund(key, limit(), 1);
    }
    for key in &keys {
        until("it is back", async || {
            counts
                .peek(key, limit(), &CallWait::default())
                .await
                .unwrap()
                .remaining
                == CALLS
        })
        .await;
    }
    assert_eq!(counts.status().failed, 0);

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

/// While the connection is interrupted, messages of other processes reach nobody. So everything may have changed, and this is
/// reported twice: when the node is lost, and when another node begins to deliver messages.
#[tokio::test]
async fn a_lost_subscription_in_a_cluster_invalidates_everything() {
    let Some(nodes) = cluster().await else { return };
    let url = format!("redis+cluster://{}:{}", nodes[0].host, nodes[0].port);
    let counts = counts(&nodes[0], &url).await;
    let key = counts.keys().key(CountKind::Access, &[b"shop"]);
    let heard = Arc::new(AtomicUsize::new(0));
    let hears = Arc::clone(&heard);
    counts.on_invalidation(move |wake| {
        hears.fetch_add(usize::from(wake == Invalidation::All), Ordering::SeqCst);
    });
    let cut = |node: &Valkey| node.ask(&["CLIENT", "KILL", "TYPE", "pubsub"]) == "1";
    assert_eq!(nodes.iter().filter(|node| cut(node)).count(), 1);
    until("both are heard", async || {
        can_count(&counts, &key).await;
        heard.load(Ordering::SeqCst) >= 2
    })
    .await;
}

/// Returns the rights that the operators' guide lists for the user.
fn documented_rights() -> Vec<&'static str> {
    let text = include_str!("../../../../docs/operating.md");
    let rights = text.split_once("`~cg:*").unwrap().1;
    let rights = rights.split_once('`').unwrap().0;
    let of_database = ["~cg:*", "&cg:*"];
    let commands = rights
        .split_whitespace()
        .filter(|word| word.starts_with('+'));
    of_database.into_iter().chain(commands).collect()
}

/// A Redis server with TLS and a user with the documented rights.
struct EncryptedServer {
    server: Valkey,
    options: ValkeyOptions,
}

impl EncryptedServer {
    /// Starts the server. Returns `None` if Redis is missing.
    fn start() -> Option<EncryptedServer> {
        let server = Valkey::redis()?;
        let folder = tempfile::TempDir::new().unwrap();
        let made = rcgen::generate_simple_self_signed([server.host.clone()]).unwrap();
        let certificate = made.cert.pem();
        let file = |name: &str, text: &str| {
            let path = folder.path().join(name);
            std::fs::write(&path, text).unwrap();
            path.to_str().unwrap().to_owned()
        };
        let shown = file("cert.pem", &certificate);
        let key = file("key.pem", &made.signing_key.serialize_pem());
        let free = std::net::TcpListener::bind((&*server.host, 0)).unwrap();
        let port = free.local_addr().unwrap().port().to_string();
        drop(free);
        let settings = [
            ["tls-cert-file", &*shown],
            ["tls-key-file", &key],
            ["tls-ca-cert-file", &shown],
            ["tls-auth-clients", "no"],
            ["tls-port", &port],
        ];
        let set = server.ask(&[&["CONFIG", "SET"], &settings.concat()[..]].concat());
        assert_eq!(set, "OK");
        let user = ["ACL", "SETUSER", "chatgate", "on", ">right"];
        let created = server.ask(&[&user[..], &documented_rights()].concat());
        assert_eq!(created, "OK");
        let options = ValkeyOptions {
            url: ValkeyUrl::parse(&format!("rediss://{}:{port}", server.host)).unwrap(),
            user: Some("chatgate".to_owned()),
            password: Some("right".to_owned().into()),
            authorities: Some(certificate.as_bytes().to_vec()),
            ..options(&server)
        };
        Some(EncryptedServer { server, options })
    }

    async fn counts(&self) -> SharedCounts {
        SharedCounts::start(self.options.clone(), CountKeys::new(b"secret")).await
    }
}

#[tokio::test]
async fn a_user_with_the_documented_rights_can_count_over_tls() {
    let Some(server) = EncryptedServer::start() else {
        return;
    };
    let (counts, wait) = (server.counts().await, CallWait::default());
    assert!(counts.is_up());
    let [cells, leases] =
        [CountKind::Access, CountKind::Leases].map(|kind| counts.keys().key(kind, &[b"shop"]));
    assert!(can_count(&counts, &cells).await);
    let added = counts.add(limit(), &[(cells.clone(), 1)]).await;
    assert_eq!(added.unwrap().len(), 1);
    let looked = counts.peek(&cells, limit(), &wait).await;
    assert_eq!(looked.unwrap().remaining, CALLS - 2);
    counts.refund(&cells, limit(), 2);
    let (one, lease) = (NonZeroU32::MIN, Duration::from_secs(60));
    for (id, begins) in [("a", true), ("b", false)] {
        let begun = counts.begin_lease(&leases, one, (id, lease), &wait).await;
        assert_eq!(begun, Ok(begins));
    }
    assert_eq!(counts.leases(&leases).await, Ok(1));
    counts.end_lease(&leases, "a");
    until("all is given back", async || {
        counts.leases(&leases).await == Ok(0)
            && counts.peek(&cells, limit(), &wait).await.unwrap().remaining == CALLS
    })
    .await;
    let findings = inspect_counts(&server.options).await;
    assert!(
        findings.iter().all(|(_, found)| found.is_ok()),
        "{findings:?}"
    );
    assert_eq!(counts.status().failed, 0);
}

#[tokio::test]
async fn invalidations_reach_other_processes_over_tls() {
    let Some(server) = EncryptedServer::start() else {
        return;
    };
    let (counts, other) = (server.counts().await, server.counts().await);
    let (heard, hears) = tokio::sync::oneshot::channel();
    let heard = std::sync::Mutex::new(Some(heard));
    other.on_invalidation(move |invalidation| {
        if let Some(heard) = heard.lock().unwrap().take() {
            heard.send(invalidation).unwrap();
        }
    });
    counts.invalidate_others(7);
    assert_eq!(hears.await, Ok(Invalidation::Some(vec![7])));
}

#[tokio::test]
async fn counts_are_down_with_a_wrong_password_or_certificate_authority() {
    let Some(mut server) = EncryptedServer::start() else {
        return;
    };
    server.options.password = Some("wrong".to_owned().into());
    assert!(!server.counts().await.is_up());
    server.options.password = Some("right".to_owned().into());
    assert!(server.counts().await.is_up());
    let another = rcgen::generate_simple_self_signed([server.server.host.clone()]).unwrap();
    server.options.authorities = Some(another.cert.pem().into_bytes());
    assert!(!server.counts().await.is_up());
}

#[tokio::test]
async fn a_cluster_without_most_masters_is_not_asked_until_it_recovers() {
    let Some(mut nodes) = cluster().await else {
        return;
    };
    let (first, wait) = (&nodes[0], CallWait::default());
    let url = format!("redis+cluster://{}:{}", first.host, first.port);
    let counts = counts(first, &url).await;
    // A key on the node that stays up.
    let keys = (0..64_u8).map(|n| counts.keys().key(CountKind::Access, &[&[n]]));
    let slot = |key: &ValkeyKey| first.ask(&["CLUSTER", "KEYSLOT", &key.0]).parse::<u32>();
    let key = keys.into_iter().find(|key| slot(key).unwrap() <= 5460);
    let key = key.unwrap();
    assert!(can_count(&counts, &key).await);
    for node in &mut nodes[1..3] {
        node.kill();
    }
    until("it is left", async || {
        can_count(&counts, &key).await;
        !counts.is_up()
    })
    .await;
    assert!(nodes[0].ask(&["GET", &key.0]).starts_with("CLUSTERDOWN"));
    let asked = counts.status().asked;
    assert_eq!(
        counts.peek(&key, limit(), &wait).await,
        Err(CountsUnavailable)
    );
    assert_eq!(counts.status().asked, asked);
    for node in &mut nodes[1..3] {
        node.run();
    }
    until("it is used again", async || can_count(&counts, &key).await).await;
}

/// Starts three masters that share the slots, and a follower of the first.
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
