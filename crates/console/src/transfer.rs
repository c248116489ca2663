//! `/admin/v1/export` and `/admin/v1/import`: all accesses as one document, hashes included, that round-trips.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use http::{HeaderMap, Request, StatusCode};
use serde_json::json;
use store::Access;

use crate::Console;
use crate::accesses::told;
use crate::endpoint::{Endpoint, Key};
use crate::imported::mistakes;
use crate::problem::{Problem, json_answer};
use crate::request::body;

type Shared = State<Arc<Console>>;
type Answered = Result<Response, Problem>;

/// The paths.
pub(crate) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::get("/admin/v1/export", async |s: Shared, h: HeaderMap| {
            told(export(&s, &h))
        })
        .named(
            "exportAccesses",
            "All accesses with the hashes of their secrets, as an import takes them",
        )
        .wants(Key::Operator)
        .answers(200, "Transfer"),
        Endpoint::post("/admin/v1/import", async |s: Shared, r| {
            told(import(&s, r).await)
        })
        .named(
            "importAccesses",
            "Makes the accesses as they stand there, all of them or none",
        )
        .wants(Key::Operator)
        .takes("Transfer")
        .answers(200, "Imported")
        .refuses(&[409, 422, 503]),
    ]
}

/// All accesses with the hashes of their secrets: what an import takes.
fn export(console: &Console, headers: &HeaderMap) -> Answered {
    console.operator(headers)?;
    let accesses = console.store.accesses();
    Ok(json_answer(
        StatusCode::OK,
        &json!({"accesses": accesses.all().iter().map(|access| &**access).collect::<Vec<_>>()}),
    ))
}

/// Makes the accesses of the body as they stand there; others are left alone. All of them or none.
async fn import(console: &Console, request: Request<Body>) -> Answered {
    let actor = console.operator(request.headers())?;
    let import: Import = body(request).await?;
    let mistakes: Vec<_> = import.accesses.iter().flat_map(mistakes).collect();
    if !mistakes.is_empty() {
        return Err(Problem::invalid(mistakes));
    }
    let there = console.store.accesses();
    let is_new = |access: &Access| {
        let same = |there: &Arc<Access>| {
            // What is the store's to set is not compared, and an end of tokens is never taken back.
            Access {
                version: access.version,
                token_generation: access.token_generation,
                tokens_since: access.tokens_since,
                ..Access::clone(there)
            } == *access
                && access.tokens_since <= there.tokens_since
        };
        !there.named(&access.name).is_some_and(same)
    };
    let changed: Vec<Access> = import.accesses.into_iter().filter(is_new).collect();
    console
        .store
        .put_accesses((&actor, console.now()), &changed)
        .await?;
    Ok(json_answer(
        StatusCode::OK,
        &json!({"changed": changed.len()}),
    ))
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Import {
    #[serde(deserialize_with = "store::objects")]
    accesses: Vec<Access>,
}
