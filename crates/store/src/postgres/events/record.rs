//! Records sightings: memory and events in one transaction.

use aws_lc_rs::hmac;
use tokio_postgres::types::Type;

use super::memory::key;
use crate::erasure::target::erased_form;
use crate::events::EVENT_BYTES;
use crate::postgres::error::PgError;
use crate::postgres::session::{PgSession, Value};
use crate::postgres::store::PostgresStore;
use crate::{
    Event, EventChannel, EventKind, NewEvent, ObservedChannel, ObservedChat, ObservedMessage,
    Position, StoreError,
};

/// The advisory lock of transactions that assign positions: "chatevts" as a number. The next position by the database's clock is
/// read under this lock.
pub(in crate::postgres) const LOCK: &str = "SELECT pg_advisory_xact_lock(7163376095306970227)";

const NEXT: &str = "SELECT greatest(value + 1, (extract(epoch FROM clock_timestamp()) * 1000)::bigint << 20) AS next
    FROM chatgate.event_marks WHERE name = 'newest'";

const CHANNEL: &str = "INSERT INTO chatgate.event_channels AS c (account, platform, platformid, newest) VALUES ($1, $2, $3, $4)
    ON CONFLICT (account, platform, platformid) DO UPDATE SET newest = coalesce(excluded.newest, c.newest) RETURNING id";

const STALLED: &str = "UPDATE chatgate.event_channels SET stalled_at = $2 WHERE id = $1";

/// Inserts or updates a chat, but does nothing if the chat was erased and has no new row since.
const CHAT: &str = "INSERT INTO chatgate.event_chats AS h (channel, destination, floor, floor_datetime, tip, tip_status, tip_datetime)
    SELECT $1, $2, $3, $4, $5, $6, $7 WHERE EXISTS (SELECT FROM chatgate.event_chats WHERE channel = $1 AND destination = $2)
        OR NOT EXISTS (SELECT FROM chatgate.event_chats WHERE channel = $1 AND destination = $8)
    ON CONFLICT (channel, destination) DO UPDATE SET
        tip = coalesce(excluded.tip, h.tip), tip_status = coalesce(excluded.tip_status, h.tip_status),
        tip_datetime = CASE WHEN excluded.tip IS NULL THEN h.tip_datetime ELSE excluded.tip_datetime END RETURNING id";

/// Stores the destination of an erased chat again.
const REVIVED: &str =
    "UPDATE chatgate.event_chats SET destination = $2, tip = $4, tip_status = $5, tip_datetime = $6
    WHERE channel = $1 AND destination = $3 RETURNING id";

const STATUS: &str = "UPDATE chatgate.event_messages SET status = $3 WHERE chat = $1 AND id = $2 AND status <> $3 RETURNING chat";

const MESSAGE: &str = "INSERT INTO chatgate.event_messages (chat, id, status, datetime, position) VALUES ($1, $2, $3, $4, $5)
    ON CONFLICT (chat, id) DO NOTHING RETURNING chat";

const EVENT: &str = "INSERT INTO chatgate.events (position, id, kind, platform, platformid, destination, gap, late, \"row\")
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT (id) DO NOTHING RETURNING position";

const FINISHED: &str =
    "UPDATE chatgate.event_marks SET value = CASE name WHEN 'newest' THEN $1 ELSE value + $2 END
    WHERE name IN ('newest', 'bytes')";

impl PostgresStore {
    pub(crate) async fn record_observed(
        &self,
        observations: Vec<ObservedChannel>,
    ) -> Result<Vec<Event>, StoreError> {
        let mut lease = self.pool().take().await?;
        let recorded = record(&mut lease.session, &self.journal_key, observations).await;
        if let Err(error) = &recorded {
            self.pool().note(error);
        }
        Ok(self.end(lease, recorded).await?)
    }
}

async fn record(
    session: &mut PgSession,
    key: &hmac::Key,
    observations: Vec<ObservedChannel>,
) -> Result<Vec<Event>, PgError> {
    session.begin().await?;
    session.query_prepared(LOCK, &[]).await?;
    let next = session.query_prepared(NEXT, &[]).await?;
    let next = next
        .first()
        .ok_or_else(|| PgError::new("the log of events has no newest position"))?;
    let mut recording = PgRecording {
        next: Position::of(next.try_get("next")?),
        session,
        key,
        events: Vec::new(),
        bytes: 0,
    };
    for observation in observations {
        recording.observation(observation).await?;
    }
    recording.finish().await
}

/// The events of one commit.
struct PgRecording<'s> {
    session: &'s mut PgSession,
    key: &'s hmac::Key,
    next: Position,
    events: Vec<Event>,
    bytes: i64,
}

impl PgRecording<'_> {
    async fn observation(&mut self, observation: ObservedChannel) -> Result<(), PgError> {
        let channel = &observation.channel;
        let mut values = key(channel).to_vec();
        values.push((&observation.newest, Type::TEXT));
        let number = self.returned(CHANNEL, &values).await?.unwrap_or(0);
        if let Some(stalled_at) = observation.stalled_at {
            let values: [Value<'_>; 2] = [(&number, Type::INT8), (&stalled_at, Type::INT8)];
            self.session.query_prepared(STALLED, &values).await?;
        }
        if let Some(event) = observation.event {
            self.event(channel, None, event).await?;
        }
        for chat in observation.chats {
            self.chat(channel, number, chat).await?;
        }
        Ok(())
    }

    async fn chat(
        &mut self,
        channel: &EventChannel,
        number: i64,
        chat: ObservedChat,
    ) -> Result<(), PgError> {
        let Some(id) = self.chat_number(number, &chat).await? else {
            return Ok(());
        };
        let destination = Some(&chat.destination);
        for message in chat.messages {
            if self.message(id, &message).await? {
                self.event(channel, destination, message.event).await?;
            }
        }
        match chat.changed {
            Some(changed) => self.event(channel, destination, changed).await,
            None => Ok(()),
        }
    }

    /// Returns the number of the chat's row, which may be new. Returns `None` for an erased chat without events: its destination is
    /// stored again only with an event.
    async fn chat_number(
        &mut self,
        channel: i64,
        chat: &ObservedChat,
    ) -> Result<Option<i64>, PgError> {
        let form = erased_form(self.key, &chat.destination);
        let tip = chat.tip.as_ref();
        let (tip_id, status) = (tip.map(|tip| &tip.id), tip.map(|tip| &tip.status));
        let datetime = tip.and_then(|tip| tip.datetime.as_ref());
        let values: [Value<'_>; 8] = [
            (&channel, Type::INT8),
            (&chat.destination, Type::TEXT),
            (&chat.floor.id, Type::TEXT),
            (&chat.floor.datetime, Type::TEXT),
            (&tip_id, Type::TEXT),
            (&status, Type::TEXT),
            (&datetime, Type::TEXT),
            (&form, Type::TEXT),
        ];
        let id = self.returned(CHAT, &values).await?;
        if id.is_some() || !chat.has_events() {
            return Ok(id);
        }
        let values: [Value<'_>; 6] = [
            (&channel, Type::INT8),
            (&chat.destination, Type::TEXT),
            (&form, Type::TEXT),
            (&tip_id, Type::TEXT),
            (&status, Type::TEXT),
            (&datetime, Type::TEXT),
        ];
        self.returned(REVIVED, &values).await
    }

    /// Records a message or its status. Returns whether this version of the message is new.
    async fn message(&mut self, chat: i64, message: &ObservedMessage) -> Result<bool, PgError> {
        let position = self.next.number();
        let values: [Value<'_>; 5] = [
            (&chat, Type::INT8),
            (&message.id, Type::TEXT),
            (&message.status, Type::TEXT),
            (&message.datetime, Type::TEXT),
            (&position, Type::INT8),
        ];
        let changed = if message.event.kind == EventKind::MessageStatus {
            self.session.query_prepared(STATUS, &values[..3]).await?
        } else {
            self.session.query_prepared(MESSAGE, &values).await?
        };
        Ok(!changed.is_empty())
    }

    /// Inserts an event with the next position, unless the log has the event already.
    async fn event(
        &mut self,
        channel: &EventChannel,
        destination: Option<&String>,
        event: NewEvent,
    ) -> Result<(), PgError> {
        let values: [Value<'_>; 9] = [
            (&self.next.number(), Type::INT8),
            (&event.id, Type::TEXT),
            (&event.kind.word(), Type::TEXT),
            (&channel.platform, Type::TEXT),
            (&channel.platformid, Type::TEXT),
            (&destination, Type::TEXT),
            (&event.gap, Type::BOOL),
            (&event.late, Type::BOOL),
            (&event.row, Type::TEXT),
        ];
        if self
            .session
            .query_prepared(EVENT, &values)
            .await?
            .is_empty()
        {
            return Ok(());
        }
        let bytes = event.row.as_ref().map_or(0, String::len);
        self.bytes += EVENT_BYTES + i64::try_from(bytes).unwrap_or(0);
        self.events.push(event.at(self.next, channel, destination));
        self.next = self.next.next();
        Ok(())
    }

    /// Runs a statement and returns the id that it reports.
    async fn returned(
        &mut self,
        sql: &'static str,
        values: &[Value<'_>],
    ) -> Result<Option<i64>, PgError> {
        let rows = self.session.query_prepared(sql, values).await?;
        Ok(rows.first().map(|row| row.try_get("id")).transpose()?)
    }

    async fn finish(self) -> Result<Vec<Event>, PgError> {
        if let Some(last) = self.events.last() {
            let values: [Value<'_>; 2] = [
                (&last.position.number(), Type::INT8),
                (&self.bytes, Type::INT8),
            ];
            self.session.query_prepared(FINISHED, &values).await?;
        }
        Ok(self.events)
    }
}
