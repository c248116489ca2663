//! The observer of the answers to callers' calls.

use std::time::Duration;

use adapter::{Request, Response};
use tokio::sync::oneshot;
use tokio::time::timeout;

/// Longest time that a caller waits until the observed answer is stored. An answer that only this call has seen would be lost in a
/// crash, but a stalled store must not delay the caller for longer.
const RECORD_WAIT_MAX: Duration = Duration::from_millis(250);

/// Completes when the observation is stored, and fails if it is not.
pub type KeptSignal = oneshot::Receiver<()>;

/// Receives the successful calls of callers that asked the upstream.
pub trait CallObserver: Send + Sync {
    /// Receives a call and its answer, and must not wait. The caller is answered after the returned signal, or after a short time.
    fn observe(&self, request: &Request, response: &Response) -> Option<KeptSignal>;
}

/// Passes a call to the observer, and waits until the observation is stored if the observer asks for that.
pub(crate) async fn report(
    observer: Option<&dyn CallObserver>,
    request: &Request,
    response: &Response,
) {
    let Some(stored) = observer.and_then(|observer| observer.observe(request, response)) else {
        return;
    };
    // The caller gets the answer in any case.
    let _ = timeout(RECORD_WAIT_MAX, stored).await;
}
