//! The overview page: requests, latency, the upstream, the availability compared with the promised one, and a summary of the
//! journal over a chosen time.

use askama::Template;
use axum::extract::State;
use axum::response::sse::Event;
use http::{HeaderMap, StatusCode};
use serde_json::Value;
use store::StoreError;
use telemetry::CountsByWord;
use tokio::sync::watch;

use crate::journal::summary::{CallerCalls, ROWS_MAX};
use crate::state::availability::AvailabilityView;
use crate::state::history::STEP_S;
use crate::state::{Console, ConsoleState};
use crate::web::charts::{self, Bar, Timeline};
use crate::web::fields::{Fields, query};
use crate::web::json::{count, items, text};
use crate::web::layout::{PageLayout, html};
use crate::web::page_error::{PageError, PageResult};
use crate::web::sse::{self, event};
use crate::web::text::{grouped, moment_of};
use crate::web::time_window::TimeWindow;
use crate::web::visitor::Visitor;

/// Maximum number of listed accesses and addresses. The callers behind a rise in traffic are among the first.
const CALLERS_MAX: usize = 5;

/// Maximum age, in seconds, of the summaries in an open overview: less than a step, so that all open overviews share one summary
/// per step.
const SUMS_AGE_MAX_S: i64 = STEP_S as i64 - 1;

/// The content that empties an element of the page, because browsers ignore an event without data.
const NOTHING: &str = "<!---->";

#[derive(Template)]
#[template(path = "overview.html")]
struct OverviewPage {
    layout: PageLayout,
    window: &'static TimeWindow,
    alarm: String,
    now: OverviewNow,
    counts: OverviewCounts,
}

/// The live part of the page.
#[derive(Template)]
#[template(path = "overview_now.html")]
struct OverviewNow {
    available: AvailabilityView,
    rate: String,
    total: String,
    inflight: u64,
    quantiles: Vec<(&'static str, String)>,
    requests: Timeline,
    latency: Timeline,
    cache_hits: String,
    upstream: UpstreamTile,
}

/// The summary of the journal rows in the chosen time, which is also live.
#[derive(Template)]
#[template(path = "overview_counts.html")]
struct OverviewCounts {
    window: &'static TimeWindow,
    rows_max: String,
    looked_to: Option<String>,
    calls: String,
    failed: String,
    /// The tables: title, the text of an empty table, and the bars.
    tables: Vec<(&'static str, &'static str, Vec<Bar>)>,
}

struct UpstreamTile {
    endpoints: Vec<(String, String)>,
    account: String,
    waiting: u64,
    p95: String,
}

/// The state of an open overview's event stream.
struct OpenOverview {
    window: &'static TimeWindow,
    steps: watch::Receiver<()>,
}

/// Shows the overview.
pub(crate) async fn page(
    State(console): ConsoleState,
    visitor: Visitor,
    fields: Fields,
) -> PageResult {
    let window = TimeWindow::chosen(&fields);
    let page = OverviewPage {
        layout: visitor.layout("overview", "Overview"),
        window,
        alarm: alarm(&console),
        now: OverviewNow::of(&console),
        counts: OverviewCounts::of(&console, window, 0).await?,
    };
    Ok(html(StatusCode::OK, &page))
}

/// Streams the live parts, with an update at every step.
pub(crate) async fn events(
    State(console): ConsoleState,
    _visitor: Visitor,
    headers: HeaderMap,
    fields: Fields,
) -> PageResult {
    let open = OpenOverview {
        window: TimeWindow::chosen(&fields),
        steps: console.history.subscribe(),
    };
    sse::stream(console, headers, open, |console, open| {
        Box::pin(next(console, open))
    })
    .await
    .map_err(PageError::from)
}

async fn next(console: &Console, open: &mut OpenOverview) -> Vec<Event> {
    let moved = tokio::time::timeout(sse::WAIT_MAX, open.steps.changed()).await;
    if !matches!(moved, Ok(Ok(()))) {
        return Vec::new();
    }
    let counts = OverviewCounts::of(console, open.window, SUMS_AGE_MAX_S).await;
    let now = OverviewNow::of(console)
        .render()
        .map(|text| event("now", &text));
    let counts = counts.ok().and_then(|counts| counts.render().ok());
    let counts = counts.map(|text| event("counts", &text));
    let alarm = alarm(console);
    let alarm = event("alarm", if alarm.is_empty() { NOTHING } else { &alarm });
    let events = std::iter::once(alarm).chain(now.ok());
    events.chain(counts).collect()
}

/// Returns the alarm that the gateway takes no calls, or an empty text. The alarm has its own element in the page, because an alert
/// must not be inserted again while it stays the same.
fn alarm(console: &Console) -> String {
    let why = console.gateway.not_ready();
    why.map_or_else(String::new, |why| {
        format!("The gateway accepts no calls: {why}.")
    })
}

impl OverviewNow {
    fn of(console: &Console) -> OverviewNow {
        let (steps, counts) = console.history.view();
        let last = steps.last().cloned().unwrap_or_default();
        let quantiles = [("50 %", 0.5), ("95 %", 0.95), ("99 %", 0.99)];
        OverviewNow {
            available: console.availability.view(),
            rate: format!("{:.1}", last.per_second(last.served + last.failed)),
            total: grouped(counts.served + counts.failed),
            inflight: counts.inflight,
            quantiles: quantiles
                .map(|(name, part)| (name, ms(counts.latency.quantile_ms(part))))
                .into(),
            requests: charts::requests(&steps),
            latency: charts::latency(&steps),
            cache_hits: cache_hits(&counts.cache),
            upstream: UpstreamTile::of(
                &console.gateway.status()["upstream"],
                counts.upstream_latency.quantile_ms(0.95),
            ),
        }
    }
}

impl OverviewCounts {
    async fn of(
        console: &Console,
        window: &'static TimeWindow,
        age_max_s: i64,
    ) -> Result<OverviewCounts, StoreError> {
        let within = (window.seconds, console.judged_now());
        let summary = console.recent_sums.of(&console.store, within, age_max_s);
        let summary = summary.await?;
        let since = window.word;
        let rows = move |field: &'static str| {
            move |name: &str| Some(query(&[(field, name), ("since", since)]))
        };
        let callers = |callers: &[CallerCalls], field| {
            let counts = callers.iter().map(|one| (one.name.as_str(), one.calls));
            charts::bars(counts, (summary.calls, CALLERS_MAX), rows(field))
        };
        let sends = summary
            .deliveries
            .iter()
            .map(|(word, count)| (word.as_str(), *count));
        let sent = summary.deliveries.iter().map(|(_, count)| count).sum();
        let (_, metrics) = console.history.view();
        let cache = metrics.cache.iter().map(|(word, count)| (*word, *count));
        let asked = metrics.cache.values().sum();
        Ok(OverviewCounts {
            window,
            rows_max: grouped(ROWS_MAX.into()),
            looked_to: summary.examined_to_ms.map(|ms| moment_of(ms / 1000)),
            calls: grouped(summary.calls),
            failed: grouped(summary.failed),
            tables: vec![
                (
                    "Rejected or failed, by code",
                    "No call was rejected or failed.",
                    charts::bars(
                        summary.failed_by_code(),
                        (summary.failed, usize::MAX),
                        rows("status"),
                    ),
                ),
                (
                    "Deliveries",
                    "There were no sends.",
                    charts::bars(sends, (sent, usize::MAX), rows("delivery")),
                ),
                (
                    "Busiest accesses",
                    "There were no calls with an access.",
                    callers(&summary.accesses, "access"),
                ),
                (
                    "Busiest addresses",
                    "There were no calls.",
                    callers(&summary.addresses, "ip"),
                ),
                (
                    "Cache, since the gateway started",
                    "The cache was not used yet.",
                    charts::bars(cache, (asked, usize::MAX), |_| None),
                ),
            ],
        })
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

/// Returns the share of cacheable reads that were answered without the upstream.
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
