//! How the gateway does: its configuration, its keys, its store, its upstream.

use std::sync::Arc;

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use serde_json::Value;

use super::door::{Order, Shared};
use super::fields::Fields;
use super::figures::Figures;
use super::page::{Shell, html, see_other};
use super::text::{age, grouped, moment, moment_of, visible};
use super::visitor::Visitor;
use crate::Console;
use crate::keys::rotated;
use crate::operations::to_the_end;
use crate::operator_rows::RefusalCode;
use crate::problem::Problem;

#[derive(Template)]
#[template(path = "status.html")]
struct Page {
    shell: Shell,
    done: Option<&'static str>,
    failed: Option<String>,
    gateway: Vec<(&'static str, String)>,
    store: Vec<(&'static str, String)>,
    upstream: Vec<(String, String)>,
    reload: Option<Reload>,
    /// Id, algorithm, age, and until when it verifies.
    signing: Vec<(String, &'static str, String, String)>,
    issuers: Vec<Issuer>,
    /// Name, role, age.
    admin: Vec<(String, &'static str, String)>,
}

/// An outside issuer, and which of its keys can't be used.
struct Issuer {
    name: String,
    keys: String,
    fetched: String,
    error: Option<String>,
    /// Place and id, and why.
    passed_over: Vec<(String, String)>,
}

impl Issuer {
    fn all(issuers: &Value) -> Vec<Issuer> {
        let issuers = issuers.as_array().into_iter().flatten();
        issuers.map(Issuer::of).collect()
    }

    fn of(issuer: &Value) -> Issuer {
        let text = |value: &Value| value.as_str().map(visible);
        let odd = issuer["passed_over"].as_array().into_iter().flatten();
        Issuer {
            name: text(&issuer["issuer"]).unwrap_or_default(),
            keys: format!(
                "{} usable, {} passed over",
                issuer["keys"], issuer["keys_passed_over"]
            ),
            fetched: issuer["fetched_at"]
                .as_str()
                .map_or("never".to_owned(), moment),
            error: text(&issuer["error"]),
            passed_over: odd
                .map(|odd| {
                    let kid = text(&odd["kid"]).unwrap_or_default();
                    let reason = text(&odd["reason"]).unwrap_or_default();
                    (format!("{} {kid}", odd["place"]), reason)
                })
                .collect(),
        }
    }
}

struct Reload {
    was_taken: bool,
    when: String,
    by: String,
    /// The keys that changed, or what was wrong.
    details: Vec<String>,
}

/// What was done, by its word in the address of the page.
const DONE: [(&str, &str); 3] = [
    ("reload", "The configuration is read again."),
    (
        "rotate",
        "A new key signs. Tokens signed before stay good until they expire.",
    ),
    (
        "revoke",
        "A new key signs. Every token signed before has ended.",
    ),
];

/// The page.
pub(super) async fn page(State(console): Shared, visitor: Visitor, fields: Fields) -> Response {
    let mut page = Page::of(&console, &visitor);
    let done = DONE.iter().find(|(word, _)| *word == fields.get("done"));
    page.done = done.map(|(_, text)| *text);
    html(StatusCode::OK, &page)
}

/// Reads the configuration again.
pub(super) async fn reload(State(console): Shared, order: Order) -> Response {
    let reload = Arc::clone(&console.gateway).reload(order.actor);
    let Err(problem) = to_the_end(reload).await else {
        return done("reload");
    };
    let text = format!("The old configuration stays. {}", problem.detail());
    failed((&console, &order.visitor), &problem, &text)
}

/// Has a new key sign tokens.
pub(super) async fn rotate(State(console): Shared, order: Order) -> Response {
    let revoke = order.fields.has("revoke");
    let ended = to_the_end(Arc::clone(&console.gateway).rotate(revoke)).await;
    if let Err(problem) = ended {
        return failed((&console, &order.visitor), &problem, problem.detail());
    }
    let mut response = done(if revoke { "revoke" } else { "rotate" });
    response.extensions_mut().insert(rotated(revoke));
    response
}

/// The page again, which says what was done.
fn done(word: &str) -> Response {
    see_other(&format!("/console/status?done={word}"))
}

/// The page again, with what went wrong.
fn failed((console, visitor): (&Console, &Visitor), problem: &Problem, text: &str) -> Response {
    let mut page = Page::of(console, visitor);
    page.failed = Some(visible(text));
    let mut response = html(problem.status(), &page);
    let code = RefusalCode(problem.code());
    response.extensions_mut().insert(code);
    response
}

impl Page {
    fn of(console: &Console, visitor: &Visitor) -> Page {
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
        Page {
            shell: Shell::of(visitor, "status", "Status"),
            done: None,
            failed: None,
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
            issuers: Issuer::all(&status["issuers"]),
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
        }
    }
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
