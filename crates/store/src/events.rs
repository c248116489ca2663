//! The log of events, and the memory of the upstream's state by which new events are recognized.

mod batch;
mod event;
mod observation;
mod position;

use std::time::Duration;

pub use batch::StoredBatch;
pub use event::{Event, EventKind, EventPage};
pub use observation::{
    ChannelMemory, ChatMemory, EventChannel, Floor, KnownMessage, NewEvent, ObservedChannel,
    ObservedChat, ObservedMessage, Tip,
};
pub use position::{BadCursor, Position};

use crate::store::Engine;
use crate::{Store, StoreError};

/// Storage that an event takes in addition to its JSON row, in bytes: its columns and its index entries.
pub(crate) const EVENT_BYTES: i64 = 256;

/// Number of events that one transaction deletes: it takes a few milliseconds, for which a send may have to wait.
pub(crate) const TRIMMED_PER_BATCH: i64 = 1000;

/// Time for which messages are remembered: longer than any requested list goes back. Older messages then count as history.
pub(crate) const KNOWN_MS: i64 = 30 * 24 * 60 * 60 * 1000;

/// Limits for the age and the size of the event log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EventRetention {
    /// Maximum age of an event.
    pub age: Duration,
    /// Maximum size of all events, in bytes.
    pub bytes: u64,
}

/// The chats whose memory is requested, each with the ids of the messages that matter.
pub type RequestedChats = Vec<(String, Vec<String>)>;

impl Store {
    /// Returns the events after a position, oldest first: at most `limit` events, and no further event once the JSON rows of the
    /// page exceed `bytes`.
    ///
    /// # Errors
    /// When the store can't be read.
    pub async fn events_after(
        &self,
        after: Position,
        limit: usize,
        bytes: usize,
    ) -> Result<EventPage, StoreError> {
        match self.engine() {
            Engine::Sqlite(sqlite) => sqlite.events_after(after, limit, bytes).await,
            Engine::Postgres(postgres) => postgres.events_after(after, limit, bytes).await,
        }
    }

    /// Returns the memory of a channel; `None` if the channel was never polled.
    ///
    /// # Errors
    /// When the store can't be read.
    pub async fn channel_memory(
        &self,
        channel: &EventChannel,
    ) -> Result<Option<ChannelMemory>, StoreError> {
        match self.engine() {
            Engine::Sqlite(sqlite) => sqlite.channel_memory(channel).await,
            Engine::Postgres(postgres) => postgres.channel_memory(channel).await,
        }
    }

    /// Returns the memories of chats of a channel, in the order of `wanted`; `None` for a chat that was never observed.
    ///
    /// # Errors
    /// When the store can't be read.
    pub async fn chat_memories(
        &self,
        channel: &EventChannel,
        wanted: RequestedChats,
    ) -> Result<Vec<Option<ChatMemory>>, StoreError> {
        match self.engine() {
            Engine::Sqlite(sqlite) => sqlite.chat_memories(channel, wanted).await,
            Engine::Postgres(postgres) => postgres.chat_memories(channel, wanted).await,
        }
    }

    /// Stores observations in one commit and returns the new events. A message that is already known and an event whose id is
    /// already in the log make no new event. `now_ms` in milliseconds since 1970, UTC.
    ///
    /// # Errors
    /// When the store can't be written. Nothing is stored then.
    pub async fn record_observed(
        &self,
        observations: Vec<ObservedChannel>,
        now_ms: i64,
    ) -> Result<Vec<Event>, StoreError> {
        match self.engine() {
            Engine::Sqlite(sqlite) => sqlite.record_observed(observations, now_ms).await,
            Engine::Postgres(postgres) => postgres.record_observed(observations).await,
        }
    }

    /// Deletes events that exceed the age or size limit, and messages that have been known for thirty days.
    ///
    /// # Errors
    /// When the store can't be written.
    pub async fn trim_events(
        &self,
        now_ms: i64,
        retention: &EventRetention,
    ) -> Result<(), StoreError> {
        match self.engine() {
            Engine::Sqlite(sqlite) => sqlite.trim_events(now_ms, retention).await,
            Engine::Postgres(postgres) => postgres.trim_events(retention).await,
        }
    }

    /// Stores, for accesses given by client id, the time until which channels are polled for them; in milliseconds since 1970, UTC.
    ///
    /// # Errors
    /// When the store can't be written.
    pub async fn note_interests(&self, interests: &[(String, i64)]) -> Result<(), StoreError> {
        match self.engine() {
            Engine::Sqlite(sqlite) => sqlite.note_interests(interests).await,
            Engine::Postgres(postgres) => postgres.note_interests(interests).await,
        }
    }

    /// Returns the interests that end after this time, in milliseconds since 1970, UTC.
    ///
    /// # Errors
    /// When the store can't be read.
    pub async fn interests(&self, now_ms: i64) -> Result<Vec<(String, i64)>, StoreError> {
        match self.engine() {
            Engine::Sqlite(sqlite) => sqlite.interests(now_ms).await,
            Engine::Postgres(postgres) => postgres.interests(now_ms).await,
        }
    }

    /// Returns whether this process polls the channels for the next seconds: of several processes that share the store, only one
    /// polls.
    ///
    /// # Errors
    /// When the store can't be asked.
    pub async fn may_poll(&self) -> Result<bool, StoreError> {
        match self.engine() {
            Engine::Sqlite(_) => Ok(true),
            Engine::Postgres(postgres) => postgres.may_poll().await,
        }
    }

    /// Returns whether other processes also write events.
    #[must_use]
    pub fn shares_events(&self) -> bool {
        matches!(self.engine(), Engine::Postgres(_))
    }
}

#[cfg(test)]
pub(crate) mod tests;
