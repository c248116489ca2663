//! Tests of the first start: one command, and printed lines that work unchanged.

use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::sync::Arc;

use crate::harness::{Gateway, binary, is_of_files, on_a_terminal};

pub(crate) fn printed_calls(gateway: &Gateway) -> Vec<String> {
    // The fifth line is the last one that a first start prints.
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
fn every_printed_call_returns_success_and_contains_no_secret() {
    let gateway = Gateway::start();
    let calls = printed_calls(&gateway);
    // Lines that are printed into a pipe may end up in a log, so they contain the paths of the secrets' files instead of the
    // secrets.
    let said = gateway.process.lines().join("\n");
    let (demo, key) = (gateway.demo(), gateway.data().join("admin.key"));
    let key = std::fs::read_to_string(key).unwrap();
    for secret in [&*demo.password, &demo.client_secret, key.trim()] {
        assert!(!said.contains(secret), "{said}");
    }
    assert!(said.contains("demo.json"), "{said}");
    assert_calls_succeed(&calls);
}

#[test]
fn the_password_file_of_a_seeded_access_may_be_removed_after_the_first_start() {
    if is_of_files("the password file must stay") {
        return;
    }
    let folder = Arc::new(tempfile::tempdir().unwrap());
    let [password, file, data] = ["apw", "seeds.toml", "data"].map(|name| folder.path().join(name));
    let toml = format!(
        "[[accesses]]\nname = \"a\"\nuser = \"a\"\npassword = \"file:{}\"\nallow = [\"127.0.0.1\"]\n",
        password.display()
    );
    std::fs::write(&file, &toml).unwrap();
    let check = || {
        let mut check = Command::new(binary());
        check.args(["check", "--config"]).arg(&file);
        check.arg("--data").arg(&data).output().unwrap()
    };
    let is_named = |line: &str| line.contains("accesses.0.password") && line.contains("apw");
    let printed = check();
    let wrong = String::from_utf8_lossy(&printed.stderr);
    assert_eq!(printed.status.code(), Some(64), "{wrong}");
    assert!(is_named(&wrong), "{wrong}");
    std::fs::write(&password, "a seeded password").unwrap();
    let gateway = Gateway::over(Arc::clone(&folder), &toml, &[]);
    std::fs::remove_file(&password).unwrap();
    let mut reload = Command::new(binary());
    reload.args(["reload", "--admin", &gateway.admin.to_string()]);
    let reloaded = reload.arg("--data").arg(&data).output().unwrap();
    assert!(
        reloaded.status.success(),
        "{}",
        String::from_utf8_lossy(&reloaded.stderr)
    );
    gateway.process.signal("TERM");
    assert_eq!(gateway.process.ended().0, Some(0));
    let printed = check();
    let warned = String::from_utf8_lossy(&printed.stderr);
    assert!(printed.status.success() && is_named(&warned), "{warned}");
    let gateway = Gateway::over(folder, &toml, &[]);
    gateway.process.wait_for("the warning", is_named);
}

/// On a terminal, which `script` provides, the lines contain the secrets themselves.
#[test]
fn every_call_printed_on_a_terminal_returns_success() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let arguments = [
        "--data",
        data.to_str().unwrap(),
        "--listen",
        "127.0.0.1:0",
        "--admin",
        "127.0.0.1:0",
    ];
    let mut script = on_a_terminal(&arguments, 1000, &[("NO_COLOR", "1")]);
    let mut lines = BufReader::new(script.stdout.take().unwrap()).lines();
    let mut calls = Vec::new();
    while calls.len() < 5 {
        let line = lines.next().expect("five lines are printed").unwrap();
        calls.extend(Some(line.trim_end().to_owned()).filter(|line| line.starts_with("curl ")));
    }
    let demo = std::fs::read_to_string(data.join("demo.json")).unwrap();
    let demo: serde_json::Value = serde_json::from_str(&demo).unwrap();
    assert!(calls[0].contains(demo["password"].as_str().unwrap()));
    assert_calls_succeed(&calls);
    let tasks = format!("/proc/{0}/task/{0}/children", script.id());
    let gateway = std::fs::read_to_string(tasks).unwrap();
    // The shell's built-in `kill`, because the program of that name is in a package that a small machine lacks.
    let kill = ["-c", "kill \"$0\"", gateway.trim()];
    assert!(Command::new("sh").args(kill).status().unwrap().success());
    // Without this, a full pipe could block the process while it prints that it ends.
    lines.for_each(drop);
    assert!(script.wait().unwrap().success());
}

fn assert_calls_succeed(calls: &[String]) {
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
fn created_files_are_private_and_a_second_start_prints_no_secret() {
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
    let (code, lines) = first.process.ended();
    assert_eq!(code, Some(0), "{lines:#?}");

    let second = Gateway::over(folder, "", &[]);
    second.process.signal("TERM");
    assert_eq!(
        std::fs::read_to_string(second.data().join("admin.key")).unwrap(),
        key
    );
    let (code, lines) = second.process.ended();
    assert_eq!(code, Some(0), "{lines:#?}");
    let said = lines.join("\n");
    assert!(
        !said.contains(&demo.password) && !said.contains(key.trim()) && !said.contains("curl "),
        "{said}"
    );
}

#[test]
fn usage_and_configuration_errors_exit_with_64_and_a_taken_port_with_1() {
    let run = |arguments: &[&str]| {
        let ran = Command::new(binary()).args(arguments).output().unwrap();
        (ran.status.code(), String::from_utf8(ran.stderr).unwrap())
    };
    assert_eq!(run(&["--nonsense"]).0, Some(64));
    assert_eq!(run(&["serve", "--listen", "nowhere"]).0, Some(64));
    assert_eq!(run(&["check", "--config", "/nonexistent.toml"]).0, Some(64));
    // Commands on a shared store whose configuration has none.
    for arguments in [
        &["migrate"][..],
        &["keys", "reseal"],
        &["store", "copy", "--from", "/"],
        &["check", "--online"],
    ] {
        let (code, said) = run(arguments);
        assert!(
            code == Some(64) && said.contains("has no shared store"),
            "{arguments:?}: {said}"
        );
    }
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
