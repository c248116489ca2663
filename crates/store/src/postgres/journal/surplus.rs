//! Clears the journal by size: first rows of unknown callers beyond their share, then whole days, the oldest first. If a single day
//! takes too much, its oldest rows are deleted, with sends and the actions of operators last.

use std::sync::atomic::Ordering;

use tokio_postgres::types::Type;

use super::partitions::{Partition, TABLES, day_of};
use crate::journal::class::CallerClass;
use crate::journal::row::first_id_at;
use crate::journal::surplus::{EarlyRows, KEPT_PERCENT, unknown_rows_max};
use crate::postgres::error::PgError;
use crate::postgres::session::Value;
use crate::postgres::store::PostgresStore;
use crate::{JournalKind, Retention, StoreError};

/// The condition for rows of unknown callers.
const IS_UNKNOWN: &str = "(access IS NULL AND kind = 'request')";

/// The condition for all requests but sends, and for rejected requests to the operators' side.
const IS_PLAIN: &str =
    "((kind = 'request' AND delivery IS NULL) OR (kind = 'operator' AND code IS NOT NULL))";

/// Maximum number of rows in one deletion, which takes some 20 ms.
const DELETED_PER_BATCH: i64 = 5000;

/// The progress of a clearing by size.
struct SizeClearing {
    rows: u64,
    payloads: u64,
    /// The first id of rows that have not reached the end of their retention.
    young_from: i64,
    early: EarlyRows,
}

impl PostgresStore {
    /// Deletes rows when there are too many. A journal row records it, and a log line if any deleted row was younger than its
    /// retention.
    pub(crate) async fn clear_surplus(
        &self,
        now_ms: i64,
        retention: &Retention,
    ) -> Result<(), StoreError> {
        if !self.is_housekeeper().await? {
            return Ok(());
        }
        let age_ms = i64::try_from(retention.rows.as_millis()).unwrap_or(i64::MAX);
        let mut surplus = SizeClearing {
            rows: 0,
            payloads: 0,
            young_from: first_id_at(self.lease().database_ms(now_ms).saturating_sub(age_ms)),
            early: EarlyRows::default(),
        };
        let cleared = self.clear_by_size(&mut surplus, now_ms, retention).await;
        surplus.early.log();
        if surplus.rows + surplus.payloads > 0 {
            let SizeClearing { rows, payloads, .. } = surplus;
            let cause = format!("{rows} rows and {payloads} payloads, by size");
            let event = (JournalKind::Clearing, "housekeeping", cause.as_str());
            self.note_event(now_ms, event).await?;
        }
        Ok(cleared?)
    }

    async fn clear_by_size(
        &self,
        surplus: &mut SizeClearing,
        now_ms: i64,
        retention: &Retention,
    ) -> Result<(), PgError> {
        let before = first_id_at(self.lease().database_ms(now_ms));
        self.clear_unknown(surplus, before, unknown_rows_max(retention.bytes))
            .await?;
        let mut partitions = self.partitions().await?;
        let enough = retention.bytes / 100 * KEPT_PERCENT;
        let mut bytes: u64 = partitions.iter().map(|partition| partition.bytes).sum();
        if bytes <= retention.bytes {
            return Ok(());
        }
        let today = day_of(self.lease().database_ms(now_ms));
        partitions.retain(|partition| partition.bytes > 0);
        let past = partitions
            .iter()
            .filter(|partition| partition.day.is_some_and(|day| day < today));
        for partition in past {
            if bytes <= enough {
                return Ok(());
            }
            self.clear_day(surplus, partition).await?;
            bytes -= partition.bytes;
        }
        if bytes <= retention.bytes {
            return Ok(());
        }
        let filled = &self.filled_day;
        if bytes <= filled.load(Ordering::Relaxed) {
            // The journal is still filling the room of rows that were deleted before.
            return Ok(());
        }
        self.clear_oldest(surplus, before, (bytes, enough)).await?;
        filled.store(bytes, Ordering::Relaxed);
        for table in TABLES {
            self.run(&format!("VACUUM chatgate.{table}")).await?;
        }
        Ok(())
    }

    /// Drops the partition of a day.
    async fn clear_day(
        &self,
        surplus: &mut SizeClearing,
        partition: &Partition,
    ) -> Result<(), PgError> {
        if partition.parent != TABLES[0] {
            let [rows, ..] = self.count_rows(&partition.name, ["true", "true"]).await?;
            surplus.payloads += rows;
            return self.drop_partition(&partition.name).await;
        }
        let is_early = !partition.is_below(surplus.young_from);
        let [rows, unknown, plain] = self
            .count_rows(&partition.name, [IS_UNKNOWN, IS_PLAIN])
            .await?;
        self.drop_partition(&partition.name).await?;
        surplus.rows += rows;
        if is_early {
            surplus.early.unknown += unknown;
            surplus.early.plain += plain - unknown;
            surplus.early.lasting += rows - plain;
            let cleared = &self.memory().journal.cleared_early;
            cleared.add(CallerClass::Unknown, unknown);
            cleared.add(CallerClass::Known, rows - unknown);
        }
        Ok(())
    }

    /// Deletes the oldest rows of unknown callers, if there are more than `rows_max`.
    async fn clear_unknown(
        &self,
        surplus: &mut SizeClearing,
        before: i64,
        rows_max: u64,
    ) -> Result<(), PgError> {
        // Counts by the index of these rows, because this runs every few seconds and reading all rows would take too long.
        let unknown = format!("SELECT count(*) FROM chatgate.journal WHERE {IS_UNKNOWN}");
        let [rows] = self.count(&unknown).await?;
        if rows > rows_max {
            let left = rows - rows_max * KEPT_PERCENT / 100;
            self.clear_rows(surplus, IS_UNKNOWN, before, left).await?;
        }
        Ok(())
    }

    /// Deletes as many of the oldest rows as necessary for enough room, estimated by the average size of a row.
    async fn clear_oldest(
        &self,
        surplus: &mut SizeClearing,
        before: i64,
        (bytes, enough): (u64, u64),
    ) -> Result<(), PgError> {
        let [rows, ..] = self.count_rows(TABLES[0], ["true", "true"]).await?;
        let part = 1.0 - enough as f64 / bytes as f64;
        let mut left = (rows as f64 * part).ceil() as u64;
        for which in [IS_PLAIN, "true"] {
            left -= self.clear_rows(surplus, which, before, left).await?;
        }
        Ok(())
    }

    /// Deletes up to `most` of the oldest rows that meet a condition. Returns the number of deleted rows.
    async fn clear_rows(
        &self,
        surplus: &mut SizeClearing,
        which: &str,
        before: i64,
        most: u64,
    ) -> Result<u64, PgError> {
        let clear = format!(
            "WITH gone AS (
                DELETE FROM chatgate.journal WHERE id = ANY(ARRAY(
                    SELECT id FROM chatgate.journal WHERE {which} AND id < $1 ORDER BY id LIMIT $2))
                RETURNING id, {IS_UNKNOWN} AS is_unknown, {IS_PLAIN} AS is_plain
            ), said AS (
                DELETE FROM chatgate.journal_payload WHERE id IN (SELECT id FROM gone) RETURNING 1
            )
            SELECT count(*) AS rows, (SELECT count(*) FROM said) AS payloads,
                count(*) FILTER (WHERE id >= $3 AND is_unknown) AS unknown,
                count(*) FILTER (WHERE id >= $3 AND is_plain AND NOT is_unknown) AS plain,
                count(*) FILTER (WHERE id >= $3 AND NOT is_plain) AS lasting
            FROM gone"
        );
        let mut gone = 0;
        while gone < most {
            let at_once = i64::try_from(most - gone)
                .unwrap_or(i64::MAX)
                .min(DELETED_PER_BATCH);
            let values: [Value<'_>; 3] = [
                (&before, Type::INT8),
                (&at_once, Type::INT8),
                (&surplus.young_from, Type::INT8),
            ];
            let rows = self.pool().write(&clear, &values).await?;
            let row = rows
                .first()
                .ok_or_else(|| PgError::new("the database returned no count"))?;
            let count = |name| row.try_get::<_, i64>(name).map(i64::unsigned_abs);
            let cleared = count("rows")?;
            surplus.rows += cleared;
            surplus.payloads += count("payloads")?;
            let early = EarlyRows {
                unknown: count("unknown")?,
                plain: count("plain")?,
                lasting: count("lasting")?,
            };
            let by_class = &self.memory().journal.cleared_early;
            by_class.add(CallerClass::Unknown, early.unknown);
            by_class.add(CallerClass::Known, early.plain + early.lasting);
            surplus.early.add(early);
            gone += cleared;
            if cleared == 0 {
                break;
            }
        }
        Ok(gone)
    }
}
