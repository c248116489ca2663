//! `/admin/v1/replicas`: lists the processes that share the store.

use axum::extract::State;
use http::StatusCode;
use serde_json::{Value, json};
use store::ReplicaRow;

use crate::api::endpoint::{AdminEndpoint, RequiredKey};
use crate::moment::rfc3339;
use crate::problem::{ApiResult, json_answer};
use crate::state::ConsoleState;

/// Returns the endpoints.
pub(super) fn endpoints() -> Vec<AdminEndpoint> {
    vec![
        AdminEndpoint::get(RequiredKey::Viewer, "/admin/v1/replicas", list)
            .named(
                "listReplicas",
                "Lists the replicas that share the store, with the changes that each has applied; empty if the store is not shared",
            )
            .answers(200, "Replicas"),
    ]
}

async fn list(State(console): ConsoleState) -> ApiResult {
    let rows = console.store.replicas().await?;
    let rows: Vec<_> = rows.unwrap_or_default().iter().map(row).collect();
    Ok(json_answer(StatusCode::OK, &json!({ "replicas": rows })))
}

fn row(row: &ReplicaRow) -> Value {
    json!({
        "id": row.id,
        "name": row.name,
        "answers": row.is_own,
        "state": row.state(),
        "version": row.version,
        "config": row.config,
        "started_at": rfc3339(row.started_at),
        "lease_ms": row.lease_ms,
        "in_force": {
            "accesses": row.accesses,
            "admin_keys": row.admin_keys,
            "signing_keys": row.signing_keys,
        },
        "behind": row.behind,
    })
}
