//! The status of the gateway: its configuration, its keys, its store, its upstream.

use std::sync::Arc;

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use serde_json::Value;

use crate::audit::notes::{ActionNote, RefusalCode};
use crate::operation::run_to_completion;
use crate::problem::Problem;
use crate::state::{Console, ConsoleState};
use crate::web::extract::OperatorForm;
use crate::web::fields::Fields;
use crate::web::layout::{Layout, html, see_other};
use crate::web::text::{age, grouped, moment, moment_of, visible};
use crate::web::visitor::Visitor;

#[derive(Template)]
#[template(path = "status.html")]
struct StatusPage {
    layout: Layout,
    done: Option<&'static str>,
    failed: Option<String>,
    gateway: Vec<(&'static str, String)>,
    store: Vec<(&'static str, String)>,
    upstream: Vec<(String, String)>,
    reload: Option<ReloadView>,
    /// Id, algorithm, age, and until when it verifies.
    signing: Vec<(String, &'static str, String, String)>,
    issuers: Vec<IssuerView>,
    /// Name, role, age.
    admin: Vec<(String, &'static str, String)>,
}

/// An outside issuer, and its keys that can't be used.
struct IssuerView {
    name: String,
    keys: String,
    fetched: String,
    error: Option<String>,
    /// Place and id, and why.
    passed_over: Vec<(String, String)>,
}

impl IssuerView {
    fn all(issuers: &Value) -> Vec<IssuerView> {
        let issuers = issuers.as_array().into_iter().flatten();
        issuers.map(IssuerView::of).collect()
    }

    fn of(issuer: &Value) -> IssuerView {
        let text = |value: &Value| value.as_str().map(visible);
        let passed_over = issuer["passed_over"].as_array().into_iter().flatten();
        IssuerView {
            name: text(&issuer["issuer"]).unwrap_or_default(),
            keys: format!(
                "{} usable, {} passed over",
                issuer["keys"], issuer["keys_passed_over"]
            ),
            fetched: issuer["fetched_at"]
                .as_str()
                .map_or("never".to_owned(), moment),
            error: text(&issuer["error"]),
            passed_over: passed_over
                .map(|key| {
                    let kid = text(&key["kid"]).unwrap_or_default();
                    let reason = text(&key["reason"]).unwrap_or_default();
                    (format!("{} {kid}", key["place"]), reason)
                })
                .collect(),
        }
    }
}

struct ReloadView {
    was_taken: bool,
    when: String,
    by: String,
    /// The keys that changed, or what was wrong.
    details: Vec<String>,
}

/// Texts of what was done, by the word in the address of the page.
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

/// Shows the page.
pub(crate) async fn page(
    State(console): ConsoleState,
    visitor: Visitor,
    fields: Fields,
) -> Response {
    let mut page = StatusPage::of(&console, &visitor);
    let done = DONE.iter().find(|(word, _)| *word == fields.get("done"));
    page.done = done.map(|(_, text)| *text);
    html(StatusCode::OK, &page)
}

/// Reads the configuration again.
pub(crate) async fn reload(State(console): ConsoleState, form: OperatorForm) -> Response {
    let reload = Arc::clone(&console.gateway).reload(form.actor);
    let Err(problem) = run_to_completion(reload).await else {
        return done("reload");
    };
    let text = format!("The old configuration stays. {}", problem.detail());
    failed(&console, &form.visitor, &problem, &text)
}

/// Makes a new signing key.
pub(crate) async fn rotate(State(console): ConsoleState, form: OperatorForm) -> Response {
    let revoke = form.fields.has("revoke");
    let ended = run_to_completion(Arc::clone(&console.gateway).rotate(revoke)).await;
    if let Err(problem) = ended {
        return failed(&console, &form.visitor, &problem, problem.detail());
    }
    let mut response = done(if revoke { "revoke" } else { "rotate" });
    let note = ActionNote::key_rotation(revoke);
    response.extensions_mut().insert(note);
    response
}

/// Leads to the page, which says what was done.
fn done(word: &str) -> Response {
    see_other(&format!("/console/status?done={word}"))
}

/// Shows the page with what went wrong.
fn failed(console: &Console, visitor: &Visitor, problem: &Problem, text: &str) -> Response {
    let mut page = StatusPage::of(console, visitor);
    page.failed = Some(visible(text));
    let mut response = html(problem.status(), &page);
    let code = RefusalCode(problem.code());
    response.extensions_mut().insert(code);
    response
}

impl StatusPage {
    fn of(console: &Console, visitor: &Visitor) -> StatusPage {
        let status = console.gateway.status();
        let now = console.now();
        let text = |value: &Value| visible(value.as_str().unwrap_or("–"));
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
        StatusPage {
            layout: visitor.layout("status", "Status"),
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
                (
                    "Requests under way",
                    grouped(console.gateway.metrics_snapshot().inflight),
                ),
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
            reload: ReloadView::of(&status["last_reload"]),
            issuers: IssuerView::all(&status["issuers"]),
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

impl ReloadView {
    fn of(last: &Value) -> Option<ReloadView> {
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
        Some(ReloadView {
            was_taken: outcome == "taken",
            when: moment(last["at"].as_str().unwrap_or_default()),
            by: visible(last["by"].as_str().unwrap_or_default()),
            details: changed.chain(mistakes).collect(),
        })
    }
}
