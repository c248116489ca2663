//! The days of the journal. Each day is a partition, which is made in advance and dropped as a whole.

use tokio_postgres::types::Type;

use crate::StoreError;
use crate::journal::row::first_id_at;
use crate::postgres::error::PgError;
use crate::postgres::store::PostgresStore;

const DAY_MS: i64 = 86_400_000;

/// Number of days that are made in advance. For that long the partitions need no attention.
const DAYS_AHEAD: i64 = 7;

/// Maximum wait of a change of the tables for other users of the tables, whom it blocks while it waits.
const LOCK_MAX: &str = "SET LOCAL lock_timeout = '2s'";

/// Maximum number of attempts to make a partition while others are in the way. Replicas that start at the same time make the same
/// partitions.
const MAKE_TRIES: u32 = 10;

/// The tables that have a partition for each day.
pub(super) const TABLES: [&str; 2] = ["journal", "journal_payload"];

/// Selects the partitions of these tables, oldest first, each with its day. The day is NULL for the partition of rows whose day has
/// no partition.
const PARTITIONS: &str =
    "SELECT c.relname AS name, p.relname AS parent, pg_total_relation_size(c.oid) AS bytes,
        substring(c.relname FROM '_d([0-9]+)$')::bigint AS day
    FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid JOIN pg_class p ON p.oid = i.inhparent
    JOIN pg_namespace n ON n.oid = p.relnamespace
    WHERE n.nspname = 'chatgate' AND p.relname = ANY($1) ORDER BY day, name";

/// A partition of the journal or of the payloads.
#[derive(Clone, Debug)]
pub(super) struct Partition {
    pub(super) name: String,
    pub(super) parent: String,
    /// Its size including its indexes.
    pub(super) bytes: u64,
    /// Its day since 1970. `None` for the partition of rows whose day has no partition.
    pub(super) day: Option<i64>,
}

impl Partition {
    /// Returns whether all rows of the partition have ids below this one.
    pub(super) fn is_below(&self, id: i64) -> bool {
        self.day
            .is_some_and(|day| first_id_at((day + 1).saturating_mul(DAY_MS)) <= id)
    }
}

/// Returns the name of the partition of a day, its first id and the first id of the next day.
pub(in crate::postgres) fn partition(table: &str, day: i64) -> (String, i64, i64) {
    let name = format!("{table}_d{day}");
    (
        name,
        first_id_at(day * DAY_MS),
        first_id_at((day + 1) * DAY_MS),
    )
}

/// Returns the day of a time in milliseconds since 1970.
pub(in crate::postgres) fn day_of(ms: i64) -> i64 {
    ms.div_euclid(DAY_MS)
}

impl PostgresStore {
    /// Reads the partitions of the journal and of the payloads.
    pub(super) async fn partitions(&self) -> Result<Vec<Partition>, PgError> {
        let tables: &[&str] = &TABLES;
        let rows = self
            .pool()
            .read(PARTITIONS, &[(&tables, Type::TEXT_ARRAY)])
            .await?;
        let partition = |row: &tokio_postgres::Row| -> Result<Partition, PgError> {
            Ok(Partition {
                name: row.try_get("name")?,
                parent: row.try_get("parent")?,
                bytes: row.try_get::<_, i64>("bytes")?.unsigned_abs(),
                day: row.try_get("day")?,
            })
        };
        rows.iter().map(partition).collect()
    }

    /// Makes the missing partitions of today and the next days.
    ///
    /// # Errors
    /// When the tables can't be changed.
    pub(super) async fn make_partitions(&self, now_ms: i64) -> Result<(), StoreError> {
        let there = self.partitions().await?;
        let today = day_of(now_ms);
        for day in today..=today + DAYS_AHEAD {
            for table in TABLES {
                let (name, from, to) = partition(table, day);
                if there.iter().any(|partition| partition.name == name) {
                    continue;
                }
                // Rows of this day that had no partition so far would prevent the attachment, so they are moved first.
                let make = format!(
                    "{LOCK_MAX}; CREATE TABLE chatgate.{name} (LIKE chatgate.{table} INCLUDING ALL);
                     WITH moved AS (DELETE FROM chatgate.{table}_rest WHERE id >= {from} AND id < {to} RETURNING *)
                     INSERT INTO chatgate.{name} TABLE moved;
                     ALTER TABLE chatgate.{table} ATTACH PARTITION chatgate.{name} FOR VALUES FROM ({from}) TO ({to})"
                );
                self.make_partition(&make).await?;
            }
        }
        Ok(())
    }

    /// Makes a partition, unless another replica makes it at the same time.
    async fn make_partition(&self, make: &str) -> Result<(), PgError> {
        for _ in 1..MAKE_TRIES {
            match self.run(make).await {
                Err(error) if error.is_retryable() => {}
                Err(error) if error.is_duplicate() => return Ok(()),
                made => return made,
            }
        }
        self.run(make).await
    }

    /// Drops a partition.
    pub(super) async fn drop_partition(&self, name: &str) -> Result<(), PgError> {
        self.run(&format!("{LOCK_MAX}; DROP TABLE IF EXISTS chatgate.{name}"))
            .await
    }

    /// Counts the rows of a partition, and the rows that meet each of two conditions.
    pub(super) async fn count_rows(
        &self,
        name: &str,
        conditions: [&str; 2],
    ) -> Result<[u64; 3], PgError> {
        let [first, second] = conditions;
        let count = format!(
            "SELECT count(*), count(*) FILTER (WHERE {first}), count(*) FILTER (WHERE {second}) FROM chatgate.{name}"
        );
        self.count(&count).await
    }

    /// Returns the first columns of the only row of a counting statement, over a connection outside the pool.
    pub(super) async fn count<const N: usize>(&self, sql: &str) -> Result<[u64; N], PgError> {
        let counted = self.slow().ask(sql, &[]).await?;
        let row = counted.first();
        let row = row.ok_or_else(|| PgError::new("the database returned no count"))?;
        let mut counts = [0; N];
        for (column, count) in counts.iter_mut().enumerate() {
            *count = row.try_get::<_, i64>(column)?.unsigned_abs();
        }
        Ok(counts)
    }

    /// Runs statements without parameters, over a connection outside the pool.
    pub(super) async fn run(&self, sql: &str) -> Result<(), PgError> {
        self.slow().run(sql).await
    }
}
