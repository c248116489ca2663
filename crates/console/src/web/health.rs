//! The page for an operator at night: what is being rejected, by which rule, for which callers and since when, the state of the
//! upstream, what expires soon, and the latest changes. Each item links to its journal rows.

use askama::Template;
use axum::extract::State;
use http::StatusCode;
use serde_json::Value;
use store::Accesses;

use crate::journal::query::id_text;
use crate::journal::summary::{CallerCalls, FailureGroup, JournalSummary, ROWS_MAX};
use crate::state::{Console, ConsoleState};
use crate::web::fields::{Fields, query};
use crate::web::journal::line::JournalLine;
use crate::web::json::{count, items, text};
use crate::web::layout::{PageLayout, html};
use crate::web::page_error::PageResult;
use crate::web::text::{age, duration, escape_invisible, grouped, moment, moment_of, or_dash};
use crate::web::time_window::TimeWindow;
use crate::web::visitor::Visitor;

/// Maximum number of lines in each table.
const LINES_MAX: usize = 12;

/// The remaining lifetime, in seconds, below which a certificate is shown as a warning: two weeks, as in the alert.
const CERTIFICATE_WARNS_S: i64 = 14 * 86_400;

#[derive(Template)]
#[template(path = "health.html")]
struct HealthPage {
    layout: PageLayout,
    not_ready: Option<&'static str>,
    degraded: Vec<&'static str>,
    window: &'static TimeWindow,
    looked_to: Option<String>,
    /// Maximum number of rows that the summary reads, as text.
    rows_max: String,
    calls: String,
    failed: String,
    failures: Vec<FailureLine>,
    upstream: Vec<(String, String, bool)>,
    slowest: Option<(String, String)>,
    /// The certificates: listener, expiry, and whether the expiry is a warning.
    certificates: Vec<(String, String, bool)>,
    deliveries: Vec<(String, String, String)>,
    callers: Vec<(&'static str, Vec<CallerLine>)>,
    changes: Vec<JournalLine>,
    reload: Option<(String, String)>,
}

/// A line of rejected or failed calls, of one access or one address.
struct FailureLine {
    code: String,
    kind: &'static str,
    /// The access, if it still exists.
    access: Option<String>,
    /// The address, preceded by the name of a deleted access.
    from: String,
    cause: String,
    calls: String,
    since: String,
    last: String,
    query: String,
}

struct CallerLine {
    name: String,
    calls: String,
    failed: String,
    query: String,
}

/// Shows the page.
pub(crate) async fn page(
    State(console): ConsoleState,
    visitor: Visitor,
    fields: Fields,
) -> PageResult {
    let window = TimeWindow::chosen(&fields);
    let within = (window.seconds, console.judged_now());
    let summary = console.recent_sums.of(&console.store, within, 0).await?;
    let page = HealthPage::of(&console, &visitor, window, &summary);
    Ok(html(StatusCode::OK, &page))
}

impl HealthPage {
    fn of(
        console: &Console,
        visitor: &Visitor,
        window: &'static TimeWindow,
        summary: &JournalSummary,
    ) -> HealthPage {
        let since = window.word;
        let (status, accesses) = (console.gateway.status(), console.store.accesses());
        let failures = summary.failures.iter().take(LINES_MAX);
        let callers = |callers: &[CallerCalls], field| {
            let lines = callers.iter().take(LINES_MAX);
            lines
                .map(|caller| CallerLine::of(caller, field, since))
                .collect()
        };
        HealthPage {
            layout: visitor.layout("health", "Health"),
            not_ready: console.gateway.not_ready(),
            degraded: console.gateway.degraded(),
            window,
            looked_to: summary.examined_to_ms.map(|ms| moment_of(ms / 1000)),
            rows_max: grouped(ROWS_MAX.into()),
            calls: grouped(summary.calls),
            failed: grouped(summary.failed),
            failures: failures
                .map(|group| FailureLine::of(group, &accesses, since))
                .collect(),
            upstream: upstream(&status["upstream"], summary),
            slowest: summary.slowest.map(|(id, us)| (id_text(id), duration(us))),
            certificates: certificates(&status, console.now()),
            deliveries: summary
                .deliveries
                .iter()
                .map(|(word, count)| {
                    let query = query(&[("delivery", word), ("since", since)]);
                    (word.clone(), grouped(*count), query)
                })
                .collect(),
            callers: vec![
                ("Busiest accesses", callers(&summary.accesses, "access")),
                ("Busiest addresses", callers(&summary.addresses, "ip")),
            ],
            changes: summary.changes.iter().map(JournalLine::of).collect(),
            reload: reload(&status["last_reload"]),
        }
    }
}

impl FailureLine {
    fn of(group: &FailureGroup, accesses: &Accesses, since: &str) -> FailureLine {
        let address = group.client.map(|client| client.to_string());
        let access = group.access.as_deref();
        let is_there = access.is_some_and(|name| accesses.named(name).is_some());
        let from = match (access.filter(|_| !is_there), &address) {
            (Some(access), Some(address)) => format!("{access} from {address}"),
            (Some(access), None) => access.to_owned(),
            (None, address) => or_dash(address.as_deref()),
        };
        let mut pairs = vec![("status", &*group.code)];
        match (&group.access, &address) {
            (Some(access), _) => pairs.push(("access", access)),
            (None, Some(address)) => pairs.push(("ip", address)),
            (None, None) => {}
        }
        pairs.push(("since", since));
        let at = |ms: i64| moment_of(ms / 1000);
        FailureLine {
            code: escape_invisible(&group.code),
            kind: if group.canonical >= 500 {
                "broken"
            } else {
                "refused"
            },
            access: group.access.clone().filter(|_| is_there),
            from: escape_invisible(&from),
            cause: escape_invisible(&group.cause),
            calls: grouped(group.calls),
            since: at(group.first_ms),
            last: at(group.last_ms),
            query: query(&pairs),
        }
    }
}

impl CallerLine {
    fn of(caller: &CallerCalls, field: &str, since: &str) -> CallerLine {
        CallerLine {
            name: escape_invisible(&caller.name),
            calls: grouped(caller.calls),
            failed: grouped(caller.failed),
            query: query(&[(field, &caller.name), ("since", since)]),
        }
    }
}

/// Returns the state of the upstream: its endpoints, its durations, and the number of waiting calls. Each line has a name, a value,
/// and whether something is out of order.
fn upstream(status: &Value, summary: &JournalSummary) -> Vec<(String, String, bool)> {
    let endpoints = items(&status["endpoints"]).map(|endpoint| {
        let state = text(&endpoint["state"]);
        let is_out = state != "in use";
        (text(&endpoint["url"]), state, is_out)
    });
    let quantile = |part| {
        let us = summary.upstream_quantile(part);
        us.map_or_else(|| "–".to_owned(), duration)
    };
    let waiting = count(&status["waiting"]);
    let others = [
        ("50 % of answers within", quantile(0.5), false),
        ("95 % of answers within", quantile(0.95), false),
        ("Waiting calls", grouped(waiting), waiting > 0),
        ("Account", text(&status["account"]), false),
    ];
    let others = others.map(|(name, value, is_out)| (name.to_owned(), value, is_out));
    endpoints.chain(others).collect()
}

/// Returns the certificates of the listeners: listener, expiry, and whether the expiry is soon.
fn certificates(status: &Value, now: i64) -> Vec<(String, String, bool)> {
    let certificates = items(&status["certificates"]).map(|certificate| {
        let expires = certificate["expires_s"].as_i64().unwrap_or_default();
        let left = expires - now;
        let when = if left <= 0 {
            format!("expired at {}", moment_of(expires))
        } else {
            format!("expires in {}, at {}", age(left), moment_of(expires))
        };
        let listener = format!("{} listener", text(&certificate["listener"]));
        (listener, when, left < CERTIFICATE_WARNS_S)
    });
    certificates.collect()
}

/// Returns the time of the last configuration reload, and its outcome with the operator's name.
fn reload(last: &Value) -> Option<(String, String)> {
    let outcome = match last["outcome"].as_str()? {
        applied @ "applied" => applied,
        _ => "rejected",
    };
    let by = format!("{outcome} by {}", text(&last["by"]));
    Some((moment(&text(&last["at"])), by))
}
