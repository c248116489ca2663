//! The status page of the gateway: its configuration, its keys, its store, its upstream.

use std::sync::Arc;

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use serde_json::Value;

use crate::audit::notes::{ActionNote, RefusalCode};
use crate::operation::run_to_completion;
use crate::port::KeyRow;
use crate::problem::Problem;
use crate::state::{Console, ConsoleState};
use crate::web::extract::OperatorForm;
use crate::web::fields::Fields;
use crate::web::json::{count, items, text};
use crate::web::layout::{PageLayout, html, see_other};
use crate::web::text::{age, escape_invisible, grouped, moment, moment_of};
use crate::web::visitor::Visitor;

#[derive(Template)]
#[template(path = "status.html")]
struct StatusPage {
    layout: PageLayout,
    done: Option<&'static str>,
    failed: Option<String>,
    gateway: Vec<(&'static str, String)>,
    store: Vec<(&'static str, String)>,
    /// True if several gateways share the store.
    is_shared: bool,
    upstream: Vec<(String, String)>,
    reload: Option<ReloadView>,
    /// The signing keys: id, algorithm, age, and the time until which the key verifies.
    signing: Vec<(String, &'static str, String, String)>,
    issuers: Vec<IssuerView>,
    /// The admin keys: name, role, age.
    admin: Vec<(String, &'static str, String)>,
}

/// An external issuer, and its keys that can't be used.
struct IssuerView {
    name: String,
    keys: String,
    fetched: String,
    error: Option<String>,
    /// The unusable keys: place and id, and the reason.
    passed_over: Vec<(String, String)>,
}

struct ReloadView {
    is_applied: bool,
    when: String,
    by: String,
    /// The keys that changed, or the mistakes in the configuration.
    details: Vec<String>,
}

/// The confirmation texts, by the word in the page's address.
const DONE: [(&str, &str); 4] = [
    ("reload", "The configuration was reloaded."),
    (
        "rotate",
        "A new key signs tokens. Earlier tokens stay valid until they expire.",
    ),
    (
        "waits",
        "A new key was created. It signs tokens as soon as all replicas know it. Earlier tokens stay valid until they expire.",
    ),
    (
        "revoke",
        "A new key signs tokens. All earlier tokens are revoked.",
    ),
];

/// Shows the status page.
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
    let text = format!("The old configuration stays in use. {}", problem.detail());
    failed(&console, &form.visitor, &problem, &text)
}

/// Creates a new signing key.
pub(crate) async fn rotate(State(console): ConsoleState, form: OperatorForm) -> Response {
    let revoke = form.fields.has("revoke");
    let ended = run_to_completion(Arc::clone(&console.gateway).rotate(revoke)).await;
    let keys = match ended {
        Ok(keys) => keys,
        Err(problem) => return failed(&console, &form.visitor, &problem, problem.detail()),
    };
    let mut response = done(rotated_word(revoke, &keys));
    let note = ActionNote::key_rotation(revoke);
    response.extensions_mut().insert(note);
    response
}

/// Returns the confirmation word for a rotation that resulted in these keys, newest first.
fn rotated_word(revoke: bool, keys: &[KeyRow]) -> &'static str {
    if revoke {
        // After a revocation only the new key exists, so it signs even if some replicas do not know it yet.
        "revoke"
    } else if keys.first().is_some_and(|newest| newest.signs) {
        "rotate"
    } else {
        "waits"
    }
}

/// Redirects to the status page, which shows the confirmation for this word.
fn done(word: &str) -> Response {
    see_other(&format!("/console/status?done={word}"))
}

/// Shows the status page with an error.
fn failed(console: &Console, visitor: &Visitor, problem: &Problem, text: &str) -> Response {
    let mut page = StatusPage::of(console, visitor);
    page.failed = Some(escape_invisible(text));
    let mut response = html(problem.status(), &page);
    let code = RefusalCode(problem.code());
    response.extensions_mut().insert(code);
    response
}

impl StatusPage {
    fn of(console: &Console, visitor: &Visitor) -> StatusPage {
        let status = console.gateway.status();
        StatusPage {
            layout: visitor.layout("status", "Status"),
            done: None,
            failed: None,
            gateway: gateway_facts(console, &status),
            store: store_facts(&status),
            is_shared: status["replicas"].is_object(),
            upstream: upstream_facts(&status["upstream"]),
            reload: ReloadView::of(&status["last_reload"]),
            issuers: items(&status["issuers"]).map(IssuerView::of).collect(),
            signing: signing_keys(console),
            admin: admin_keys(console),
        }
    }
}

fn gateway_facts(console: &Console, status: &Value) -> Vec<(&'static str, String)> {
    let reason = console.gateway.not_ready();
    let ready = reason.map_or("yes".to_owned(), |why| format!("no: {why}"));
    let inflight = console.gateway.metrics_snapshot().inflight;
    let generation = status["config_generation"].to_string();
    let process = &status["process"];
    let started = process["started_s"].as_i64().unwrap_or_default();
    let mut facts = vec![
        ("Version", text(&status["version"])),
        ("Accepts calls", ready),
        ("Running for", age(console.now() - started)),
        ("Memory", bytes(&process["memory_bytes"])),
        ("Open files", grouped(count(&process["open_files"]))),
        ("Public address", text(&status["public_url"])),
        ("Configuration generation", generation),
        ("Accesses", grouped(count(&status["accesses"]))),
        ("Requests in progress", grouped(inflight)),
    ];
    let certificates = items(&status["certificates"]).map(|certificate| {
        let expires = certificate["expires_s"].as_i64().unwrap_or_default();
        let name = match certificate["listener"].as_str() {
            Some("admin") => "Certificate of the operators’ listener",
            _ => "Certificate of the public listener",
        };
        (name, format!("expires at {}", moment_of(expires)))
    });
    facts.extend(certificates);
    facts
}

/// Returns a number of bytes as mebibytes.
fn bytes(number: &Value) -> String {
    match number.as_u64() {
        Some(bytes) => format!("{} MiB", grouped(bytes / (1024 * 1024))),
        None => "–".to_owned(),
    }
}

fn store_facts(status: &Value) -> Vec<(&'static str, String)> {
    let (store, replicas, shared) = (&status["store"], &status["replicas"], &status["shared"]);
    let trouble = store["reason"].as_str();
    let mut facts = vec![
        ("State", text(&store["state"])),
        (
            "Problem",
            trouble.map_or("none".to_owned(), escape_invisible),
        ),
        ("Journal rows waiting", grouped(count(&store["queued"]))),
        ("Journal rows dropped", grouped(count(&store["dropped"]))),
    ];
    let disk = &status["disk"];
    if disk["store_bytes"].is_u64() {
        facts.push(("Size", bytes(&disk["store_bytes"])));
        facts.push(("Free disk space", bytes(&disk["free_bytes"])));
    }
    if replicas.is_object() {
        facts.push(("Live replicas", grouped(count(&replicas["live"]))));
        facts.push((
            "Different configurations",
            grouped(count(&replicas["configurations"])),
        ));
    }
    if shared.is_object() {
        facts.push(("Shared counters", text(&shared["state"])));
    }
    facts
}

fn upstream_facts(upstream: &Value) -> Vec<(String, String)> {
    let endpoints = items(&upstream["endpoints"]);
    let endpoints = endpoints.map(|endpoint| (text(&endpoint["url"]), text(&endpoint["state"])));
    let account = text(&upstream["account"]);
    let waiting = grouped(count(&upstream["waiting"]));
    let others = [("Account", account), ("Calls waiting", waiting)];
    let others = others.map(|(name, value)| (name.to_owned(), value));
    endpoints.chain(others).collect()
}

fn signing_keys(console: &Console) -> Vec<(String, &'static str, String, String)> {
    let now = console.judged_now();
    let keys = console.gateway.keys().into_iter().map(|key| {
        let state = match key.verifies_until {
            Some(until) => format!("verifies until {}", moment_of(until)),
            None if key.signs => "signs".to_owned(),
            None => "signs when all replicas know it".to_owned(),
        };
        (key.kid, key.algorithm, age(now - key.created_at), state)
    });
    keys.collect()
}

fn admin_keys(console: &Console) -> Vec<(String, &'static str, String)> {
    let now = console.judged_now();
    let keys = console.store.admin_keys();
    let keys = keys.iter();
    keys.map(|key| (key.name.clone(), key.role.name(), age(now - key.created)))
        .collect()
}

impl IssuerView {
    fn of(issuer: &Value) -> IssuerView {
        let passed_over = items(&issuer["passed_over"]).map(|key| {
            let place = format!("{} {}", key["place"], text(&key["kid"]));
            (place, text(&key["reason"]))
        });
        IssuerView {
            name: text(&issuer["issuer"]),
            keys: format!(
                "{} usable, {} ignored",
                issuer["keys"], issuer["keys_passed_over"]
            ),
            fetched: issuer["fetched_at"]
                .as_str()
                .map_or("never".to_owned(), moment),
            error: issuer["error"].as_str().map(escape_invisible),
            passed_over: passed_over.collect(),
        }
    }
}

impl ReloadView {
    fn of(last: &Value) -> Option<ReloadView> {
        let outcome = last["outcome"].as_str()?;
        let without_effect =
            items(&last["without_effect"]).map(|key| format!("no effect: {}", text(key)));
        let changed = items(&last["changed"]).map(text).chain(without_effect);
        let mistakes = items(&last["mistakes"]).map(|mistake| {
            let place = match (mistake["line"].as_u64(), mistake["column"].as_u64()) {
                (Some(line), Some(column)) => format!("line {line}, column {column}: "),
                _ => String::new(),
            };
            format!("{place}{}", text(&mistake["text"]))
        });
        Some(ReloadView {
            is_applied: outcome == "applied",
            when: moment(&text(&last["at"])),
            by: text(&last["by"]),
            details: changed.chain(mistakes).collect(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rotated_key_is_reported_as_waiting_until_it_signs() {
        let keys = |newest_signs: bool| {
            [newest_signs, !newest_signs].map(|signs| KeyRow {
                kid: String::new(),
                algorithm: "EdDSA",
                created_at: 0,
                signs,
                verifies_until: None,
            })
        };
        let word = |newest_signs| rotated_word(false, &keys(newest_signs));
        assert_eq!([word(true), word(false)], ["rotate", "waits"]);
        assert_eq!(rotated_word(true, &keys(true)[..1]), "revoke");
        for word in ["rotate", "waits", "revoke"] {
            assert!(DONE.iter().any(|(known, _)| *known == word), "{word}");
        }
    }
}
