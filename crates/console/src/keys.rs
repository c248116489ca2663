//! `/admin/v1/keys`: the keys that sign tokens, and their rotation.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use http::{HeaderMap, StatusCode};
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::Console;
use crate::endpoint::{Endpoint, Key};
use crate::operations::{Pending, to_the_end};
use crate::problem::{Problem, json_answer};

/// A key as operators see it; the key itself is never shown.
#[derive(Clone, Debug)]
pub struct KeyRow {
    /// Its id, as tokens and the published keys name it.
    pub kid: String,
    /// What it signs with.
    pub algorithm: &'static str,
    /// When it was made, in seconds since 1970, UTC.
    pub created_at: i64,
    /// Until when it verifies, likewise; absent for the one that signs.
    pub verifies_until: Option<i64>,
}

/// The signing keys of a gateway.
pub trait Keys: Send + Sync {
    /// All of them, the one that signs first.
    fn keys(&self) -> Vec<KeyRow>;

    /// Makes a new key, which signs from the moment that this ends. Gives what [`Keys::keys`] gives from then on.
    fn rotate(self: Arc<Self>) -> Pending<Vec<KeyRow>>;
}

/// The paths.
pub(crate) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::get("/admin/v1/keys", list)
            .named(
                "listSigningKeys",
                "The keys that sign tokens, the one that signs first",
            )
            .wants(Key::Viewer)
            .answers(200, "SigningKeys"),
        Endpoint::post("/admin/v1/keys/rotate", rotate)
            .named(
                "rotateSigningKey",
                "A new key signs at once; tokens signed before stay good until they expire",
            )
            .wants(Key::Operator)
            .answers(200, "SigningKeys")
            .refuses(&[409, 500]),
    ]
}

async fn list(
    State(console): State<Arc<Console>>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    console.viewer(&headers)?;
    Ok(json_answer(
        StatusCode::OK,
        &document(&console.gateway.keys()),
    ))
}

async fn rotate(
    State(console): State<Arc<Console>>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    console.operator(&headers)?;
    let keys = to_the_end(Arc::clone(&console.gateway).rotate()).await?;
    Ok(json_answer(StatusCode::OK, &document(&keys)))
}

fn document(keys: &[KeyRow]) -> Value {
    let rows = keys.iter().map(|key| {
        json!({
            "kid": key.kid,
            "algorithm": key.algorithm,
            "created_at": time(key.created_at),
            "state": if key.verifies_until.is_none() { "signing" } else { "verifying" },
            "verifies_until": key.verifies_until.map(time),
        })
    });
    json!({ "keys": rows.collect::<Vec<_>>() })
}

/// RFC 3339. A time beyond what can be written is one that never comes.
fn time(seconds: i64) -> String {
    Timestamp::from_second(seconds)
        .unwrap_or(Timestamp::MAX)
        .to_string()
}
