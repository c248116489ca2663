//! What an operator can have the gateway do, as the gateway offers it to the console.

use std::fmt;
use std::future::Future;
use std::pin::Pin;

use http::StatusCode;
use serde_json::Value;

use crate::backup::Backups;
use crate::explain::Explains;
use crate::keys::Keys;
use crate::problem::Problem;
use crate::reload::Reloads;

/// An operation under way. It holds what it needs, so that it can go on when the operator has hung up.
pub type Pending<T> = Pin<Box<dyn Future<Output = Result<T, Failed>> + Send>>;

/// Why an operation was not done.
#[derive(Debug)]
pub enum Failed {
    /// The state of the gateway stands against it; the sentence says what, and when it will not.
    Conflict(String),
    /// The gateway could not; the sentence says why, and goes to the operator and into the log.
    Broken(String),
    /// What it was to work on is wrong; each mistake is an object with a `text`.
    Invalid(Vec<Value>),
}

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failed::Conflict(why) | Failed::Broken(why) => f.write_str(why),
            Failed::Invalid(mistakes) => {
                let texts = mistakes
                    .iter()
                    .filter_map(|mistake| mistake["text"].as_str());
                f.write_str(&texts.collect::<Vec<_>>().join("; "))
            }
        }
    }
}

impl From<Failed> for Problem {
    fn from(failed: Failed) -> Problem {
        match &failed {
            Failed::Invalid(mistakes) => Problem::mistaken(failed.to_string(), mistakes.clone()),
            Failed::Conflict(why) => Problem::new(StatusCode::CONFLICT, "conflict", why),
            Failed::Broken(why) => {
                tracing::error!(error = why, "an operation failed");
                Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "failed", why)
            }
        }
    }
}

/// All that the gateway offers, each kind in a file of its own.
pub trait Operations: Keys + Backups + Explains + Reloads {}

impl<T: Keys + Backups + Explains + Reloads> Operations for T {}

/// Lets an operation come to its end, and its answer be told, even when nobody waits for it any more.
pub(crate) async fn to_the_end<T: Send + 'static>(operation: Pending<T>) -> Result<T, Problem> {
    match tokio::spawn(operation).await {
        Ok(ended) => ended.map_err(Problem::from),
        Err(panic) => Err(Failed::Broken(panic.to_string()).into()),
    }
}
