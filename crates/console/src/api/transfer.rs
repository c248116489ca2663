//! `/admin/v1/export` and `/admin/v1/import`: all accesses with their hashes as one document that round-trips.

use std::convert::Infallible;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use futures_util::stream;
use http::{Request, StatusCode};
use serde_json::json;
use store::{Access, Accesses, ChangeAuthor};

use crate::access::imported::mistakes;
use crate::api::auth::Actor;
use crate::api::endpoint::{AdminEndpoint, RequiredKey};
use crate::api::request::body;
use crate::problem::{ApiResult, Problem, answer, json_answer};
use crate::route_kind::RouteKind;
use crate::state::ConsoleState;

/// Number of accesses that an export writes at a time: some hundred kilobytes.
const EXPORTED_PER_BATCH: usize = 200;

/// Returns the endpoints.
pub(super) fn endpoints() -> Vec<AdminEndpoint> {
    vec![
        AdminEndpoint::get(RequiredKey::Operator, "/admin/v1/export", export)
            .kind(RouteKind::Export)
            .named(
                "exportAccesses",
                "Exports all accesses with the hashes of their secrets, in the format of an import",
            )
            .answers(200, "Transfer")
            .refuses(&[409]),
        AdminEndpoint::post(RequiredKey::Operator, "/admin/v1/import", import)
            .named(
                "importAccesses",
                "Stores all accesses of the body or none of them; existing accesses with the same names are replaced",
            )
            .accepts("Transfer")
            .answers(200, "Imported")
            .refuses(&[409, 422]),
    ]
}

async fn export(State(console): ConsoleState) -> ApiResult {
    let accesses = console.store.accesses();
    if accesses.unreadable() > 0 {
        let text = "This version of the program can't read some accesses. Export them at a replica of the version that has written them.";
        return Err(Problem::new(StatusCode::CONFLICT, "conflict", text));
    }
    let document = Body::from_stream(document(accesses));
    Ok(answer(StatusCode::OK, "application/json", document))
}

/// Writes all accesses in batches, so that the whole document is never in memory and other tasks of the thread can run between
/// batches.
fn document(accesses: Arc<Accesses>) -> impl stream::Stream<Item = Result<String, Infallible>> {
    let start = Some((accesses, None::<String>));
    stream::unfold(start, |state| async move {
        let (accesses, last) = state?;
        let mut text = String::new();
        if last.is_none() {
            text.push_str("{\"accesses\":[");
        }
        let (mut now, after) = (last.clone(), last.unwrap_or_default());
        let mut written = 0;
        for access in accesses.after(&after).take(EXPORTED_PER_BATCH) {
            if now.replace(access.name.clone()).is_some() {
                text.push(',');
            }
            // Serialization can't fail, because every stored access was serialized before.
            text.push_str(&serde_json::to_string(&**access).unwrap_or_default());
            written += 1;
        }
        if written == EXPORTED_PER_BATCH {
            return Some((Ok(text), Some((accesses, now))));
        }
        text.push_str("]}");
        Some((Ok(text), None))
    })
}

/// Stores all accesses of the body, or none. Other accesses do not change.
async fn import(
    State(console): ConsoleState,
    Actor(actor): Actor,
    request: Request<Body>,
) -> ApiResult {
    let import: Import = body(request).await?;
    let mistakes = mistakes(&import.accesses);
    if !mistakes.is_empty() {
        return Err(Problem::invalid(mistakes));
    }
    let current = console.store.accesses();
    let is_new = |access: &Access| {
        let is_same = |stored: &Arc<Access>| {
            // Fields that the store sets are not compared, and an end of tokens is never undone.
            Access {
                version: access.version,
                token_generation: access.token_generation,
                tokens_since: access.tokens_since,
                ..Access::clone(stored)
            } == *access
                && access.tokens_since <= stored.tokens_since
        };
        !current.named(&access.name).is_some_and(is_same)
    };
    let changed: Vec<Access> = import.accesses.into_iter().filter(is_new).collect();
    console
        .store
        .put_accesses(ChangeAuthor::new(&actor, console.now()), &changed)
        .await?;
    Ok(json_answer(
        StatusCode::OK,
        &json!({"changed": changed.len()}),
    ))
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Import {
    #[serde(deserialize_with = "store::objects")]
    accesses: Vec<Access>,
}
