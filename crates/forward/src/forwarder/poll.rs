//! The gateway's own calls, the observer of callers' calls, the state of the upstream, and periodic tasks.

use std::sync::Arc;
use std::time::Instant;

use adapter::{Error, Request, Response};

use super::Forwarder;
use crate::observer::CallObserver;
use crate::upstream::{UpstreamRequest, UpstreamStatus};

/// The name of the line for the gateway's own calls. No access has this name, because names contain no brackets.
const POLLING: &str = "(events)";

impl Forwarder {
    /// Returns the same way out with an observer of the answers to callers' calls.
    #[must_use]
    pub fn observed(self, observer: Option<Arc<dyn CallObserver>>) -> Forwarder {
        Forwarder { observer, ..self }
    }

    /// Makes a call of the gateway itself. The call waits in a separate line, so that it is not behind the calls of an access.
    ///
    /// # Errors
    /// The same as for a caller's call.
    pub async fn poll(&self, request: &Request) -> Result<Response, Error> {
        let limits = &self.config.upstream.limits;
        let deadline = Instant::now() + limits.wait_max + limits.timeout;
        let call = UpstreamRequest {
            request,
            trace: None,
        };
        self.upstream.call(POLLING, call, deadline).await.result
    }

    /// Makes every cached read of this request's channel unreachable.
    pub fn forget_channel(&self, request: &Request) {
        self.cache.forget_channel(request);
    }

    /// Returns whether calls wait for the upstream or all its endpoints have an open breaker.
    #[must_use]
    pub fn is_busy(&self) -> bool {
        let status = self.upstream.status();
        status.waiting > 0 || status.endpoints.iter().all(|(_, is_resting)| *is_resting)
    }

    /// Returns the upstream host, to which the account belongs.
    #[must_use]
    pub fn upstream_host(&self) -> &str {
        self.config.upstream.url.host_str().unwrap_or_default()
    }

    /// Tries the account that is to replace the one in use, if there is one. Has to be called every few seconds.
    pub async fn try_next_account(&self) {
        self.upstream.try_next_account().await;
    }

    /// Returns the state of the upstream.
    #[must_use]
    pub fn upstream_status(&self) -> UpstreamStatus {
        self.upstream.status()
    }

    /// Forgets counts that no longer matter, so that memory follows the callers of the last minute, and closes idle connections to
    /// the upstream. Has to be called every ten seconds.
    pub fn sweep(&self) {
        self.limits.sweep();
        self.daily.sweep();
        self.authenticator.sweep();
        self.upstream.close_idle();
    }
}
