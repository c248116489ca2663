//! The journal: filters, the table, and the whole of it to take away.

use std::sync::Arc;

use askama::Template;
use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use http::{HeaderValue, StatusCode, header};
use store::{JournalFilter, JournalKind, JournalOrder, JournalRow};

use super::csv;
use super::door::Shared;
use super::fields::Fields;
use super::page::{Shell, html};
use super::text::{duration, moment, or_dash};
use super::visitor::{Refusal, Visitor};
use crate::Console;
use crate::journal::{NDJSON, asked, export, export_as, failing, id_text, time_text};
use crate::problem::{Problem, answer};

/// Rows of a page.
const PAGE_ROWS: u32 = 50;

/// What can be asked for, as on the command line.
const FILTERS: [&str; 8] = [
    "access",
    "method",
    "status",
    "since",
    "until",
    "ip",
    "request_id",
    "delivery",
];

/// One line of the table.
pub(super) struct Line {
    pub(super) id: String,
    pub(super) time: String,
    pub(super) access: String,
    pub(super) what: String,
    pub(super) way: String,
    pub(super) client: String,
    pub(super) status: String,
    pub(super) outcome: String,
    /// How many calls it stands for, such as `×3`; empty for one.
    pub(super) count: String,
    /// `well`, `refused`, `broken` or `other`; the style sheet's word.
    pub(super) kind: &'static str,
    pub(super) delivery: String,
    pub(super) took: String,
}

impl Line {
    pub(super) fn of(row: &JournalRow) -> Line {
        let is_request = row.kind == JournalKind::Request;
        let kind = match (is_request, row.open, row.canonical) {
            (false, ..) | (_, true, _) => "other",
            (_, _, Some(500..)) => "broken",
            (..) if row.code.is_some() => "refused",
            (..) => "well",
        };
        let outcome = match (row.code.as_deref(), row.open) {
            (Some(code), _) => code,
            (None, true) => "under way",
            (None, false) if is_request => "SUCCESS",
            (None, false) => row.actor.as_deref().unwrap_or_default(),
        };
        Line {
            id: id_text(row.id),
            time: moment(&time_text(row.id)),
            access: or_dash(row.access.as_deref()),
            what: what(row),
            way: or_dash(row.way.as_deref()),
            client: row
                .client
                .map_or_else(|| "–".to_owned(), |client| client.to_string()),
            status: row
                .status
                .map_or_else(String::new, |status| status.to_string()),
            outcome: or_dash(Some(outcome)),
            count: match row.count.0 {
                1 => String::new(),
                count => format!("×{count}"),
            },
            kind,
            delivery: or_dash(row.delivery.as_deref()),
            took: row.total_us.map_or_else(|| "–".to_owned(), duration),
        }
    }
}

/// What a row is about: a caller's operation, an operator's request, or the kind of row.
fn what(row: &JournalRow) -> String {
    let word = row.kind.word();
    match row.kind {
        JournalKind::Request => or_dash(row.method.as_deref()),
        JournalKind::Operator => {
            let asked = [row.http_method.as_deref(), row.path.as_deref()];
            let asked = asked.into_iter().flatten();
            let parts: Vec<_> = std::iter::once(word).chain(asked).collect();
            parts.join(" ")
        }
        JournalKind::Change | JournalKind::Clearing | JournalKind::Erasure => word.to_owned(),
    }
}

#[derive(Template)]
#[template(path = "journal.html")]
struct Journal {
    shell: Shell,
    fields: Fields,
    wrong: Option<String>,
    accesses: Vec<String>,
    methods: Vec<&'static str>,
    lines: Vec<Line>,
    is_live: bool,
    /// The query of these filters.
    query: String,
    /// Where the tail begins.
    after: String,
    older: Option<String>,
}

/// What a query filters by. What can't be read filters nothing here: the page itself says so.
pub(super) fn filter_of(fields: &Fields, now: i64) -> JournalFilter {
    let asked = asked(&fields.query(&FILTERS), now).unwrap_or_default();
    asked.filter
}

/// Whether a query asks for some rows only.
pub(super) fn is_filtered(fields: &Fields) -> bool {
    !fields.query(&FILTERS).is_empty()
}

/// The table.
pub(super) async fn page(
    State(console): Shared,
    visitor: Visitor,
    fields: Fields,
) -> Result<Response, Refusal> {
    let asked_for = asked(
        &fields.query(&[&FILTERS[..], &["cursor"]].concat()),
        console.now(),
    );
    let wrong = asked_for.as_ref().err().map(|mistakes| {
        let told = mistakes
            .iter()
            .map(|(field, text)| format!("{field}: {text}"));
        told.collect::<Vec<_>>().join("; ")
    });
    let rows = match &asked_for {
        Err(_) => Vec::new(),
        Ok(asked) => {
            // What can't be written can't be read either; the rest can.
            let _ = console.store.journal().flush().await;
            let from = (JournalOrder::NewestFirst, asked.beyond);
            console
                .store
                .journal_rows(&asked.filter, from, PAGE_ROWS)
                .await
                .map_err(failing)?
        }
    };
    let query = fields.query(&FILTERS);
    let is_full = rows.len() == PAGE_ROWS as usize;
    let older = rows
        .last()
        .filter(|_| is_full)
        .map(|row| format!("cursor={}", id_text(row.id)));
    let page = Journal {
        shell: Shell::of(&visitor, "journal", "Journal"),
        accesses: console
            .store
            .accesses()
            .all()
            .iter()
            .map(|access| access.name.clone())
            .collect(),
        methods: adapter::OPERATIONS
            .iter()
            .map(|operation| operation.method)
            .collect(),
        is_live: fields.has("live") && wrong.is_none(),
        after: id_text(rows.first().map_or(0, |row| row.id)),
        older: older.map(|cursor| {
            if query.is_empty() {
                cursor
            } else {
                format!("{query}&{cursor}")
            }
        }),
        lines: rows.iter().map(Line::of).collect(),
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

/// The rows that these filters find, as lines of JSON.
pub(super) async fn ndjson(
    State(console): Shared,
    _visitor: Visitor,
    fields: Fields,
) -> Result<Response, Refusal> {
    let asked = taken(&console, &fields)?;
    let _ = console.store.journal().flush().await;
    let body = Body::from_stream(export(Arc::clone(&console), asked));
    Ok(file(
        answer(StatusCode::OK, NDJSON, body),
        "attachment; filename=\"journal.ndjson\"",
    ))
}

/// The same as a table for spreadsheets.
pub(super) async fn csv(
    State(console): Shared,
    _visitor: Visitor,
    fields: Fields,
) -> Result<Response, Refusal> {
    use futures_util::StreamExt;
    let asked = taken(&console, &fields)?;
    let _ = console.store.journal().flush().await;
    let head = futures_util::stream::once(async { Ok(csv::head()) });
    let body = Body::from_stream(head.chain(export_as(Arc::clone(&console), asked, csv::line)));
    Ok(file(
        answer(StatusCode::OK, "text/csv; charset=utf-8", body),
        "attachment; filename=\"journal.csv\"",
    ))
}

fn taken(console: &Console, fields: &Fields) -> Result<crate::journal::Asked, Problem> {
    asked(&fields.query(&FILTERS), console.now()).map_err(Problem::unreadable)
}

fn file(mut response: Response, name: &'static str) -> Response {
    response
        .headers_mut()
        .insert(header::CONTENT_DISPOSITION, HeaderValue::from_static(name));
    response
}
