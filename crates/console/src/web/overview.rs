//! The overview: what comes in, what is refused and why, how long it takes, and whether the promise is kept.

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use http::{HeaderMap, StatusCode};
use serde_json::Value;
use tokio::sync::watch;

use super::availability::Seen;
use super::charts::{self, Bar, Timeline};
use super::door::Shared;
use super::events::{self, event};
use super::history::STEP_S;
use super::page::{Shell, html};
use super::text::{grouped, visible};
use super::visitor::{Refusal, Visitor};
use crate::Console;

#[derive(Template)]
#[template(path = "overview.html")]
struct Overview {
    shell: Shell,
    now: Now,
}

/// The part that is live.
#[derive(Template)]
#[template(path = "overview_now.html")]
struct Now {
    not_ready: Option<&'static str>,
    available: Seen,
    rate: String,
    total: String,
    inflight: u64,
    quantiles: Vec<(&'static str, String)>,
    requests: Timeline,
    latency: Timeline,
    tables: Vec<(&'static str, &'static str, Vec<Bar>)>,
    cache_hits: String,
    upstream: Upstream,
}

struct Upstream {
    endpoints: Vec<(String, String)>,
    account: String,
    waiting: u64,
    p95: String,
}

/// The page.
pub(super) async fn page(State(console): Shared, visitor: Visitor) -> Result<Response, Refusal> {
    let shell = Shell::of(&visitor, "overview", "Overview");
    Ok(html(
        StatusCode::OK,
        &Overview {
            shell,
            now: Now::of(&console),
        },
    ))
}

/// Its live part, again with every step.
pub(super) async fn events(
    State(console): Shared,
    _visitor: Visitor,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let steps = console.live.step.subscribe();
    events::stream(console, headers, steps, |console, steps| {
        Box::pin(next(console, steps))
    })
    .map_err(Refusal::from)
}

async fn next(console: &Console, steps: &mut watch::Receiver<u64>) -> String {
    let moved = tokio::time::timeout(events::REST_MAX, steps.changed()).await;
    match (moved, Now::of(console).render()) {
        (Ok(Ok(())), Ok(text)) => event("now", None, &text),
        _ => String::new(),
    }
}

impl Now {
    fn of(console: &Console) -> Now {
        let (steps, figures) = console.live.history.seen();
        let last = steps.last().cloned().unwrap_or_default();
        let hits: u64 = ["hit", "collapsed"]
            .iter()
            .filter_map(|word| figures.cache.get(*word))
            .sum();
        let unasked = ["effect", "bypass"];
        let asked = figures
            .cache
            .iter()
            .filter(|(word, _)| !unasked.contains(&word.as_str()));
        let asked: u64 = asked.map(|(_, count)| count).sum();
        let quantiles = [("50 %", 0.5), ("95 %", 0.95), ("99 %", 0.99)];
        Now {
            not_ready: console.gateway.not_ready(),
            available: console.live.availability.seen(),
            rate: format!("{:.1}", (last.served + last.failed) as f64 / STEP_S as f64),
            total: grouped(figures.requests()),
            inflight: figures.inflight,
            quantiles: quantiles
                .map(|(name, part)| (name, ms(figures.latency.quantile_ms(part))))
                .into(),
            requests: charts::requests(&steps),
            latency: charts::latency(&steps),
            tables: vec![
                (
                    "Refusals by reason",
                    "Nothing was refused yet.",
                    charts::bars(&figures.denied),
                ),
                (
                    "Deliveries",
                    "Nothing was sent yet.",
                    charts::bars(&figures.deliveries),
                ),
                (
                    "Cache",
                    "The cache was not asked yet.",
                    charts::bars(&figures.cache),
                ),
            ],
            cache_hits: if asked == 0 {
                "–".to_owned()
            } else {
                format!("{:.0} %", 100.0 * hits as f64 / asked as f64)
            },
            upstream: Upstream::of(
                &console.gateway.status()["upstream"],
                figures.upstream.quantile_ms(0.95),
            ),
        }
    }
}

impl Upstream {
    fn of(status: &Value, p95: Option<f64>) -> Upstream {
        let text = |value: &Value| visible(value.as_str().unwrap_or_default());
        let endpoints = status["endpoints"].as_array().into_iter().flatten();
        Upstream {
            endpoints: endpoints
                .map(|one| (text(&one["url"]), text(&one["state"])))
                .collect(),
            account: text(&status["account"]),
            waiting: status["waiting"].as_u64().unwrap_or(0),
            p95: ms(p95),
        }
    }
}

fn ms(value: Option<f64>) -> String {
    value.map_or_else(|| "–".to_owned(), |ms| format!("{ms:.1} ms"))
}
