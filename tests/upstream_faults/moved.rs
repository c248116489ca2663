//! Tests of an upstream whose name gets another address: the gateway follows without a restart, and no call fails.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant, SystemTime};

use adapter::Way;
use tempfile::TempDir;
use tokio::task::JoinSet;

use super::raw::{Fault, Raw};
use super::{Stage, chats, code_of};
use crate::harness::{skipped, until};

/// Maximum life of a connection to the upstream; the default is five minutes.
const CONNECTION_LIFE: Duration = Duration::from_secs(2);

/// Extra time for a busy machine: the last request on an old connection may have begun just before the connection's end.
const GRACE: Duration = Duration::from_secs(2);

const CALLERS: usize = 8;

/// A file that resolves the gateway's names, as `/etc/hosts` does for the whole machine.
struct Hosts {
    file: PathBuf,
    wrapper: String,
    _folder: TempDir,
}

impl Hosts {
    /// Writes the file. Returns `None` if Debian's `libnss-wrapper` is missing.
    fn of(line: &str) -> Option<Hosts> {
        let folders = std::fs::read_dir("/usr/lib").unwrap().flatten();
        let wrapper = folders
            .map(|folder| folder.path().join("libnss_wrapper.so"))
            .find(|file| file.exists())?;
        let folder = TempDir::new().unwrap();
        let hosts = Hosts {
            file: folder.path().join("hosts"),
            wrapper: wrapper.to_str().unwrap().to_owned(),
            _folder: folder,
        };
        std::fs::write(&hosts.file, line).unwrap();
        Some(hosts)
    }

    /// Returns the environment, with a long timeout for the lookup: on a busy machine, reading the file by way of another process
    /// sometimes takes a second.
    fn environment(&self) -> [(&str, &str); 3] {
        [
            ("LD_PRELOAD", &self.wrapper),
            ("NSS_WRAPPER_HOSTS", self.file.to_str().unwrap()),
            ("CHATGATE__UPSTREAM__CONNECT_TIMEOUT", "10s"),
        ]
    }

    /// Changes the file; this applies from the next lookup on.
    fn change(&self, line: &str) {
        replace(&self.file, line);
    }
}

/// Replaces a file with one of a later modification time, because the wrapper detects changes by the second.
fn replace(file: &Path, text: &str) {
    let next = file.with_extension("next");
    std::fs::write(&next, text).unwrap();
    let later = SystemTime::now() + Duration::from_secs(10);
    let written = std::fs::File::options().append(true).open(&next);
    written.unwrap().set_modified(later).unwrap();
    std::fs::rename(next, file).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_upstream_address_is_used_within_the_connection_life() {
    let before = Raw::start(Fault::None).await;
    let port = before.address.port();
    let after = Raw::at(&format!("127.0.0.2:{port}"), Fault::None).await;
    let Some(hosts) = Hosts::of("127.0.0.1 chat.upstream.test\n") else {
        return skipped("libnss-wrapper, by which a test resolves names");
    };
    let url = format!("http://chat.upstream.test:{port}/");
    let life = CONNECTION_LIFE.as_secs();
    let rest = format!("attempts = 1\nconnection_life = \"{life}s\"");
    let stage = Arc::new(Stage::within(&url, &rest, &hosts.environment()).await);
    let done = Arc::new(AtomicBool::new(false));
    let reads = Arc::new(AtomicUsize::new(0));
    let mut callers = JoinSet::new();
    for caller in 0..CALLERS {
        let (stage, done, reads) = (stage.clone(), done.clone(), reads.clone());
        callers.spawn(async move {
            while !done.load(Ordering::Relaxed) {
                let way = Way::ALL[caller % Way::ALL.len()];
                let answer = stage.call(way, &chats("100")).await;
                assert_eq!(code_of(&answer), "SUCCESS", "{}", answer.body);
                reads.fetch_add(1, Ordering::Relaxed);
            }
        });
    }
    until("all callers are served", async || {
        reads.load(Ordering::Relaxed) > CALLERS * 20
    })
    .await;
    assert_eq!(after.arrived("getchats"), 0);

    hosts.change("127.0.0.2 chat.upstream.test\n");
    let changed = Instant::now();
    // The gateway has followed when the old address gets none of this many reads in a row.
    let (mut old, mut new) = (before.arrived("getchats"), 0);
    let mut followed = changed;
    until("the old address gets no more", async || {
        let now = before.arrived("getchats");
        if now != old {
            (old, new) = (now, after.arrived("getchats"));
            followed = Instant::now();
        }
        after.arrived("getchats") > new + CALLERS * 100
    })
    .await;
    done.store(true, Ordering::Relaxed);
    while let Some(caller) = callers.join_next().await {
        caller.unwrap();
    }
    assert_eq!(before.arrived("getchats"), old);
    let took = followed - changed;
    let reads = reads.load(Ordering::Relaxed);
    println!("an upstream that moves: followed {took:?} after, {reads} reads, none failed");
    assert!(took <= CONNECTION_LIFE + GRACE, "{took:?}");
}
