//! Catches panics, so that one of them does not end a task that runs until the shutdown.

use std::panic::AssertUnwindSafe;

use futures_util::FutureExt;

/// Returns the output of a step of a task; `None` after a panic, which is logged.
pub(crate) async fn caught<F: Future>(step: F) -> Option<F::Output> {
    AssertUnwindSafe(step).catch_unwind().await.ok()
}
