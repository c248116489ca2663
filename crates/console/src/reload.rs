//! `/admin/v1/reload`: reading the configuration again.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use http::{HeaderMap, StatusCode};
use serde_json::Value;

use crate::Console;
use crate::endpoint::{Endpoint, Key};
use crate::operations::{Pending, to_the_end};
use crate::problem::{Problem, json_answer};

/// The configuration of a gateway.
pub trait Reloads: Send + Sync {
    /// Reads it again for the operator of this name. Gives the generation that is in force and the keys that changed;
    /// [`crate::Failed::Invalid`] tells what is wrong, and that the old one stays.
    fn reload(self: Arc<Self>, actor: String) -> Pending<Value>;
}

/// The paths.
pub(crate) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::post("/admin/v1/reload", reload)
            .named(
                "reload",
                "Reads the configuration again; with a mistake in it the old one stays",
            )
            .wants(Key::Operator)
            .answers(200, "Reload")
            .refuses(&[422, 500]),
    ]
}

async fn reload(
    State(console): State<Arc<Console>>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let actor = console.operator(&headers)?;
    let reloaded = to_the_end(Arc::clone(&console.gateway).reload(actor)).await?;
    Ok(json_answer(StatusCode::OK, &reloaded))
}
