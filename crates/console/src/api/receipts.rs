//! `/admin/v1/receipts/{access}/{key}`: shows the outcome of the sends that used one idempotency key.

use axum::extract::State;
use http::StatusCode;
use serde_json::{Value, json};
use store::{ChangeError, Receipt, ReceiptState};

use crate::api::endpoint::{AdminEndpoint, RequiredKey};
use crate::moment::rfc3339;
use crate::path_names::ApiPath;
use crate::problem::{ApiResult, Problem, json_answer};
use crate::state::ConsoleState;

/// Returns the endpoints.
pub(super) fn endpoints() -> Vec<AdminEndpoint> {
    vec![
        AdminEndpoint::get(
            RequiredKey::Viewer,
            "/admin/v1/receipts/{access}/{key}",
            show,
        )
        .named(
            "readReceipts",
            "Shows the outcome of the sends with one idempotency key",
        )
        .answers(200, "Receipts"),
    ]
}

async fn show(
    State(console): ConsoleState,
    ApiPath((access, key)): ApiPath<(String, String)>,
) -> ApiResult {
    let accesses = console.store.accesses();
    let access = accesses.named(&access).ok_or(ChangeError::Missing)?;
    let receipts = console.store.receipts(&access.client_id, &key).await;
    let receipts = receipts.map_err(ChangeError::Store)?;
    if receipts.is_empty() {
        let text = "No send of this access with this key is known.";
        return Err(Problem::new(StatusCode::NOT_FOUND, "no_such_receipt", text));
    }
    let receipts: Vec<Value> = receipts.iter().map(view).collect();
    Ok(json_answer(
        StatusCode::OK,
        &json!({ "receipts": receipts }),
    ))
}

fn view(receipt: &Receipt) -> Value {
    let (state, delivery) = match receipt.state {
        ReceiptState::Open => ("under_way", "unknown"),
        ReceiptState::Sent => ("ended", "sent"),
        ReceiptState::Unknown => ("ended", "unknown"),
    };
    // For a completed send the stored answer is its result, for any other send it is a code.
    let code = receipt
        .answer
        .as_deref()
        .filter(|_| receipt.state == ReceiptState::Unknown);
    json!({
        "method": receipt.method,
        "state": state,
        "delivery": delivery,
        "code": code,
        "request_id": receipt.request_id,
        "made_at": rfc3339(receipt.made_at),
    })
}
