//! A pooler between replicas and the database, which passes each transaction to another connection.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};

use super::stage::Stage;
use crate::harness::{Answer, Cluster, admin, load, skipped, until};

/// Number of sends behind a pooler that the configuration does not mention.
const SENDS_UNNAMED: usize = 40;

/// PgBouncer in front of a server.
struct Pooler {
    process: Child,
    url: String,
}

impl Pooler {
    /// Starts PgBouncer. Returns `None` if it is missing.
    async fn before(cluster: &Cluster) -> Option<Pooler> {
        let program = Path::new("/usr/sbin/pgbouncer");
        if !program.exists() {
            return None;
        }
        let socket = cluster.socket();
        let folder = socket.parent().unwrap();
        let shown = folder.to_str().unwrap();
        // From 1.21 on PgBouncer can keep prepared statements, and from 1.24 on it does by default.
        let keeps = Command::new(program).arg("--version").output().unwrap();
        let keeps = String::from_utf8_lossy(&keeps.stdout)
            .split(['.', '\n'])
            .nth(1)
            .is_some_and(|minor| minor.parse::<u32>().unwrap() >= 21);
        let keeps = if keeps {
            "max_prepared_statements = 0\n"
        } else {
            ""
        };
        let settings = format!(
            "[databases]\nchatgate = host={shown} user=chatgate\n[pgbouncer]\nunix_socket_dir = {shown}\nlisten_port = 6432\n\
             auth_type = any\npool_mode = transaction\ndefault_pool_size = 12\nmax_client_conn = 500\nlogfile = {shown}/pooler.log\n{keeps}"
        );
        cluster.write("pooler.ini", &settings);
        let mut command = Cluster::program(program);
        command.arg(folder.join("pooler.ini")).stdin(Stdio::null());
        let process = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        let pooler = Pooler {
            process: process.unwrap(),
            url: cluster.url_at(6432),
        };
        let socket = folder.join(".s.PGSQL.6432");
        until("the pooler listens", async || socket.exists()).await;
        Some(pooler)
    }
}

impl Drop for Pooler {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn kills_changes_and_key_rotations_work_behind_a_configured_pooler() {
    let Some(cluster) = Cluster::start().await else {
        return skipped("PostgreSQL");
    };
    let Some(pooler) = Pooler::before(&cluster).await else {
        return skipped("Debian's package pgbouncer");
    };
    let direct = cluster.url();
    let settings = [
        ("CHATGATE__STORE__DIRECT_URL", "env:TEST_DIRECT"),
        ("TEST_DIRECT", &direct),
    ];
    let replicas = [0; 3].map(|_| (pooler.url.clone(), &settings[..]));
    let mut stage = Stage::over(&replicas).await;
    check_sends_of_a_killed_replica(&mut stage).await;
    changes(&stage).await;
    rotations(&stage).await;
}

/// A statement that was prepared over one of the pooler's connections does not exist on the next one.
#[tokio::test(flavor = "multi_thread")]
async fn behind_an_unconfigured_pooler_sends_succeed_and_the_pooler_is_reported() {
    let Some(cluster) = Cluster::start().await else {
        return skipped("PostgreSQL");
    };
    let Some(pooler) = Pooler::before(&cluster).await else {
        return skipped("Debian's package pgbouncer");
    };
    let replicas = [0; 2].map(|_| (pooler.url.clone(), &[][..]));
    let stage = Stage::over(&replicas).await;
    stage.upstream.think(Duration::from_millis(1));
    for number in 0..SENDS_UNNAMED {
        let mark = format!("unnamed-{number}");
        until("it is sent", async || {
            let answer = Answer::of(stage.keyed(number % 2, &mark)).await.json();
            answer["delivery"] == "sent"
        })
        .await;
        assert_eq!(stage.upstream.taken(&mark), 1, "{mark}");
    }
    // The pooler chooses the connection for a statement at random.
    let more = AtomicUsize::new(0);
    until("the pooler is noticed", async || {
        let number = more.fetch_add(1, Ordering::Relaxed);
        let send = stage.keyed(number % 2, &format!("noticed-{number}"));
        let _ = Answer::of(send).await;
        let mut lines = stage.gateways.iter().map(|gateway| gateway.process.lines());
        lines.any(|lines| {
            lines
                .iter()
                .any(|line| line.contains("a pooler is in front"))
        })
    })
    .await;
}

/// Kills the last replica while its sends are under way.
async fn check_sends_of_a_killed_replica(stage: &mut Stage) {
    stage.upstream.think(Duration::from_secs(2));
    let marks: Vec<String> = (0..10).map(|n| format!("killed-{n}")).collect();
    let last = stage.gateways.len() - 1;
    let sends = marks
        .iter()
        .map(|mark| tokio::spawn(stage.keyed(last, mark).send()));
    let sends: Vec<_> = sends.collect();
    until("the upstream has them", async || {
        marks.iter().all(|mark| stage.upstream.taken(mark) == 1)
    })
    .await;
    drop(stage.gateways.pop());
    for send in sends {
        assert!(send.await.unwrap().is_err(), "it was killed");
    }
    stage.upstream.think(Duration::from_millis(1));
    for (number, mark) in marks.iter().enumerate() {
        until("another one says what became of it", async || {
            let answer = Answer::of(stage.keyed(number % last, mark)).await.json();
            assert_ne!(answer["delivery"], "sent", "{answer}");
            answer["delivery"] == "unknown" && answer["error"] != "IDEMPOTENCY_IN_PROGRESS"
        })
        .await;
        assert_eq!(stage.upstream.taken(mark), 1, "{mark}");
    }
}

async fn changes(stage: &Stage) {
    for round in 0..load(10, 200) {
        let (state, status) = [("suspended", 403), ("active", 200)][round % 2];
        let changed = stage.change(round % 2, json!({"state": state})).await;
        assert_eq!(
            changed.header("chatgate-in-force"),
            "2/2",
            "{}",
            changed.body
        );
        for replica in 0..2 {
            let read = Answer::of(stage.read(replica)).await;
            assert_eq!(read.status, status, "{round}: {}", read.body);
        }
    }
}

/// Checks that the other replica accepts a token of a key that was made a moment ago.
async fn rotations(stage: &Stage) {
    for round in 0..load(3, 12) {
        let gateway = &stage.gateways[round % 2];
        let made = admin(gateway, Method::POST, "keys/rotate", Value::Null).await;
        assert_eq!(made.status, 200, "{}", made.body);
        let issued = Answer::of(stage.token(round % 2)).await;
        assert_eq!(issued.status, 200, "{}", issued.body);
        let token = issued.json()["access_token"].as_str().unwrap().to_owned();
        for gateway in &stage.gateways {
            let read = stage
                .client
                .post(gateway.url("/api/jwt/"))
                .bearer_auth(&token);
            let read = Answer::of(read.body("class=chat&method=getchatchannels")).await;
            assert_eq!(read.status, 200, "{round}: {}", read.body);
        }
    }
}
