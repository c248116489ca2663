//! The log of events, and the memory of the upstream's state, in SQLite.

mod memory;
mod record;
mod trim;

pub(super) use memory::tip;

use std::sync::Arc;

use rusqlite::{Connection, Row};

use super::store::SqliteStore;
use crate::events::EVENT_BYTES;
use crate::{Event, EventKind, EventPage, Position, StoreError};

impl SqliteStore {
    pub(crate) async fn events_after(
        &self,
        after: Position,
        limit: usize,
        bytes: usize,
    ) -> Result<EventPage, StoreError> {
        self.read(move |connection| {
            // The marks and the events are read in one transaction, so that an event that is trimmed at the same time is either on
            // the page or below the trimmed mark.
            let _state = connection.unchecked_transaction()?;
            let mut page = EventPage {
                newest: mark(connection, "newest")?,
                trimmed: mark(connection, "trimmed")?,
                ..EventPage::default()
            };
            let mut events = connection.prepare_cached(
                "SELECT position, id, kind, platform, platformid, destination, gap, late, row FROM events
                 WHERE position > ? AND kind IN (SELECT value FROM json_each(?)) ORDER BY position LIMIT ?",
            )?;
            let kinds = serde_json::to_string(&EventKind::ALL.map(EventKind::word)).unwrap_or_default();
            let most = i64::try_from(limit).unwrap_or(i64::MAX - 1) + 1;
            let mut rows = events.query((after.number(), kinds, most))?;
            let mut taken = 0;
            while let Some(row) = rows.next()? {
                if page.events.len() == limit || taken > bytes {
                    page.more = true;
                    break;
                }
                let event = event(row)?;
                taken += event.row.as_ref().map_or(0, String::len);
                page.events.push(Arc::new(event));
            }
            Ok(page)
        })
        .await
    }

    pub(crate) async fn note_interests(
        &self,
        interests: &[(String, i64)],
    ) -> Result<(), StoreError> {
        let interests = interests.to_vec();
        self.write(move |transaction| {
            let mut note = transaction.prepare_cached(
                "INSERT INTO event_interests (client_id, until_ms) VALUES (?, ?)
                 ON CONFLICT (client_id) DO UPDATE SET until_ms = max(until_ms, excluded.until_ms)",
            )?;
            for interest in interests {
                note.execute(interest)?;
            }
            Ok(())
        })
        .await
    }

    pub(crate) async fn interests(&self, now_ms: i64) -> Result<Vec<(String, i64)>, StoreError> {
        self.read(move |connection| {
            let live = "SELECT client_id, until_ms FROM event_interests WHERE until_ms > ?";
            let mut live = connection.prepare_cached(live)?;
            let live = live.query_map([now_ms], |row| Ok((row.get(0)?, row.get(1)?)))?;
            Ok(live.collect::<Result<_, _>>()?)
        })
        .await
    }
}

fn mark(connection: &Connection, name: &str) -> Result<Position, StoreError> {
    let mark = "SELECT value FROM event_marks WHERE name = ?";
    let mut mark = connection.prepare_cached(mark)?;
    Ok(Position::of(mark.query_row([name], |row| row.get(0))?))
}

/// Subtracts an event that is about to be deleted from the byte count of the log. Trimming does this itself.
pub(super) fn discount(connection: &Connection, position: i64) -> Result<(), StoreError> {
    let discount = "UPDATE event_marks SET value = max(value - event.taken, 0)
         FROM (SELECT ?2 + coalesce(octet_length(row), 0) AS taken FROM events WHERE position = ?1) AS event
         WHERE name = 'bytes'";
    let mut discount = connection.prepare_cached(discount)?;
    discount.execute((position, EVENT_BYTES))?;
    Ok(())
}

fn event(row: &Row<'_>) -> Result<Event, StoreError> {
    let kind = EventKind::named(&row.get::<_, String>("kind")?);
    let position = Position::of(row.get("position")?);
    Ok(Event {
        position,
        id: row.get("id")?,
        kind: kind.ok_or_else(|| StoreError::new("an event is of an unknown kind"))?,
        at_ms: position.time_ms(),
        platform: row.get("platform")?,
        platformid: row.get("platformid")?,
        destination: row.get("destination")?,
        gap: row.get("gap")?,
        late: row.get("late")?,
        row: row.get("row")?,
    })
}
