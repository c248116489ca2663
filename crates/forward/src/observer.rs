//! Whoever hears of what callers' calls have shown.

use std::time::Duration;

use adapter::{Request, Response};
use tokio::sync::oneshot;
use tokio::time::timeout;

/// How long a caller waits at most until what its call has shown is kept: what only it has seen would be lost in a crash, and a
/// store that stalls must not hold its answer up.
const KEPT_MAX: Duration = Duration::from_millis(250);

/// Comes when what was shown is kept, and fails when it is not.
pub type KeptSignal = oneshot::Receiver<()>;

/// Hears of calls of callers that ended well and asked the upstream.
pub trait CallObserver: Send + Sync {
    /// Takes what a call has shown, without waiting. What is returned is waited for, for a moment, before the caller is answered.
    fn observe(&self, request: &Request, response: &Response) -> Option<KeptSignal>;
}

/// Shows a call to whoever hears of it, and waits until it is kept, if it has to be.
pub(crate) async fn show(
    observer: Option<&dyn CallObserver>,
    request: &Request,
    response: &Response,
) {
    let Some(kept) = observer.and_then(|observer| observer.observe(request, response)) else {
        return;
    };
    // The answer is the caller's in any case.
    let _ = timeout(KEPT_MAX, kept).await;
}
