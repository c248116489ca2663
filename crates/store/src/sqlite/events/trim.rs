//! Trims the log by age and by size, and removes old messages from the memory.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use rusqlite::{OptionalExtension, Transaction};

use super::mark;
use crate::events::{EVENT_BYTES, KNOWN_MS, TRIMMED_PER_BATCH};
use crate::sqlite::store::SqliteStore;
use crate::{EventRetention, Position, StoreError};

impl SqliteStore {
    pub(crate) async fn trim_events(
        &self,
        now_ms: i64,
        retention: &EventRetention,
    ) -> Result<(), StoreError> {
        let age = i64::try_from(retention.age.as_millis()).unwrap_or(i64::MAX);
        let below = Position::first_at(now_ms.saturating_sub(age));
        let bytes = i64::try_from(retention.bytes).unwrap_or(i64::MAX);
        let known_from = Position::first_at(now_ms.saturating_sub(KNOWN_MS));
        let is_due = self.read(move |connection| {
            let old = "SELECT EXISTS (SELECT 1 FROM events WHERE position < ?1)
                 OR EXISTS (SELECT 1 FROM event_messages WHERE position < ?2)
                 OR EXISTS (SELECT 1 FROM event_interests WHERE until_ms < ?3)";
            let values = (below.number(), known_from.number(), now_ms);
            let old: bool = connection
                .prepare_cached(old)?
                .query_row(values, |row| row.get(0))?;
            Ok(old || mark(connection, "bytes")?.number() > bytes)
        });
        if !is_due.await? {
            return Ok(());
        }
        loop {
            let edge_scrub_due = Arc::clone(self.edge_scrub_due());
            let trim = self.write(move |transaction| {
                let trimmed = trim(transaction, below, bytes)?;
                if trimmed > 0 {
                    edge_scrub_due.store(true, Ordering::Release);
                }
                Ok(trimmed)
            });
            if trim.await? < TRIMMED_PER_BATCH {
                break;
            }
        }
        self.write(move |transaction| {
            let gone = "DELETE FROM event_interests WHERE until_ms < ?";
            transaction.execute(gone, [now_ms])?;
            forget(transaction, known_from)
        })
        .await
    }
}

/// Deletes one batch of the oldest events that exceed the age or size limit. Returns the number of deleted events.
fn trim(transaction: &Transaction<'_>, below: Position, bytes: i64) -> Result<i64, StoreError> {
    let surplus = (mark(transaction, "bytes")?.number() - bytes).max(0);
    // The batch ends with the last event that is too old, or with the event that together with earlier ones makes up the surplus.
    let cut = "SELECT max(position), count(*), total(taken) FROM (
             SELECT position, taken, sum(taken) OVER (ORDER BY position) - taken AS before FROM (
                 SELECT position, ?4 + coalesce(octet_length(row), 0) AS taken FROM events ORDER BY position LIMIT ?3))
         WHERE position < ?1 OR before < ?2";
    let values = (below.number(), surplus, TRIMMED_PER_BATCH, EVENT_BYTES);
    let cut = transaction.prepare_cached(cut)?.query_row(values, |row| {
        Ok((
            row.get::<_, Option<i64>>(0)?,
            row.get::<_, i64>(1)?,
            row.get::<_, f64>(2)?,
        ))
    });
    let Some((Some(last), count, taken)) = cut.optional()? else {
        return Ok(0);
    };
    transaction.execute("DELETE FROM events WHERE position <= ?", [last])?;
    transaction.execute(
        "UPDATE event_marks SET value = CASE name WHEN 'trimmed' THEN ?1 ELSE max(value - ?2, 0) END
         WHERE name IN ('trimmed', 'bytes')",
        (last, taken as i64),
    )?;
    Ok(count)
}

/// Removes messages from the memory. The messages of a chat up to the last removed one count as history from now on. Erased
/// messages count as history since the erasure.
fn forget(transaction: &Transaction<'_>, below: Position) -> Result<(), StoreError> {
    transaction.execute(
        "UPDATE event_chats SET floor = gone.id, floor_datetime = gone.datetime
         FROM (SELECT chat, id, datetime, max(position) FROM event_messages
               WHERE position < ? AND id NOT LIKE '(erased)%' GROUP BY chat) AS gone
         WHERE event_chats.id = gone.chat",
        [below.number()],
    )?;
    let gone = "DELETE FROM event_messages WHERE position < ?";
    transaction.execute(gone, [below.number()])?;
    Ok(())
}
