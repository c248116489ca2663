//! `chatgate healthcheck`: whether a gateway takes calls, as an exit code for whatever watches it.

use std::time::Duration;

use client::call::{Call, CallError, call};
use serde_json::Value;

use super::admin::{new_client, told, url};
use crate::cli::ReachArgs;

/// Longest wait for the answer: a gateway that needs more for a constant is not well.
const HEALTH_TIMEOUT: Duration = Duration::from_secs(5);

pub(crate) async fn health_command(reach: &ReachArgs) -> Result<(), String> {
    let address = &reach.admin;
    let ask = Call {
        url: url(address, "/readyz")?,
        form: None,
        json: None,
        bearer: None,
    };
    match call(&new_client(reach, HEALTH_TIMEOUT)?, ask).await {
        Ok(_) => Ok(()),
        Err(CallError::Refused { status: 503, body }) => {
            let answer: Value = serde_json::from_str(&body).unwrap_or_default();
            let reason = answer["reason"].as_str().unwrap_or("it does not say why");
            Err(format!(
                "the gateway at {} is not ready: {reason}",
                address.authority()
            ))
        }
        Err(error) => Err(told(address, &error)),
    }
}
