//! The table of the journal with its filters, and the exports of all matching rows.

use std::sync::Arc;

use askama::Template;
use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use futures_util::StreamExt;
use http::{HeaderValue, StatusCode, header};
use store::{JournalFilter, JournalOrder, JournalRow, StoreError};

use crate::access::draft::methods;
use crate::journal::export::{NDJSON, export, export_as};
use crate::journal::query::{JournalQuery, id_text};
use crate::journal::rows::time_text;
use crate::journal::summary::JournalSummary;
use crate::problem::{Problem, answer};
use crate::state::{Console, ConsoleState};
use crate::web::access::list::suggested_names;
use crate::web::charts::{self, Timeline};
use crate::web::fields::Fields;
use crate::web::journal::csv;
use crate::web::journal::filters::FILTERS;
use crate::web::journal::line::JournalLine;
use crate::web::journal::tail::after_text;
use crate::web::layout::{PageLayout, html};
use crate::web::page_error::PageResult;
use crate::web::text::moment_of;
use crate::web::visitor::Visitor;

/// Maximum number of rows on a page.
const PAGE_ROWS: u32 = 50;

/// The time range of the chart above the rows, in milliseconds: six hours.
const DRAWN_MS: i64 = 6 * 3_600_000;

#[derive(Template)]
#[template(path = "journal.html")]
struct JournalPage {
    layout: PageLayout,
    fields: Fields,
    wrong: Option<String>,
    accesses: Vec<String>,
    methods: Vec<&'static str>,
    lines: Vec<JournalLine>,
    picture: Option<JournalPicture>,
    is_live: bool,
    /// The filters as a query.
    query: String,
    /// The rows after which the live tail continues. They include rows that an older row can still precede, and sends in progress.
    after: String,
    older: Option<String>,
    /// The time at which the search stopped, if it stopped before the page was full.
    searched_to: Option<String>,
}

/// The chart above the rows, with the last hours of the matching rows.
struct JournalPicture {
    chart: Timeline,
    /// The time at which the chart begins, if there were too many rows for the whole range.
    cut: Option<String>,
}

impl JournalPicture {
    /// Draws the rows that a query finds. A query for one request, and further pages, have no chart.
    async fn of(
        console: &Console,
        query: &JournalQuery,
    ) -> Result<Option<JournalPicture>, StoreError> {
        let filter = &query.filter;
        if query.beyond.is_some() || filter.request_id.is_some() {
            return Ok(None);
        }
        // Include the current second.
        let now_ms = console.judged_now().saturating_add(1).saturating_mul(1000) - 1;
        let until_ms = filter.until_ms.map_or(now_ms, |until| until.min(now_ms));
        let from_ms = (until_ms - DRAWN_MS).max(filter.since_ms.unwrap_or(0));
        let drawn = JournalFilter {
            since_ms: Some(from_ms),
            ..filter.clone()
        };
        let summary = JournalSummary::of(&console.store, &drawn).await?;
        let cut = summary.examined_to_ms.map(|ms| moment_of(ms / 1000));
        Ok((summary.calls > 0).then(|| JournalPicture {
            chart: charts::calls(&summary, (from_ms, until_ms)),
            cut,
        }))
    }
}

/// Shows the table of the journal.
pub(crate) async fn page(
    State(console): ConsoleState,
    visitor: Visitor,
    fields: Fields,
) -> PageResult {
    let parameters = fields.query(&[&FILTERS[..], &["cursor"]].concat());
    let (found, picture, wrong) = match JournalQuery::parse(&parameters, console.judged_now()) {
        Err(mistakes) => {
            let problem = Problem::unreadable(mistakes);
            (None, None, Some(problem.detail().to_owned()))
        }
        Ok(query) => {
            // If the flush fails, the unwritten rows are missing, but all others can still be read.
            let _ = console.store.journal().flush().await;
            let from = (JournalOrder::NewestFirst, query.beyond);
            let filter = &query.filter;
            let found = console
                .store
                .journal_page_without_answers(filter, from, PAGE_ROWS);
            let found = Some(found.await?);
            (found, JournalPicture::of(&console, &query).await?, None)
        }
    };
    let query = fields.query(&FILTERS);
    let (next, is_cut) = found
        .as_ref()
        .map_or((None, false), |found| (found.next, found.is_cut));
    let rows = found.map(|found| found.rows).unwrap_or_default();
    let older = next.map(|next| format!("cursor={}", id_text(next)));
    let page = JournalPage {
        layout: visitor.layout("journal", "Journal"),
        accesses: suggested_names(&console, "").await,
        methods: methods().into(),
        picture,
        is_live: fields.has("live") && wrong.is_none(),
        after: after(&console, &rows),
        older: older.map(|cursor| {
            if query.is_empty() {
                cursor
            } else {
                format!("{query}&{cursor}")
            }
        }),
        searched_to: next.filter(|_| is_cut).map(time_text),
        lines: rows.iter().map(JournalLine::of).collect(),
        query,
        fields,
        wrong,
    };
    let status = if page.wrong.is_some() {
        StatusCode::BAD_REQUEST
    } else {
        StatusCode::OK
    };
    Ok(html(status, &page))
}

fn after(console: &Console, rows: &[JournalRow]) -> String {
    let newest = rows.first().map_or(0, |row| row.id);
    let beyond = console.store.reread_from(newest);
    let unsettled = rows.iter().map(|row| row.id).filter(|id| *id > beyond);
    let open = rows.iter().filter(|row| row.open).map(|row| row.id);
    let shown: Vec<i64> = std::iter::once(newest).chain(unsettled).collect();
    after_text(&shown, &open.collect::<Vec<_>>())
}

/// Exports the rows that match the filters as lines of JSON.
pub(crate) async fn ndjson(
    State(console): ConsoleState,
    _visitor: Visitor,
    fields: Fields,
) -> PageResult {
    let query = query_of(&console, &fields)?;
    let body = export(Arc::clone(&console.store), query).await?;
    Ok(file(
        answer(StatusCode::OK, NDJSON, Body::from_stream(body)),
        "attachment; filename=\"journal.ndjson\"",
    ))
}

/// Exports the rows that match the filters as a table for spreadsheets.
pub(crate) async fn csv(
    State(console): ConsoleState,
    _visitor: Visitor,
    fields: Fields,
) -> PageResult {
    let query = query_of(&console, &fields)?;
    let rows = export_as(Arc::clone(&console.store), query, csv::line).await?;
    let head = futures_util::stream::once(async { Ok(csv::head()) });
    let body = Body::from_stream(head.chain(rows));
    Ok(file(
        answer(StatusCode::OK, "text/csv; charset=utf-8", body),
        "attachment; filename=\"journal.csv\"",
    ))
}

fn query_of(console: &Console, fields: &Fields) -> Result<JournalQuery, Problem> {
    let query = JournalQuery::parse(&fields.query(&FILTERS), console.judged_now());
    let mut query = query.map_err(Problem::unreadable)?;
    query.settle(&console.store, console.now_ms());
    Ok(query)
}

fn file(mut response: Response, name: &'static str) -> Response {
    response
        .headers_mut()
        .insert(header::CONTENT_DISPOSITION, HeaderValue::from_static(name));
    response
}
