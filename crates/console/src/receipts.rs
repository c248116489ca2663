//! `/admin/v1/receipts/{access}/{key}`: what became of the sends with one idempotency key.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::response::Response;
use http::{HeaderMap, StatusCode};
use jiff::Timestamp;
use serde_json::{Value, json};
use store::{ChangeError, Receipt, ReceiptState};

use crate::Console;
use crate::accesses::told;
use crate::endpoint::{Endpoint, Key};
use crate::problem::{Problem, json_answer};

type Shared = State<Arc<Console>>;

/// The paths.
pub(crate) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::get(
            "/admin/v1/receipts/{access}/{key}",
            async |State(s): Shared, Path(of): Path<(String, String)>, h: HeaderMap| {
                told(show(&s, &of, &h).await)
            },
        )
        .named(
            "readReceipts",
            "What became of the sends with one idempotency key",
        )
        .wants(Key::Viewer)
        .answers(200, "Receipts")
        .refuses(&[503]),
    ]
}

async fn show(
    console: &Console,
    (access, key): &(String, String),
    headers: &HeaderMap,
) -> Result<Response, Problem> {
    console.viewer(headers)?;
    let accesses = console.store.accesses();
    let access = accesses.named(access).ok_or(ChangeError::Missing)?;
    let receipts = console.store.receipts(&access.client_id, key).await;
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
    let made_at = Timestamp::from_second(receipt.made_at).unwrap_or(Timestamp::MAX);
    // Of a send that has been made the answer is the result, of all others a code.
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
        "made_at": made_at.to_string(),
    })
}
