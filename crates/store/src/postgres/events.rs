//! Events in PostgreSQL, and the known state of the upstream. A writer of events holds a lock until its commit, so that positions
//! follow the order of commits across all replicas.

mod memory;
mod record;
mod trim;

pub(super) use memory::tip;
pub(super) use record::LOCK;

use std::sync::Arc;
use std::time::Instant;

use tokio_postgres::Row;
use tokio_postgres::types::Type;

use super::error::PgError;
use super::session::Value;
use super::store::PostgresStore;
use crate::{Event, EventKind, EventPage, Position, StoreError};

/// Duration of the lease for polling the upstream: longer than a few renewals.
const POLLING_HELD_MS: i64 = 5_000;

/// Selects the marks and the events from the same state, so that an event that is trimmed at the same time is either on the page or
/// reported as trimmed. Without events there is one row without an event. Skips kinds that only a newer program knows.
const AFTER: &str = "SELECT marks.newest, marks.trimmed, marks.erasures, e.* FROM (SELECT
        (SELECT value FROM chatgate.event_marks WHERE name = 'newest') AS newest,
        (SELECT value FROM chatgate.event_marks WHERE name = 'trimmed') AS trimmed,
        (SELECT value FROM chatgate.event_marks WHERE name = 'erasures') AS erasures) AS marks
    LEFT JOIN (SELECT position, id, kind, platform, platformid, destination, gap, late, \"row\" FROM (
        SELECT *, sum(coalesce(octet_length(\"row\"), 0)) OVER (ORDER BY position) - coalesce(octet_length(\"row\"), 0) AS before FROM (
            SELECT * FROM chatgate.events WHERE position > $1 AND kind = ANY($4) ORDER BY position LIMIT $2) AS listed) AS weighed
        WHERE before <= $3) AS e ON true
    ORDER BY e.position";

impl PostgresStore {
    pub(crate) async fn events_after(
        &self,
        after: Position,
        limit: usize,
        bytes: usize,
    ) -> Result<EventPage, StoreError> {
        let count = |number: usize| i64::try_from(number).unwrap_or(i64::MAX);
        let kinds = EventKind::ALL.map(EventKind::word);
        let values: [Value<'_>; 4] = [
            (&after.number(), Type::INT8),
            (&count(limit), Type::INT8),
            (&count(bytes), Type::INT8),
            (&kinds.as_slice(), Type::TEXT_ARRAY),
        ];
        let asked = Instant::now();
        let rows = self.pool().read_prepared(AFTER, &values).await?;
        let mark = |name| -> Result<Position, PgError> {
            let mark = rows
                .first()
                .map(|row| row.try_get::<_, Option<i64>>(name))
                .transpose()?;
            Ok(Position::of(mark.flatten().unwrap_or(0)))
        };
        // The mark is absent until the first erasure.
        let erasures = mark("erasures")?.number().unsigned_abs();
        self.memory().count_erasures(asked, erasures);
        let mut page = EventPage {
            newest: mark("newest")?,
            trimmed: mark("trimmed")?,
            ..EventPage::default()
        };
        for row in &rows {
            page.events.extend(event(row)?.map(Arc::new));
        }
        let last = page.events.last().map(|event| event.position);
        page.more = last.is_some_and(|last| last < page.newest);
        Ok(page)
    }

    pub(crate) async fn note_interests(
        &self,
        interests: &[(String, i64)],
    ) -> Result<(), StoreError> {
        let note = "INSERT INTO chatgate.event_interests AS i (client_id, until_ms)
             SELECT * FROM unnest($1::text[], $2::bigint[])
             ON CONFLICT (client_id) DO UPDATE SET until_ms = greatest(i.until_ms, excluded.until_ms)";
        let (clients, until): (Vec<_>, Vec<_>) = interests
            .iter()
            .map(|(client_id, until_ms)| (client_id.as_str(), self.lease().database_ms(*until_ms)))
            .unzip();
        let values: [Value<'_>; 2] = [(&clients, Type::TEXT_ARRAY), (&until, Type::INT8_ARRAY)];
        self.pool().write(note, &values).await?;
        Ok(())
    }

    pub(crate) async fn interests(&self, now_ms: i64) -> Result<Vec<(String, i64)>, StoreError> {
        let live = "SELECT client_id, until_ms FROM chatgate.event_interests WHERE until_ms > $1";
        let rows = self
            .pool()
            .read_prepared(live, &[(&self.lease().database_ms(now_ms), Type::INT8)])
            .await?;
        let read = |row: &Row| {
            let until_ms = self.lease().process_ms(row.try_get("until_ms")?);
            Ok((row.try_get("client_id")?, until_ms))
        };
        let read: Result<_, PgError> = rows.iter().map(read).collect();
        Ok(read?)
    }

    pub(crate) async fn may_poll(&self) -> Result<bool, StoreError> {
        let held = self.hold_lease("polling", POLLING_HELD_MS).await?;
        Ok(held.is_some())
    }
}

/// Reads an event, or `None` from a row without an event.
fn event(row: &Row) -> Result<Option<Event>, PgError> {
    let kind: Option<&str> = row.try_get("kind")?;
    let Some(kind) = kind.and_then(EventKind::named) else {
        return Ok(None);
    };
    let position = Position::of(row.try_get("position")?);
    Ok(Some(Event {
        position,
        id: row.try_get("id")?,
        kind,
        at_ms: position.time_ms(),
        platform: row.try_get("platform")?,
        platformid: row.try_get("platformid")?,
        destination: row.try_get("destination")?,
        gap: row.try_get("gap")?,
        late: row.try_get("late")?,
        row: row.try_get("row")?,
    }))
}
