//! Tests of the commands other than `serve`: their output, their effects and their exit codes.

use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use tempfile::TempDir;

use crate::harness::{Answer, Gateway, Process, binary, client, run, run_on, start_on, until};
use crate::signing_keys::{by_password, by_token, published_kids, token};

#[test]
fn commands_without_a_gateway_or_a_key_name_the_missing_option() {
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let free = nobody.local_addr().unwrap().to_string();
    drop(nobody);
    let folder = TempDir::new().unwrap();
    let data = folder.path().to_str().unwrap();
    run(&["keys", "list", "--data", data]).failed(1, "with --data");
    std::fs::write(folder.path().join("admin.key"), "cgk_wrong\n").unwrap();
    run(&["keys", "list", "--data", data, "--admin", &free]).failed(1, "with --admin");
    run(&["healthcheck", "--admin", &free]).failed(1, "with --admin");
    let twice = folder.path().join("twice.key");
    std::fs::write(&twice, "cgk_one\ncgk_two\n").unwrap();
    let with_both = ["keys", "list", "--admin-key-file", twice.to_str().unwrap()];
    run(&with_both).failed(1, "the key is not a single line");
    std::fs::remove_file(twice).unwrap();
    let gateway = Gateway::start();
    let admin = gateway.admin.to_string();
    for command in [
        &["keys", "list"][..],
        &["keys", "rotate"],
        &["token", "--client-id", "x"],
    ] {
        let mut all = command.to_vec();
        all.extend(["--data", data, "--admin", &admin]);
        run(&all).failed(1, "does not accept this key");
    }
    let file = folder.path().join("copy");
    run(&[
        "backup",
        file.to_str().unwrap(),
        "--data",
        data,
        "--admin",
        &admin,
    ])
    .failed(1, "does not accept this key");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    // Flags of `serve` before another command would be accepted and ignored.
    assert_eq!(run(&["--data", data, "keys", "list"]).code, Some(64));
}

#[test]
fn invalid_arguments_exit_with_64_without_a_gateway() {
    let folder = tempfile::tempdir().unwrap();
    let broken = folder.path().join("faults.json");
    std::fs::write(&broken, "[{").unwrap();
    for words in [
        &["access", "create", "a", "--cache", "foo"][..],
        &["access", "set", "a", "--rate", "5/min", "--rate", "6/min"],
        &["sandbox"],
        &["sandbox", "--faults", broken.to_str().unwrap()],
    ] {
        let refused = run(words);
        assert_eq!(refused.code, Some(64), "{words:?}: {}", refused.error);
        assert_eq!(refused.error.lines().count(), 1, "{}", refused.error);
    }
}

#[test]
fn the_health_check_follows_readiness() {
    let gateway = Gateway::start();
    let admin = gateway.admin.to_string();
    let well = run(&["healthcheck", "--admin", &admin]);
    assert_eq!(
        (well.code, well.output + &well.error),
        (Some(0), String::new())
    );
    let any = format!("0.0.0.0:{}", gateway.admin.port());
    run(&["healthcheck", "--admin", &any]).succeeded();

    // A server that reports that it is not ready, as a gateway does while it drains.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let draining = listener.local_addr().unwrap().to_string();
    let answering = std::thread::spawn(move || {
        use std::io::{Read, Write};
        let (mut stream, _) = listener.accept().unwrap();
        let mut request = [0; 1024];
        let read = stream.read(&mut request).unwrap();
        assert!(request[..read].starts_with(b"GET /readyz "));
        let body = "{\"status\":\"not_ready\",\"reason\":\"draining\"}";
        let head = format!(
            "HTTP/1.1 503 Service Unavailable\r\nContent-Length: {}",
            body.len()
        );
        stream
            .write_all(format!("{head}\r\n\r\n{body}").as_bytes())
            .unwrap();
    });
    run(&["healthcheck", "--admin", &draining]).failed(1, "is not ready: draining");
    answering.join().unwrap();
}

#[tokio::test]
async fn a_backup_taken_under_load_starts_another_gateway_with_the_same_accesses() {
    let gateway = Gateway::start();
    let demo = gateway.demo();
    let file = gateway.folder.path().join("copy.db");
    let backup = start_on(&gateway, &["backup", file.to_str().unwrap()]);
    let ended = tokio::task::spawn_blocking(move || backup.ended());
    let mut calls = 0;
    while !ended.is_finished() {
        assert_eq!(by_password(&gateway, &demo).await, 200);
        run_on(&gateway, &["keys", "list"]).succeeded();
        calls += 1;
    }
    let (code, lines) = ended.await.unwrap();
    assert_eq!(code, Some(0), "{}", lines.join("\n"));
    println!("{calls} calls ran while the copy was made");
    assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    no_leftovers(&gateway.data());
    no_leftovers(gateway.folder.path());

    let folder = TempDir::new().unwrap();
    let data = folder.path().join("data");
    std::fs::DirBuilder::new()
        .mode(0o700)
        .create(&data)
        .unwrap();
    std::fs::copy(&file, data.join("chatgate.db")).unwrap();
    let token = token(&gateway);
    let public_url = format!("[server]\npublic_url = \"{}\"\n", gateway.url("/"));
    let restored = Gateway::over(Arc::new(folder), &public_url, &[]);
    assert_eq!(by_password(&restored, &demo).await, 200);
    assert_eq!(by_token(&restored, &token).await, 200);
    assert_eq!(
        published_kids(&restored).await,
        published_kids(&gateway).await
    );
}

fn no_leftovers(folder: &Path) {
    for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let name = entry.file_name().into_string().unwrap();
        assert!(
            !name.contains("partial") && !name.contains(".copy"),
            "{name}"
        );
    }
}

#[test]
fn a_backup_overwrites_no_existing_file() {
    let gateway = Gateway::start();
    let file = gateway.folder.path().join("dear");
    std::fs::write(&file, "dear").unwrap();
    run_on(&gateway, &["backup", file.to_str().unwrap()]).failed(1, "was not changed");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "dear");
    let nowhere = gateway.folder.path().join("no/such/copy");
    run_on(&gateway, &["backup", nowhere.to_str().unwrap()]).failed(1, "no/such/copy");
}

#[tokio::test]
async fn an_interrupted_backup_leaves_no_file_behind() {
    let folder = TempDir::new().unwrap();
    std::fs::write(folder.path().join("admin.key"), "a-key\n").unwrap();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let admin = listener.local_addr().unwrap().to_string();
    let copies = TempDir::new().unwrap();
    let file = copies.path().join("copy.db");
    let [file, data] = [file.as_path(), folder.path()].map(|path| path.to_str().unwrap());
    // The connection is accepted by the system, and no answer ever comes.
    let arguments = ["backup", file, "--admin", &admin, "--data", data];
    let backup = Process::start(&arguments, &[]);
    let files = || std::fs::read_dir(copies.path()).unwrap().count();
    until("the copy begins", async || files() == 1).await;
    backup.signal("TERM");
    let (code, lines) = backup.ended();
    assert_eq!((code, files()), (Some(1), 0), "{lines:?}");
    assert!(lines[0].contains("was interrupted"), "{lines:?}");
}

#[tokio::test]
async fn key_rotation_and_backup_require_the_admin_key_and_the_right_method() {
    let gateway = Gateway::start();
    let url = |path: &str| format!("http://{}/admin/v1/{path}", gateway.admin);
    for path in ["keys/rotate", "backup"] {
        let refused = Answer::of(client().post(url(path)).bearer_auth("cgk_wrong")).await;
        assert_eq!(refused.status, 401, "{path}");
        assert_eq!(Answer::of(client().get(url(path))).await.status, 401);
        let key = std::fs::read_to_string(gateway.data().join("admin.key")).unwrap();
        let wrong = Answer::of(client().get(url(path)).bearer_auth(key.trim())).await;
        assert_eq!(wrong.status, 405, "{path}");
    }
    assert_eq!(Answer::of(client().get(url("keys"))).await.status, 401);
}

#[test]
fn a_data_folder_rejects_a_second_gateway_and_a_kill_frees_it() {
    let first = Gateway::start();
    let data = first.data();
    let arguments = [
        "--data",
        data.to_str().unwrap(),
        "--listen",
        "127.0.0.1:0",
        "--admin",
        "127.0.0.1:0",
    ];
    let second = Process::start(&arguments, &[]);
    let refusal = format!(
        "another gateway or sandbox runs on the data folder {}",
        data.display()
    );
    second.wait_for("the refusal", |line| line.contains(&refusal));
    let (code, lines) = second.ended();
    assert_eq!((code, lines.len()), (Some(1), 1), "{}", lines.join("\n"));
    let lock = data.join("lock").metadata().unwrap();
    assert_eq!(lock.permissions().mode() & 0o777, 0o600);
    // The folder is locked as well, because somebody may mistake the lock file for a leftover and delete it.
    std::fs::remove_file(data.join("lock")).unwrap();
    let third = Process::start(&arguments, &[]);
    third.wait_for("the refusal", |line| line.contains(&refusal));
    assert_eq!(third.ended().0, Some(1));
    let folder = Arc::clone(&first.folder);
    first.process.signal("KILL");
    first.process.ended();
    Gateway::over(folder, "", &[]);
}

#[test]
fn completions_and_man_pages_are_complete_and_tolerate_a_closed_pipe() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = run(&["completions", shell]);
        assert!(
            script.code == Some(0) && script.output.contains("healthcheck"),
            "{shell}"
        );
    }
    assert_eq!(run(&["completions", "cobol"]).code, Some(64));
    let page = run(&["man"]).output;
    for command in ["serve", "backup", "keys", "healthcheck", "config"] {
        assert!(page.contains(command), "{command} is not in the page");
    }
    assert!(
        run(&["man", "keys", "rotate"])
            .output
            .contains("chatgate keys rotate")
    );
    run(&["man", "nonsense"]).failed(64, "there is no command nonsense");

    for command in [&["man"][..], &["completions", "zsh"], &["config-schema"]] {
        let mut child = Command::new(binary())
            .args(command)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        drop(child.stdout.take());
        let ended = child.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&ended.stderr);
        assert_eq!((ended.status.code(), &*said), (Some(0), ""), "{command:?}");
    }
}

/// Runs a command against this gateway with its output going to a full disk.
fn run_full(gateway: &Gateway, arguments: &[&str]) -> (Option<i32>, String) {
    let full = std::fs::File::options().write(true).open("/dev/full");
    let mut command = Command::new(binary());
    command.args(arguments);
    if arguments[0] == "access" {
        let admin = gateway.admin.to_string();
        command
            .args(["--admin", &admin, "--data"])
            .arg(gateway.data());
    }
    let ran = command.stdout(full.unwrap()).output().unwrap();
    (ran.status.code(), String::from_utf8(ran.stderr).unwrap())
}

#[test]
fn a_full_output_is_an_error_and_a_lost_secret_can_be_rotated() {
    let gateway = Gateway::start();
    for arguments in [&["--help"][..], &["--version"], &["access", "--help"]] {
        let (code, error) = run_full(&gateway, arguments);
        assert_eq!(code, Some(1), "{arguments:?}: {error}");
        assert!(error.contains("standard output"), "{error}");
    }
    let (code, error) = run_full(&gateway, &["access", "create", "shop"]);
    assert_eq!(code, Some(1), "{error}");
    let mend = ["access", "rotate", "shop", "--drop-old"];
    assert!(error.contains(&mend.join(" ")), "{error}");
    let (code, error) = run_full(&gateway, &mend);
    assert_eq!(code, Some(1), "{error}");
    assert!(error.contains("run the command again"), "{error}");
    let rotated = run_on(&gateway, &mend);
    assert!(rotated.output.contains("cgs_"), "{}", rotated.error);
}

#[test]
fn limits_and_expiry_can_be_removed() {
    let gateway = Gateway::start();
    let changed = |words: &[&str]| {
        let access = ["access", words[0], "shop", "--json"];
        let changed = run_on(&gateway, &[&access, &words[1..]].concat());
        changed.succeeded();
        let access = changed.json();
        ["rate", "per_day", "expires"].map(|field| access[field].clone())
    };
    let limits = ["--rate", "60/min", "--rate", "1000/day", "--expires", "30d"];
    let made = changed(&[&["create"][..], &limits].concat());
    assert!(made.iter().all(|value| !value.is_null()), "{made:?}");
    let [rate, per_day, _] = changed(&["set", "--rate", "5/day", "--rate", "none"]);
    assert_eq!((rate.is_null(), per_day.as_str()), (true, Some("5/day")));
    let removed = changed(&["set", "--rate", "none", "--expires", "never"]);
    assert!(
        removed.iter().all(serde_json::Value::is_null),
        "{removed:?}"
    );
}

#[test]
fn expires_accepts_the_same_time_formats_as_the_journal() {
    let gateway = Gateway::start();
    for (n, (time, wanted)) in [
        ("2097-01-31", "2097-01-31T00:00:00Z"),
        ("2097-01-31 12:00", "2097-01-31T12:00:00Z"),
        ("9999-12-31T23:59:59Z", "9999-12-30T22:00:00Z"),
        ("30d", ""),
        ("1w", ""),
    ]
    .into_iter()
    .enumerate()
    {
        let name = format!("e{n}");
        let create = ["access", "create", &name, "--json", "--expires", time];
        let made = run_on(&gateway, &create);
        assert_eq!(made.code, Some(0), "{time}: {}", made.error);
        let expires = made.json()["expires"].as_str().unwrap().to_owned();
        assert!(wanted.is_empty() || expires == wanted, "{time}: {expires}");
        for flag in ["--since", "--until"] {
            let read = run_on(&gateway, &["log", flag, time]);
            assert_eq!(read.code, Some(0), "{time}: {}", read.error);
        }
    }
    for time in ["2026-12-31T23:59:59+25:00", "soon"] {
        let create = ["access", "create", "never", "--expires", time];
        run_on(&gateway, &create).failed(1, "a duration from now");
    }
}
