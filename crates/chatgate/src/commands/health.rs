//! `chatgate healthcheck`: reports whether a gateway accepts calls, as an exit code for a supervisor.

use std::time::Duration;

use client::call::{CallError, GatewayCall, call};
use serde_json::Value;

use super::admin::{explained, new_client, url};
use crate::args::connect::ReachArgs;

/// Maximum wait for the answer. It is a constant, because a gateway that needs longer is not healthy.
const HEALTH_TIMEOUT: Duration = Duration::from_secs(5);

pub(crate) async fn run(reach: &ReachArgs) -> Result<(), String> {
    let address = &reach.admin;
    let request = GatewayCall {
        url: url(address, "/readyz")?,
        form: None,
        json: None,
        bearer: None,
        if_match: None,
    };
    match call(&new_client(reach, HEALTH_TIMEOUT)?, request).await {
        Ok(_) => Ok(()),
        Err(CallError::Refused { status: 503, body }) => {
            let answer: Value = serde_json::from_str(&body).unwrap_or_default();
            let reason = answer["reason"].as_str().unwrap_or("it does not say why");
            Err(format!(
                "the gateway at {} is not ready: {reason}",
                address.authority()
            ))
        }
        Err(error) => Err(explained(address, &error)),
    }
}
