//! Stores observations: memory and events in one transaction.

use aws_lc_rs::hmac;
use rusqlite::{OptionalExtension, Transaction};

use super::mark;
use super::memory::channel_number;
use crate::erasure::target::erased_form;
use crate::events::EVENT_BYTES;
use crate::sqlite::store::SqliteStore;
use crate::{
    Event, EventChannel, EventKind, NewEvent, ObservedChannel, ObservedChat, ObservedMessage,
    Position, StoreError,
};

impl SqliteStore {
    pub(crate) async fn record_observed(
        &self,
        observations: Vec<ObservedChannel>,
        now_ms: i64,
    ) -> Result<Vec<Event>, StoreError> {
        let key = self.journal_key().clone();
        self.write(move |transaction| {
            let mut recording = SqliteRecording {
                transaction,
                key: &key,
                next: Position::first_at(now_ms).max(mark(transaction, "newest")?.next()),
                events: Vec::new(),
                bytes: 0,
            };
            for observation in observations {
                recording.observation(observation)?;
            }
            recording.finish()
        })
        .await
    }
}

/// The recording of one commit.
struct SqliteRecording<'t> {
    transaction: &'t Transaction<'t>,
    key: &'t hmac::Key,
    next: Position,
    events: Vec<Event>,
    bytes: i64,
}

impl SqliteRecording<'_> {
    fn observation(&mut self, observation: ObservedChannel) -> Result<(), StoreError> {
        let channel = &observation.channel;
        let number = self.channel(&observation)?;
        if let Some(event) = observation.event {
            self.event(channel, None, event)?;
        }
        for chat in observation.chats {
            self.chat(channel, number, chat)?;
        }
        Ok(())
    }

    fn channel(&self, observation: &ObservedChannel) -> Result<i64, StoreError> {
        let channel = &observation.channel;
        let number = match channel_number(self.transaction, channel)? {
            Some(number) => number,
            None => {
                let add =
                    "INSERT INTO event_channels (account, platform, platformid) VALUES (?, ?, ?)";
                let key = (&channel.account, &channel.platform, &channel.platformid);
                self.transaction.prepare_cached(add)?.insert(key)?
            }
        };
        if let Some(newest) = &observation.newest {
            let set = "UPDATE event_channels SET newest = ? WHERE id = ?";
            self.transaction
                .prepare_cached(set)?
                .execute((newest, number))?;
        }
        if let Some(stalled_at) = observation.stalled_at {
            let set = "UPDATE event_channels SET stalled_at = ? WHERE id = ?";
            self.transaction
                .prepare_cached(set)?
                .execute((stalled_at, number))?;
        }
        Ok(number)
    }

    fn chat(
        &mut self,
        channel: &EventChannel,
        number: i64,
        chat: ObservedChat,
    ) -> Result<(), StoreError> {
        let Some(id) = self.chat_number(number, &chat)? else {
            return Ok(());
        };
        if let Some(tip) = &chat.tip {
            let set =
                "UPDATE event_chats SET tip = ?, tip_status = ?, tip_datetime = ? WHERE id = ?";
            let values = (&tip.id, &tip.status, &tip.datetime, id);
            self.transaction.prepare_cached(set)?.execute(values)?;
        }
        let destination = Some(&chat.destination);
        for message in chat.messages {
            if self.message(id, &message)? {
                self.event(channel, destination, message.event)?;
            }
        }
        match chat.changed {
            Some(changed) => self.event(channel, destination, changed),
            None => Ok(()),
        }
    }

    /// Returns the number of the chat's row, which may be new. Returns `None` for an erased chat without events: its destination is
    /// stored again only with an event.
    fn chat_number(&self, channel: i64, chat: &ObservedChat) -> Result<Option<i64>, StoreError> {
        let form = erased_form(self.key, &chat.destination);
        let find = "SELECT id, destination = ?3 FROM event_chats WHERE channel = ?1 AND destination IN (?2, ?3)";
        let found = self
            .transaction
            .prepare_cached(find)?
            .query_row((channel, &chat.destination, form), |row| {
                Ok((row.get(0)?, row.get(1)?))
            });
        match found.optional()? {
            Some((_, true)) if !chat.has_events() => Ok(None),
            Some((id, true)) => {
                let set = "UPDATE event_chats SET destination = ? WHERE id = ?";
                let values = (&chat.destination, id);
                self.transaction.prepare_cached(set)?.execute(values)?;
                Ok(Some(id))
            }
            Some((id, false)) => Ok(Some(id)),
            None => {
                let add = "INSERT INTO event_chats (channel, destination, floor, floor_datetime) VALUES (?, ?, ?, ?)";
                let values = (
                    channel,
                    &chat.destination,
                    &chat.floor.id,
                    &chat.floor.datetime,
                );
                let id = self.transaction.prepare_cached(add)?.insert(values)?;
                Ok(Some(id))
            }
        }
    }

    /// Stores the state of a message. Returns whether this state is new.
    fn message(&self, chat: i64, message: &ObservedMessage) -> Result<bool, StoreError> {
        let ObservedMessage {
            id,
            status,
            datetime,
            event,
        } = message;
        let changed = if event.kind == EventKind::MessageStatus {
            let set = "UPDATE event_messages SET status = ?3 WHERE chat = ?1 AND id = ?2 AND status <> ?3";
            self.transaction
                .prepare_cached(set)?
                .execute((chat, id, status))?
        } else {
            let add = "INSERT INTO event_messages (chat, id, status, datetime, position) VALUES (?, ?, ?, ?, ?)
                 ON CONFLICT (chat, id) DO NOTHING";
            let values = (chat, id, status, datetime, self.next.number());
            self.transaction.prepare_cached(add)?.execute(values)?
        };
        Ok(changed > 0)
    }

    /// Adds an event at the next position, unless the log already contains it.
    fn event(
        &mut self,
        channel: &EventChannel,
        destination: Option<&String>,
        event: NewEvent,
    ) -> Result<(), StoreError> {
        let add = "INSERT INTO events (position, id, kind, platform, platformid, destination, gap, late, row)
             VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO NOTHING";
        let added = self.transaction.prepare_cached(add)?.execute((
            self.next.number(),
            &event.id,
            event.kind.word(),
            &channel.platform,
            &channel.platformid,
            destination,
            event.gap,
            event.late,
            &event.row,
        ))?;
        if added == 0 {
            return Ok(());
        }
        let bytes = event.row.as_ref().map_or(0, String::len);
        self.bytes += EVENT_BYTES + i64::try_from(bytes).unwrap_or(0);
        self.events.push(event.at(self.next, channel, destination));
        self.next = self.next.next();
        Ok(())
    }

    fn finish(self) -> Result<Vec<Event>, StoreError> {
        if let Some(last) = self.events.last() {
            let marks =
                "UPDATE event_marks SET value = CASE name WHEN 'newest' THEN ?1 ELSE value + ?2 END
                 WHERE name IN ('newest', 'bytes')";
            let values = (last.position.number(), self.bytes);
            self.transaction.prepare_cached(marks)?.execute(values)?;
        }
        Ok(self.events)
    }
}
