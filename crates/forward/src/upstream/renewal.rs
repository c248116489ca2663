//! Builds the upstream for another configuration and keeps the knowledge about it.

use std::sync::Arc;

use super::{Upstream, UpstreamConfig};

impl Upstream {
    /// Returns the upstream under another configuration, with the knowledge about its endpoints, its account and its capacity.
    /// Returns the same upstream if nothing has changed. Root files are compared by content, not only by name.
    ///
    /// # Errors
    /// A sentence, when the roots can't be read.
    pub(crate) fn reconfigured(
        self: &Arc<Self>,
        config: &UpstreamConfig,
    ) -> Result<Arc<Upstream>, String> {
        // An endpoint that failed with some roots may work with others.
        let has_same_roots =
            config.limits.roots == self.config.limits.roots && self.client.is_current()?;
        if has_same_roots && config.is_same(&self.config) {
            return Ok(Arc::clone(self));
        }
        let mut next = Upstream::new(config.clone())?;
        if has_same_roots {
            next.take_over(self);
        }
        Ok(Arc::new(next))
    }

    /// Takes over the knowledge about the endpoints that both have, and about the first endpoint's account.
    fn take_over(&mut self, before: &Upstream) {
        self.endpoints.take_over(&before.endpoints);
        if self.config.url == before.config.url {
            let limits = &self.config.limits;
            self.queue = before
                .queue
                .reconfigured(limits.calls_max, limits.waiting_max);
            self.budget = Arc::clone(&before.budget);
            if self.config.has_same_accounts(&before.config) {
                self.accounts = Arc::clone(&before.accounts);
            }
        }
    }
}
