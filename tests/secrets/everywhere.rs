//! Presents every secret in every wrong place, through every failure and every operator command, and then searches for it in
//! everything that was answered, printed, logged and written.

use std::net::SocketAddr;
use std::path::Path;

use reqwest::Method;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::{forms, misuse};
use crate::harness::{
    Answer, Gateway, HttpSink, Issuer, Sandbox, UPSTREAM_ENVIRONMENT, UPSTREAM_PASSWORD,
    UPSTREAM_USER, admin, client, run_on, until,
};

const RANDOM: &str = "cgs_canary-canary-canary-canary-canary-canary-c";
const CHOSEN: &str = "canary chosen/password+1";
const NEXT_USER: &str = "upstream-next-user";
const NEXT_PASSWORD: &str = "upstream-next-canary-password";
const WRONG: &str = "canary-wrong-password";
const WRONG_ADMIN: &str = "cgk_canary-wrong-admin-key-canary-wrong-admin-key";
const IN_FILE: &str = "canary-in-the-file";
/// The text and the chat of a received message, and the part of a receiver's address that is confidential.
const TEXT: &str = "canary text of a message";
const CHAT: &str = "34699887766";
const PATH: &str = "canary-path-of-a-receiver";

/// The files with the store's content. Only their owner can read them.
const STORE: &[&str] = &["chatgate.db", "chatgate.db-wal", "copy.db"];

/// Number of concurrent requests.
const AT_ONCE: usize = 8;

/// A place and its text.
type Place = (String, String);

/// A secret, and the only places where it may be.
struct Canary {
    secret: String,
    except: &'static [&'static str],
}

/// A gateway, and all of its collected output.
struct Heard {
    gateway: Gateway,
    places: Vec<Place>,
    canaries: Vec<Canary>,
}

fn configuration(upstream: SocketAddr, issuer: &Issuer) -> String {
    let account = super::upstream(upstream);
    let access = |name: &str| {
        let secret = name.to_uppercase();
        format!(
            "[[accesses]]\nname = \"{name}\"\nuser = \"{name}\"\npassword = \"env:{secret}\"\nallow = [\"127.0.0.0/8\"]\njournal = \"full\"\n"
        )
    };
    format!(
        "{account}unread_clears = \"no\"\ntimeout = \"300ms\"\nnext_user = \"{NEXT_USER}\"\nnext_password = \"env:NEXT_PASSWORD\"\n\
         [limits]\nper_address_per_minute = 4000000000\nguesses_per_name = 4000000000\nguesses_per_address = 4000000000\n\
         [webhooks]\nallow_networks = [\"127.0.0.0/8\"]\n[events]\npoll_min = \"50ms\"\npoll_max = \"200ms\"\n\
         calls_per_second = 1000\n[cache]\ngetchatchannels = 0\n[log]\nlevel = \"trace\"\n{}{}{}",
        issuer.as_configuration(),
        access("random"),
        access("chosen")
    )
}

impl Heard {
    fn start(upstream: SocketAddr, issuer: &Issuer) -> Heard {
        let environment = [
            UPSTREAM_ENVIRONMENT,
            ("RANDOM", RANDOM),
            ("CHOSEN", CHOSEN),
            ("NEXT_PASSWORD", NEXT_PASSWORD),
        ];
        let gateway = Gateway::configured(&configuration(upstream, issuer), &environment);
        let mut heard = Heard {
            gateway,
            places: Vec::new(),
            canaries: Vec::new(),
        };
        for secret in [
            RANDOM,
            CHOSEN,
            WRONG,
            WRONG_ADMIN,
            UPSTREAM_PASSWORD,
            NEXT_PASSWORD,
        ] {
            heard.watch(secret, &[]);
        }
        // The gateway's own user name at the upstream is confidential as well.
        heard.watch(UPSTREAM_USER, &[]);
        heard.watch(NEXT_USER, &[]);
        heard.watch(IN_FILE, &[]);
        let key = std::fs::read_to_string(heard.gateway.data().join("admin.key")).unwrap();
        heard.watch(key.trim(), &["admin.key"]);
        heard
    }

    fn watch(&mut self, secret: &str, except: &'static [&'static str]) {
        let secret = secret.to_owned();
        self.canaries.push(Canary { secret, except });
    }

    /// Makes these calls and stores the answers. A connection that ends without an answer reveals nothing.
    async fn call(&mut self, what: &str, requests: Vec<reqwest::RequestBuilder>) {
        let mut requests = requests.into_iter().enumerate();
        let mut calling = JoinSet::new();
        loop {
            while calling.len() < AT_ONCE
                && let Some((number, request)) = requests.next()
            {
                let place = format!("answer {number} to {what}");
                calling.spawn(async move {
                    let answer = request.send().await.ok()?;
                    let headers = format!("{:?}", answer.headers());
                    Some((place, format!("{headers}\n{}", answer.text().await.ok()?)))
                });
            }
            match calling.join_next().await {
                Some(answered) => self.places.extend(answered.unwrap()),
                None => return,
            }
        }
    }

    /// Runs a command and stores its output.
    fn run(&mut self, arguments: &[&str]) -> String {
        let ran = run_on(&self.gateway, arguments);
        self.places.push((
            format!("the output of {}", arguments[0]),
            ran.output.clone(),
        ));
        self.places
            .push((format!("the errors of {}", arguments[0]), ran.error));
        ran.output
    }

    async fn ask(&mut self, method: Method, path: &str, body: &Value) -> Answer {
        let answer = admin(&self.gateway, method.clone(), path, body).await;
        self.places
            .push((format!("{method} {path}"), answer.body.clone()));
        answer
    }

    /// Gets tokens from the gateway. Only the answer that issues a token may contain it.
    async fn tokens(&mut self) -> Vec<String> {
        let mut tokens = Vec::new();
        for (name, secret) in [("random", RANDOM), ("chosen", CHOSEN)] {
            let access = self
                .ask(Method::GET, &format!("accesses/{name}"), &Value::Null)
                .await;
            let client_id = access.json()["client_id"].as_str().unwrap().to_owned();
            let ask = client().post(self.gateway.url("/oauth/token"));
            let ask = ask.basic_auth(client_id, Some(super::percent(secret)));
            let given = Answer::of(ask.form(&[("grant_type", "client_credentials")])).await;
            tokens.push(given.json()["access_token"].as_str().unwrap().to_owned());
        }
        tokens
    }

    /// Searches everything. Returns the number of places and of forms.
    async fn look(mut self) -> (usize, usize) {
        self.places
            .push(("the metrics".to_owned(), self.gateway.metrics().await));
        files_under(&self.gateway.data(), &mut self.places);
        self.places.push((
            "the log".to_owned(),
            self.gateway.process.lines().join("\n"),
        ));
        let log = &self.places[self.places.len() - 1].1;
        assert!(log.contains("\"level\":\"TRACE\""));
        let mut looked_for = 0;
        for canary in &self.canaries {
            let forms = forms(&canary.secret);
            looked_for += forms.len();
            for (place, text) in &self.places {
                let may_stand = canary.except.iter().any(|except| place.ends_with(except));
                if let Some(form) = forms
                    .iter()
                    .find(|form| text.contains(&***form) && !may_stand)
                {
                    let at = text.find(form.as_str()).unwrap();
                    let start = text[..at].rfind('\n').map_or(0, |n| n + 1);
                    let line = text[start..].lines().next().unwrap_or_default();
                    panic!("{form} ({}) stands in {place}: {line}", canary.secret);
                }
            }
        }
        (self.places.len(), looked_for)
    }
}

/// Collects all files of a folder, including the WAL.
fn files_under(folder: &Path, places: &mut Vec<Place>) {
    for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
        if entry.path().is_dir() {
            files_under(&entry.path(), places);
        } else {
            let bytes = std::fs::read(entry.path()).unwrap();
            let text = String::from_utf8_lossy(&bytes).into_owned();
            places.push((format!("the file {}", entry.path().display()), text));
        }
    }
}

/// Makes requests of operators, right and wrong ones.
async fn operate(heard: &mut Heard) {
    let url = |heard: &Heard, path: &str| format!("http://{}{path}", heard.gateway.admin);
    let mut wrong = Vec::new();
    for path in [
        "/admin/v1/status",
        "/admin/v1/accesses",
        "/admin/v1/journal",
        "/readyz",
        "/metrics",
    ] {
        let at = url(heard, path);
        wrong.extend([
            client().get(&at).bearer_auth(WRONG_ADMIN),
            client().get(&at).basic_auth(WRONG_ADMIN, Some(WRONG_ADMIN)),
            client().get(format!("{at}?key={WRONG_ADMIN}")),
            client()
                .post(&at)
                .bearer_auth(WRONG_ADMIN)
                .body(WRONG_ADMIN),
        ]);
    }
    heard.call("wrong admin keys", wrong).await;
    // Each is refused, and each holds a secret: an invalid name, an unknown field, a password that is not a hash, a value of the
    // wrong type, and a list.
    let drafts = [
        json!({"name": "a b", "password": CHOSEN}),
        json!({"name": "made", "passwort": CHOSEN, "allow": ["any"]}),
        json!({"name": "made", "password_hash": CHOSEN, "allow": ["any"]}),
        json!({"name": "made", "password": [CHOSEN], "allow": ["any"]}),
        json!([CHOSEN]),
    ];
    for draft in &drafts {
        for (method, path) in [
            (Method::POST, "accesses"),
            (Method::PATCH, "accesses/random"),
            (Method::POST, "accesses/random/rotate"),
            (Method::PUT, "accesses"),
            (Method::POST, "accesses/import"),
            (Method::POST, "import"),
            (Method::POST, "keys/rotate"),
            (Method::POST, "explain"),
        ] {
            // A request that succeeds anyway shows a new secret once, which is none of these canaries.
            heard.ask(method, path, draft).await;
        }
    }
    let made = json!({"name": "made", "password": CHOSEN, "allow": ["127.0.0.1"]});
    // The answer that creates an access shows its secrets, only this once.
    let made = admin(&heard.gateway, Method::POST, "accesses", &made).await;
    assert_eq!(made.status, 201, "{}", made.body);
    let random = json!({"name": "by-chance", "allow": ["127.0.0.1"]});
    let made = admin(&heard.gateway, Method::POST, "accesses", &random)
        .await
        .json();
    heard.watch(made["password"].as_str().unwrap(), &[]);
    heard.watch(made["client_secret"].as_str().unwrap(), &[]);
    let (path, nothing) = ("accesses/by-chance/rotate", json!({}));
    let rotated = admin(&heard.gateway, Method::POST, path, &nothing)
        .await
        .json();
    heard.watch(rotated["password"].as_str().unwrap(), &[]);
}

/// Runs every command that reads, and reloads a file that contains a secret as plain text.
async fn print(heard: &mut Heard, folder: &Path) {
    let file = heard.gateway.folder.path().join("chatgate.toml");
    let right = std::fs::read_to_string(&file).unwrap();
    for broken in [
        right.replace("env:UPSTREAM_PASSWORD", IN_FILE),
        right.replace("\"env:RANDOM\"", &format!("\"{IN_FILE}\"")),
        right.replace("\"env:RANDOM\"", &format!("\"{IN_FILE}")),
        right.replace("\"env:RANDOM\"", &format!("[\"{IN_FILE}\"]")),
        format!("{right}\ncanary = \"{IN_FILE}\n"),
    ] {
        std::fs::write(&file, broken).unwrap();
        heard.ask(Method::POST, "reload", &Value::Null).await;
        heard.run(&["reload"]);
        let checked = crate::harness::run(&["check", "--config", file.to_str().unwrap()]);
        assert_ne!(checked.code, Some(0));
        heard.places.push((
            "the check".to_owned(),
            format!("{}\n{}", checked.output, checked.error),
        ));
    }
    std::fs::write(&file, right).unwrap();
    heard.run(&["reload"]);
    let basic = format!("Authorization: Bearer {WRONG}");
    let explain = "explain --peer 127.0.0.1 --access random --method sendmessage";
    let explain: Vec<_> = explain.split(' ').collect();
    for rest in [&["--header", &basic][..], &["--header", &basic, "--json"]] {
        heard.run(&[&explain[..], rest].concat());
    }
    // Refusals of one address are counted together.
    let rows = heard.run(&["log", "--json", "--limit", "100000"]);
    let calls = rows.lines().map(|line| {
        let row: serde_json::Value = serde_json::from_str(line).unwrap();
        row["count"].as_u64().unwrap()
    });
    let calls: u64 = calls.sum();
    assert!(calls > 500, "{calls}");
    heard.run(&["log", "--limit", "100000"]);
    let replay = "replay --access random --allow 192.0.2.0/24 --since 1h --json";
    heard.run(&replay.split(' ').collect::<Vec<_>>());
    heard.run(&["receipt", "random", "a-key", "--json"]);
    heard.run(&["access", "export"]);
    heard.run(&["access", "list", "--json"]);
    heard.run(&["access", "changes", "by-chance"]);
    heard.run(&["keys", "list"]);
    let copy = folder.join("copy.db");
    heard.run(&["backup", copy.to_str().unwrap()]);
    assert!(copy.exists());
    files_under(folder, &mut heard.places);
    let key = std::fs::read_to_string(heard.gateway.data().join("admin.key")).unwrap();
    let journal = client().get(format!("http://{}/admin/v1/journal", heard.gateway.admin));
    let journal = journal
        .bearer_auth(key.trim())
        .header("Accept", "application/x-ndjson");
    heard.call("an export", vec![journal]).await;
}

/// Sends with keys and tokens while the upstream fails in every way that it can.
async fn fail(heard: &mut Heard, sandbox: &Sandbox, tokens: &[String]) {
    for (number, fault) in [
        json!([]),
        json!([{"fault": "error_code", "code": "INCORRECT_USER_PASSWORD"}]),
        json!([{"fault": "http_500"}]),
        json!([{"fault": "broken_json"}]),
        json!([{"fault": "reset"}]),
        json!([{"fault": "no_answer"}]),
    ]
    .into_iter()
    .enumerate()
    {
        sandbox.faults(fault).await;
        let requests = tokens.iter().flat_map(|token| {
            let call = [
                ("class", "chat"),
                ("method", "sendmessage"),
                ("platform", "telegram"),
                ("platformid", "200"),
                ("destination", "700100"),
                ("message", "hi"),
            ];
            let send = |path: &str| client().post(heard.gateway.url(path)).form(&call);
            let key = format!("a-key-{number}");
            vec![
                send("/api/jwt/")
                    .bearer_auth(token)
                    .header("Idempotency-Key", &key),
                send("/api/basic/")
                    .basic_auth("random", Some(RANDOM))
                    .header("Idempotency-Key", &key),
                send("/api/basic/").basic_auth("chosen", Some(CHOSEN)),
            ]
        });
        let requests = requests.collect();
        heard.call("a failing upstream", requests).await;
    }
    sandbox.faults(json!([])).await;
}

/// Delivers a received message to a failing receiver and then to a closed port; the signing secret is rotated in between.
async fn deliver(heard: &mut Heard, sandbox: &Sandbox) {
    heard.watch(TEXT, STORE);
    heard.watch(CHAT, STORE);
    heard.watch(PATH, STORE);
    let sink = HttpSink::start("").await;
    sink.set_status(500);
    let draft = json!({"access": "random", "url": format!("http://{}/{PATH}", sink.address)});
    // The answer that creates a webhook shows its secret and its address.
    let made = admin(&heard.gateway, Method::POST, "webhooks", &draft).await;
    assert_eq!(made.status, 201, "{}", made.body);
    let made = made.json();
    let id = made["id"].as_str().unwrap();
    heard.watch(made["secret"].as_str().unwrap(), STORE);
    let message =
        json!({"platform": "whatsapp", "platformid": "100", "destination": CHAT, "message": TEXT});
    until("a delivery", async || {
        let url = format!("http://{}/sandbox/receive", sandbox.address);
        let came = client().post(url).body(message.to_string()).send().await;
        assert_eq!(came.unwrap().status(), 201);
        !sink.requests().is_empty()
    })
    .await;
    let path = format!("webhooks/{id}/rotate");
    let rotated = admin(&heard.gateway, Method::POST, &path, json!({"grace_s": 60})).await;
    let secret = rotated.json()["secret"].as_str().unwrap().to_owned();
    heard.watch(&secret, STORE);
    heard
        .ask(Method::POST, &format!("webhooks/{id}/test"), &Value::Null)
        .await;
    drop(sink);
    heard
        .ask(Method::POST, &format!("webhooks/{id}/test"), &Value::Null)
        .await;
    heard.run(&["webhook", "log", id, "--json"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_misuse_or_operator_command_reveals_a_secret() {
    let (sandbox, issuer) = (Sandbox::start(), Issuer::new());
    let mut heard = Heard::start(sandbox.address, &issuer);
    let tokens = heard.tokens().await;
    let outside = issuer.token("random", 300);
    for token in tokens.iter().chain([&outside]) {
        heard.watch(token, &[]);
        // The last part, the signature, is the confidential part of a token.
        heard.watch(token.rsplit('.').next().unwrap(), &[]);
    }
    for (user, secret) in [
        ("random", RANDOM),
        ("chosen", CHOSEN),
        ("nobody", WRONG),
        ("random", tokens[0].as_str()),
        ("random", outside.as_str()),
        (UPSTREAM_USER, UPSTREAM_PASSWORD),
        (NEXT_USER, NEXT_PASSWORD),
    ] {
        let requests = misuse::requests(&heard.gateway, (user, secret));
        heard.call(&format!("a misuse as {user}"), requests).await;
    }
    fail(&mut heard, &sandbox, &tokens).await;
    operate(&mut heard).await;
    deliver(&mut heard, &sandbox).await;
    let folder = tempfile::TempDir::new().unwrap();
    print(&mut heard, folder.path()).await;
    let (places, forms) = heard.look().await;
    println!("canaries: {forms} forms of secrets looked for in {places} places, none found");
}
