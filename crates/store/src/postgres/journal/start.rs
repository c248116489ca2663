//! Starts the journal.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::StoreError;
use crate::postgres::store::PostgresStore;

impl PostgresStore {
    /// Closes the sends that dead replicas have left open, and makes the partitions of the next days. Returns the number of closed
    /// rows.
    pub(crate) async fn close_left_open(&self) -> Result<u64, StoreError> {
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        let now_ms = i64::try_from(now.as_millis()).unwrap_or(i64::MAX);
        self.make_partitions(self.lease().database_ms(now_ms))
            .await?;
        let Some(lanes) = &self.lanes else {
            return Ok(0);
        };
        let mut lease = self.pool().take().await?;
        let closed = lanes.state().close_orphaned(&mut lease.session).await;
        self.pool().return_connection(lease);
        Ok(closed? as u64)
    }
}
