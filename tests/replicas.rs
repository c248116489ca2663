//! Several replicas over one database. Here the try-out, as its own lines say: a call, one gateway that is killed, and callers who
//! go on.

mod day_limit;
mod keys;
mod kill;
mod start;
mod suites;

use std::net::TcpListener;
use std::path::Path;
use std::process::Command;

use crate::harness::{Process, binary, repository, skipped};

/// The last of its lines.
const READY: &str = "Ctrl-C ends all of it.";

/// The first of ten free ports below those that the system gives to connections.
fn ports() -> u16 {
    let first = std::process::id() % 1000;
    let mut places = (0..1000).map(|n| 20_000 + u16::try_from((first + n) % 1000).unwrap() * 10);
    let is_free = |port: u16| TcpListener::bind(("127.0.0.1", port)).is_ok();
    let free = places.find(|port| (*port..port + 10).all(is_free));
    free.unwrap()
}

fn started() -> Process {
    let mut command = Command::new(repository().join("deploy/replicas/run"));
    command.arg(ports().to_string());
    let process = Process::of(command, &[("CHATGATE", binary())]);
    process.wait_for("the try-out", |line| line == READY);
    process
}

fn shell(command: &str) -> String {
    let output = Command::new("sh").args(["-c", command]).output().unwrap();
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn one_of_three_is_killed_and_callers_go_on() {
    let has = |name: &str| Path::new(name).exists();
    if !has("/usr/lib/postgresql") || !has("/usr/sbin/haproxy") {
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
        // Under its key the first send is found by whichever of the others is asked.
        let again = shell(&format!("{call} -D -"));
        let is_replayed = again.to_lowercase().contains("idempotent-replayed: true");
        assert!(
            is_replayed && again.contains(r#""delivery":"sent""#),
            "{n}: {again}"
        );
    }
    tryout.signal("TERM");
    let (code, lines) = tryout.ended();
    assert_eq!(code, Some(143), "{lines:#?}");
}
