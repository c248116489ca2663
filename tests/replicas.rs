//! Tests of several replicas over one database. This file follows the printed lines of the try-out deployment: make a call, kill
//! one gateway, and keep calling.

mod clocks;
mod day_limit;
mod keys;
mod kill;
mod rate;
mod start;
mod suites;

use std::collections::BTreeSet;
use std::net::TcpListener;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::harness::{Answer, Process, binary, client, repository, skipped};

/// The last of the printed lines.
const READY: &str = "Ctrl-C ends all of it.";

/// Returns the first of ten free ports, below the ports that the system assigns to connections. Each try-out gets others.
fn ports() -> u16 {
    static TRYOUTS: AtomicU32 = AtomicU32::new(0);
    let first = std::process::id() + 100 * TRYOUTS.fetch_add(1, Ordering::Relaxed);
    let mut places = (0..100).map(|n| 20_000 + u16::try_from((first + n) % 1000).unwrap() * 10);
    let is_free = |port: u16| TcpListener::bind(("127.0.0.1", port)).is_ok();
    let free = places.find(|port| (*port..port + 10).all(is_free));
    free.unwrap()
}

fn has_packages() -> bool {
    let has = |name: &str| Path::new(name).exists();
    has("/usr/lib/postgresql") && has("/usr/sbin/haproxy")
}

fn started() -> Process {
    let mut command = Command::new(repository().join("deploy/replicas/run"));
    command.arg(ports().to_string());
    let process = Process::of(command, &[("CHATGATE", binary())]);
    process.wait_for("the try-out", |line| line == READY);
    process
}

/// Stops the try-out, so that it removes its folder.
fn end(tryout: Process) {
    tryout.signal("TERM");
    let (code, lines) = tryout.ended();
    assert_eq!(code, Some(143), "{lines:#?}");
    let text = lines.join("\n");
    let key = Path::new(after(&text, "sign in with the key in "));
    let folder = key.parent().unwrap();
    assert!(!folder.exists(), "{folder:?} stays behind");
}

fn shell(command: &str) -> String {
    let output = Command::new("sh").args(["-c", command]).output().unwrap();
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn callers_continue_after_one_of_three_replicas_is_killed() {
    if !has_packages() {
        return skipped("Debian's packages postgresql and haproxy");
    }
    let tryout = started();
    let lines = tryout.lines();
    let at = lines
        .iter()
        .position(|line| line.contains("curl "))
        .unwrap();
    let call = lines[at..=at + 1].join("\n");
    let call = format!("{} -s", call.trim());
    let first = shell(&call);
    assert!(first.contains(r#""delivery":"sent""#), "{first}");
    let listed = lines.iter().find(|line| line.contains("chatgate replicas"));
    let listed = shell(listed.unwrap());
    assert_eq!(listed.matches(" live ").count(), 3, "{listed}");

    let kill = lines.iter().find(|line| line.contains("kill -9 "));
    shell(kill.unwrap());
    let fresh = call.replace("-H 'Idempotency-Key: \"one\"'", "");
    for n in 0..20 {
        let answer = shell(&fresh);
        assert!(answer.contains(r#""delivery":"sent""#), "{n}: {answer}");
        // Each of the other replicas finds the first send by its key.
        let again = shell(&format!("{call} -D -"));
        let is_replayed = again.to_lowercase().contains("idempotent-replayed: true");
        assert!(
            is_replayed && again.contains(r#""delivery":"sent""#),
            "{n}: {again}"
        );
    }
    end(tryout);
}

/// The console over HAProxy, which sends each request to the next gateway.
#[tokio::test]
async fn a_console_session_is_valid_on_all_replicas_and_ends_on_all() {
    if !has_packages() {
        return skipped("Debian's packages postgresql and haproxy");
    }
    let tryout = started();
    let text = tryout.lines().join("\n");
    let operators = after(&text, "operators on ");
    let key =
        std::fs::read_to_string(after(&text, "sign in with the key in ").trim_end_matches(")."))
            .unwrap();
    let form = client().post(format!("{operators}/console/sign-in"));
    let signed_in = Answer::of(form.form(&[("key", key.trim())])).await;
    assert_eq!(signed_in.status, 303, "{}", signed_in.body);
    let cookie = signed_in
        .header("set-cookie")
        .split(';')
        .next()
        .unwrap()
        .to_owned();
    let page = async |path: &str| {
        let page = client().get(format!("{operators}{path}"));
        Answer::of(page.header("cookie", &cookie)).await
    };
    let mut answered = BTreeSet::new();
    for _ in 0..200 {
        let replicas = page("/console/replicas").await;
        assert_eq!(replicas.status, 200, "{}", replicas.body);
        let (before, _) = replicas.body.split_once("(this one)").unwrap();
        answered.insert(before.rsplit("<bdi>").next().unwrap()[..1].to_owned());
    }
    assert_eq!(answered.len(), 3, "{answered:?}");
    let status = page("/console/status").await;
    let token = status.body.split("name=\"token\" value=\"").nth(1).unwrap();
    let token = token.split('"').next().unwrap();
    let out = client().post(format!("{operators}/console/sign-out-everywhere"));
    let out = Answer::of(out.header("cookie", &cookie).form(&[("token", token)])).await;
    assert_eq!(out.status, 303, "{}", out.body);
    // The sign-out takes effect immediately.
    for _ in 0..12 {
        let asks = page("/console/replicas").await;
        assert_eq!(asks.status, 303, "{}", asks.body);
    }
    end(tryout);
}

/// Returns the word after this mark in a text.
fn after<'t>(text: &'t str, mark: &str) -> &'t str {
    let rest = text.split(mark).nth(1).unwrap();
    rest.split_whitespace().next().unwrap()
}
