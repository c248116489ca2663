//! The upstream under another configuration, which keeps what was found out about it.

use std::sync::Arc;

use super::{Upstream, UpstreamConfig};

impl Upstream {
    /// The upstream under another configuration, with what is known of its endpoints, its account and how much it takes; the
    /// same one if nothing has changed. What stands in the files of roots counts, not their names alone.
    ///
    /// # Errors
    /// A sentence, when the roots can't be read.
    pub(crate) fn renewed(
        self: &Arc<Self>,
        config: &UpstreamConfig,
    ) -> Result<Arc<Upstream>, String> {
        // An endpoint that was ill by some roots may be well by others.
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

    /// Takes over what was found out about the endpoints that both have, and about the first one's account.
    fn take_over(&mut self, before: &Upstream) {
        self.endpoints.take_over(&before.endpoints);
        if self.config.url == before.config.url {
            let limits = &self.config.limits;
            self.queue = before.queue.renewed(limits.calls_max, limits.waiting_max);
            self.budget = Arc::clone(&before.budget);
            if self.config.has_same_accounts(&before.config) {
                self.accounts = Arc::clone(&before.accounts);
            }
        }
    }
}
