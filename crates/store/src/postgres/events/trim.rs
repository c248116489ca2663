//! Trims the log of events by age and size, and forgets old messages.

use tokio_postgres::types::Type;

use crate::events::{EVENT_BYTES, KNOWN_MS, TRIMMED_PER_BATCH};
use crate::postgres::lease::now_ms;
use crate::postgres::session::Value;
use crate::postgres::store::PostgresStore;
use crate::{EventRetention, Position, StoreError};

/// Deletes one batch of the oldest events, up to the last event that exceeds the age limit or that belongs to the surplus of bytes.
const TRIM: &str = "WITH taken AS (
        SELECT position, bytes, sum(bytes) OVER (ORDER BY position) - bytes AS before FROM (
            SELECT position, $4 + coalesce(octet_length(\"row\"), 0) AS bytes FROM chatgate.events ORDER BY position LIMIT $3) AS oldest
    ), surplus AS (
        SELECT value - $2 AS bytes FROM chatgate.event_marks WHERE name = 'bytes'
    ), cut AS (
        SELECT max(position) AS position, count(*) AS events, sum(bytes)::bigint AS bytes FROM taken
        WHERE position < $1 OR before < (SELECT bytes FROM surplus)
    ), gone AS (
        DELETE FROM chatgate.events e USING cut WHERE e.position <= cut.position
    ), marked AS (
        UPDATE chatgate.event_marks m SET value = CASE name WHEN 'trimmed' THEN cut.position ELSE greatest(value - cut.bytes, 0) END
        FROM cut WHERE cut.position IS NOT NULL AND m.name IN ('trimmed', 'bytes')
    ) SELECT events FROM cut";

/// Deletes old messages. The last deleted message of a chat becomes its floor; all messages up to the floor are history. Erased
/// messages are history since the erasure.
const FORGET: &str = "WITH gone AS (
        DELETE FROM chatgate.event_messages WHERE position < $1 RETURNING chat, id, datetime, position
    ), last AS (
        SELECT DISTINCT ON (chat) chat, id, datetime FROM gone WHERE id NOT LIKE '(erased)%' ORDER BY chat, position DESC
    ) UPDATE chatgate.event_chats h SET floor = last.id, floor_datetime = last.datetime FROM last WHERE h.id = last.chat";

impl PostgresStore {
    pub(crate) async fn trim_events(&self, retention: &EventRetention) -> Result<(), StoreError> {
        if !self.is_housekeeper().await? {
            return Ok(());
        }
        let now_ms = self.lease().database_ms(now_ms());
        let age = i64::try_from(retention.age.as_millis()).unwrap_or(i64::MAX);
        let below = Position::first_at(now_ms.saturating_sub(age)).number();
        let bytes = i64::try_from(retention.bytes).unwrap_or(i64::MAX);
        let values: [Value<'_>; 4] = [
            (&below, Type::INT8),
            (&bytes, Type::INT8),
            (&TRIMMED_PER_BATCH, Type::INT8),
            (&EVENT_BYTES, Type::INT8),
        ];
        loop {
            let rows = self.pool().write(TRIM, &values).await?;
            let trimmed = rows
                .first()
                .and_then(|row| row.try_get::<_, i64>("events").ok());
            if trimmed.unwrap_or(0) < TRIMMED_PER_BATCH {
                break;
            }
        }
        let known_from = Position::first_at(now_ms.saturating_sub(KNOWN_MS)).number();
        let known_from: [Value<'_>; 1] = [(&known_from, Type::INT8)];
        self.pool().write(FORGET, &known_from).await?;
        let gone = "DELETE FROM chatgate.event_interests WHERE until_ms < $1";
        self.pool().write(gone, &[(&now_ms, Type::INT8)]).await?;
        Ok(())
    }
}
