//! `/admin/v1/keys`: lists and rotates the keys that sign tokens.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use http::{Request, StatusCode};
use serde_json::{Value, json};

use crate::api::endpoint::{AdminEndpoint, RequiredKey};
use crate::api::request::body;
use crate::audit::notes::ActionNote;
use crate::moment::rfc3339;
use crate::operation::run_to_completion;
use crate::port::KeyRow;
use crate::problem::{ApiResult, json_answer};
use crate::state::ConsoleState;

/// The request body of a rotation.
#[derive(Default, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct KeyRotation {
    /// True if the rotation ends every token that was signed before.
    #[serde(default)]
    revoke: bool,
}

/// Returns the endpoints.
pub(super) fn endpoints() -> Vec<AdminEndpoint> {
    vec![
        AdminEndpoint::get(RequiredKey::Viewer, "/admin/v1/keys", list)
            .named(
                "listSigningKeys",
                "Lists the keys that sign and verify tokens, newest first",
            )
            .answers(200, "SigningKeys"),
        AdminEndpoint::post(RequiredKey::Operator, "/admin/v1/keys/rotate", rotate)
            .named(
                "rotateSigningKey",
                "Creates a new signing key; earlier tokens stay valid until they expire, unless revoke is true",
            )
            .accepts_optional("KeyRotation")
            .answers(200, "SigningKeys")
            .refuses(&[409, 500]),
    ]
}

async fn list(State(console): ConsoleState) -> ApiResult {
    let document = document(&console.gateway.keys());
    Ok(json_answer(StatusCode::OK, &document))
}

async fn rotate(State(console): ConsoleState, request: Request<Body>) -> ApiResult {
    let KeyRotation { revoke } = body(request).await?;
    let keys = run_to_completion(Arc::clone(&console.gateway).rotate(revoke)).await?;
    let mut response = json_answer(StatusCode::OK, &document(&keys));
    let note = ActionNote::key_rotation(revoke);
    response.extensions_mut().insert(note);
    Ok(response)
}

fn document(keys: &[KeyRow]) -> Value {
    let rows = keys.iter().map(|key| {
        json!({
            "kid": key.kid,
            "algorithm": key.algorithm,
            "created_at": rfc3339(key.created_at),
            "state": if key.signs { "signing" } else { "verifying" },
            "verifies_until": key.verifies_until.map(rfc3339),
        })
    });
    json!({ "keys": rows.collect::<Vec<_>>() })
}
