//! How the gateway does: its configuration, its keys, its store, its upstream.

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use serde_json::Value;

use super::door::Shared;
use super::figures::Figures;
use super::page::{Shell, html};
use super::text::{age, grouped, moment, moment_of, visible};
use super::visitor::{Refusal, Visitor};

#[derive(Template)]
#[template(path = "status.html")]
struct Page {
    shell: Shell,
    gateway: Vec<(&'static str, String)>,
    store: Vec<(&'static str, String)>,
    upstream: Vec<(String, String)>,
    reload: Option<Reload>,
    /// Id, algorithm, age, and until when it verifies.
    signing: Vec<(String, &'static str, String, String)>,
    /// Name, role, age.
    admin: Vec<(String, &'static str, String)>,
}

struct Reload {
    was_taken: bool,
    when: String,
    by: String,
    /// The keys that changed, or what was wrong.
    details: Vec<String>,
}

/// The page.
pub(super) async fn page(State(console): Shared, visitor: Visitor) -> Result<Response, Refusal> {
    let status = console.gateway.status();
    let now = console.now();
    let text = |value: &Value| visible(value.as_str().unwrap_or("–"));
    let figures = Figures::read(&console.gateway.metrics());
    let ready = console
        .gateway
        .not_ready()
        .map_or("yes".to_owned(), |why| format!("no: {why}"));
    let keys = console.gateway.keys();
    let admin_keys = console.store.admin_keys();
    let endpoints = status["upstream"]["endpoints"]
        .as_array()
        .into_iter()
        .flatten();
    let number = |value: &Value| grouped(value.as_u64().unwrap_or(0));
    let mut upstream: Vec<_> = endpoints
        .map(|one| (text(&one["url"]), text(&one["state"])))
        .collect();
    upstream.push(("Account".to_owned(), text(&status["upstream"]["account"])));
    upstream.push((
        "Calls waiting".to_owned(),
        number(&status["upstream"]["waiting"]),
    ));
    let page = Page {
        shell: Shell::of(&visitor, "status", "Status"),
        gateway: vec![
            ("Version", text(&status["version"])),
            ("Takes calls", ready),
            ("Address of the ways in", text(&status["public_url"])),
            (
                "Configuration generation",
                status["config_generation"].to_string(),
            ),
            ("Accesses", number(&status["accesses"])),
            ("Requests under way", grouped(figures.inflight)),
        ],
        store: vec![
            ("State", text(&status["store"]["state"])),
            (
                "Trouble",
                status["store"]["reason"]
                    .as_str()
                    .map_or("none".to_owned(), visible),
            ),
            ("Journal rows waiting", number(&status["store"]["queued"])),
            ("Journal rows dropped", number(&status["store"]["dropped"])),
        ],
        upstream,
        reload: Reload::of(&status["last_reload"]),
        signing: keys
            .into_iter()
            .map(|key| {
                let until = key.verifies_until.map_or("signs".to_owned(), |until| {
                    format!("verifies until {}", moment_of(until))
                });
                (key.kid, key.algorithm, age(now - key.created_at), until)
            })
            .collect(),
        admin: admin_keys
            .iter()
            .map(|key| (key.name.clone(), key.role.name(), age(now - key.created)))
            .collect(),
    };
    Ok(html(StatusCode::OK, &page))
}

impl Reload {
    fn of(last: &Value) -> Option<Reload> {
        let outcome = last["outcome"].as_str()?;
        let changed = last["changed"].as_array().into_iter().flatten();
        let changed = changed.filter_map(Value::as_str).map(visible);
        let mistakes = last["mistakes"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|mistake| {
                let place = match (mistake["line"].as_u64(), mistake["column"].as_u64()) {
                    (Some(line), Some(column)) => format!("line {line}, column {column}: "),
                    _ => String::new(),
                };
                visible(&format!(
                    "{place}{}",
                    mistake["text"].as_str().unwrap_or_default()
                ))
            });
        Some(Reload {
            was_taken: outcome == "taken",
            when: moment(last["at"].as_str().unwrap_or_default()),
            by: visible(last["by"].as_str().unwrap_or_default()),
            details: changed.chain(mistakes).collect(),
        })
    }
}
