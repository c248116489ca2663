//! Announces the end of this replica to the other replicas.

use std::sync::atomic::Ordering;

use super::replica::{drain, leave};
use super::store::PostgresStore;

impl PostgresStore {
    /// Tells the other replicas that this process is about to end.
    pub(crate) async fn drain(&self) {
        self.is_draining.store(true, Ordering::Relaxed);
        if let Err(error) = drain(self.pool(), self.ids().replica()).await {
            tracing::warn!(%error, "this replica could not announce its shutdown to the other replicas");
        }
    }

    pub(crate) fn is_draining(&self) -> bool {
        self.is_draining.load(Ordering::Relaxed)
    }

    /// Ends the heartbeat and the lease of this replica, so that the others no longer see it.
    pub(crate) async fn leave(&self) {
        let mut tasks = std::mem::take(&mut *self.heartbeat.lock());
        tasks.shutdown().await;
        if let Err(error) = leave(self.pool(), self.ids().replica()).await {
            tracing::warn!(%error, "this replica could not end its lease; the other replicas wait until it expires");
        }
    }
}
