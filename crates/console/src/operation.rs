//! Runs operations that outlive the operator's connection.

use http::StatusCode;
use store::StoreError;

use crate::port::{OperationError, OperationFuture};
use crate::problem::Problem;

impl From<OperationError> for Problem {
    fn from(error: OperationError) -> Problem {
        match &error {
            OperationError::Invalid(mistakes) => {
                Problem::mistaken(error.to_string(), mistakes.clone())
            }
            OperationError::Conflict(why) => Problem::new(StatusCode::CONFLICT, "conflict", why),
            OperationError::Broken(why) => {
                tracing::error!(error = why, "an operator's request failed");
                Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "failed", why)
            }
            OperationError::Store(why) => StoreError::new(why.clone()).into(),
        }
    }
}

/// Runs an operation to its end, even if the operator disconnects.
pub(crate) async fn run_to_completion<T: Send + 'static>(
    operation: OperationFuture<T>,
) -> Result<T, Problem> {
    match tokio::spawn(operation).await {
        Ok(ended) => ended.map_err(Problem::from),
        Err(panic) => Err(OperationError::Broken(panic.to_string()).into()),
    }
}
