//! Calls that are no caller's, who hears of those that are, how the upstream is, and what is done from time to time.

use std::sync::Arc;
use std::time::Instant;

use adapter::{Error, Request, Response};

use super::Forwarder;
use crate::observer::CallObserver;
use crate::upstream::{AskedRequest, UpstreamStatus};

/// The name of the line of calls that are no caller's. No access has it: names have no brackets.
const POLLING: &str = "(events)";

impl Forwarder {
    /// The same way out, which shows what callers' calls have shown.
    #[must_use]
    pub fn observed(self, observer: Option<Arc<dyn CallObserver>>) -> Forwarder {
        Forwarder { observer, ..self }
    }

    /// Makes a call that is no caller's, which waits in a line of its own, behind nobody's.
    ///
    /// # Errors
    /// As a caller's call.
    pub async fn poll(&self, request: &Request) -> Result<Response, Error> {
        let limits = &self.config.upstream.limits;
        let deadline = Instant::now() + limits.wait_max + limits.timeout;
        let asked = AskedRequest {
            request,
            trace: None,
        };
        self.upstream.call(POLLING, asked, deadline).await.result
    }

    /// Has no list of a channel's chats answered any more that is kept by now.
    pub fn forget_channel(&self, request: &Request) {
        self.cache.forget_channel(request);
    }

    /// Whether calls wait for the upstream, or all its endpoints are left alone.
    #[must_use]
    pub fn is_busy(&self) -> bool {
        let status = self.upstream.status();
        status.waiting > 0 || status.endpoints.iter().all(|(_, is_resting)| *is_resting)
    }

    /// The host whose account calls are made with.
    #[must_use]
    pub fn upstream_host(&self) -> &str {
        self.config.upstream.url.host_str().unwrap_or_default()
    }

    /// Tries the account that is to replace the one in use, if there is one. Call it every few seconds.
    pub async fn try_next_account(&self) {
        self.upstream.try_next_account().await;
    }

    /// The state of the upstream.
    #[must_use]
    pub fn upstream_status(&self) -> UpstreamStatus {
        self.upstream.status()
    }

    /// Forgets counts that no longer matter, so that memory follows the callers of the last minute, and closes idle
    /// connections to the upstream. Call it every ten seconds.
    pub fn sweep(&self) {
        self.limits.sweep();
        self.daily.sweep();
        self.authenticator.sweep();
        self.upstream.close_idle();
    }
}
