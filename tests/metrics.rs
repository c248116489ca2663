//! Tests of the metrics: a scrape contains exactly those of the table, dashboards and alerts use no others, and a scrape stays
//! small.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use telemetry::{METRICS, MetricKind, MetricRow};

use crate::harness::{
    Answer, Fleet, Gateway, Issuer, admin, assert_within, client, exported, import_accesses,
    is_postgres, load, made, repository, run, skipped,
};
use crate::real_clients::read_by;
use crate::tls::{Files, Pair, trusting};

const READ: &str = "class=chat&method=getchatchannels";
const SEND: &str = "class=chat&method=sendmessage&platform=whatsapp&platformid=100&destination=34600000000&message=x";

/// The formats that Prometheus accepts.
pub(crate) const OPEN_METRICS: &str = "application/openmetrics-text;version=1.0.0,text/plain;q=0.5";

/// Scrapes a gateway as a client that accepts these formats.
pub(crate) async fn scrape(gateway: &Gateway, accept: &str) -> Answer {
    let request = client().get(format!("http://{}/metrics", gateway.admin));
    Answer::of(request.header("accept", accept)).await
}

/// Returns the names of the series in a scrape, each with the names of its labels.
fn series(text: &str) -> BTreeMap<String, BTreeSet<String>> {
    let mut found = BTreeMap::<String, BTreeSet<String>>::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let (name, rest) = line.split_at(line.find(['{', ' ']).unwrap());
        let labels = rest
            .strip_prefix('{')
            .map(|rest| rest.rsplit_once('}').unwrap().0);
        // Names and values alternate, because no value contains a quotation mark.
        let names = labels.unwrap_or_default().split('"').step_by(2);
        let names = names.map(|name| name.trim_matches([',', '=']).to_owned());
        let known = found.entry(name.to_owned()).or_default();
        known.extend(names.filter(|name| !name.is_empty()));
    }
    found
}

/// Returns the names of a metric's series, with the labels of each.
fn series_of(row: &MetricRow) -> Vec<(String, BTreeSet<String>)> {
    let labels: BTreeSet<String> = row.labels.iter().map(|label| (*label).to_owned()).collect();
    if row.kind != MetricKind::Histogram {
        return vec![(row.name.to_owned(), labels)];
    }
    let mut of_bucket = labels.clone();
    of_bucket.insert("le".to_owned());
    vec![
        (format!("{}_bucket", row.name), of_bucket),
        (format!("{}_count", row.name), labels.clone()),
        (format!("{}_sum", row.name), labels),
    ]
}

/// Checks that a scrape contains what the table lists for a gateway with these parts.
fn check(text: &str, parts: &[&str]) {
    let rows = METRICS
        .iter()
        .filter(|row| row.only.is_empty() || parts.contains(&row.only));
    let said: BTreeMap<_, _> = rows.flat_map(series_of).collect();
    assert_eq!(series(text), said);
}

/// Runs promtool on this input. Returns `None` if promtool is missing.
fn promtool(arguments: &[&str], input: &str) -> Option<(bool, String)> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("input");
    std::fs::write(&file, input).unwrap();
    let mut command = Command::new("promtool");
    command.args(arguments).current_dir(repository());
    let run = command
        .stdin(std::fs::File::open(file).unwrap())
        .stdout(Stdio::piped())
        .output();
    let Ok(run) = run else {
        skipped("promtool, of Debian's package prometheus");
        return None;
    };
    let said = [run.stdout, run.stderr].concat();
    Some((run.status.success(), String::from_utf8(said).unwrap()))
}

#[tokio::test]
async fn a_scrape_contains_exactly_the_metrics_of_the_table() {
    let (files, pair, issuer) = (Files::new(), Pair::new(), Issuer::new());
    let toml = format!(
        "{}{}",
        issuer.as_configuration(),
        files.section("tls", &pair)
    );
    let gateway = files.start_with(&toml, &[]);
    let demo = gateway.demo();
    let caller = trusting(&pair).build().unwrap();
    for (password, call) in [
        (demo.password.as_str(), READ),
        (&demo.password, SEND),
        ("wrong", READ),
    ] {
        let url = format!("https://{}/api/basic/?{call}", gateway.public);
        Answer::of(caller.get(url).basic_auth(&demo.user, Some(password))).await;
    }
    let store = if is_postgres() {
        "PostgreSQL"
    } else {
        "store in a file"
    };
    let parts = [store, "TLS", "jwt.issuers"];
    let plain = scrape(&gateway, "*/*").await;
    assert_eq!(
        plain.header("content-type"),
        "text/plain; version=0.0.4; charset=utf-8"
    );
    check(&plain.body, &parts);
    let open = scrape(&gateway, OPEN_METRICS).await;
    assert!(
        open.header("content-type")
            .starts_with("application/openmetrics-text")
    );
    check(&open.body, &parts);
    assert!(open.body.ends_with("# EOF\n") && !plain.body.contains("# EOF"));
    // An independent parser accepts all of it. Without traces there is no exemplar.
    if let Some(exemplars) = read_by("open_metrics.py", &[], &open.body) {
        assert_eq!(exemplars, "[]");
    }

    let value = |name: &str| -> f64 {
        let line = plain
            .body
            .lines()
            .find(|line| line.starts_with(name))
            .unwrap();
        line.rsplit_once(' ').unwrap().1.parse().unwrap()
    };
    let now = std::time::UNIX_EPOCH.elapsed().unwrap().as_secs_f64();
    assert!(value("chatgate_tls_certificate_expiry_timestamp_seconds") > now + 86400.0);
    let started = value("process_start_time_seconds");
    assert!((now - 600.0..=now).contains(&started), "{started}");
    assert!((4e6..4e9).contains(&value("process_resident_memory_bytes")));
    assert!(value("process_open_fds") >= 3.0 && value("process_max_fds") >= 64.0);
    let build = format!(
        "chatgate_build_info{{version=\"{}\",commit=\"",
        telemetry::VERSION
    );
    assert!(plain.body.contains(&build), "{}", plain.body);

    if let Some(checked) = promtool(&["check", "metrics"], &plain.body) {
        assert_eq!(checked, (true, String::new()));
    }
}

#[tokio::test]
async fn a_scrape_of_a_replica_contains_exactly_its_metrics() {
    let Some(fleet) = Fleet::of(1, "") else {
        return skipped("Debian's package postgresql");
    };
    let gateway = &fleet.gateways[0];
    let password = made(gateway, json!({"name": "shop", "allow": ["127.0.0.1"]})).await;
    for call in [READ, SEND] {
        let url = gateway.url(&format!("/api/basic/?{call}"));
        let called = Answer::of(client().get(url).basic_auth("shop", Some(&password))).await;
        assert_eq!(called.status, 200, "{}", called.body);
    }
    check(&gateway.metrics().await, &["PostgreSQL"]);
}

/// Returns the files of a folder with this ending, with their texts.
fn texts(folder: &str, ending: &str) -> Vec<(String, String)> {
    let folder = repository().join(folder);
    let files = std::fs::read_dir(&folder)
        .unwrap()
        .map(|file| file.unwrap().path());
    let files = files.filter(|file| file.to_str().unwrap().ends_with(ending));
    let read = |file: &Path| {
        (
            file.display().to_string(),
            std::fs::read_to_string(file).unwrap(),
        )
    };
    files.map(|file| read(&file)).collect()
}

/// Returns the words in a text that begin like names of metrics.
fn named(text: &str) -> BTreeSet<&str> {
    let words = text.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_');
    let words = words.filter(|word| !word.ends_with('_'));
    words
        .filter(|word| {
            ["chatgate_", "process_"]
                .iter()
                .any(|head| word.starts_with(head))
        })
        .collect()
}

/// Returns every `expr` in a dashboard.
fn queries(json: &Value) -> Vec<String> {
    match json {
        Value::Object(members) => {
            let expr = members.get("expr").and_then(Value::as_str);
            let below = members.values().flat_map(queries);
            expr.map(str::to_owned).into_iter().chain(below).collect()
        }
        Value::Array(items) => items.iter().flat_map(queries).collect(),
        _ => Vec::new(),
    }
}

#[test]
fn dashboards_alerts_and_documents_name_only_existing_metrics() {
    let known: BTreeSet<String> = METRICS
        .iter()
        .flat_map(series_of)
        .map(|(name, _)| name)
        .chain(METRICS.iter().map(|row| row.name.to_owned()))
        .collect();
    let dashboards = texts("deploy/grafana", ".json");
    let places = [
        texts("docs", ".md"),
        texts("deploy/prometheus", ".yaml"),
        dashboards.clone(),
    ];
    for (file, text) in places.iter().flatten() {
        for name in named(text) {
            assert!(
                known.contains(name),
                "{file} names {name}, which no gateway has"
            );
        }
    }
    // Conversely, every metric is in a dashboard, because nobody looks for a metric that no dashboard shows.
    let shown: String = dashboards.iter().map(|(_, text)| text.as_str()).collect();
    let shown = named(&shown);
    for row in METRICS {
        let is_shown = series_of(row)
            .iter()
            .any(|(name, _)| shown.contains(name.as_str()));
        assert!(is_shown, "no dashboard shows {}", row.name);
    }
}

#[test]
fn the_queries_of_the_dashboards_parse() {
    let mut rules = Vec::new();
    for (file, text) in texts("deploy/grafana", ".json") {
        let dashboard: Value = serde_json::from_str(&text).unwrap();
        let queries = queries(&dashboard);
        assert!(queries.len() >= 5, "{file}");
        for query in queries {
            // Grafana's variables, replaced as Grafana would replace them.
            let query = query
                .replace("$__rate_interval", "2m")
                .replace("$__range", "1h");
            let query = query.replace("$instance", ".*").replace("$access", "shop");
            assert!(!query.contains('$'), "{file}: {query}");
            let record = format!("query{}", rules.len());
            rules.push(json!({"record": record, "expr": query}));
        }
    }
    // JSON is valid YAML.
    let rules = json!({"groups": [{"name": "dashboards", "rules": rules}]});
    if let Some((is_well, said)) = promtool(&["check", "rules", "/dev/stdin"], &rules.to_string()) {
        assert!(is_well, "{said}");
    }
}

/// Returns the text after this mark in each line that has it.
fn after<'a>(text: &'a str, mark: &'a str) -> impl Iterator<Item = &'a str> {
    text.lines()
        .filter_map(move |line| Some(line.trim().split_once(mark)?.1))
}

#[test]
fn every_alert_fires_resolves_and_has_a_runbook() {
    let read = |file: &str| std::fs::read_to_string(repository().join(file)).unwrap();
    let alerts = read("deploy/prometheus/alerts.yaml");
    let tests = read("deploy/prometheus/alerts.test.yaml");
    let manual = read("docs/operating.md");
    let mut names: Vec<_> = after(&alerts, "- alert: ").collect();
    for name in &names {
        let silent = tests.matches(&format!("alertname: {name}}}")).count();
        let fires = tests.matches(&format!("alertname: {name}\n")).count();
        assert!(
            silent >= 2 && fires >= 1,
            "{name} is not tested before, during and after"
        );
        let runbook = format!("runbook_url: docs/operating.md#{}\n", name.to_lowercase());
        assert!(alerts.contains(&runbook), "{name} has no runbook_url");
    }
    let mut books: Vec<_> = after(&manual, "### Chatgate")
        .map(|rest| format!("Chatgate{rest}"))
        .collect();
    names.sort_unstable();
    books.sort_unstable();
    assert_eq!(names, books, "each alert has a section of the manual");
    for arguments in [
        ["check", "rules", "deploy/prometheus/alerts.yaml"],
        ["test", "rules", "deploy/prometheus/alerts.test.yaml"],
    ] {
        if let Some((is_well, said)) = promtool(&arguments, "") {
            assert!(is_well, "{said}");
        }
    }
}

/// Maximum size of a scrape in bytes, and its maximum time.
const SCRAPE_BYTES_MAX: usize = 2 << 20;
const SCRAPE_MAX: Duration = Duration::from_millis(100);

#[tokio::test(flavor = "multi_thread")]
async fn a_scrape_over_many_accesses_stays_small_and_fast() {
    let accesses = load(1500, 100_000);
    let issuer = Issuer::new();
    let toml = format!(
        "[limits]\nper_address_per_minute = 100000000\n{}",
        issuer.as_configuration()
    );
    let gateway = Gateway::configured(&toml, &[]);
    let template = exported(&gateway).await;
    for from in (0..accesses).step_by(1000) {
        import_accesses(&gateway, &template, from..accesses.min(from + 1000)).await;
    }
    let caller = client();
    for number in 0..accesses {
        let token = issuer.token(&format!("access-{number:05}"), 60);
        let url = gateway.url(&format!("/api/jwt/?{READ}"));
        let answer = Answer::of(caller.get(url).bearer_auth(token)).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
    }
    let mut shortest = Duration::MAX;
    for _ in 0..5 {
        let began = Instant::now();
        let text = gateway.metrics().await;
        shortest = shortest.min(began.elapsed());
        assert!(text.len() <= SCRAPE_BYTES_MAX, "{} bytes", text.len());
        assert!(text.contains("access=\"(other)\"") && text.contains("access=\"access-00000\""));
    }
    let length = gateway.metrics().await.len();
    println!("scrape over {accesses} accesses: {length} bytes, {shortest:?}");
    assert_within(shortest, SCRAPE_MAX);
}

#[tokio::test]
async fn the_version_flag_and_the_status_report_the_same_version() {
    let gateway = Gateway::start();
    let version = telemetry::full_version();
    let said = run(&["--version"]).output;
    assert_eq!(said.trim_end(), format!("chatgate {version}"));
    let status = admin(&gateway, reqwest::Method::GET, "status", Value::Null).await;
    assert_eq!(status.json()["version"], version);
}
