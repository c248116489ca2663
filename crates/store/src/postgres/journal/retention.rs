//! Clears the journal by age: days are dropped as a whole, and rows without a day's partition are deleted one by one. A row is
//! dropped with the last row of its day, up to a day after its time.

use std::time::Duration;

use tokio_postgres::types::Type;

use super::partitions::{Partition, TABLES};
use super::tallies::minute_from;
use crate::journal::row::first_id_at;
use crate::postgres::error::PgError;
use crate::postgres::session::Value;
use crate::postgres::store::PostgresStore;
use crate::{JournalKind, JournalRow, Retention, StoreError};

/// Duration of the housekeeping lease. It is longer than a round of housekeeping and the pause after it.
const HELD_MS: i64 = 60_000;

const NOTE: &str =
    "INSERT INTO chatgate.journal (id, replica, kind, actor, cause) VALUES ($1, $2, $3, $4, $5)";

impl PostgresStore {
    /// Deletes rows that are too old, and records it in a journal row.
    pub(crate) async fn clear_old(
        &self,
        now_ms: i64,
        retention: &Retention,
    ) -> Result<(), StoreError> {
        if !self.is_housekeeper().await? {
            return Ok(());
        }
        let made = self.make_partitions(self.lease().database_ms(now_ms));
        // A failure to make days does not prevent the clearing. The first error is returned at the end.
        let mut cleared = made.await;
        let before = |age: Duration| {
            let age = i64::try_from(age.as_millis()).unwrap_or(i64::MAX);
            first_id_at(self.lease().database_ms(now_ms).saturating_sub(age))
        };
        // The same order as in `TABLES`.
        let below = [before(retention.rows), before(retention.payloads)];
        let mut gone = [0, 0];
        for partition in self.partitions().await? {
            let Some(table) = TABLES.iter().position(|table| *table == partition.parent) else {
                continue;
            };
            // A partition in use does not prevent the clearing of others, and the deleted rows are recorded.
            match self.clear_below(&partition, below[table]).await {
                Ok(rows) => gone[table] += rows,
                Err(error) => cleared = cleared.and(Err(error.into())),
            }
        }
        let minute = minute_from(JournalRow::time_of(below[0]));
        let tallies = "DELETE FROM chatgate.tallies WHERE minute < $1";
        let tallied = self.pool().write(tallies, &[(&minute, Type::INT8)]).await;
        cleared = cleared.and(tallied.map(drop).map_err(StoreError::from));
        let [rows, payloads] = gone;
        if rows + payloads > 0 {
            let cause = format!("{rows} rows and {payloads} payloads, by age");
            let event = (JournalKind::Clearing, "housekeeping", cause.as_str());
            self.note_event(now_ms, event).await?;
        }
        cleared
    }

    /// Drops a day that is below this id. From the partition without a day, deletes the rows below this id. Returns the number of
    /// deleted rows.
    async fn clear_below(&self, partition: &Partition, id: i64) -> Result<u64, PgError> {
        if partition.day.is_none() {
            return self.delete_below(&partition.name, id).await;
        }
        if !partition.is_below(id) {
            return Ok(0);
        }
        let [rows, ..] = self.count_rows(&partition.name, ["true", "true"]).await?;
        self.drop_partition(&partition.name).await?;
        Ok(rows)
    }

    /// Takes the housekeeping lease for the next minute. Returns whether this replica holds the lease.
    pub(in crate::postgres) async fn is_housekeeper(&self) -> Result<bool, PgError> {
        let held = self.hold_lease("housekeeping", HELD_MS).await?;
        Ok(held.is_some())
    }

    async fn delete_below(&self, name: &str, id: i64) -> Result<u64, PgError> {
        let delete = format!(
            "WITH gone AS (DELETE FROM chatgate.{name} WHERE id < $1 RETURNING 1) SELECT count(*) AS gone FROM gone"
        );
        let rows = self.pool().write(&delete, &[(&id, Type::INT8)]).await?;
        let gone = rows
            .first()
            .map(|row| row.try_get::<_, i64>("gone"))
            .transpose()?;
        Ok(gone.unwrap_or(0).unsigned_abs())
    }

    /// Writes a journal row about the journal itself.
    pub(in crate::postgres) async fn note_event(
        &self,
        at_ms: i64,
        (kind, actor, cause): (JournalKind, &str, &str),
    ) -> Result<(), PgError> {
        let id = self.ids().next(self.lease().database_ms(at_ms));
        let values: [Value<'_>; 5] = [
            (&id, Type::INT8),
            (&self.ids().replica().id, Type::INT8),
            (&kind.word(), Type::TEXT),
            (&actor, Type::TEXT),
            (&cause, Type::TEXT),
        ];
        self.pool().write(NOTE, &values).await?;
        Ok(())
    }
}
