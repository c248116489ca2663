//! Reads who may still write about a destination during its erasure.

use std::sync::LazyLock;

use tokio_postgres::Row;
use tokio_postgres::types::Type;

use crate::StoreError;
use crate::erasure::under_way::OtherReplicas;
use crate::journal::query::LATE_MS;
use crate::postgres::error::PgError;
use crate::postgres::replica::SILENT_MAX;
use crate::postgres::store::PostgresStore;

const SENDS: &str = "SELECT id FROM chatgate.intents";

/// Selects the live replicas, the replicas that have ended within the last seconds and may be writing their last rows, and the
/// replicas that have lost their leases without announcing their ends.
static OTHERS: LazyLock<String> = LazyLock::new(|| {
    format!(
        "SELECT name, lease_until > now() AS is_live, draining, (figures->>'written_to_ms')::bigint AS written_to_ms
         FROM chatgate.replicas WHERE id <> $1
            AND lease_until > now() - CASE WHEN draining THEN $2 * interval '1 ms' ELSE {SILENT_MAX} END
         ORDER BY id"
    )
});

impl PostgresStore {
    /// Returns the ids of the rows of sends under way.
    pub(crate) async fn sends_under_way(&self) -> Result<Vec<i64>, StoreError> {
        let sends = self.pool().read(SENDS, &[]).await?;
        let sends = sends.iter().map(|row| row.try_get("id"));
        Ok(sends.collect::<Result<_, _>>().map_err(PgError::from)?)
    }

    /// Returns the other replicas that may have waiting rows.
    pub(crate) async fn other_replicas(&self) -> Result<OtherReplicas, StoreError> {
        let own = self.ids().replica().id;
        let values = [(&own as _, Type::INT8), (&LATE_MS as _, Type::INT8)];
        let mut others = OtherReplicas::default();
        for row in self.pool().read(&OTHERS, &values).await? {
            others.push(&row)?;
        }
        Ok(others)
    }
}

impl OtherReplicas {
    /// Adds a row of [`OTHERS`].
    fn push(&mut self, row: &Row) -> Result<(), PgError> {
        let name = row.try_get("name")?;
        match (row.try_get("is_live")?, row.try_get("draining")?) {
            (true, _) => self.live.push((name, row.try_get("written_to_ms")?)),
            (false, true) => self.has_ended = true,
            (false, false) => self.silent.push(name),
        }
        Ok(())
    }
}
