//! Clearing by age: days go as a whole, and what stands in no day row by row. A row goes with the last one of its day, up to a day
//! after its time.

use std::time::Duration;

use tokio_postgres::types::Type;

use super::partitions::{Partition, TABLES};
use super::tallies::minute_from;
use crate::journal::row::first_id_at;
use crate::postgres::error::PgError;
use crate::postgres::session::Value;
use crate::postgres::store::PostgresStore;
use crate::{JournalKind, JournalRow, Retention, StoreError};

/// How long a replica keeps the housekeeping to itself: longer than a round of it and the pause after it take.
const HELD_MS: i64 = 60_000;

/// Takes the housekeeping for a while, unless another replica has it.
const HOLD: &str = "INSERT INTO chatgate.leases AS l (what, holder, token, lease_until)
    VALUES ('housekeeping', $1, 1, now() + $2 * interval '1 ms')
    ON CONFLICT (what) DO UPDATE SET lease_until = excluded.lease_until, holder = excluded.holder,
        token = l.token + (l.holder <> excluded.holder)::int
    WHERE l.holder = excluded.holder OR l.lease_until < now() RETURNING token";

const NOTE: &str =
    "INSERT INTO chatgate.journal (id, replica, kind, actor, cause) VALUES ($1, $2, $3, $4, $5)";

impl PostgresStore {
    /// Takes away what is too old; a row records it.
    pub(crate) async fn clear_old(
        &self,
        now_ms: i64,
        retention: &Retention,
    ) -> Result<(), StoreError> {
        if !self.keeps_house().await? {
            return Ok(());
        }
        let made = self.make_partitions(self.lease().database_ms(now_ms));
        // Days that can't be made keep no other from going, and the first that fails is said in the end.
        let mut cleared = made.await;
        let before = |age: Duration| {
            let age = i64::try_from(age.as_millis()).unwrap_or(i64::MAX);
            first_id_at(self.lease().database_ms(now_ms).saturating_sub(age))
        };
        // In the order of the tables.
        let below = [before(retention.rows), before(retention.payloads)];
        let mut gone = [0, 0];
        for partition in self.partitions().await? {
            let Some(table) = TABLES.iter().position(|table| *table == partition.parent) else {
                continue;
            };
            // One that is in use keeps no other, and what has gone is recorded.
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

    /// Drops a day that is below this number, or deletes what stands below it in no day, and returns how many rows that were.
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

    /// Whether the housekeeping is this replica's for the next minute.
    pub(in crate::postgres) async fn keeps_house(&self) -> Result<bool, PgError> {
        let replica = self.ids().replica().id;
        let values: [Value<'_>; 2] = [(&replica, Type::INT8), (&HELD_MS, Type::INT8)];
        Ok(!self.pool().write(HOLD, &values).await?.is_empty())
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

    /// Writes a row about the journal itself.
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
