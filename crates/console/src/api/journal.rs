//! `/admin/v1/journal`: reads the journal, by page or as a whole, and erases one destination from it.

use std::sync::Arc;

use adapter::Delivery;
use axum::body::Body;
use axum::extract::State;
use http::{HeaderMap, Request, StatusCode, Uri};
use serde_json::{Value, json};
use store::{ErasureError, JournalOrder, Store, StoreError};

use crate::access::bounds::ID_BYTES_MAX;
use crate::access::draft::bounded;
use crate::access::field_schemas;
use crate::api::auth::Actor;
use crate::api::endpoint::{AdminEndpoint, RequiredKey};
use crate::api::request::body;
use crate::api::schemas;
use crate::journal::export::{NDJSON, export, wants_ndjson};
use crate::journal::query::{JournalQuery, id_text};
use crate::journal::rows::{row_view, time_text};
use crate::moment;
use crate::operation::run_to_completion;
use crate::port::OperationError;
use crate::problem::{ApiResult, Problem, answer, json_answer};
use crate::route_kind::RouteKind;
use crate::state::{Console, ConsoleState};

/// Returns the endpoints.
pub(super) fn endpoints() -> Vec<AdminEndpoint> {
    let string = json!({"type": "string"});
    let status = json!({"type": "string", "pattern": "^(0|[1-5][0-9]{2}|[A-Z][A-Z0-9_]*)$"});
    vec![
        AdminEndpoint::get(RequiredKey::Viewer, "/admin/v1/journal", read)
            .kind(RouteKind::JournalRead)
            .named(
                "readJournal",
                "Reads the journal, one page at a time or completely",
            )
            .query("access", &string)
            .query("method", &string)
            .query("request_id", &string)
            .query(
                "delivery",
                &json!({"enum": Delivery::ALL.map(Delivery::word)}),
            )
            .query("status", &status)
            .query("since", &moment::schema())
            .query("until", &moment::schema())
            .query("ip", &field_schemas::network())
            .query("order", &json!({"enum": ["newest", "oldest"]}))
            .query(
                "cursor",
                &json!({"type": "string", "pattern": schemas::CURSOR}),
            )
            .query("follow", &json!({"type": "boolean"}))
            .query(
                "limit",
                &json!({"type": "integer", "minimum": 1, "maximum": u32::MAX}),
            )
            .answers(200, "JournalPage")
            .answers_in(200, NDJSON)
            .refuses(&[422]),
        AdminEndpoint::post(RequiredKey::Operator, "/admin/v1/journal/erase", erase)
            .kind(RouteKind::JournaledChange)
            .named(
                "eraseDestination",
                "Erases the stored data of one destination; only one erasure can run at a time",
            )
            .accepts("Erasure")
            .answers(200, "Erased")
            .refuses(&[409, 422]),
    ]
}

async fn read(State(console): ConsoleState, uri: Uri, headers: HeaderMap) -> ApiResult {
    let query = JournalQuery::parse(uri.query().unwrap_or_default(), console.judged_now());
    let mut query = query.map_err(Problem::invalid)?;
    let is_export = wants_ndjson(&headers);
    if is_export || query.order == Some(JournalOrder::OldestFirst) {
        query.settle(&console.store, console.now_ms());
    }
    if is_export {
        let body = export(Arc::clone(&console.store), query).await?;
        return Ok(answer(StatusCode::OK, NDJSON, Body::from_stream(body)));
    }
    // If the flush fails, the unwritten rows are missing, but all others can still be read.
    let _ = console.store.journal().flush().await;
    page(&console, query).await
}

async fn page(console: &Console, query: JournalQuery) -> ApiResult {
    let order = query.order.unwrap_or(JournalOrder::NewestFirst);
    let from = (order, query.beyond);
    let (store, filter, limit) = (&console.store, &query.filter, query.limit());
    let settled_to = settled_to(store).await?;
    let with_answers = filter.request_id.is_some();
    let page = if with_answers {
        store.journal_page(filter, from, limit).await?
    } else {
        let page = store.journal_page_without_answers(filter, from, limit);
        page.await?
    };
    let searched_to = page.next.filter(|_| page.is_cut).map(time_text);
    let newest = page.rows.iter().map(|row| row.id);
    // The search also passed rows that do not match the filter.
    let looked_at = page.next.filter(|_| order == JournalOrder::OldestFirst);
    let newest = newest.chain(looked_at).max();
    let follow = newest.map(|id| id_text(store.reread_from(id).min(settled_to)));
    let rows: Vec<Value> = page
        .rows
        .into_iter()
        .map(|row| row_view(row, with_answers))
        .collect();
    Ok(json_answer(
        StatusCode::OK,
        &json!({"rows": rows, "next": page.next.map(id_text), "searched_to": searched_to, "follow": follow}),
    ))
}

/// Returns the number of the newest row, or of the row before the oldest send in progress. A client that follows the journal reads
/// later rows again, so that it also gets the outcomes of these sends.
async fn settled_to(store: &Store) -> Result<i64, StoreError> {
    let newest = store.newest_row().await?;
    let sends = store.sends_under_way().await?.into_iter();
    Ok(sends.map(|id| id - 1).fold(newest, i64::min))
}

/// Erases the data that the journal stores about one destination.
async fn erase(
    State(console): ConsoleState,
    Actor(actor): Actor,
    request: Request<Body>,
) -> ApiResult {
    let Erasure { destination } = body(request).await?;
    bounded(&destination, 1, ID_BYTES_MAX).map_err(|text| Problem::wrong("destination", text))?;
    let Ok(permit) = Arc::clone(&console.erasures).try_acquire_owned() else {
        let why = "An erasure is in progress. Try again when it has ended.";
        return Err(OperationError::Conflict(why.to_owned()).into());
    };
    let (store, at_ms) = (Arc::clone(&console.store), console.now_ms());
    // The erasure waits for sends in progress. It runs to completion even if the operator disconnects, and the permit stays with it.
    let erased = run_to_completion(Box::pin(async move {
        let _permit = permit;
        let erasing = store.erase_destination((&actor, at_ms), &destination);
        let erased = erasing.await.map_err(|error| match error {
            ErasureError::Incomplete(why) => OperationError::Conflict(why),
            ErasureError::Store(error) => OperationError::Store(error.to_string()),
        })?;
        tracing::info!(target: "chatgate::change", actor, erased, "a destination was erased from the journal");
        Ok(erased)
    }))
    .await?;
    Ok(json_answer(StatusCode::OK, &json!({"erased": erased})))
}

/// The request body of an erasure.
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Erasure {
    destination: String,
}
