//! What a stranger sees: one command, and printed lines that work as they stand.

use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::sync::Arc;

use crate::harness::{Gateway, binary};

pub(crate) fn printed_calls(gateway: &Gateway) -> Vec<String> {
    // The fifth line is the last that a first start prints.
    gateway
        .process
        .wait_for("the line that reads back", |line| {
            line.contains("method=getmessages")
        });
    gateway
        .process
        .lines()
        .into_iter()
        .filter(|line| line.starts_with("curl "))
        .collect()
}

pub(crate) fn paste(line: &str) -> String {
    let ran = Command::new("sh").args(["-c", line]).output().unwrap();
    assert!(
        ran.status.success(),
        "{line}\n{}",
        String::from_utf8_lossy(&ran.stderr)
    );
    String::from_utf8(ran.stdout).unwrap()
}

#[test]
fn every_printed_line_pasted_as_it_is_answers_success() {
    let gateway = Gateway::start();
    let calls = printed_calls(&gateway);
    assert_eq!(calls.len(), 5, "{calls:#?}");
    let answers: Vec<_> = calls.iter().map(|line| paste(line)).collect();
    for (way, answer) in ["/api/http/", "/api/basic/", "/api/jwt/"]
        .iter()
        .zip(&answers)
    {
        assert_eq!(
            answer, r#"{"status":"SUCCESS","result":{},"delivery":"sent"}"#,
            "{way}"
        );
    }
    assert!(
        answers[3].contains("<c:delivery>sent</c:delivery>"),
        "{}",
        answers[3]
    );
    assert!(
        answers[4].starts_with(r#"{"status":"SUCCESS""#),
        "{}",
        answers[4]
    );
    for message in [
        "Hello by http",
        "Hello by basic",
        "Hello by jwt",
        "Hello by soap",
    ] {
        assert!(
            answers[4].contains(message),
            "{message} was not read back: {}",
            answers[4]
        );
    }
}

#[test]
fn what_is_made_is_private_and_a_second_start_shows_no_secret() {
    let first = Gateway::start();
    printed_calls(&first);
    let demo = first.demo();
    assert!(
        demo.user == "demo"
            && demo.password.starts_with("cgs_")
            && demo.client_id.starts_with("cga_")
    );
    for entry in std::fs::read_dir(first.data()).unwrap().map(Result::unwrap) {
        let mode = entry.metadata().unwrap().permissions().mode() & 0o777;
        assert!(
            mode & 0o077 == 0 || entry.file_name() == "sandbox.db",
            "{:?}: {mode:o}",
            entry.file_name()
        );
    }
    let folder = Arc::clone(&first.folder);
    let key = std::fs::read_to_string(first.data().join("admin.key")).unwrap();
    first.process.signal("TERM");
    let (code, _) = first.process.ended();
    assert_eq!(code, Some(0));

    let second = Gateway::over(folder, "", &[]);
    second.process.signal("TERM");
    assert_eq!(
        std::fs::read_to_string(second.data().join("admin.key")).unwrap(),
        key
    );
    let (code, lines) = second.process.ended();
    assert_eq!(code, Some(0));
    let said = lines.join("\n");
    assert!(
        !said.contains(&demo.password) && !said.contains(key.trim()) && !said.contains("curl "),
        "{said}"
    );
}

#[test]
fn wrong_usage_and_wrong_configuration_end_with_64_and_a_taken_port_with_1() {
    let run = |arguments: &[&str]| {
        let ran = Command::new(binary()).args(arguments).output().unwrap();
        (ran.status.code(), String::from_utf8(ran.stderr).unwrap())
    };
    assert_eq!(run(&["--nonsense"]).0, Some(64));
    assert_eq!(run(&["serve", "--listen", "nowhere"]).0, Some(64));
    assert_eq!(run(&["check", "--config", "/nonexistent.toml"]).0, Some(64));
    assert_eq!(run(&["--version"]).0, Some(0));
    let gateway = Gateway::start();
    let folder = tempfile::tempdir().unwrap();
    let taken = gateway.public.to_string();
    let (code, said) = run(&[
        "--data",
        folder.path().join("data").to_str().unwrap(),
        "--listen",
        &taken,
        "--admin",
        "127.0.0.1:0",
    ]);
    assert_eq!(code, Some(1));
    assert!(
        said.contains(&format!("{taken} can't be listened on")),
        "{said}"
    );
}
