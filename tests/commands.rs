//! The commands beside `serve`: what they print, what they change, and how they end.

use std::collections::BTreeMap;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::configuration::{example, with_every_key};
use crate::harness::{Answer, Demo, Gateway, Process, binary, client};

/// What a command said, and how it ended.
pub struct Ran {
    pub code: Option<i32>,
    pub output: String,
    pub error: String,
}

impl Ran {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.output).unwrap_or_else(|_| panic!("no JSON: {}", self.output))
    }

    /// One line on standard error that holds this, and nothing on standard output.
    #[track_caller]
    pub fn failed(&self, code: i32, said: &str) {
        assert_eq!(
            (self.code, self.output.as_str()),
            (Some(code), ""),
            "{}",
            self.error
        );
        assert!(
            self.error.starts_with("chatgate: ") && self.error.contains(said),
            "{}",
            self.error
        );
        assert_eq!(self.error.lines().count(), 1, "{}", self.error);
    }
}

pub fn run(arguments: &[&str]) -> Ran {
    let ran = Command::new(binary()).args(arguments).output().unwrap();
    Ran {
        code: ran.status.code(),
        output: String::from_utf8(ran.stdout).unwrap(),
        error: String::from_utf8(ran.stderr).unwrap(),
    }
}

/// Runs a command against this gateway.
pub fn run_on(gateway: &Gateway, arguments: &[&str]) -> Ran {
    let (admin, data) = (gateway.admin.to_string(), gateway.data());
    let mut all = arguments.to_vec();
    all.extend(["--admin", &admin, "--data", data.to_str().unwrap()]);
    run(&all)
}

/// The same without waiting for its end.
pub fn start_on(gateway: &Gateway, arguments: &[&str]) -> Process {
    let (admin, data) = (gateway.admin.to_string(), gateway.data());
    let mut all = arguments.to_vec();
    all.extend(["--admin", &admin, "--data", data.to_str().unwrap()]);
    Process::start(&all, &[])
}

fn token(gateway: &Gateway) -> String {
    let ran = run_on(gateway, &["token"]);
    assert_eq!(ran.code, Some(0), "{}", ran.error);
    ran.output.trim().to_owned()
}

async fn by_token(gateway: &Gateway, token: &str) -> u16 {
    let url = gateway.url("/api/jwt/?class=chat&method=getchatchannels");
    Answer::of(client().get(url).bearer_auth(token))
        .await
        .status
}

async fn by_password(gateway: &Gateway, demo: &Demo) -> u16 {
    let url = gateway.url("/api/basic/?class=chat&method=getchatchannels");
    let call = client()
        .get(url)
        .basic_auth(&demo.user, Some(&demo.password));
    Answer::of(call).await.status
}

async fn published_kids(gateway: &Gateway) -> Vec<String> {
    let jwks = Answer::of(client().get(gateway.url("/.well-known/jwks.json"))).await;
    let keys = jwks.json()["keys"].as_array().unwrap().clone();
    let kid = |key: &Value| key["kid"].as_str().unwrap().to_owned();
    keys.iter().map(kid).collect()
}

fn restart(gateway: Gateway) -> Gateway {
    let folder = Arc::clone(&gateway.folder);
    // Killed, not asked: what was acknowledged has to be on the disk.
    drop(gateway);
    Gateway::over(folder, ISSUER_THAT_STAYS, &[])
}

/// The port changes from start to start, and with it the issuer, unless it is configured.
const ISSUER_THAT_STAYS: &str = "[server]\npublic_url = \"https://chat.example.com/\"\n";

/// A token of a gateway whose public URL leads elsewhere.
async fn token_here(gateway: &Gateway, demo: &Demo) -> String {
    let ask = client().post(gateway.url("/oauth/token"));
    let ask = ask.basic_auth(&demo.client_id, Some(&demo.client_secret));
    let answer = Answer::of(ask.form(&[("grant_type", "client_credentials")])).await;
    answer.json()["access_token"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_new_key_signs_at_once_and_tokens_of_the_old_one_stay_good_over_a_kill() {
    let gateway = Gateway::configured(ISSUER_THAT_STAYS, &[]);
    let demo = gateway.demo();
    let first = run_on(&gateway, &["keys", "list", "--json"]).json();
    assert_eq!(
        (&first[0]["state"], &first[1]),
        (&json!("signing"), &Value::Null)
    );
    let old = token_here(&gateway, &demo).await;

    let rotated = run_on(&gateway, &["keys", "rotate", "--json"]);
    let listed = run_on(&gateway, &["keys", "list", "--json"]).json();
    assert_eq!(rotated.json(), listed);
    assert_eq!(
        (&listed[0]["state"], &listed[1]["state"]),
        (&json!("signing"), &json!("verifying"))
    );
    assert_eq!(listed[1]["kid"], first[0]["kid"]);
    let new = token_here(&gateway, &demo).await;
    for token in [&old, &new] {
        assert_eq!(by_token(&gateway, token).await, 200);
    }
    let gateway = restart(gateway);
    let newer = token_here(&gateway, &demo).await;
    for token in [&old, &new, &newer] {
        assert_eq!(by_token(&gateway, token).await, 200);
    }
    let kid = |token: &str| {
        let head = token.split('.').next().unwrap();
        let head = base64::Engine::decode(&base64::prelude::BASE64_URL_SAFE_NO_PAD, head);
        serde_json::from_slice::<Value>(&head.unwrap()).unwrap()["kid"].clone()
    };
    assert_eq!(
        (kid(&old), kid(&new)),
        (listed[1]["kid"].clone(), listed[0]["kid"].clone())
    );
    assert_eq!(kid(&newer), kid(&new));
    let published = published_kids(&gateway).await;
    assert_eq!(json!(published), json!([kid(&old), kid(&new)]));
}

#[test]
fn keys_are_listed_as_a_table_and_too_many_are_refused() {
    let gateway = Gateway::start();
    for _ in 1..16 {
        assert_eq!(run_on(&gateway, &["keys", "rotate"]).code, Some(0));
    }
    run_on(&gateway, &["keys", "rotate"]).failed(1, "refuses with status 409: Sixteen keys");
    let table = run_on(&gateway, &["keys", "list"]).output;
    let lines: Vec<_> = table.lines().collect();
    assert_eq!(lines.len(), 17);
    let column = lines[0].find("ALGORITHM").unwrap();
    assert!(
        lines[1..]
            .iter()
            .all(|line| line[column..].starts_with("EdDSA  ")),
        "{table}"
    );
    assert!(
        lines[1].ends_with("  signing") && lines[2].contains("  verifying until 2"),
        "{table}"
    );
}

#[test]
fn commands_that_find_no_gateway_or_no_key_say_what_to_name() {
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let free = nobody.local_addr().unwrap().to_string();
    drop(nobody);
    let folder = TempDir::new().unwrap();
    let data = folder.path().to_str().unwrap();
    run(&["keys", "list", "--data", data]).failed(1, "with --data");
    std::fs::write(folder.path().join("admin.key"), "cgk_wrong\n").unwrap();
    run(&["keys", "list", "--data", data, "--admin", &free]).failed(1, "with --admin");
    run(&["healthcheck", "--admin", &free]).failed(1, "with --admin");
    let gateway = Gateway::start();
    let admin = gateway.admin.to_string();
    for command in [
        &["keys", "list"][..],
        &["keys", "rotate"],
        &["token", "--client-id", "x"],
    ] {
        let mut all = command.to_vec();
        all.extend(["--data", data, "--admin", &admin]);
        run(&all).failed(1, "does not know this key");
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
    .failed(1, "does not know this key");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    // Flags of `serve` before another command would be read and ignored.
    assert_eq!(run(&["--data", data, "keys", "list"]).code, Some(64));
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
    assert_eq!(run(&["healthcheck", "--admin", &any]).code, Some(0));

    // One that says it is not ready, as a gateway does while it drains.
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
async fn a_copy_made_while_calls_run_starts_another_gateway_with_the_same_accesses() {
    let gateway = Gateway::start();
    let demo = gateway.demo();
    let file = gateway.folder.path().join("copy.db");
    let backup = start_on(&gateway, &["backup", file.to_str().unwrap()]);
    let ended = tokio::task::spawn_blocking(move || backup.ended());
    let mut calls = 0;
    while !ended.is_finished() {
        assert_eq!(by_password(&gateway, &demo).await, 200);
        assert_eq!(run_on(&gateway, &["keys", "list"]).code, Some(0));
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
fn a_backup_takes_no_name_that_is_taken() {
    let gateway = Gateway::start();
    let file = gateway.folder.path().join("dear");
    std::fs::write(&file, "dear").unwrap();
    run_on(&gateway, &["backup", file.to_str().unwrap()]).failed(1, "is left as it is");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "dear");
    let nowhere = gateway.folder.path().join("no/such/copy");
    run_on(&gateway, &["backup", nowhere.to_str().unwrap()]).failed(1, "no/such/copy");
}

#[tokio::test]
async fn operations_need_the_key_and_the_right_method() {
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
fn a_second_gateway_on_the_same_folder_is_refused_and_a_killed_one_leaves_no_lock() {
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
    let refusal = format!("another gateway runs on the data folder {}", data.display());
    second.wait_for("the refusal", |line| line.contains(&refusal));
    let (code, lines) = second.ended();
    assert_eq!((code, lines.len()), (Some(1), 1), "{}", lines.join("\n"));
    let lock = data.join("lock").metadata().unwrap();
    assert_eq!(lock.permissions().mode() & 0o777, 0o600);
    let folder = Arc::clone(&first.folder);
    first.process.signal("KILL");
    first.process.ended();
    Gateway::over(folder, "", &[]);
}

#[test]
fn what_the_binary_says_about_itself_is_whole_and_a_reader_may_go_away() {
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

#[test]
fn the_schema_is_written_without_opening_a_file() {
    let folder = TempDir::new().unwrap();
    // A pipe that nobody writes to holds up whoever opens it.
    let names = ["anything", "true", "false", "1s", "1KiB", "0", "1", "2"];
    let made = Command::new("mkfifo")
        .args(names)
        .current_dir(&folder)
        .status();
    assert!(made.unwrap().success());
    let ran = Command::new("timeout")
        .args(["20", binary(), "config-schema"])
        .current_dir(&folder)
        .output()
        .unwrap();
    assert_eq!(ran.status.code(), Some(0), "it waits for a file");
    let elsewhere = run(&["config-schema"]);
    assert_eq!(String::from_utf8(ran.stdout).unwrap(), elsewhere.output);
    let bytes = &elsewhere.json()["properties"]["journal"]["properties"]["bytes"];
    assert_eq!(bytes["pattern"], "^[0-9]+ *(KiB|MiB|GiB)?$");
}

#[test]
fn check_lists_mistakes_as_json_with_their_places() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("chatgate.toml");
    let check = |text: &str| {
        std::fs::write(&file, text).unwrap();
        run(&[
            "check",
            "--json",
            "--listen",
            "nowhere",
            "--config",
            file.to_str().unwrap(),
        ])
    };
    let wrong = check("[server]\nalow = []\n");
    assert_eq!(
        (wrong.code, wrong.error.as_str()),
        (Some(64), "chatgate: there are 2 mistakes\n")
    );
    assert_eq!(
        wrong.json(),
        json!([
            { "line": 2, "column": 1, "source": null, "text": "server.alow: there is no such setting" },
            { "line": null, "column": null, "source": "--listen",
              "text": "server.listen: nowhere is not an address; write ADDRESS:PORT, such as 127.0.0.1:8080" },
        ])
    );
    let right = run(&["check", "--json"]);
    assert_eq!((right.code, right.json()), (Some(0), json!([])));
}

/// Each key of a schema that is no table, by its dotted name; elements of arrays of tables have their array's.
fn keys_of_schema<'a>(prefix: &str, schema: &'a Value, found: &mut BTreeMap<String, &'a Value>) {
    assert_eq!(schema["additionalProperties"], json!(false), "{prefix}");
    for (name, schema) in schema["properties"].as_object().unwrap() {
        let key = format!("{prefix}{name}");
        let inner = format!("{key}.");
        if schema["properties"].is_object() {
            keys_of_schema(&inner, schema, found);
        } else if schema["items"]["properties"].is_object() {
            assert!(
                schema["description"].is_string(),
                "{key} has no description"
            );
            keys_of_schema(&inner, &schema["items"], found);
        } else {
            found.insert(key, schema);
        }
    }
}

/// Each key of a file with its value.
fn keys_of_file(prefix: &str, table: &toml::Table, found: &mut BTreeMap<String, Value>) {
    for (name, value) in table {
        let key = format!("{prefix}{name}");
        let inner = format!("{key}.");
        match value {
            toml::Value::Table(table) => keys_of_file(&inner, table, found),
            toml::Value::Array(list) if list.iter().any(toml::Value::is_table) => {
                keys_of_file(&inner, list[0].as_table().unwrap(), found);
            }
            value => {
                found.insert(key, serde_json::to_value(value).unwrap());
            }
        }
    }
}

/// Whether a value is of a schema's type and one of its words.
fn fits(value: &Value, schema: &Value) -> bool {
    let name = match value {
        Value::Bool(_) => "boolean",
        Value::Number(_) => "integer",
        Value::Array(_) => "array",
        _ => "string",
    };
    let types = &schema["type"];
    let is_of_type = types == name || types.as_array().is_some_and(|t| t.contains(&name.into()));
    let is_a_word = schema["enum"]
        .as_array()
        .is_none_or(|words| words.contains(value));
    let mut elements = value.as_array().into_iter().flatten();
    is_of_type && is_a_word && elements.all(|element| fits(element, &schema["items"]))
}

#[test]
fn the_schema_has_the_keys_defaults_and_words_of_the_example() {
    let schema = run(&["config-schema"]).json();
    assert_eq!(
        schema["$schema"],
        "https://json-schema.org/draft/2020-12/schema"
    );
    let mut in_schema = BTreeMap::new();
    keys_of_schema("", &schema, &mut in_schema);
    let (mut all, mut defaults) = (BTreeMap::new(), BTreeMap::new());
    keys_of_file("", &with_every_key(&example()).parse().unwrap(), &mut all);
    keys_of_file("", &example().parse().unwrap(), &mut defaults);
    assert_eq!(
        in_schema.keys().collect::<Vec<_>>(),
        all.keys().collect::<Vec<_>>()
    );
    for (key, schema) in &in_schema {
        let description = schema["description"].as_str().unwrap_or_default();
        assert!(
            description.ends_with('.') && description.len() > 12,
            "{key}: {description}"
        );
        assert!(
            fits(&all[key], schema),
            "{key}: {} does not fit {schema}",
            all[key]
        );
        // What is not switched off in the example is there with its default.
        if let Some(default) = defaults.get(key) {
            assert_eq!(&schema["default"], default, "{key}");
        }
    }
    let required = &schema["properties"]["jwt"]["properties"]["issuers"]["items"]["required"];
    assert_eq!(required, &json!(["issuer", "jwks"]));
    assert_eq!(in_schema["jwt.issuers.refresh"]["default"], "5m");
    assert_eq!(in_schema["log.format"]["enum"], json!(["json", "text"]));
}
