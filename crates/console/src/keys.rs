//! `/admin/v1/keys`: the keys that sign tokens, and their rotation.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use http::{HeaderMap, Request, StatusCode};
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::Console;
use crate::endpoint::{Endpoint, Key};
use crate::operations::{Pending, to_the_end};
use crate::operator_rows::About;
use crate::problem::{Problem, json_answer};
use crate::request::body;

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

/// A new signing key, as it is wanted.
#[derive(Default, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct KeyRotation {
    /// Whether every token ends that was signed before.
    #[serde(default)]
    revoke: bool,
}

/// The signing keys of a gateway.
pub trait Keys: Send + Sync {
    /// All of them, the one that signs first.
    fn keys(&self) -> Vec<KeyRow>;

    /// Makes a new key, which signs from the moment that this ends. Gives what [`Keys::keys`] gives from then on. With
    /// `revoke` the other keys are forgotten at once, and with them ends every token that they signed.
    fn rotate(self: Arc<Self>, revoke: bool) -> Pending<Vec<KeyRow>>;
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
                "A new key signs at once; tokens signed before stay good until they expire, or end with `revoke`",
            )
            .wants(Key::Operator)
            .may_take("KeyRotation")
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
    request: Request<Body>,
) -> Result<Response, Problem> {
    console.operator(request.headers())?;
    let wanted: KeyRotation = body(request).await?;
    let keys = to_the_end(Arc::clone(&console.gateway).rotate(wanted.revoke)).await?;
    let mut response = json_answer(StatusCode::OK, &document(&keys));
    response.extensions_mut().insert(rotated(wanted.revoke));
    Ok(response)
}

/// What the journal says of a rotation.
pub(crate) fn rotated(revoke: bool) -> About {
    let text = if revoke {
        "a new signing key; those before it were revoked"
    } else {
        "a new signing key"
    };
    About(text.to_owned())
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
