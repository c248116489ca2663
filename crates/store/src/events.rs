//! The log of events, and what is known of the upstream so that something new is seen as new.

mod event;
mod position;
mod sighting;

use std::time::Duration;

pub use event::{Event, EventKind, EventPage};
pub use position::{BadCursor, Position};
pub use sighting::{
    ChannelMemory, ChatMemory, EventChannel, Floor, KnownMessage, NewEvent, SeenChat, SeenMessage,
    Sighting, Tip,
};

use crate::store::Engine;
use crate::{Store, StoreError};

/// What an event takes besides its row, in bytes: its columns and its places in the indexes.
pub(crate) const EVENT_BYTES: i64 = 256;

/// Events taken away in one transaction: a few milliseconds, for which a send may have to wait.
pub(crate) const TRIMMED_AT_ONCE: i64 = 1000;

/// How long messages are known: longer than any list goes back that is asked for. Older ones are history after that.
pub(crate) const KNOWN_MS: i64 = 30 * 24 * 60 * 60 * 1000;

/// How long events are kept, and how much room they may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EventRetention {
    /// How long.
    pub age: Duration,
    /// How much room, in bytes.
    pub bytes: u64,
}

/// The chats whose memory is wanted, each with the ids of the messages in question.
pub type WantedChats = Vec<(String, Vec<String>)>;

impl Store {
    /// The events beyond a position, the oldest first: at most `limit` of them, and no more than one beyond so many bytes of rows.
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

    /// What is known of a channel; nothing if it was never looked at.
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

    /// What is known of chats of a channel, in the order of the question; nothing of those that were never seen.
    ///
    /// # Errors
    /// When the store can't be read.
    pub async fn chat_memories(
        &self,
        channel: &EventChannel,
        wanted: WantedChats,
    ) -> Result<Vec<Option<ChatMemory>>, StoreError> {
        match self.engine() {
            Engine::Sqlite(sqlite) => sqlite.chat_memories(channel, wanted).await,
            Engine::Postgres(postgres) => postgres.chat_memories(channel, wanted).await,
        }
    }

    /// Keeps what was seen, in one commit, and returns the events of it that are new. A message that is known already, and an
    /// event whose id there is already, make none. `now_ms` in milliseconds since 1970, UTC.
    ///
    /// # Errors
    /// When the store can't be written. Nothing is kept then.
    pub async fn record_sightings(
        &self,
        sightings: Vec<Sighting>,
        now_ms: i64,
    ) -> Result<Vec<Event>, StoreError> {
        match self.engine() {
            Engine::Sqlite(sqlite) => sqlite.record_sightings(sightings, now_ms).await,
            Engine::Postgres(postgres) => postgres.record_sightings(sightings).await,
        }
    }

    /// Takes away events that are too old or take too much room, and messages that have been known for thirty days.
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

    /// Notes until when channels are looked at for accesses, by their client ids; in milliseconds since 1970, UTC.
    ///
    /// # Errors
    /// When the store can't be written.
    pub async fn note_interests(&self, interests: &[(String, i64)]) -> Result<(), StoreError> {
        match self.engine() {
            Engine::Sqlite(sqlite) => sqlite.note_interests(interests).await,
            Engine::Postgres(postgres) => postgres.note_interests(interests).await,
        }
    }

    /// The interests that go on after this time, in milliseconds since 1970, UTC.
    ///
    /// # Errors
    /// When the store can't be read.
    pub async fn interests(&self, now_ms: i64) -> Result<Vec<(String, i64)>, StoreError> {
        match self.engine() {
            Engine::Sqlite(sqlite) => sqlite.interests(now_ms).await,
            Engine::Postgres(postgres) => postgres.interests(now_ms).await,
        }
    }

    /// Whether this process is the one that looks at channels, for the next seconds: of several that share the store one is.
    ///
    /// # Errors
    /// When the store can't be asked.
    pub async fn may_poll(&self) -> Result<bool, StoreError> {
        match self.engine() {
            Engine::Sqlite(_) => Ok(true),
            Engine::Postgres(postgres) => postgres.may_poll().await,
        }
    }

    /// Whether other processes write events as well.
    #[must_use]
    pub fn shares_events(&self) -> bool {
        matches!(self.engine(), Engine::Postgres(_))
    }
}

#[cfg(test)]
pub(crate) mod tests;
