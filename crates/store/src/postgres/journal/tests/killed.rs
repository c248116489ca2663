//! Tests of sends when the database server itself is killed.

use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use secrecy::SecretString;
use tokio::time::timeout;

use super::{PATIENCE, Replica, database, sent, sent_row};
use crate::postgres::options::PostgresUrl;
use crate::test_engine::connect;
use crate::{OpenResult, PostgresOptions, ReceiptState};

/// Restarts a server whenever it ends, as long as the standard input is open. The server inherits none of the tests' files.
const SERVE: &str = r#"
    trap '' TERM INT HUP
    exec 3>&- 4>&- 5>&- 6>&- 7>&- 8>&- 9>&-
    (while [ -d "$0" ]; do "$1/postgres" -D "$0/data" -c listen_addresses= -k "$0" </dev/null; done) >/dev/null 2>&1 &
    cat >/dev/null
    pid=$(head -n 1 "$0/data/postmaster.pid")
    mv "$0" "$0.ended"
    kill -QUIT "$pid"
    wait
    rm -rf "$0.ended"
"#;

/// A server that no other test uses, over a copy of the cluster that all tests begin with.
struct OwnServer {
    folder: PathBuf,
    programs: PathBuf,
    options: PostgresOptions,
    _process: Child,
}

impl OwnServer {
    /// Starts a server. Returns `None` where PostgreSQL is missing.
    async fn start() -> Option<OwnServer> {
        let options = database().await?;
        let mut versions: Vec<_> = std::fs::read_dir("/usr/lib/postgresql").unwrap().collect();
        versions.sort_by_key(|version| version.as_ref().unwrap().path());
        let version = versions.pop().unwrap().unwrap();
        let template = format!("../../target/postgres-{}", version.file_name().display());
        let template = Path::new(env!("CARGO_MANIFEST_DIR")).join(template);
        let folder = tempfile::tempdir().unwrap().keep();
        run(Command::new("cp")
            .arg("-a")
            .arg(template)
            .arg(folder.join("data")));
        run(Command::new("chmod").arg("711").arg(&folder));
        let programs = version.path().join("bin");
        let mut server = Command::new("sh");
        server.args(["-c", SERVE]).arg(&folder).arg(&programs);
        if is_root() {
            run(Command::new("chown")
                .args(["-R", "65534:65534"])
                .arg(&folder));
            server.uid(65_534).gid(65_534);
        }
        let process = server.stdin(Stdio::piped()).spawn().unwrap();
        let host = folder.to_str().unwrap().replace('/', "%2F");
        let url = SecretString::from(format!("postgres://chatgate@{host}/postgres"));
        let url = PostgresUrl::parse(&url).unwrap();
        let server = OwnServer {
            folder,
            programs,
            options: PostgresOptions {
                direct_url: url.clone(),
                url,
                ..options
            },
            _process: process,
        };
        server.wait(None);
        Some(server)
    }

    /// Waits until the server answers with another process than `dead`.
    fn wait(&self, dead: Option<&str>) {
        let until = Instant::now() + PATIENCE;
        let mut asks = Command::new(self.programs.join("pg_isready"));
        asks.arg("-q").arg("-h").arg(&self.folder);
        while self.pid().as_deref() == dead || !asks.status().unwrap().success() {
            assert!(Instant::now() < until, "PostgreSQL does not start");
        }
    }

    fn pid(&self) -> Option<String> {
        let pid = std::fs::read_to_string(self.folder.join("data/postmaster.pid")).ok()?;
        pid.lines().next().map(str::to_owned)
    }

    /// Kills the server without a warning, and waits until it has started again from its data on disk.
    fn kill(&self) {
        let pid = self.pid().unwrap();
        // The shell's own `kill`, because a minimal system has no other.
        run(Command::new("sh").args(["-c", "kill -9 \"$0\"", &pid]));
        self.wait(Some(&pid));
    }
}

fn run(command: &mut Command) {
    assert!(command.status().unwrap().success(), "{command:?}");
}

fn is_root() -> bool {
    std::fs::metadata("/proc/self").is_ok_and(|own| std::os::unix::fs::MetadataExt::uid(&own) == 0)
}

/// The results of sends that were begun one after the other.
#[derive(Default)]
struct Sent {
    /// The longest time until a send began or was rejected.
    longest: Duration,
    refused: usize,
    last_refused: Option<Instant>,
    /// The keys of the sends that were answered as sent.
    answered: Vec<String>,
}

/// Begins sends until `until`, whatever the results of earlier sends.
async fn send_until(replica: &Replica, until: Instant) -> Sent {
    let (mut sent_so_far, mut settling) = (Sent::default(), Vec::new());
    for n in 0.. {
        if Instant::now() >= until {
            break;
        }
        let (key, began) = (format!("k-{n}"), Instant::now());
        match replica.open(&key).await {
            Ok(OpenResult::Intent(intent)) => {
                settling.push((key, intent.settle(sent_row(), sent())))
            }
            Ok(OpenResult::Obstacle(obstacle)) => panic!("{key}: {obstacle:?}"),
            Err(_) => {
                sent_so_far.refused += 1;
                sent_so_far.last_refused = Some(Instant::now());
            }
        }
        sent_so_far.longest = sent_so_far.longest.max(began.elapsed());
    }
    for (key, settled) in settling {
        timeout(PATIENCE, settled).await.unwrap().unwrap();
        sent_so_far.answered.push(key);
    }
    sent_so_far
}

#[tokio::test(flavor = "multi_thread")]
#[expect(clippy::print_stdout, reason = "it prints its figures")]
async fn sends_fail_in_time_and_resume_after_the_database_server_is_killed() {
    let Some(server) = OwnServer::start().await else {
        return;
    };
    let options = server.options.clone();
    let replica = Arc::new(Replica::start(&options).await);
    drop(replica.intent("before").await.settle(sent_row(), sent()));
    let ends = Instant::now() + Duration::from_secs(8);
    let sending = {
        let replica = Arc::clone(&replica);
        tokio::spawn(async move { send_until(&replica, ends).await })
    };
    let mut back = Instant::now();
    for _ in 0..2 {
        // Ends all connections, and then the server.
        let end_all = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()";
        connect(&options)
            .await
            .batch_execute(end_all)
            .await
            .unwrap();
        tokio::task::block_in_place(|| server.kill());
        back = Instant::now();
    }
    let sent = sending.await.unwrap();
    let Sent {
        longest, answered, ..
    } = &sent;
    let resumed = sent
        .last_refused
        .map(|refused| refused.saturating_duration_since(back));
    println!(
        "{} sends answered, {} refused; the longest took {longest:?} to begin, the last refusal came {resumed:?} after the server was back",
        answered.len(),
        sent.refused
    );
    assert!(*longest < Duration::from_millis(3200), "{longest:?}");
    assert!(resumed.unwrap() < Duration::from_secs(3), "{resumed:?}");
    assert!(!answered.is_empty());
    for key in answered {
        assert_eq!(
            replica.receipt(key).await.unwrap().state,
            ReceiptState::Sent,
            "{key}"
        );
    }
    // All sends under way are closed, and every answered send has its row.
    let rows = replica.settled_rows().await;
    let sent = rows
        .iter()
        .filter(|row| row.delivery.as_deref() == Some("sent"));
    assert!(sent.count() >= answered.len());
}
