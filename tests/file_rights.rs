//! Tests of the data folder and of secrets in files: rights of other users, links in the place of files, and a lost key.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::path::Path;
use std::sync::Arc;

use reqwest::Method;
use serde_json::Value;
use tempfile::TempDir;

use crate::first_start::paste;
use crate::harness::{
    Gateway, Issuer, Process, UPSTREAM_PASSWORD, admin, run, run_on, skipped, until, upstream,
};
use crate::outside_issuers::said;

/// Starts a gateway that must refuse to start, and returns its error.
#[track_caller]
fn refused(data: &Path, what: &str) -> String {
    let data = data.to_str().unwrap();
    let arguments = [
        "--data",
        data,
        "--listen",
        "127.0.0.1:0",
        "--admin",
        "127.0.0.1:0",
    ];
    let process = Process::start(&arguments, &[]);
    let line = process.wait_for(what, |line| line.contains(what));
    assert_eq!(process.ended().0, Some(1), "{line}");
    line
}

fn mode(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

fn stopped(gateway: Gateway) -> Arc<TempDir> {
    gateway.process.signal("TERM");
    let folder = Arc::clone(&gateway.folder);
    assert_eq!(gateway.process.ended().0, Some(0));
    folder
}

#[test]
fn an_empty_data_folder_with_open_rights_is_restricted_at_the_start() {
    let folder = Arc::new(TempDir::new().unwrap());
    let data = folder.path().join("data");
    for open in [0o755, 0o777] {
        let _ = fs::remove_dir_all(&data);
        fs::create_dir(&data).unwrap();
        mode(&data, open);
        stopped(Gateway::over(Arc::clone(&folder), "", &[]));
        assert_eq!(data.metadata().unwrap().mode() & 0o777, 0o700);
    }
}

#[test]
fn a_data_folder_open_to_others_is_rejected_with_the_fixing_command() {
    let folder = stopped(Gateway::start());
    let data = folder.path().join("data");
    for open in [0o755, 0o770, 0o701] {
        mode(&data, open);
        let said = refused(&data, "is open to other users");
        assert!(said.contains(&format!("(mode 0{open:o})")), "{said}");
        let (_, mend) = said.split_once("): ").unwrap();
        paste(mend.split_once(';').unwrap().0);
    }
    let [lock, store, key, demo] = ["lock", "chatgate.db", "admin.key", "demo.json"];
    for name in [lock, store, key, demo, "sandbox.db"] {
        let file = data.join(name);
        mode(&file, 0o640);
        let said = refused(&data, "is open to other users");
        assert!(
            said.contains(&format!("{name} is open to other users (mode 0640)")),
            "{said}"
        );
        paste(said.split_once("): ").unwrap().1);
        assert_eq!(file.metadata().unwrap().mode() & 0o777, 0o600);
    }
    let elsewhere = folder.path().join("elsewhere");
    let (wal, index) = ("chatgate.db-wal", "chatgate.db-shm");
    for name in [lock, store, wal, index, key, demo] {
        let (file, kept) = (data.join(name), folder.path().join("kept"));
        let was_there = fs::rename(&file, &kept).is_ok();
        symlink(&elsewhere, &file).unwrap();
        let said = refused(&data, "is a symbolic link");
        assert!(
            said.contains(&format!("{name} is a symbolic link")),
            "{said}"
        );
        assert!(!elsewhere.exists(), "{name} was followed");
        fs::remove_file(&file).unwrap();
        if was_there {
            fs::rename(&kept, &file).unwrap();
        }
    }
    if fs::metadata("/proc/self").unwrap().uid() == 0 {
        for name in ["admin.key", ""] {
            let path = data.join(name);
            chown(&path, Some(65_534), None).unwrap();
            let said = refused(&data, "belongs to the user 65534");
            assert!(said.contains("chown 0 "), "{said}");
            assert!(said.contains("setpriv --reuid 65534"), "{said}");
            chown(&path, Some(0), None).unwrap();
        }
    } else {
        skipped("only root can give a file away");
    }
    Gateway::over(folder, "", &[]);
}

#[test]
fn an_invalid_admin_key_file_is_rejected_with_the_reason() {
    let folder = stopped(Gateway::start());
    let key = folder.path().join("data/admin.key");
    for (content, reported) in [(&b"\xff"[..], "UTF-8"), (b" \n", "the key is empty")] {
        fs::write(&key, content).unwrap();
        let said = refused(&folder.path().join("data"), "admin.key");
        assert!(said.contains(reported), "{said}");
    }
}

#[tokio::test]
async fn a_lost_admin_key_is_reported_and_can_be_reset() {
    let gateway = Gateway::start();
    let old = fs::read_to_string(gateway.data().join("admin.key")).unwrap();
    let folder = stopped(gateway);
    let data = folder.path().join("data");
    let key = data.join("admin.key");
    fs::remove_file(&key).unwrap();
    let gateway = Gateway::over(Arc::clone(&folder), "", &[]);
    let line = gateway
        .process
        .wait_for("a warning", |line| line.contains("key is missing"));
    assert!(line.contains("chatgate admin-key reset"), "{line}");
    assert!(!key.exists());
    let reset = ["admin-key", "reset", "--data", data.to_str().unwrap()];
    run(&reset).failed(1, "another gateway or sandbox runs");
    stopped(gateway);
    fs::write(&key, "cgk_another\n").unwrap();
    mode(&key, 0o600);
    let gateway = Gateway::over(Arc::clone(&folder), "", &[]);
    gateway
        .process
        .wait_for("a warning", |line| line.contains("is not an admin key"));
    stopped(gateway);

    let ran = run(&reset);
    ran.succeeded();
    assert_eq!(key.metadata().unwrap().mode() & 0o777, 0o600);
    let gateway = Gateway::over(folder, "", &[]);
    let journal = admin(&gateway, Method::GET, "journal?limit=100", &Value::Null).await;
    assert_eq!(journal.status, 200, "{}", journal.body);
    let row = journal.json()["rows"].as_array().unwrap().clone();
    let row = row
        .iter()
        .find(|row| row["actor"] == "the data folder")
        .unwrap()
        .clone();
    assert_eq!(row["cause"], "a new key for the first operator");
    let shown = run_on(&gateway, &["log"]).output;
    assert!(
        shown.contains("a new key for the first operator by the data folder"),
        "{shown}"
    );
    fs::write(&key, old).unwrap();
    let before = admin(&gateway, Method::GET, "journal", &Value::Null).await;
    assert_eq!(before.status, 401);
    run(&["admin-key", "reset", "--data", "/nowhere"]).failed(1, "there is no store");
}

#[test]
fn a_linked_secret_file_is_accepted_unless_others_can_write_it() {
    let folder = Arc::new(TempDir::new().unwrap());
    let at = |name: &str| folder.path().join(name);
    fs::create_dir(at("..2026")).unwrap();
    fs::write(at("..2026/password"), UPSTREAM_PASSWORD).unwrap();
    symlink("..2026", at("..data")).unwrap();
    symlink("..data/password", at("password")).unwrap();
    let toml = upstream(([127, 0, 0, 1], 9).into());
    let toml = toml.replace(
        "env:UPSTREAM_PASSWORD",
        &format!("file:{}", at("password").display()),
    );
    mode(&at("..2026/password"), 0o644);
    let gateway = Gateway::over(Arc::clone(&folder), &toml, &[]);
    // Here the file belongs to this user, who could restrict its rights.
    gateway.process.wait_for("a warning", |line| {
        line.contains("every user of this machine can read")
    });
    stopped(gateway);
    for open in [0o646, 0o666] {
        mode(&at("..2026/password"), open);
        let ran = run(&["check", "--config", at("chatgate.toml").to_str().unwrap()]);
        assert_eq!(ran.code, Some(64));
        assert!(ran.error.contains("every user may write"), "{}", ran.error);
        assert!(ran.error.contains("chmod o-w"), "{}", ran.error);
    }
    mode(&at("..2026/password"), 0o400);
    mode(&at("chatgate.toml"), 0o666);
    let ran = run(&["check", "--config", at("chatgate.toml").to_str().unwrap()]);
    assert_eq!(
        (ran.code, ran.error.contains("every user may write")),
        (Some(64), true),
        "{}",
        ran.error
    );
}

#[tokio::test]
async fn an_issuer_key_file_that_everybody_may_write_is_not_read_again() {
    let (good, other) = (Issuer::new(), Issuer::new());
    let folder = TempDir::new().unwrap();
    let jwks = folder.path().join("jwks.json");
    fs::write(&jwks, good.jwks()).unwrap();
    let toml = good.as_configuration();
    let line = toml.lines().find(|line| line.starts_with("jwks")).unwrap();
    let toml = toml.replace(line, &format!("jwks = {jwks:?}\nrefresh = \"1s\""));
    let gateway = Gateway::configured(&toml, &[]);
    assert_eq!(said(&gateway, &good.token("demo", 300)).await, "SUCCESS");
    mode(&jwks, 0o666);
    fs::write(&jwks, other.jwks()).unwrap();
    until("the rights are not seen", async || {
        let status = admin(&gateway, Method::GET, "status", Value::Null).await;
        let error = status.json()["issuers"][0]["error"].to_string();
        error.contains("every user may write") && error.contains("chmod o-w")
    })
    .await;
    assert_ne!(said(&gateway, &other.token("demo", 300)).await, "SUCCESS");
    assert_eq!(said(&gateway, &good.token("demo", 300)).await, "SUCCESS");
    mode(&jwks, 0o644);
    until("the keys are not read again", async || {
        said(&gateway, &other.token("demo", 300)).await == "SUCCESS"
    })
    .await;
}

#[test]
fn a_file_in_place_of_the_data_folder_is_rejected() {
    refused(Path::new("/dev/null"), "/dev/null is not a folder");
}

#[test]
fn a_provided_admin_key_must_have_at_least_32_characters() {
    let folder = Arc::new(TempDir::new().unwrap());
    let data = folder.path().join("data");
    fs::create_dir(&data).unwrap();
    mode(&data, 0o700);
    let key = data.join("admin.key");
    fs::write(&key, "k".repeat(31)).unwrap();
    mode(&key, 0o600);
    let said = refused(&data, "shorter than 32 characters");
    assert!(said.contains("remove the file"), "{said}");
    fs::write(&key, "k".repeat(32)).unwrap();
    Gateway::over(folder, "", &[]);
}
