//! The overview: requests, refusals, latency, the upstream, and the availability against the promise.

mod charts;

use askama::Template;
use axum::extract::State;
use axum::response::sse::Event;
use http::{HeaderMap, StatusCode};
use serde_json::Value;
use tokio::sync::watch;

use crate::metrics_snapshot::CountsByWord;
use crate::state::availability::AvailabilityView;
use crate::state::history::STEP_S;
use crate::state::{Console, ConsoleState};
use crate::web::json::{count, items, text};
use crate::web::layout::{PageLayout, html};
use crate::web::page_error::{PageError, PageResult};
use crate::web::sse::{self, event};
use crate::web::text::grouped;
use crate::web::visitor::Visitor;
use charts::{Bar, Timeline};

#[derive(Template)]
#[template(path = "overview.html")]
struct OverviewPage {
    layout: PageLayout,
    now: OverviewNow,
}

/// The live part of the page.
#[derive(Template)]
#[template(path = "overview_now.html")]
struct OverviewNow {
    not_ready: Option<&'static str>,
    available: AvailabilityView,
    rate: String,
    total: String,
    inflight: u64,
    quantiles: Vec<(&'static str, String)>,
    requests: Timeline,
    latency: Timeline,
    tables: Vec<(&'static str, &'static str, Vec<Bar>)>,
    cache_hits: String,
    upstream: UpstreamTile,
}

struct UpstreamTile {
    endpoints: Vec<(String, String)>,
    account: String,
    waiting: u64,
    p95: String,
}

/// Shows the page.
pub(crate) async fn page(State(console): ConsoleState, visitor: Visitor) -> PageResult {
    let page = OverviewPage {
        layout: visitor.layout("overview", "Overview"),
        now: OverviewNow::of(&console),
    };
    Ok(html(StatusCode::OK, &page))
}

/// Streams the live part, again with every step.
pub(crate) async fn events(
    State(console): ConsoleState,
    _visitor: Visitor,
    headers: HeaderMap,
) -> PageResult {
    let steps = console.history.subscribe();
    sse::stream(console, headers, steps, |console, steps| {
        Box::pin(next(console, steps))
    })
    .await
    .map_err(PageError::from)
}

async fn next(console: &Console, steps: &mut watch::Receiver<()>) -> Vec<Event> {
    let moved = tokio::time::timeout(sse::WAIT_MAX, steps.changed()).await;
    match (moved, OverviewNow::of(console).render()) {
        (Ok(Ok(())), Ok(text)) => vec![event("now", &text)],
        _ => Vec::new(),
    }
}

impl OverviewNow {
    fn of(console: &Console) -> OverviewNow {
        let (steps, counts) = console.history.view();
        let last = steps.last().cloned().unwrap_or_default();
        let quantiles = [("50 %", 0.5), ("95 %", 0.95), ("99 %", 0.99)];
        OverviewNow {
            not_ready: console.gateway.not_ready(),
            available: console.availability.view(),
            rate: format!("{:.1}", (last.served + last.failed) as f64 / STEP_S as f64),
            total: grouped(counts.served + counts.failed),
            inflight: counts.inflight,
            quantiles: quantiles
                .map(|(name, part)| (name, ms(counts.latency.quantile_ms(part))))
                .into(),
            requests: charts::requests(&steps),
            latency: charts::latency(&steps),
            tables: vec![
                (
                    "Refusals by reason",
                    "Nothing was refused yet.",
                    charts::bars(&counts.denied),
                ),
                (
                    "Deliveries",
                    "Nothing was sent yet.",
                    charts::bars(&counts.deliveries),
                ),
                (
                    "Cache",
                    "The cache was not asked yet.",
                    charts::bars(&counts.cache),
                ),
            ],
            cache_hits: cache_hits(&counts.cache),
            upstream: UpstreamTile::of(
                &console.gateway.status()["upstream"],
                counts.upstream_latency.quantile_ms(0.95),
            ),
        }
    }
}

impl UpstreamTile {
    fn of(status: &Value, p95: Option<f64>) -> UpstreamTile {
        UpstreamTile {
            endpoints: items(&status["endpoints"])
                .map(|one| (text(&one["url"]), text(&one["state"])))
                .collect(),
            account: text(&status["account"]),
            waiting: count(&status["waiting"]),
            p95: ms(p95),
        }
    }
}

fn ms(value: Option<f64>) -> String {
    value.map_or_else(|| "–".to_owned(), |ms| format!("{ms:.1} ms"))
}

/// Returns the share of the cacheable reads that were answered without the upstream.
fn cache_hits(cache: &CountsByWord) -> String {
    let sum = |is_wanted: &dyn Fn(&str) -> bool| -> u64 {
        let wanted = cache.iter().filter(|(word, _)| is_wanted(word));
        wanted.map(|(_, count)| count).sum()
    };
    let hits = sum(&|word| matches!(word, "hit" | "collapsed"));
    match sum(&|word| !matches!(word, "effect" | "bypass")) {
        0 => "–".to_owned(),
        cacheable => format!("{:.0} %", 100.0 * hits as f64 / cacheable as f64),
    }
}
