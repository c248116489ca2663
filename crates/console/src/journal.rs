//! `/admin/v1/journal`: what happened, by the page or as a whole, and forgetting somebody.

mod query;

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use futures_util::stream;
use http::{HeaderMap, Request, StatusCode, Uri, header};
use jiff::Timestamp;
use serde_json::{Value, json};
use store::{ChangeError, JournalFilter, JournalOrder, JournalRow, StoreError};

use crate::Console;
use crate::accesses::told;
use crate::draft::{ID_BYTES_MAX, bounded};
use crate::endpoint::{Endpoint, Key};
use crate::moment;
use crate::problem::{Problem, answer, json_answer};
use crate::request::body;
use crate::schemas;

pub(crate) use query::{Asked, asked, id_from_text, id_text};

/// Rows read at a time for an export: with the answers of accesses whose journal level is full, some megabytes.
const EXPORT_PAGE_ROWS: u32 = 100;

/// What an export is called.
pub(crate) const NDJSON: &str = "application/x-ndjson";

type Shared = State<Arc<Console>>;
type Answered = Result<Response, Problem>;

/// The paths.
pub(crate) fn endpoints() -> Vec<Endpoint> {
    let string = json!({"type": "string"});
    let status = json!({"type": "string", "pattern": "^(0|[1-5][0-9]{2}|[A-Z][A-Z0-9_]*)$"});
    vec![
        Endpoint::get(
            "/admin/v1/journal",
            async |State(s): Shared, uri: Uri, h: HeaderMap| told(read(&s, &uri, &h).await),
        )
        .named("readJournal", "What happened, by the page or as a whole")
        .wants(Key::Viewer)
        .query("access", &string)
        .query("method", &string)
        .query("request_id", &string)
        .query("delivery", &string)
        .query("status", &status)
        .query("since", &moment::schema())
        .query("until", &moment::schema())
        .query("ip", &schemas::network())
        .query("order", &json!({"enum": ["newest", "oldest"]}))
        .query(
            "cursor",
            &json!({"type": "string", "pattern": schemas::CURSOR}),
        )
        .query(
            "limit",
            &json!({"type": "integer", "minimum": 1, "maximum": u32::MAX}),
        )
        .answers(200, "JournalPage")
        .answers_in(200, NDJSON)
        .refuses(&[422, 503]),
        Endpoint::post("/admin/v1/journal/erase", async |s: Shared, r| {
            told(erase(&s, r).await)
        })
        .named(
            "eraseDestination",
            "Takes away what is kept of one destination",
        )
        .wants(Key::Operator)
        .takes("Erasure")
        .answers(200, "Erased")
        .refuses(&[422, 503]),
    ]
}

/// Whether all rows are asked for, and not a page of them.
pub(crate) fn wants_ndjson(headers: &HeaderMap) -> bool {
    let accepts = headers.get_all(header::ACCEPT).iter();
    accepts
        .filter_map(|value| value.to_str().ok())
        .any(|value| value.to_ascii_lowercase().contains(NDJSON))
}

async fn read(console: &Arc<Console>, uri: &Uri, headers: &HeaderMap) -> Answered {
    console.viewer(headers)?;
    let exports = wants_ndjson(headers);
    let asked = asked(uri.query().unwrap_or_default(), console.now()).map_err(Problem::invalid)?;
    // What can't be written can't be read either; the rest can.
    let _ = console.store.journal().flush().await;
    if exports {
        let body = Body::from_stream(export(Arc::clone(console), asked));
        return Ok(answer(StatusCode::OK, NDJSON, body));
    }
    page(console, asked).await
}

async fn page(console: &Console, asked: Asked) -> Answered {
    let order = asked.order.unwrap_or(JournalOrder::NewestFirst);
    let rows = console
        .store
        .journal_rows(&asked.filter, (order, asked.beyond), asked.limit())
        .await
        .map_err(failing)?;
    let is_full = rows.len() == asked.limit() as usize;
    let next = rows.last().filter(|_| is_full).map(|row| id_text(row.id));
    let with_answers = asked.filter.request_id.is_some();
    let rows: Vec<Value> = rows
        .into_iter()
        .map(|row| view(row, with_answers))
        .collect();
    Ok(json_answer(
        StatusCode::OK,
        &json!({"rows": rows, "next": next}),
    ))
}

/// All rows as lines of JSON.
pub(crate) fn export(
    console: Arc<Console>,
    asked: Asked,
) -> impl stream::Stream<Item = Result<String, StoreError>> {
    export_as(console, asked, |row| format!("{}\n", view(row, true)))
}

/// All rows, oldest first unless asked otherwise, a page at a time: neither the store nor memory holds more.
pub(crate) fn export_as(
    console: Arc<Console>,
    asked: Asked,
    line: fn(JournalRow) -> String,
) -> impl stream::Stream<Item = Result<String, StoreError>> {
    let order = asked.order.unwrap_or(JournalOrder::OldestFirst);
    let left = asked.limit.map_or(u64::MAX, u64::from);
    let begin = (console, asked.filter, asked.beyond, left);
    stream::try_unfold(begin, move |(console, filter, beyond, left)| async move {
        let count =
            u32::try_from(left.min(u64::from(EXPORT_PAGE_ROWS))).unwrap_or(EXPORT_PAGE_ROWS);
        let rows = read_page(&console, &filter, (order, beyond), count).await?;
        let Some(beyond) = rows.last().map(|row| row.id) else {
            return Ok(None);
        };
        let left = left - rows.len() as u64;
        let lines: String = rows.into_iter().map(line).collect();
        Ok(Some((lines, (console, filter, Some(beyond), left))))
    })
}

async fn read_page(
    console: &Console,
    filter: &JournalFilter,
    from: (JournalOrder, Option<i64>),
    count: u32,
) -> Result<Vec<JournalRow>, StoreError> {
    if count == 0 {
        return Ok(Vec::new());
    }
    console.store.journal_rows(filter, from, count).await
}

/// Takes away what is kept of one destination.
async fn erase(console: &Console, request: Request<Body>) -> Answered {
    let actor = console.operator(request.headers())?;
    let Erasure { destination } = body(request).await?;
    bounded(&destination, 1, ID_BYTES_MAX)
        .map_err(|text| Problem::invalid(vec![("destination".to_owned(), text)]))?;
    let by = (actor.as_str(), console.now().saturating_mul(1000));
    let erased = console.store.erase_destination(by, &destination).await;
    let erased = erased.map_err(failing)?;
    tracing::info!(target: "chatgate::change", actor, erased, "a destination was erased from the journal");
    Ok(json_answer(StatusCode::OK, &json!({"erased": erased})))
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Erasure {
    destination: String,
}

/// A row as operators see it: what is absent is left out. Answers are long, and told only to who asks for them.
pub(crate) fn view(row: JournalRow, with_answer: bool) -> Value {
    let id = row.id;
    let mut shown = serde_json::to_value(row).unwrap_or_default();
    shown["id"] = id_text(id).into();
    shown["time"] = time_text(id).into();
    if let Some(fields) = shown.as_object_mut() {
        fields.retain(|name, value| {
            let is_told = with_answer || name != "answer";
            is_told && !value.is_null() && (name != "open" || *value == json!(true))
        });
    }
    shown
}

/// When a row was told, to the millisecond.
pub(crate) fn time_text(id: i64) -> String {
    let time = Timestamp::from_millisecond(JournalRow::time_of(id));
    time.map_or_else(|_| String::new(), |time| format!("{time:.3}"))
}

pub(crate) fn failing(error: StoreError) -> Problem {
    ChangeError::Store(error).into()
}
