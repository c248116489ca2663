//! Draws the dashboards from the data that Prometheus scraped of two replicas and of a gateway over a file while callers call.

use std::fmt::Write;
use std::path::Path;
use std::process::Command;
use std::time::UNIX_EPOCH;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::harness::{
    Answer, Fleet, Gateway, Issuer, Process, Sandbox, UPSTREAM_ENVIRONMENT, Valkey, client, made,
    new_listen, repository, skipped, until,
};
use crate::tls::{Files, Pair, trusting};

const READ: &str = "class=chat&method=getchatchannels";
const SEND: &str = "class=chat&method=sendmessage&platform=whatsapp&platformid=100&destination=34600000000&message=x";

/// Number of scrapes of each gateway before its panels are drawn, one per second.
const SCRAPES: u64 = 12;

/// Number of panels in a row, and the size of a panel.
const COLUMNS: usize = 3;
const WIDTH: usize = 420;
const HEIGHT: usize = 180;

/// A Prometheus that scrapes these gateways every second.
struct Prometheus {
    address: String,
    _process: Process,
    _folder: TempDir,
}

impl Prometheus {
    /// Starts Prometheus. Returns `None` if it is missing.
    fn of(gateways: &[&Gateway]) -> Option<Prometheus> {
        let binary = Path::new("/usr/bin/prometheus");
        if !binary.exists() {
            skipped("Debian's package prometheus");
            return None;
        }
        let (folder, address) = (TempDir::new().unwrap(), new_listen());
        let targets: Vec<_> = gateways.iter().map(|one| one.admin.to_string()).collect();
        let job = json!({"job_name": "chatgate", "scrape_interval": "1s", "scrape_timeout": "1s", "static_configs": [{"targets": targets}]});
        let file = folder.path().join("prometheus.yml");
        // JSON is valid YAML.
        std::fs::write(&file, json!({"scrape_configs": [job]}).to_string()).unwrap();
        let mut command = Command::new(binary);
        command
            .arg(format!("--config.file={}", file.display()))
            .arg(format!("--storage.tsdb.path={}", folder.path().display()))
            .arg(format!("--web.listen-address={address}"));
        Some(Prometheus {
            address,
            _process: Process::of(command, &[]),
            _folder: folder,
        })
    }

    /// Returns the series of a query over the last seconds.
    async fn series(&self, query: &str) -> Vec<Value> {
        let now = UNIX_EPOCH.elapsed().unwrap().as_secs();
        let since = now - SCRAPES;
        let form = [
            ("query", query),
            ("start", &since.to_string()),
            ("end", &now.to_string()),
            ("step", "1"),
        ];
        let url = format!("http://{}/api/v1/query_range", self.address);
        let Ok(answer) = client().post(url).form(&form).send().await else {
            return Vec::new();
        };
        let mut said: Value = serde_json::from_str(&answer.text().await.unwrap()).unwrap();
        assert!(said["error"].is_null(), "{query}: {said}");
        match said["data"]["result"].take() {
            Value::Array(series) => series,
            _ => Vec::new(),
        }
    }
}

/// Returns the values of a series in order, without values that are not numbers.
fn values(series: &Value) -> Vec<f64> {
    let points = series["values"].as_array().unwrap().iter();
    let values = points.filter_map(|point| point[1].as_str()?.parse().ok());
    values.filter(|value: &f64| value.is_finite()).collect()
}

/// Draws a panel as SVG: its title, its greatest value, and a line for each series.
fn draw(number: usize, title: &str, lines: &[Vec<f64>]) -> String {
    let (x, y) = (number % COLUMNS * WIDTH, number / COLUMNS * HEIGHT);
    let most = lines.iter().flatten().copied().fold(0.0, f64::max);
    let title = title.replace('&', "&amp;").replace('<', "&lt;");
    let mut svg = format!(
        "<g transform=\"translate({x} {y})\"><text x=\"8\" y=\"16\">{title}: {most:.4}</text>\n"
    );
    for (colour, line) in lines.iter().enumerate() {
        let step = (WIDTH - 16) as f64 / line.len().saturating_sub(1).max(1) as f64;
        let height = (HEIGHT - 40) as f64;
        let points = line.iter().enumerate().map(|(at, value)| {
            let part = if most > 0.0 { value / most } else { 0.0 };
            format!(
                "{:.1},{:.1}",
                8.0 + step * at as f64,
                28.0 + height * (1.0 - part)
            )
        });
        let points: Vec<_> = points.collect();
        let hue = colour * 67 % 360;
        writeln!(
            svg,
            "<polyline fill=\"none\" stroke=\"hsl({hue} 70% 45%)\" points=\"{}\"/>",
            points.join(" ")
        )
        .unwrap();
    }
    svg + "</g>\n"
}

/// Makes calls that read, send and guess passwords.
async fn call(caller: &reqwest::Client, url: &str, user: &str, password: &str) {
    for (password, call) in [(password, READ), (password, SEND), ("wrong", READ)] {
        let request = caller.get(format!("{url}/api/basic/?{call}"));
        Answer::of(request.basic_auth(user, Some(password))).await;
    }
}

/// Draws a dashboard and returns the titles of its empty panels.
async fn draw_all(prometheus: &Prometheus, name: &str, dashboard: &Value) -> Vec<String> {
    let (mut svg, mut empty) = (String::new(), Vec::new());
    let panels = dashboard["panels"].as_array().unwrap();
    for (number, panel) in panels.iter().enumerate() {
        let title = panel["title"].as_str().unwrap();
        let mut lines = Vec::new();
        for target in panel["targets"].as_array().into_iter().flatten() {
            let query = target["expr"].as_str().unwrap();
            let query = query
                .replace("$__rate_interval", "6s")
                .replace("$__range", "10s");
            let query = query.replace("$instance", ".*").replace("$access", "demo");
            lines.extend(prometheus.series(&query).await.iter().map(values));
        }
        if lines.iter().all(Vec::is_empty) {
            empty.push(format!("{name}: {title}"));
        }
        svg += &draw(number, title, &lines);
    }
    let (width, height) = (COLUMNS * WIDTH, panels.len().div_ceil(COLUMNS) * HEIGHT);
    let head = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" font-family=\"sans-serif\" font-size=\"12\">\n"
    );
    let folder = repository().join("target/dashboards");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join(format!("{name}.svg")), head + &svg + "</svg>\n").unwrap();
    empty
}

#[tokio::test(flavor = "multi_thread")]
async fn every_dashboard_panel_draws_data_scraped_from_gateways() {
    let Some(valkey) = Valkey::start() else {
        return skipped("Valkey");
    };
    let Some(fleet) = Fleet::of(2, &format!("[shared]\nurl = \"{}\"\n", valkey.url())) else {
        return skipped("PostgreSQL");
    };
    let (files, pair, issuer) = (Files::new(), Pair::new(), Issuer::new());
    let sandbox = Sandbox::start();
    let toml = format!(
        "{}{}{}",
        sandbox.as_upstream(),
        issuer.as_configuration(),
        files.section("tls", &pair)
    );
    let alone = files.start_with(&toml, &[UPSTREAM_ENVIRONMENT]);
    let gateways = [&alone, &fleet.gateways[0], &fleet.gateways[1]];
    let Some(prometheus) = Prometheus::of(&gateways) else {
        return;
    };
    let password = made(
        &fleet.gateways[0],
        json!({"name": "shop", "allow": ["127.0.0.1"]}),
    )
    .await;
    let (over_tls, plain, demo) = (trusting(&pair).build().unwrap(), client(), alone.demo());
    let scrapes = format!(
        "min(count_over_time(chatgate_build_info[{}s]))",
        2 * SCRAPES
    );
    until("all are scraped while they are called", async || {
        // Some calls of each round fail in the upstream, and others succeed.
        sandbox
            .faults(json!([{"fault": "http_500", "count": 3}]))
            .await;
        call(
            &over_tls,
            &format!("https://{}", alone.public),
            &demo.user,
            &demo.password,
        )
        .await;
        for gateway in &fleet.gateways {
            call(&plain, &gateway.url(""), "shop", &password).await;
        }
        let counted = prometheus.series(&scrapes).await;
        let counted = counted.first().map(values).unwrap_or_default();
        counted.last().is_some_and(|count| *count >= SCRAPES as f64)
    })
    .await;
    let mut empty = Vec::new();
    for name in ["overview", "access", "upstream", "store"] {
        let file = repository().join(format!("deploy/grafana/{name}.json"));
        let dashboard = serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap();
        empty.extend(draw_all(&prometheus, name, &dashboard).await);
    }
    assert!(empty.is_empty(), "panels without a series: {empty:?}");
}
