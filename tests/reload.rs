//! Tests of a new configuration while the gateway runs: it applies completely or not at all, and calls under way notice nothing.

use std::fs::Permissions;
use std::net::IpAddr;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Output};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use reqwest::Method;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::harness::{
    Answer, ClosedPort, Gateway, Sandbox, UPSTREAM_ENVIRONMENT, UPSTREAM_PASSWORD, admin, binary,
    client, client_from, has_line, load, stays, until,
};
use crate::streams::reading::{self, SALES, Stream, now, warm};

const SECRET: &str = "cgs_reload-reload-reload-reload-reload-reload-r";

/// Time for at least two checks of the file, which the gateway makes every second.
const LOOKS: std::time::Duration = std::time::Duration::from_millis(2500);

const ACCESS: &str = "[[accesses]]\nname = \"one\"\nuser = \"one\"\npassword = \"env:SECRET\"\nallow = [\"127.0.0.0/8\"]\n";

const READ: &str = "class=chat&method=getchatchannels";

fn gateway(toml: &str) -> Gateway {
    let environment = [UPSTREAM_ENVIRONMENT, ("SECRET", SECRET)];
    Gateway::configured(&format!("{toml}\n{ACCESS}"), &environment)
}

/// Waits until the file has been refused this many times in all, and asserts that it is not tried again.
async fn assert_rejected_once(gateway: &Gateway, times: usize) {
    let refusals = async || {
        let lines = gateway.process.lines();
        let refusals = lines
            .iter()
            .filter(|line| line.contains("configuration refused"));
        refusals.count()
    };
    until("the refusal", async || refusals().await == times).await;
    stays(LOOKS, "refused once", async || refusals().await == times).await;
}

/// Replaces the configuration with another file in one step.
fn write(gateway: &Gateway, toml: &str) {
    let folder = gateway.folder.path();
    std::fs::write(folder.join("next"), format!("{toml}\n{ACCESS}")).unwrap();
    std::fs::rename(folder.join("next"), folder.join("chatgate.toml")).unwrap();
}

async fn reload(gateway: &Gateway, toml: &str) -> Answer {
    write(gateway, toml);
    admin(gateway, Method::POST, "reload", &Value::Null).await
}

async fn status(gateway: &Gateway) -> Value {
    admin(gateway, Method::GET, "status", &Value::Null)
        .await
        .json()
}

fn call(gateway: &Gateway, from: [u8; 4]) -> reqwest::RequestBuilder {
    client_from(IpAddr::from(from))
        .post(gateway.url("/api/basic/"))
        .basic_auth("one", Some(SECRET))
        .body(READ)
}

fn reload_command(gateway: &Gateway) -> Output {
    Command::new(binary())
        .arg("reload")
        .args(["--admin", &gateway.admin.to_string()])
        .arg("--data")
        .arg(gateway.data())
        .output()
        .unwrap()
}

#[tokio::test]
async fn a_reload_applies_to_the_next_request_on_an_open_connection() {
    let gateway = gateway("[log]\nlevel = \"info\"");
    let mut kept = TcpStream::connect(gateway.public).await.unwrap();
    assert!(ask(&mut kept).await.starts_with("HTTP/1.1 200"));
    let taken = reload(&gateway, "[server]\ndeny = [\"127.0.0.1/32\"]").await;
    assert_eq!(taken.status, 200, "{}", taken.body);
    let reported = taken.json();
    assert_eq!(reported["config_generation"], 2);
    assert_eq!(reported["changed"], json!(["log.level", "server.deny"]));
    assert!(
        reported["by"].as_str().unwrap().starts_with("admin key "),
        "{reported}"
    );
    assert!(ask(&mut kept).await.starts_with("HTTP/1.1 403"));
    assert_eq!(Answer::of(call(&gateway, [127, 0, 0, 2])).await.status, 200);
    let status = status(&gateway).await;
    assert_eq!(status["config_generation"], 2);
    assert_eq!(status["last_reload"]["outcome"], "applied");
    let metrics = gateway.metrics().await;
    assert!(
        has_line(&metrics, "chatgate_config_generation 2"),
        "{metrics}"
    );
    for line in [
        "chatgate_config_reloads_total{outcome=\"applied\"} 1",
        "chatgate_config_last_reload_successful 1",
    ] {
        assert!(has_line(&metrics, line), "{line}: {metrics}");
    }
}

async fn ask(stream: &mut TcpStream) -> String {
    let request =
        format!("GET /api/http/?{READ}&user=one&password={SECRET} HTTP/1.1\r\nHost: a\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    let mut piece = [0; 4096];
    // The body of every answer to these calls ends with its JSON object.
    while !answer.ends_with(b"}") && !answer.ends_with(b"}\n") {
        let count = stream.read(&mut piece).await.unwrap();
        assert_ne!(
            count,
            0,
            "closed after {}",
            String::from_utf8_lossy(&answer)
        );
        answer.extend_from_slice(&piece[..count]);
    }
    String::from_utf8(answer).unwrap()
}

#[tokio::test]
async fn a_reload_rejects_a_broken_file_and_reports_every_mistake_with_its_position() {
    let gateway = gateway("[limits]\nper_address_per_minute = 500");
    let broken = "[limits]\nper_address_per_minute = 0\n[server]\nallow = [\"10.0.0.1/8\"]\nlisten = \"0.0.0.0:1\"\nnonsense = 1";
    let refused = reload(&gateway, broken).await;
    assert_eq!(refused.status, 422, "{}", refused.body);
    let errors = refused.json()["errors"].clone();
    let places: Vec<_> = errors
        .as_array()
        .unwrap()
        .iter()
        .map(|error| {
            (
                error["line"].as_u64().unwrap(),
                error["column"].as_u64().unwrap(),
            )
        })
        .collect();
    // The flag sets the port, so the file's value has no effect and is not reported.
    assert_eq!(places, [(2, 26), (4, 10), (6, 1)], "{errors}");
    assert!(errors.to_string().contains("10.0.0.0/8"), "{errors}");
    assert_eq!(Answer::of(call(&gateway, [127, 0, 0, 1])).await.status, 200);
    let status = status(&gateway).await;
    assert_eq!(
        (
            &status["config_generation"],
            &status["last_reload"]["outcome"]
        ),
        (&json!(1), &json!("refused"))
    );
    assert_eq!(status["last_reload"]["mistakes"], errors);
    let line = gateway
        .process
        .wait_for("the refusal", |line| line.contains("configuration refused"));
    assert!(line.contains("10.0.0.0/8"), "{line}");
    let metrics = gateway.metrics().await;
    for line in [
        "chatgate_config_reloads_total{outcome=\"refused\"} 1",
        "chatgate_config_last_reload_successful 0",
    ] {
        assert!(has_line(&metrics, line), "{line}: {metrics}");
    }
    let failed = reload_command(&gateway);
    assert_eq!(failed.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&failed.stderr).contains("10.0.0.0/8"));

    write(&gateway, "");
    let done = reload_command(&gateway);
    assert!(done.status.success());
    assert_eq!(
        String::from_utf8_lossy(&done.stdout),
        "Configuration 2 is in force; changed: limits.per_address_per_minute.\n"
    );
}

#[tokio::test]
async fn a_reload_names_changed_keys_that_have_no_effect() {
    let gateway = gateway("");
    let folder = gateway.folder.path();
    let closed = ACCESS.replace("allow = [", "active = false\nallow = [");
    // The test's flags set the addresses and the data folder.
    let file = format!("[server]\nlisten = \"127.0.0.1:1\"\n[log]\nlevel = \"debug\"\n{closed}");
    std::fs::write(folder.join("next"), file).unwrap();
    std::fs::rename(folder.join("next"), folder.join("chatgate.toml")).unwrap();
    let done = reload_command(&gateway);
    assert!(done.status.success());
    let printed = String::from_utf8_lossy(&done.stdout);
    let first = printed.lines().next().unwrap();
    assert!(
        first.ends_with("is in force; changed: log.level."),
        "{printed}"
    );
    for part in [
        "Without effect: accesses.0.active: it is used only at the first start of a store",
        "Without effect: server.listen: --listen overrides it.",
    ] {
        assert!(printed.contains(part), "{part}: {printed}");
    }
    let last = &status(&gateway).await["last_reload"];
    assert_eq!(last["changed"], json!(["log.level"]));
    assert_eq!(last["without_effect"].as_array().unwrap().len(), 2);
    assert_eq!(Answer::of(call(&gateway, [127, 0, 0, 1])).await.status, 200);
}

#[tokio::test]
async fn a_reload_rejects_by_name_a_key_that_needs_a_restart() {
    let gateway = gateway("[log]\nformat = \"json\"");
    let refused = reload(&gateway, "[log]\nformat = \"text\"").await;
    assert_eq!(refused.status, 422);
    assert_eq!(
        refused.json()["errors"],
        json!([{"line": 2, "column": 10, "source": null,
            "text": "log.format: it can't change while the gateway runs; restart the gateway"}])
    );
}

#[tokio::test]
async fn a_signal_and_a_changed_file_reload_the_configuration() {
    let gateway = gateway("[log]\nlevel = \"info\"");
    write(&gateway, "[server]\ndeny = [\"127.0.0.2\"]");
    let line = gateway.process.wait_for("the changed file", |line| {
        line.contains("configuration reloaded")
    });
    assert!(line.contains("\"trigger\":\"changed file\""), "{line}");
    assert_eq!(Answer::of(call(&gateway, [127, 0, 0, 2])).await.status, 403);
    gateway.process.signal("HUP");
    let line = gateway
        .process
        .wait_for("the signal", |line| line.contains("\"trigger\":\"SIGHUP\""));
    assert!(
        line.contains("\"generation\":3") && line.contains("\"changed\":\"\""),
        "{line}"
    );
    // The same broken file is tried once, not again and again.
    write(&gateway, "[server]\ndeny = [\"nonsense\"]");
    assert_rejected_once(&gateway, 1).await;
    // A file that everybody may write is also tried once, until its rights change.
    let file = gateway.folder.path().join("chatgate.toml");
    let mode = |mode| std::fs::set_permissions(&file, Permissions::from_mode(mode)).unwrap();
    write(&gateway, "[server]\ndeny = []");
    mode(0o666);
    assert_rejected_once(&gateway, 2).await;
    mode(0o644);
    gateway
        .process
        .wait_for("the mended file", |line| line.contains("\"generation\":4"));
    assert_eq!(Answer::of(call(&gateway, [127, 0, 0, 2])).await.status, 200);
    // A file that an operator has had read is not read again either.
    let taken = reload(&gateway, "[server]\ndeny = [\"127.0.0.3\"]").await;
    assert_eq!(taken.json()["config_generation"], 5, "{}", taken.body);
    stays(LOOKS, "read once", async || {
        status(&gateway).await["config_generation"] == 5
    })
    .await;
    // A file that is put back is read once more, although the gateway has read the same text by itself before.
    write(&gateway, "[server]\ndeny = []");
    until("the file put back", async || {
        status(&gateway).await["config_generation"] == 6
    })
    .await;
}

#[tokio::test]
async fn a_file_that_cannot_be_read_is_reported_once_until_it_is_back() {
    let gateway = gateway("[log]\nlevel = \"info\"");
    let folder = gateway.folder.path();
    let (file, aside) = (folder.join("chatgate.toml"), folder.join("aside"));
    let is = async |outcome: &str, gauge: u8| {
        let metric = format!("chatgate_config_last_reload_successful {gauge}");
        let metrics = gateway.metrics().await;
        status(&gateway).await["last_reload"]["outcome"] == outcome && has_line(&metrics, &metric)
    };
    std::fs::rename(&file, &aside).unwrap();
    assert_rejected_once(&gateway, 1).await;
    assert!(is("refused", 0).await);
    assert!(gateway.process.lines().join("\n").contains("No such file"));
    std::fs::rename(&aside, &file).unwrap();
    until("the file is back", async || is("applied", 1).await).await;
    // Not UTF-8, in one step.
    std::fs::write(folder.join("next"), b"# \xff\n").unwrap();
    std::fs::rename(folder.join("next"), &file).unwrap();
    assert_rejected_once(&gateway, 2).await;
    assert!(gateway.process.lines().join("\n").contains("not UTF-8"));
    write(&gateway, "[log]\nlevel = \"info\"");
    until("another file", async || is("applied", 1).await).await;
}

#[tokio::test]
async fn a_changed_secret_file_is_applied_and_named() {
    let sandbox = Sandbox::start();
    let folder = tempfile::TempDir::new().unwrap();
    let password = folder.path().join("password");
    std::fs::write(&password, "another password").unwrap();
    let upstream = sandbox.as_upstream();
    let upstream = upstream.replace(
        "env:UPSTREAM_PASSWORD",
        &format!("file:{}", password.display()),
    );
    let gateway = gateway(&upstream);
    let refused = Answer::of(call(&gateway, [127, 0, 0, 1])).await;
    assert!(
        refused.body.contains("UPSTREAM_REFUSED_CREDENTIALS"),
        "{}",
        refused.body
    );
    std::fs::write(&password, UPSTREAM_PASSWORD).unwrap();
    let line = gateway.process.wait_for("the changed secret", |line| {
        line.contains("configuration reloaded")
    });
    assert!(line.contains("\"changed\":\"upstream.password\""), "{line}");
    assert!(!line.contains(UPSTREAM_PASSWORD), "{line}");
    assert_eq!(Answer::of(call(&gateway, [127, 0, 0, 1])).await.status, 200);
    // A secret that is gone is reported once, and read again when it is back.
    std::fs::remove_file(&password).unwrap();
    assert_rejected_once(&gateway, 1).await;
    std::fs::write(&password, UPSTREAM_PASSWORD).unwrap();
    until("the secret is back", async || {
        status(&gateway).await["last_reload"]["outcome"] == "applied"
    })
    .await;
    // The command names a changed secret, too.
    std::fs::write(&password, "another password").unwrap();
    let printed = String::from_utf8(reload_command(&gateway).stdout).unwrap();
    assert!(printed.contains("changed: upstream.password"), "{printed}");
}

#[tokio::test]
async fn a_reload_keeps_counts_and_cached_reads_and_resets_a_changed_limit() {
    let sandbox = Sandbox::start();
    let upstream = sandbox.as_upstream();
    let limited = |n: u32| format!("[limits]\nper_address_per_minute = {n}\n{upstream}");
    let gateway = gateway(&limited(4));
    assert_eq!(
        Answer::of(call(&gateway, [127, 0, 0, 1]))
            .await
            .header("cache-status"),
        "chatgate; fwd=uri-miss; stored"
    );
    let taken = reload(
        &gateway,
        &format!("[log]\nlevel = \"debug\"\n{}", limited(4)),
    )
    .await;
    assert_eq!(taken.status, 200, "{}", taken.body);
    for _ in 0..3 {
        let hit = Answer::of(call(&gateway, [127, 0, 0, 1])).await;
        assert!(
            hit.header("cache-status").starts_with("chatgate; hit"),
            "{}",
            hit.header("cache-status")
        );
    }
    assert_eq!(Answer::of(call(&gateway, [127, 0, 0, 1])).await.status, 429);
    assert_eq!(reload(&gateway, &limited(5)).await.status, 200);
    let hit = Answer::of(call(&gateway, [127, 0, 0, 1])).await;
    assert!(hit.header("cache-status").starts_with("chatgate; hit"));
    // Another account's reads do not come from this account's cache.
    let other = Sandbox::start();
    let moved = format!(
        "[limits]\nper_address_per_minute = 5\n{}",
        other.as_upstream()
    );
    assert_eq!(reload(&gateway, &moved).await.status, 200);
    assert!(
        Answer::of(call(&gateway, [127, 0, 0, 1]))
            .await
            .header("cache-status")
            .starts_with("chatgate; fwd=uri-miss")
    );
}

#[tokio::test]
async fn a_reload_keeps_the_upstream_state_unless_its_certificates_change() {
    let folder = tempfile::TempDir::new().unwrap();
    let file = folder.path().join("roots.pem");
    let authority = |name: &str| {
        let made = rcgen::generate_simple_self_signed([name.to_owned()]).unwrap();
        std::fs::write(&file, made.cert.pem()).unwrap();
    };
    authority("one.example");
    let closed = ClosedPort::new();
    let address = closed.address;
    let toml = |changed: &str| {
        format!(
            "[upstream]\nurl = \"https://{address}/\"\nuser = \"u\"\npassword = \"env:UPSTREAM_PASSWORD\"\n\
             roots = \"file:{}\"\n{changed}",
            file.display()
        )
    };
    let gateway = gateway(&toml(""));
    let state = async || {
        let status = status(&gateway).await;
        status["upstream"]["endpoints"][0]["state"].clone()
    };
    until("the endpoint rests", async || {
        let refused = Answer::of(call(&gateway, [127, 0, 0, 1])).await;
        assert_eq!(refused.status, 503, "{}", refused.body);
        state().await == "resting"
    })
    .await;
    for changed in [
        "[log]\nlevel = \"debug\"",
        "timeout = \"4s\"",
        "wait = \"4s\"",
        "connect_timeout = \"2s\"",
        "connection_life = \"1m\"",
        "response_bytes = \"1MiB\"",
        "attempts = 2",
        "calls = 100",
        "waiting = 10",
        "auth = \"basic\"",
        "fallback_urls = [\"https://127.0.0.1:9/\"]\nbalance = \"spread\"",
        "next_user = \"v\"\nnext_password = \"env:UPSTREAM_PASSWORD\"",
        "",
    ] {
        let taken = reload(&gateway, &toml(changed)).await;
        assert_eq!(taken.status, 200, "{}", taken.body);
        assert_eq!(state().await, "resting", "{changed}");
    }
    authority("two.example");
    let taken = reload(&gateway, &toml("")).await;
    assert_eq!(taken.status, 200, "{}", taken.body);
    assert_eq!(state().await, "in use");
}

#[tokio::test]
async fn a_request_keeps_its_configuration_when_a_reload_happens() {
    let sandbox = Sandbox::start();
    let gateway = gateway(&sandbox.as_upstream());
    let slow = json!([{"method": "getchatchannels", "fault": "latency", "ms": 1500, "count": 1}]);
    sandbox.faults(slow).await;
    let under_way = tokio::spawn(Answer::of(call(&gateway, [127, 0, 0, 1])));
    // Wait until the call is counted as under way.
    until("the call is under way", async || {
        has_line(&gateway.metrics().await, "chatgate_inflight_requests 1")
    })
    .await;
    let next = format!(
        "[server]\ndeny = [\"127.0.0.0/8\"]\n[ways.basic]\nenabled = false\n{}",
        sandbox.as_upstream()
    );
    assert_eq!(reload(&gateway, &next).await.status, 200);
    assert!(!under_way.is_finished());
    assert_eq!(under_way.await.unwrap().status, 200);
    assert_eq!(Answer::of(call(&gateway, [127, 0, 0, 1])).await.status, 403);
    let next = format!("[ways.basic]\nenabled = false\n{}", sandbox.as_upstream());
    assert_eq!(reload(&gateway, &next).await.status, 200);
    assert_eq!(Answer::of(call(&gateway, [127, 0, 0, 1])).await.status, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn reloads_under_load_fail_no_request() {
    let reloads = load(60, 1000);
    let sandbox = Sandbox::start();
    let settings = |n: usize| {
        format!(
            "[limits]\nper_address_per_minute = {}\n[cache]\ngetchatchannels = \"{}s\"\n[upstream]\ntimeout = \"{}s\"\n{}",
            1_000_000 + n % 3,
            n % 2,
            14 + n % 2,
            sandbox.as_upstream().trim_start_matches("[upstream]\n")
        )
    };
    let gateway = Arc::new(gateway(&settings(0)));
    let (done, calls) = (
        Arc::new(AtomicBool::new(false)),
        Arc::new(AtomicUsize::new(0)),
    );
    let callers: Vec<_> = (0..8)
        .map(|_| {
            let (gateway, done, calls) =
                (Arc::clone(&gateway), Arc::clone(&done), Arc::clone(&calls));
            tokio::spawn(async move {
                let client = client();
                let mut failed = Vec::new();
                while !done.load(Ordering::SeqCst) {
                    let call = client
                        .post(gateway.url("/api/basic/"))
                        .basic_auth("one", Some(SECRET))
                        .body(READ);
                    let answer = Answer::of(call).await;
                    calls.fetch_add(1, Ordering::SeqCst);
                    if answer.status != 200 {
                        failed.push(answer.body);
                    }
                }
                failed
            })
        })
        .collect();
    for n in 1..=reloads {
        let taken = reload(&gateway, &settings(n)).await;
        assert_eq!(taken.status, 200, "{}", taken.body);
    }
    done.store(true, Ordering::SeqCst);
    let mut failed = Vec::new();
    for caller in callers {
        failed.extend(caller.await.unwrap());
    }
    assert!(failed.is_empty(), "{failed:?}");
    // The gateway also reloads by itself because of the changed file, so the generation is higher.
    let generation = status(&gateway).await["config_generation"]
        .as_u64()
        .unwrap();
    assert!(generation > reloads as u64);
    println!(
        "{reloads} reloads under {} calls: 0 failed",
        calls.load(Ordering::SeqCst)
    );
}

/// The waiting call is judged by the configuration at the time of its answer, not by the one at its start.
#[tokio::test]
async fn a_waiting_getevents_call_is_rejected_after_a_reload_denies_its_address() {
    let environment = [UPSTREAM_ENVIRONMENT, ("SECRET", SECRET)];
    let gateway = Gateway::configured("[log]\nlevel = \"info\"", &environment);
    let cursor = now(&gateway).await;
    // The channels are polled before the reload.
    let mut stream = Stream::of(&gateway, &format!("?cursor={cursor}")).await;
    warm(&gateway, &mut stream).await;
    drop(stream);
    let cursor = now(&gateway).await;
    let pairs = [("cursor", &*cursor), ("wait", "25")];
    let waiting = reading::ask(&gateway, &pairs);
    let reloading = async {
        until("it waits", async || {
            has_line(&gateway.metrics().await, "chatgate_inflight_requests 1")
        })
        .await;
        let taken = reload(&gateway, "[server]\ndeny = [\"127.0.0.1/32\"]").await;
        assert_eq!(taken.status, 200, "{}", taken.body);
        reading::write(&gateway, SALES, "34600999999", "Too late").await;
    };
    let (answer, ()) = tokio::join!(waiting, reloading);
    assert_eq!(answer.json()["error"], "IP_NOT_ALLOWED", "{}", answer.body);
}
