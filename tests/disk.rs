//! Tests of a store's disk that fails while the gateway runs: full, or blocked by another process's lock. Nothing is sent without a
//! trace, every caller gets an answer in time, and the gateway recovers by itself.

use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::harness::{
    Answer, Demo, Gateway, Process, Sandbox, UPSTREAM_ENVIRONMENT, UPSTREAM_USER, admin, client,
    client_from, envelope, skipped, until,
};

/// Longest time that a caller may wait for an answer, whatever the disk does.
const ANSWER_MAX: Duration = Duration::from_secs(6);

/// Mount options of a disk with room for the store and a few megabytes of its log, accessible to its owner alone.
const DISK: &str = "size=24m,mode=0700";

/// A small separate disk that is mounted as the data folder.
struct Disk {
    folder: Arc<TempDir>,
}

impl Disk {
    /// Mounts a disk. Returns `None` if the system does not permit mounts.
    fn mounted() -> Option<Disk> {
        let folder = Arc::new(TempDir::new().unwrap());
        let data = folder.path().join("data");
        std::fs::create_dir(&data).unwrap();
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", DISK, "chatgate-tests"])
            .arg(&data)
            .stderr(Stdio::null())
            .status();
        if !mounted.is_ok_and(|status| status.success()) {
            skipped("a small disk can't be mounted here");
            return None;
        }
        Some(Disk { folder })
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// Fills the disk.
    fn fill(&self) {
        let mut file = std::fs::File::create(self.data().join("filling")).unwrap();
        // In ever smaller pieces, until the last page is full.
        for size in [64 * 1024, 4096, 1] {
            let piece = vec![0; size];
            while file.write_all(&piece).is_ok() {}
        }
    }

    fn free(&self) {
        std::fs::remove_file(self.data().join("filling")).unwrap();
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // A lazy unmount, because the gateway may still be about to end.
        let _ = Command::new("umount").arg("-l").arg(self.data()).status();
    }
}

/// Another process, which holds the store's write lock.
struct Lock(Child);

impl Lock {
    fn taken(data: &Path) -> Option<Lock> {
        let script = "import sqlite3, sys\n\
            c = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=10)\n\
            c.execute('BEGIN IMMEDIATE')\nprint('locked', flush=True)\nsys.stdin.read()";
        let python = Command::new("python3")
            .args(["-c", script])
            .arg(data.join("chatgate.db"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn();
        let Ok(mut child) = python else {
            skipped("there is no python3 here");
            return None;
        };
        let mut said = [0; 6];
        let output = child.stdout.as_mut().unwrap();
        output.read_exact(&mut said).unwrap();
        Some(Lock(child))
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        let _ = self.0.wait();
    }
}

/// A gateway in front of a sandbox that counts. The gateway ends before its disk is unmounted.
struct Stage {
    gateway: Gateway,
    sandbox: Sandbox,
    demo: Demo,
    token: String,
    disk: Option<Disk>,
}

impl Stage {
    async fn over(disk: Option<Disk>, rest: &str) -> Stage {
        let sandbox = Sandbox::start();
        // An answer from the cache would show nothing about the store.
        let cache = "[cache]\ngetchats = 0\n";
        let toml = format!("{}{cache}{rest}", sandbox.as_upstream());
        let folder = disk.as_ref().map_or_else(
            || Arc::new(TempDir::new().unwrap()),
            |disk| Arc::clone(&disk.folder),
        );
        let gateway = Gateway::over(folder, &toml, &[UPSTREAM_ENVIRONMENT]);
        let demo = gateway.demo();
        let mut stage = Stage {
            gateway,
            sandbox,
            demo,
            token: String::new(),
            disk,
        };
        stage.token = stage.issued().await;
        let made = json!({"name": "a", "allow": ["127.0.0.2"]});
        let made = admin(&stage.gateway, Method::POST, "accesses", &made).await;
        assert_eq!(made.status, 201, "{}", made.body);
        stage
    }

    /// Requests a new token.
    async fn issued(&self) -> String {
        let form = [
            ("grant_type", "client_credentials"),
            ("client_id", &self.demo.client_id),
            ("client_secret", &self.demo.client_secret),
        ];
        let request = client().post(self.gateway.url("/oauth/token")).form(&form);
        let answer = in_time("token", request).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        answer.json()["access_token"].as_str().unwrap().to_owned()
    }

    /// Returns the same call by every way in.
    fn by_every_way(&self, method: &str, parameters: &[(&str, &str)]) -> [RequestBuilder; 4] {
        let demo = &self.demo;
        let credentials = [("user", &*demo.user), ("password", &*demo.password)];
        let form = [&[("class", "chat"), ("method", method)], parameters].concat();
        let post = |path: &str| client().post(self.gateway.url(path));
        [
            post("/api/http/").form(&[&form[..], &credentials].concat()),
            post("/api/basic/")
                .basic_auth(&demo.user, Some(&demo.password))
                .form(&form),
            post("/api/jwt/").bearer_auth(&self.token).form(&form),
            post("/api/soap/")
                .header("Content-Type", "text/xml")
                .body(envelope(method, &[parameters, &credentials].concat())),
        ]
    }

    fn sends(&self) -> [RequestBuilder; 4] {
        let to = [("destination", "34600000000"), ("message", "once")];
        self.by_every_way("sendmessage", &[&CHANNEL[..], &to].concat())
    }

    fn reads(&self) -> [RequestBuilder; 4] {
        self.by_every_way("getchats", &CHANNEL)
    }

    async fn send(&self, key: &str) -> Answer {
        let [_, basic, _, _] = self.sends();
        in_time("keyed send", basic.header("Idempotency-Key", key)).await
    }

    /// Returns the number of messages that the upstream was asked to send.
    async fn sent(&self) -> u64 {
        self.sandbox.sent().await["sends"].as_u64().unwrap()
    }

    async fn ready(&self) -> Answer {
        let url = format!("http://{}/readyz", self.gateway.admin);
        in_time("readyz", client().get(url)).await
    }

    async fn access(&self) -> Answer {
        admin(&self.gateway, Method::GET, "accesses/a", &Value::Null).await
    }

    async fn change_access(&self) -> Answer {
        let (key, admin) = (self.gateway.data().join("admin.key"), self.gateway.admin);
        let key = std::fs::read_to_string(key).unwrap();
        let url = format!("http://{admin}/admin/v1/accesses/a");
        let request = client().patch(url).bearer_auth(key.trim());
        in_time("change", request.body("{\"allow\": [\"127.0.0.3\"]}")).await
    }

    /// Checks sends and reads by all ways in, and everything else that depends on the store, while the store fails.
    async fn check_answers_while_the_store_fails(&self, reason: &str) {
        let sent = self.sent().await;
        for (n, request) in self.sends().into_iter().enumerate() {
            is_refused(&in_time("send", request).await, &format!("send {n}"));
        }
        is_refused(&self.send("new").await, "keyed send");
        assert_eq!(self.sent().await, sent, "nothing is sent without a trace");
        let reported = self.send("old").await;
        assert_eq!(
            reported.header("idempotent-replayed"),
            "true",
            "{}",
            reported.body
        );
        assert_eq!(reported.json()["delivery"], "sent");
        for (n, request) in self.reads().into_iter().enumerate() {
            let answer = in_time("read", request).await;
            assert_eq!(answer.status, 200, "{n}: {}", answer.body);
        }
        self.issued().await;
        let wrong = client().post(self.gateway.url("/api/basic/"));
        let wrong = wrong.basic_auth(&self.demo.user, Some("wrong"));
        let wrong = in_time(
            "wrong secret",
            wrong.form(&[("class", "chat"), ("method", "getchats")]),
        )
        .await;
        assert_eq!(wrong.status, 401, "{}", wrong.body);

        let before = self.access().await;
        let change = self.change_access().await;
        assert_eq!(
            (change.status, &change.json()["code"]),
            (503, &json!("store_failing")),
            "{}",
            change.body
        );
        let after = self.access().await;
        assert_eq!(
            (before.header("etag"), &before.body),
            (after.header("etag"), &after.body)
        );

        let ready = self.ready().await;
        assert_eq!(
            (ready.status, &*ready.body),
            (
                503,
                "{\"status\":\"not_ready\",\"reason\":\"store_failing\"}"
            )
        );
        let status = admin(&self.gateway, Method::GET, "status", &Value::Null).await;
        let store = &status.json()["store"];
        assert_eq!(store["state"], "failing", "{store}");
        assert!(
            store["reason"].as_str().unwrap().contains(reason),
            "{store}"
        );
        let metrics = self.gateway.metrics().await;
        assert!(metrics.contains("chatgate_store_failing 1\n"), "{metrics}");
        assert!(metrics.contains("chatgate_journal_dropped_total{class=\"known\"} 0\n"));
    }

    /// Checks that everything works as before, without a restart and without a call that triggers the recovery.
    async fn recovers(&self) {
        let began = Instant::now();
        until("ready again", async || self.ready().await.status == 200).await;
        assert!(began.elapsed() < ANSWER_MAX, "{:?}", began.elapsed());
        let sent = self.sent().await;
        for (n, request) in self.sends().into_iter().enumerate() {
            let answer = in_time("send", request).await;
            assert_eq!(answer.status, 200, "{n}: {}", answer.body);
        }
        // The refused send did not use up the key.
        for replayed in ["", "true"] {
            let reported = self.send("new").await;
            assert_eq!(
                reported.header("idempotent-replayed"),
                replayed,
                "{}",
                reported.body
            );
        }
        assert_eq!(self.sent().await, sent + 5);
        assert_eq!(self.change_access().await.status, 200);
        // The waiting rows are written: one for each of the five refused sends, and no row stays open.
        let path = "journal?status=OVERLOADED&delivery=not_sent&limit=100";
        let rows = admin(&self.gateway, Method::GET, path, &Value::Null).await;
        assert_eq!(
            rows.json()["rows"].as_array().unwrap().len(),
            5,
            "{}",
            rows.body
        );
        let rows = admin(
            &self.gateway,
            Method::GET,
            "journal?limit=1000",
            &Value::Null,
        )
        .await;
        let rows = rows.json()["rows"].as_array().unwrap().clone();
        assert!(rows.iter().all(|row| row["open"].is_null()));
        let metrics = self.gateway.metrics().await;
        for line in [
            "chatgate_store_failing 0\n",
            "chatgate_journal_dropped_total{class=\"known\"} 0\n",
        ] {
            assert!(metrics.contains(line), "{metrics}");
        }
        let said = self.gateway.process.lines();
        assert!(
            said.iter().all(|line| !line.contains("panicked")),
            "{said:?}"
        );
    }
}

const CHANNEL: [(&str, &str); 2] = [("platform", "whatsapp"), ("platformid", "100")];

/// Returns the answer, which has to come in time.
async fn in_time(what: &str, request: RequestBuilder) -> Answer {
    let began = Instant::now();
    let answer = tokio::time::timeout(ANSWER_MAX, Answer::of(request)).await;
    let answer = answer.unwrap_or_else(|_| panic!("{what} hangs"));
    println!(
        "{what}: {} in {} ms",
        answer.status,
        began.elapsed().as_millis()
    );
    answer
}

fn is_refused(answer: &Answer, what: &str) {
    for word in ["OVERLOADED", "not_sent"] {
        assert!(answer.body.contains(word), "{what}: {}", answer.body);
    }
    assert_eq!(answer.header("retry-after"), "10", "{what}");
}

#[tokio::test]
async fn a_full_disk_rejects_sends_and_serves_reads_until_space_is_free() {
    let Some(disk) = Disk::mounted() else {
        return;
    };
    let stage = Stage::over(Some(disk), "").await;
    assert_eq!(stage.send("old").await.status, 200);
    stage.disk.as_ref().unwrap().fill();
    stage.check_answers_while_the_store_fails("full").await;
    stage.disk.as_ref().unwrap().free();
    stage.recovers().await;
}

#[tokio::test]
async fn a_store_locked_by_another_process_is_reported_in_time_and_recovers() {
    let stage = Stage::over(None, "").await;
    assert_eq!(stage.send("old").await.status, 200);
    let Some(lock) = Lock::taken(&stage.gateway.data()) else {
        return;
    };
    stage.check_answers_while_the_store_fails("locked").await;
    drop(lock);
    stage.recovers().await;
}

#[tokio::test]
async fn on_store_failure_refuse_rejects_reads_while_the_store_fails() {
    let toml = "[journal]\non_store_failure = \"refuse\"\n";
    let stage = Stage::over(None, toml).await;
    let Some(lock) = Lock::taken(&stage.gateway.data()) else {
        return;
    };
    let [_, send, _, _] = stage.sends();
    is_refused(&in_time("send", send).await, "send");
    for (n, request) in stage.reads().into_iter().enumerate() {
        let answer = in_time("read", request).await;
        assert!(answer.body.contains("OVERLOADED"), "{n}: {}", answer.body);
        assert_eq!(answer.header("retry-after"), "10", "{n}");
    }
    for method in ["getchats", "sendmessage"] {
        let question = json!({"peer": "127.0.0.1", "access": "demo", "method": method});
        let explained = admin(&stage.gateway, Method::POST, "explain", &question).await;
        assert_eq!(explained.json()["code"], "OVERLOADED", "{}", explained.body);
    }
    let elsewhere = client_from([127, 0, 0, 3].into());
    assert_eq!(
        in_time("refusal", elsewhere.get(stage.gateway.url("/")))
            .await
            .status,
        404
    );
    drop(lock);
    let began = Instant::now();
    until("ready again", async || stage.ready().await.status == 200).await;
    assert!(began.elapsed() < ANSWER_MAX, "{:?}", began.elapsed());
    for request in stage.reads() {
        assert_eq!(in_time("read", request).await.status, 200);
    }
}

#[test]
fn on_a_full_disk_a_gateway_exits_with_a_one_line_reason() {
    let Some(disk) = Disk::mounted() else {
        return;
    };
    let data = disk.data();
    let started = |data: &Path| {
        let data = data.to_str().unwrap();
        let ports = ["--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"];
        let upstream = [
            ("CHATGATE__UPSTREAM__URL", "http://127.0.0.1:9/"),
            ("CHATGATE__UPSTREAM__USER", UPSTREAM_USER),
            ("CHATGATE__UPSTREAM__PASSWORD", "password"),
        ];
        Process::start(&[&["--data", data][..], &ports].concat(), &upstream)
    };
    disk.fill();
    let process = started(&data);
    process.wait_for("the reason", |line| line.starts_with("chatgate: "));
    let (code, lines) = process.ended();
    assert_eq!((code, lines.len()), (Some(1), 1), "{lines:?}");
    // The store is opened first, because it determines whether a key has to be made.
    assert!(lines[0].contains("disk is full"), "{lines:?}");
    println!("{}", lines[0]);
    // The failed start left no incomplete file behind, so the next start succeeds.
    disk.free();
    let process = started(&data);
    process.wait_for("the upstream", |line| line.starts_with("Upstream"));
    process.signal("TERM");
    assert_eq!(process.ended().0, Some(0));
}
