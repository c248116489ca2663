//! Tests with canaries: the upstream's account and the callers' secrets pass through every failure path, and are then searched for
//! in everything that leaves the gateway.

mod database;
mod everywhere;
mod misuse;

use base64::Engine;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE};
use serde_json::{Value, json};

use crate::harness::{
    Answer, ClosedPort, Gateway, Issuer, Sandbox, UPSTREAM_ENVIRONMENT, UPSTREAM_PASSWORD,
    UPSTREAM_USER, accepted, client, envelope, run_on, upstream,
};

/// Callers' secrets. The second one is a chosen password, which costs argon2id.
const RANDOM: &str = "cgs_canary-canary-canary-canary-canary-canary-c";
const CHOSEN: &str = "canary chosen/password+1";
const WRONG: &str = "canary-wrong-password";

const CONFIGURATION: &str = r#"
[limits]
per_address_per_minute = 1000000
[cache]
getchatchannels = 0
[log]
level = "trace"
[[accesses]]
name = "random"
user = "random"
password = "env:RANDOM"
allow = ["127.0.0.0/8"]
[[accesses]]
name = "chosen"
user = "chosen"
password = "env:CHOSEN"
allow = ["127.0.0.0/8"]
"#;

fn gateway(upstream: &str, issuer: &Issuer, log_format: &str) -> Gateway {
    let configuration = CONFIGURATION.replace(
        "\"trace\"",
        &format!("\"trace\"\nformat = \"{log_format}\""),
    );
    let toml = format!(
        "{upstream}timeout = \"300ms\"\n{configuration}{}",
        issuer.as_configuration()
    );
    Gateway::configured(
        &toml,
        &[UPSTREAM_ENVIRONMENT, ("RANDOM", RANDOM), ("CHOSEN", CHOSEN)],
    )
}

/// Number of calls in one round: four callers, a send and a read, five requests each.
const CALLS: usize = 4 * 2 * 5;

/// Makes one send and one read by each way in, with right and wrong secrets. Returns all answers.
async fn calls(gateway: &Gateway, issuer: &Issuer) -> String {
    let mut said = String::new();
    let send = [
        ("class", "chat"),
        ("method", "sendmessage"),
        ("platform", "telegram"),
        ("platformid", "200"),
        ("destination", "700100"),
        ("message", "hi"),
    ];
    let read = [("class", "chat"), ("method", "getchatchannels")];
    for (user, secret) in [
        ("random", RANDOM),
        ("chosen", CHOSEN),
        ("random", WRONG),
        ("nobody", WRONG),
    ] {
        for call in [&send[..], &read[..]] {
            let form = |pairs: &[(&str, &str)]| {
                url::form_urlencoded::Serializer::new(String::new())
                    .extend_pairs(pairs)
                    .finish()
            };
            let with_credentials = [call, &[("user", user), ("password", secret)]].concat();
            let query = format!("{}?{}", gateway.url("/api/http/"), form(&with_credentials));
            let token = issuer.token(user, 300);
            let xml = envelope(
                call[1].1,
                &[&call[2..], &[("user", user), ("password", secret)]].concat(),
            );
            let basic = BASE64_STANDARD.encode(format!("{user}:{secret}"));
            for request in [
                client().get(query),
                client()
                    .post(gateway.url("/api/http/"))
                    .body(form(&with_credentials)),
                client()
                    .post(gateway.url("/api/basic/"))
                    .header("Authorization", format!("Basic {basic}"))
                    .body(form(call)),
                client()
                    .post(gateway.url("/api/jwt/"))
                    .bearer_auth(&token)
                    .body(form(call)),
                client()
                    .post(gateway.url("/api/soap/"))
                    .header("Content-Type", "text/xml")
                    .body(xml),
            ] {
                let answer = Answer::of(request).await;
                said.push_str(&format!("{:?}\n{}\n", answer.headers, answer.body));
            }
        }
    }
    said
}

/// Encodes a secret as in a query.
fn percent(secret: &str) -> String {
    let coded: String = url::form_urlencoded::byte_serialize(secret.as_bytes()).collect();
    coded.replace('+', "%20")
}

/// Returns the forms in which a secret could leak: unchanged, encoded as in queries, JSON and XML, in hexadecimal, and in base64,
/// alone or between other bytes.
fn forms(secret: &str) -> Vec<String> {
    let hex: String = secret.bytes().map(|b| format!("{b:02x}")).collect();
    let every_byte: String = secret.bytes().map(|b| format!("%{b:02x}")).collect();
    let json = serde_json::to_string(secret).unwrap();
    let mut forms = vec![
        secret.to_owned(),
        percent(secret),
        percent(secret).replace("%20", "+"),
        percent(secret).to_lowercase(),
        every_byte.to_uppercase(),
        every_byte,
        json[1..json.len() - 1].to_owned(),
        crate::harness::escaped(secret),
        hex.to_uppercase(),
        hex,
    ];
    for alphabet in [BASE64_STANDARD, BASE64_URL_SAFE] {
        for before in 0..3 {
            // Neighboring bytes change the digits at both ends; the digits in between are always the same.
            let text = [&b"xx"[..before], secret.as_bytes()].concat();
            let digits = alphabet.encode(&text[..text.len() / 3 * 3]);
            forms.push(digits[(before * 8).div_ceil(6)..].to_owned());
        }
    }
    forms.sort();
    forms.dedup();
    forms
}

fn look_for_canaries(place: &str, text: &str) {
    for secret in [UPSTREAM_PASSWORD, UPSTREAM_USER, RANDOM, CHOSEN, WRONG] {
        for form in forms(secret) {
            if let Some(at) = text.find(&form) {
                let start = text[..at].rfind('\n').map_or(0, |n| n + 1);
                panic!(
                    "{form} stands in {place}: {}",
                    text[start..].lines().next().unwrap_or_default()
                );
            }
        }
    }
}

fn look_into(gateway: &Gateway) {
    // Reading the journal has all of its rows written first.
    let journal = run_on(gateway, &["log", "--json", "--limit", "100000"]).output;
    assert!(journal.lines().count() >= 20, "{journal}");
    look_for_canaries("the journal", &journal);
    look_for_canaries("the log", &gateway.process.lines().join("\n"));
    for entry in std::fs::read_dir(gateway.data())
        .unwrap()
        .map(Result::unwrap)
    {
        let bytes = std::fs::read(entry.path()).unwrap();
        look_for_canaries(
            &format!("{:?}", entry.file_name()),
            &String::from_utf8_lossy(&bytes),
        );
    }
}

/// The sandbox's faults.
const FAULTS: [&str; 16] = [
    "latency",
    "http_404",
    "http_429",
    "http_500",
    "broken_json",
    "empty",
    "truncated",
    "reset",
    "reset_after",
    "reset_mid_body",
    "no_answer",
    "slow_body",
    "huge",
    "gzip_bomb",
    "success_lowercase",
    "refused",
];

/// Returns the number of calls in a log: one per line, plus the calls that a line reports as counted together with the first one.
fn logged_calls(lines: &[String]) -> usize {
    let lines = lines
        .iter()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok());
    lines
        .map(|line| match line["target"].as_str() {
            Some("chatgate::request") => 1,
            Some("chatgate::counted") => line["count"].as_u64().unwrap() as usize - 1,
            _ => 0,
        })
        .sum()
}

#[tokio::test]
async fn no_failure_leaks_a_secret_into_a_url_log_metric_file_or_error() {
    let (sandbox, issuer) = (Sandbox::start(), Issuer::new());
    let through = gateway(&sandbox.as_upstream(), &issuer, "json");
    let logfmt = gateway(&sandbox.as_upstream(), &issuer, "logfmt");
    for fault in FAULTS {
        let rule = match fault {
            "latency" | "slow_body" => json!([{"fault": fault, "ms": 20}]),
            _ => json!([{"fault": fault}]),
        };
        sandbox.faults(rule).await;
        // A log in another format gets the same calls.
        let (answers, others) = tokio::join!(calls(&through, &issuer), calls(&logfmt, &issuer));
        look_for_canaries(fault, &(answers + &others));
    }
    sandbox
        .faults(json!([{"fault": "error_code", "code": "INCORRECT_USER_PASSWORD"}]))
        .await;
    look_for_canaries("refused credentials", &calls(&through, &issuer).await);

    // Nothing listens at the first address, and the second name does not resolve.
    let bound = ClosedPort::new();
    let closed = bound.address;
    let unresolved =
        upstream(closed).replace(&format!("http://{closed}"), "https://nowhere.invalid");
    for (configuration, log_format) in [
        (upstream(closed), "json"),
        (unresolved, "logfmt"),
        (
            upstream(sandbox.address).replace("http://", "https://"),
            "text",
        ),
    ] {
        let broken = gateway(&configuration, &issuer, log_format);
        look_for_canaries("a failed connection", &calls(&broken, &issuer).await);
        look_into(&broken);
        look_for_canaries("the metrics", &broken.metrics().await);
    }
    look_for_canaries("the metrics", &through.metrics().await);
    look_into(&through);
    look_into(&logfmt);
    let of_calls = " level=INFO message=request ";
    let lines = logfmt.process.lines();
    assert!(lines.iter().filter(|line| line.contains(of_calls)).count() > FAULTS.len());
    assert!(lines.iter().any(|line| line.contains(" level=TRACE ")));
    // The log was indeed at trace level and contains these calls. Refusals of one address are counted together.
    assert!(
        through
            .process
            .lines()
            .iter()
            .any(|line| line.contains("\"level\":\"TRACE\""))
    );
    let rounds = FAULTS.len() + 1;
    through.process.signal("TERM");
    let (code, lines) = through.process.ended();
    assert_eq!(code, Some(0), "{lines:#?}");
    assert_eq!(logged_calls(&lines), rounds * CALLS);
}

#[tokio::test]
async fn upstream_credentials_go_into_the_form_or_header_and_never_the_url() {
    for (auth, place) in [
        ("form", "password=upstream-canary-password"),
        ("basic", "authorization: Basic "),
    ] {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let toml = format!(
            "{}auth = \"{auth}\"\n",
            upstream(listener.local_addr().unwrap())
        );
        let gateway = Gateway::configured(&toml, &[UPSTREAM_ENVIRONMENT]);
        let demo = gateway.demo();
        let call = format!(
            "/api/http/?class=chat&method=getchatchannels&user={}&password={}",
            demo.user, demo.password
        );
        let call = client().get(gateway.url(&call));
        let answering = tokio::spawn(Answer::of(call));
        let seen = crate::sends::read_request(&mut accepted(&listener).await).await;
        answering.abort();
        assert_eq!(seen.lines().next(), Some("POST /api/http/ HTTP/1.1"));
        assert!(seen.contains(place), "{seen}");
        assert_eq!(seen.contains("&password="), auth == "form", "{seen}");
    }
}

#[tokio::test]
async fn a_request_with_hostile_bytes_is_logged_as_one_json_line() {
    let gateway = Gateway::start();
    let hostile = "a\r\nb\u{1b}[31m\u{2028}\"}";
    let form = url::form_urlencoded::Serializer::new(String::new())
        .extend_pairs([
            ("user", hostile),
            ("password", hostile),
            ("class", hostile),
            ("method", hostile),
        ])
        .finish();
    let request = client()
        .post(gateway.url("/api/http/%0a%22?x=%0d%0a"))
        .header("User-Agent", "a\"b\\c")
        .body(form.clone());
    Answer::of(request.header("X-Request-ID", "one")).await;
    Answer::of(
        client()
            .post(gateway.url("/api/http/"))
            .header("X-Request-ID", "two")
            .body(form),
    )
    .await;
    for id in ["one", "two"] {
        assert_eq!(gateway.logged(id)["message"], "request");
    }
    let answer = Answer::of(
        client()
            .get(gateway.url("/"))
            .header("X-Request-ID", "bad id\""),
    )
    .await;
    assert_ne!(answer.header("X-Request-ID"), "bad id\"");
}
