//! Checks that local conveniences stay on one machine: the sandbox, the demo access and generated secrets. A first start creates
//! its accesses only once.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use reqwest::Method;
use serde_json::Value;
use tempfile::TempDir;

use crate::harness::{
    Answer, Gateway, Process, Sandbox, UPSTREAM_ENVIRONMENT, admin, as_soon_as, binary, client,
    is_postgres, run,
};

/// More restarts than an operator makes before checking.
const RESTARTS: usize = 10;

const SEED: &str = "[[accesses]]\nname = \"shop\"\nuser = \"shop\"\npassword = \"file:password\"\nallow = [\"any\"]\n";

/// Returns a folder with the password of a seeded access, and the configuration that seeds it.
fn seeded() -> (Arc<TempDir>, String) {
    let folder = Arc::new(TempDir::new().unwrap());
    let password = folder.path().join("password");
    std::fs::write(&password, "cgs_a-chosen-password-of-some-length").unwrap();
    let toml = SEED.replace("file:password", &format!("file:{}", password.display()));
    (folder, toml)
}

async fn names(gateway: &Gateway) -> Vec<String> {
    let accesses = admin(gateway, Method::GET, "accesses", &Value::Null).await;
    let accesses = accesses.json();
    let list = accesses.as_array().or(accesses["accesses"].as_array());
    let name = |access: &Value| access["name"].as_str().unwrap().to_owned();
    list.unwrap().iter().map(name).collect()
}

#[tokio::test]
async fn a_deleted_access_stays_deleted_over_ten_restarts() {
    let demo = (Arc::new(TempDir::new().unwrap()), String::new());
    for ((folder, toml), name) in [(demo, "demo"), (seeded(), "shop")] {
        let first = Gateway::over(Arc::clone(&folder), &toml, &[]);
        assert_eq!(names(&first).await, [name]);
        let path = format!("accesses/{name}");
        let deleted = admin(&first, Method::DELETE, &path, &Value::Null).await;
        assert!(deleted.status < 300, "{}", deleted.body);
        drop(first);
        for restart in 0..RESTARTS {
            let again = Gateway::over(Arc::clone(&folder), &toml, &[]);
            assert!(names(&again).await.is_empty(), "{name}, restart {restart}");
            assert!(
                again
                    .process
                    .lines()
                    .iter()
                    .all(|line| !line.starts_with("curl "))
            );
        }
    }
}

/// If a first start is killed at any point, the next start counts as the first one and creates everything once.
#[tokio::test]
async fn a_killed_first_start_is_repeated_and_creates_everything_once() {
    let (folder, toml) = seeded();
    let (data, file) = (
        folder.path().join("data"),
        folder.path().join("chatgate.toml"),
    );
    std::fs::write(&file, &toml).unwrap();
    for made in [
        "lock",
        "admin.key",
        "chatgate.db",
        "chatgate.db-wal",
        "sandbox.db",
    ] {
        let killed = starting(folder.path(), "127.0.0.1:0", &[]);
        as_soon_as("it is made", || data.join(made).exists());
        killed.signal("KILL");
        killed.ended();
    }
    let gateway = Gateway::over(Arc::clone(&folder), &toml, &[]);
    assert_eq!(names(&gateway).await, ["shop"]);
    let changes = admin(&gateway, Method::GET, "accesses/shop/changes", &Value::Null).await;
    assert_eq!(
        changes.body.matches("\"actor\"").count(),
        1,
        "{}",
        changes.body
    );
}

/// Starts a gateway over this folder with its configuration, without waiting for it.
fn starting(folder: &Path, listen: &str, environment: &[(&str, &str)]) -> Process {
    let (data, file) = (folder.join("data"), folder.join("chatgate.toml"));
    let arguments = [
        "--data",
        data.to_str().unwrap(),
        "--config",
        file.to_str().unwrap(),
        "--listen",
        listen,
        "--admin",
        "127.0.0.1:0",
    ];
    Process::start(&arguments, environment)
}

/// Starts a gateway that has to refuse to run. Returns its exit code and its errors.
fn refused(data: &Path, arguments: &[&str], environment: &[(&str, &str)]) -> (Option<i32>, String) {
    let ports = ["--data", data.to_str().unwrap(), "--admin", "127.0.0.1:0"];
    let mut command = Command::new(binary());
    let command = command.args(ports).args(arguments);
    let ran = command.envs(environment.iter().copied()).output().unwrap();
    (ran.status.code(), String::from_utf8(ran.stderr).unwrap())
}

/// The arguments and the environment of a gateway.
type Started<'a> = (&'a [&'a str], &'a [(&'a str, &'a str)]);

#[test]
fn the_sandbox_starts_beyond_loopback_only_if_configured() {
    let folder = TempDir::new().unwrap();
    for listen in ["0.0.0.0:0", "[::]:0", "192.0.2.1:8080", "[2001:db8::1]:0"] {
        let (code, said) = refused(folder.path(), &["--listen", listen], &[]);
        assert_eq!(code, Some(64), "{said}");
        for word in ["upstream.url", "upstream.sandbox = true", "--sandbox"] {
            assert!(said.contains(word), "{said}");
        }
    }
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    let both = [
        ("CHATGATE__UPSTREAM__SANDBOX", "true"),
        ("CHATGATE__UPSTREAM__URL", "http://127.0.0.1:9/"),
        ("CHATGATE__UPSTREAM__USER", "u"),
        ("CHATGATE__UPSTREAM__PASSWORD", "p"),
    ];
    let (code, said) = refused(folder.path(), &[], &both);
    assert!(
        code == Some(64) && said.contains("upstream.sandbox"),
        "{said}"
    );
    let wanted: [Started<'_>; 4] = [
        (&["--listen", "0.0.0.0:0", "--sandbox"], &[]),
        (&["--listen", "0.0.0.0:0"], &both[..1]),
        (&["--listen", "0.0.0.0:0"], &both[1..]),
        (&["--listen", "127.0.0.2:0"], &[]),
    ];
    for (arguments, environment) in wanted {
        let folder = TempDir::new().unwrap();
        let place = folder.path().join("data");
        let data = ["--data", place.to_str().unwrap(), "--admin", "127.0.0.1:0"];
        let process = Process::start(&[&data, arguments].concat(), environment);
        process.wait_for("the upstream", |line| line.starts_with("Upstream"));
        let demo = place.join("demo.json").exists();
        assert_eq!(demo, arguments.contains(&"127.0.0.2:0"), "{arguments:?}");
    }
}

#[tokio::test]
async fn a_reload_cannot_expose_the_sandbox_beyond_loopback() {
    let wanted = "[upstream]\nsandbox = true\n";
    let folder = Arc::new(TempDir::new().unwrap());
    let file = folder.path().join("chatgate.toml");
    std::fs::write(&file, wanted).unwrap();
    let process = starting(folder.path(), "0.0.0.0:0", &[]);
    process.wait_for("the upstream", |line| line.starts_with("Upstream"));
    std::fs::write(&file, "").unwrap();
    process.signal("HUP");
    let refused = process.wait_for("the refusal", |line| line.contains("configuration refused"));
    assert!(refused.contains("upstream.sandbox = true"), "{refused}");
}

#[tokio::test]
async fn with_an_upstream_the_demo_access_is_created_only_if_configured() {
    let sandbox = Sandbox::start();
    for (word, is_made) in [("", false), ("demo = true", true), ("demo = false", false)] {
        let folder = TempDir::new().unwrap();
        let file = folder.path().join("chatgate.toml");
        let toml = format!("[server]\n{word}\n{}", sandbox.as_upstream());
        std::fs::write(&file, toml).unwrap();
        let data = folder.path().join("data");
        let process = starting(folder.path(), "127.0.0.1:0", &[UPSTREAM_ENVIRONMENT]);
        process.wait_for("the upstream", |line| line.starts_with("Upstream"));
        assert_eq!(data.join("demo.json").exists(), is_made, "{word}");
    }
}

#[test]
fn without_a_terminal_the_sandbox_prints_no_generated_password() {
    let listen = ["sandbox", "--listen", "127.0.0.1:0"];
    let ran = Command::new(binary()).args(listen).output().unwrap();
    let said = String::from_utf8(ran.stderr).unwrap();
    assert_eq!(
        (ran.status.code(), ran.stdout.len()),
        (Some(64), 0),
        "{said}"
    );
    assert!(
        said.contains("--password") && said.contains("--data"),
        "{said}"
    );
    let folder = TempDir::new().unwrap();
    let place = folder.path().join("data");
    let data = ["--data", place.to_str().unwrap()];
    let process = Process::start(&[&listen[..], &data].concat(), &[]);
    let reported = process.wait_for("the account", |line| line.starts_with("Account: "));
    let file = place.join("sandbox.json");
    assert_eq!(reported, format!("Account: in {}", file.display()));
    assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    let account: Value = serde_json::from_str(&std::fs::read_to_string(&file).unwrap()).unwrap();
    let password = account["password"].as_str().unwrap();
    assert!(!process.lines().join("\n").contains(password));
    // Neither a second sandbox nor a gateway may use the folder, because each would write into the first one's files.
    let in_use = "another gateway or sandbox runs on the data folder";
    run(&[&listen[..], &data].concat()).failed(1, in_use);
    let kept: Value = serde_json::from_str(&std::fs::read_to_string(&file).unwrap()).unwrap();
    assert_eq!(kept, account);
    let gateway = Gateway::start();
    let of_gateway = gateway.data();
    if !is_postgres() {
        let account = ["--user", "u", "--password", "p", "--data"];
        let all = [&listen[..], &account, &[of_gateway.to_str().unwrap()]].concat();
        run(&all).failed(1, in_use);
    }
}

#[tokio::test]
async fn a_sandbox_beyond_loopback_serves_control_paths_and_pages_only_by_flag() {
    let paths = [
        "sandbox/sent",
        "sandbox/faults",
        "sandbox/receive",
        "chat/",
        "operator/",
    ];
    for (words, open) in [
        (&["--listen", "0.0.0.0:0"][..], [false; 5]),
        (
            &["--listen", "0.0.0.0:0", "--control"],
            [true, true, true, false, false],
        ),
        (
            &["--listen", "0.0.0.0:0", "--pages"],
            [false, false, false, true, true],
        ),
        (&["--listen", "127.0.0.1:0"], [true; 5]),
    ] {
        let account = ["sandbox", "--user", "u", "--password", "p"];
        let process = Process::start(&[&account, words].concat(), &[]);
        let line = process.wait_for("the sandbox", |line| line.contains("listens on"));
        let url = line.split(' ').next_back().unwrap().to_owned();
        for (path, is_open) in paths.into_iter().zip(open) {
            let answer = Answer::of(client().get(format!("{url}/{path}"))).await;
            let refused = matches!(answer.status, 403 | 404);
            assert_eq!(!refused, is_open, "{words:?} {path}: {}", answer.body);
        }
        let call = format!("{url}/api/http/?class=chat&method=getchatchannels&user=u&password=p");
        assert!(
            Answer::of(client().get(call))
                .await
                .body
                .contains("SUCCESS")
        );
    }
}
