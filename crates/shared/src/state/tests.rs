//! Tests servers that answer but are not writable.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use crate::test_server::{Valkey, counts, start, until};
use crate::{CallWait, CountKind, CountLimit, CountsUnavailable, SharedCounts, TakeRequest};

/// A write command, sent to see the server's answer.
const WRITE: [&str; 5] = [
    "EVAL",
    "return redis.call('SET', KEYS[1], 1)",
    "1",
    "x",
    "0",
];

/// A command that an operator sends.
type Asked<'a> = &'a [&'a str];

/// Takes one call, and returns the number of counted calls.
async fn calls(counts: &SharedCounts) -> Result<u32, CountsUnavailable> {
    let key = counts.keys().key(CountKind::Access, &[b"shop"]);
    let limit = CountLimit::spaced(NonZeroU32::new(1000).unwrap(), Duration::from_secs(3600));
    let one = TakeRequest {
        needed: 1,
        wanted: 0,
        replicas: 1,
    };
    let taken = counts.take(&key, limit, one, &CallWait::default()).await;
    taken.map(|taken| taken.cells)
}

/// Checks that the first call after a change of the server drops the connection, and that no further request is sent until the
/// server is writable.
async fn check_not_asked_again(server: &Valkey, counts: &SharedCounts, code: &str) {
    assert_eq!(calls(counts).await, Err(CountsUnavailable), "{code}");
    assert!(!counts.is_up(), "{code}");
    let asked = counts.status();
    assert_eq!(calls(counts).await, Err(CountsUnavailable), "{code}");
    assert_eq!(counts.status(), asked, "{code}");
    let said = server.ask(&WRITE);
    assert!(said.starts_with(code), "{code}: {said}");
}

#[tokio::test]
async fn an_unwritable_server_is_not_asked_until_it_is_writable() {
    let Some(server) = start() else { return };
    let counts = counts(&server).await;
    let follow: [Asked<'_>; 2] = [
        &["CONFIG", "SET", "replica-serve-stale-data", "no"],
        &["REPLICAOF", "127.0.0.1", "1"],
    ];
    let lead: Asked<'_> = &["REPLICAOF", "NO", "ONE"];
    let replicas = |least| ["CONFIG", "SET", "min-replicas-to-write", least];
    let memory = |bytes| ["CONFIG", "SET", "maxmemory", bytes];
    let user = |right| ["ACL", "SETUSER", "default", right];
    let ills: [(&str, &[Asked<'_>], Asked<'_>); 5] = [
        ("NOREPLICAS", &[&replicas("1")], &replicas("0")),
        ("OOM", &[&memory("1")], &memory("0")),
        ("NOPERM", &[&user("-@scripting")], &user("+@scripting")),
        ("READONLY", &follow[1..], lead),
        ("MASTERDOWN", &follow, lead),
    ];
    for (code, befalls, is_cured_by) in ills {
        assert_eq!(calls(&counts).await, Ok(1), "{code}");
        for command in befalls {
            assert_eq!(server.ask(command), "OK", "{code}");
        }
        check_not_asked_again(&server, &counts, code).await;
        assert_eq!(server.ask(is_cured_by), "OK", "{code}");
        until("it is used again", async || counts.is_up()).await;
    }
}

#[tokio::test]
async fn a_loading_server_is_not_asked_until_it_has_loaded() {
    let loading = ["--enable-debug-command", "yes", "--key-load-delay", "2000"];
    let often = ["--loading-process-events-interval-bytes", "1024"];
    let Some(server) = Valkey::with(&[&loading[..], &often].concat()) else {
        start();
        return;
    };
    let counts = counts(&server).await;
    // The reload takes long enough with this many keys.
    let fill = "for n = 1, 1000 do redis.call('SET', KEYS[1] .. n, string.rep('x', 64)) end";
    server.ask(&["EVAL", fill, "1", "k"]);
    assert_eq!(calls(&counts).await, Ok(1));
    let server = Arc::new(server);
    let reloads = Arc::clone(&server);
    let reloads = tokio::task::spawn_blocking(move || reloads.ask(&["DEBUG", "RELOAD"]));
    until("it loads", async || {
        server.ask(&WRITE).starts_with("LOADING")
    })
    .await;
    check_not_asked_again(&server, &counts, "LOADING").await;
    assert_eq!(reloads.await.unwrap(), "OK");
    until("it is used again", async || counts.is_up()).await;
    assert!(server.ask(&["DBSIZE"]).parse::<u32>().unwrap() >= 1000);
}
