//! The only place in a process that creates events. Observations are taken in order of arrival, compared with the stored state, and
//! stored in batches. No reader gets an event before its commit.

use std::cmp::Ordering;
use std::collections::HashMap;
use std::sync::Arc;

use store::{
    ChannelMemory, ChatMemory, Event, EventChannel, EventKind, Floor, NewEvent, ObservedChannel,
    ObservedChat, RequestedChats, Store, StoreError,
};
use tokio::sync::{Notify, mpsc};

use crate::caught::caught;
use crate::config::EventDepth;
use crate::counts::EventCounts;
use crate::days::Days;
use crate::diff::ListKind;
use crate::history::compared;
use crate::hub::EventHub;
use crate::id::EventIds;
use crate::interests::now_ms;
use crate::observation_queue::{KeptReply, Observation, QueuedObservation, RecorderHandle};
use crate::orders::ListOrders;
use crate::polled_chat::{ChannelEventMaker, PolledChat, list_changes};
use crate::row::{ListedRow, listed_rows};

/// Maximum number of observations in one commit.
const BATCH_MAX: usize = 256;

/// Stores observations.
pub(crate) struct Recorder {
    store: Arc<Store>,
    hub: Arc<EventHub>,
    ids: EventIds,
    counts: Arc<EventCounts>,
    orders: Arc<ListOrders>,
    queue: mpsc::Receiver<QueuedObservation>,
    /// Notified after each commit if other processes write the log as well.
    pub(crate) committed: Arc<Notify>,
}

impl Recorder {
    pub(crate) fn new(
        store: Arc<Store>,
        hub: Arc<EventHub>,
        ids: EventIds,
        counts: Arc<EventCounts>,
    ) -> (RecorderHandle, Recorder) {
        let (handle, queue) = RecorderHandle::new();
        let recorder = Recorder {
            store,
            hub,
            ids,
            counts,
            orders: Arc::clone(&handle.orders),
            queue,
            committed: Arc::default(),
        };
        (handle, recorder)
    }

    /// Runs until all handles have been dropped.
    pub(crate) async fn run(mut self) {
        let mut batch = Vec::new();
        while self.queue.recv_many(&mut batch, BATCH_MAX).await > 0 {
            let lists = batch.iter().filter(|queued| queued.waiting.is_list).count();
            let stored = self.keep(batch.drain(..)).await;
            let stored_lists = stored.iter().filter(|waiting| waiting.is_list).count();
            self.counts.unstored_lists(lists - stored_lists);
            for waiting in stored {
                // A send fails only if the waiting caller has disconnected.
                let _ = waiting.kept.send(());
            }
        }
    }

    /// Stores a batch without the observations that panic or that the store refuses. Returns those who wait for the stored ones.
    async fn keep(&mut self, batch: impl Iterator<Item = QueuedObservation>) -> Vec<KeptReply> {
        let (mut stored, mut observations, mut waiting) = (Vec::new(), Vec::new(), Vec::new());
        for queued in batch {
            match caught(self.compare(queued.seen)).await {
                Some(Ok(None)) => stored.push(queued.waiting),
                Some(Ok(Some(observed))) => {
                    observations.push(observed);
                    waiting.push(queued.waiting);
                }
                None => warn_of_loss(&StoreError::new("a panic while events were compared")),
                Some(Err(error)) => {
                    warn_of_loss(&error);
                    if !error.is_row_fault() {
                        // The store would fail for each further observation as well.
                        return stored;
                    }
                }
            }
        }
        if observations.is_empty() {
            return stored;
        }
        let storing = caught(self.store.record_batch(observations, now_ms()));
        let batch = storing.await.unwrap_or_default();
        if let Some(error) = batch.error {
            warn_of_loss(&error);
        }
        self.publish(batch.events);
        let waiting = waiting.into_iter().zip(batch.is_stored);
        stored.extend(waiting.filter_map(|(waiting, is_stored)| is_stored.then_some(waiting)));
        stored
    }

    fn publish(&self, events: Vec<Event>) {
        self.counts.record_events(&events);
        if self.store.shares_events() {
            // Others may have written in between, so the new events are read from the log.
            self.committed.notify_one();
        } else {
            self.hub.publish(events.into_iter().map(Arc::new));
        }
    }

    async fn compare(&mut self, seen: Observation) -> Result<Option<ObservedChannel>, StoreError> {
        match seen {
            Observation::Poll {
                channel,
                newest,
                chats,
                is_first,
                floor,
                depth,
            } => {
                let chats = if is_first {
                    chats.iter().map(PolledChat::as_history).collect()
                } else {
                    self.polled(&channel, &chats, &floor, depth).await?
                };
                Ok(Some(ObservedChannel {
                    newest,
                    chats,
                    ..blank(channel)
                }))
            }
            Observation::List {
                channel,
                destination,
                kind,
                result,
                keeps_texts,
            } => {
                let Some(rows) = listed_rows(result.result(), keeps_texts) else {
                    return Ok(None);
                };
                let chat = self.listed(&channel, &destination, (&rows, kind)).await?;
                Ok(chat.map(|chat| ObservedChannel {
                    chats: vec![chat],
                    ..blank(channel)
                }))
            }
            Observation::Channel {
                channel,
                stalled_at,
                kind,
                what,
                row,
            } => {
                let event = NewEvent {
                    id: self.ids.id(&channel, "", kind, [&what, ""]),
                    kind,
                    gap: kind == EventKind::ChannelResumed,
                    late: false,
                    row: Some(row),
                };
                let mut observation = blank(channel);
                (observation.stalled_at, observation.event) = (Some(stalled_at), Some(event));
                Ok(Some(observation))
            }
            #[cfg(test)]
            Observation::Defect => panic!("a defect"),
        }
    }

    async fn polled(
        &mut self,
        channel: &EventChannel,
        chats: &[PolledChat],
        floor: &Floor,
        depth: EventDepth,
    ) -> Result<Vec<ObservedChat>, StoreError> {
        let wanted = chats.iter().map(|chat| {
            let rows = chat.unread.iter().chain([&chat.tip]);
            (
                chat.destination.clone(),
                rows.map(|row| row.id.clone()).collect(),
            )
        });
        let days = self.days();
        let memories = self.memories(channel, wanted.collect(), &days).await?;
        let maker = ChannelEventMaker {
            ids: &self.ids,
            channel,
            days: &days,
        };
        let seen = chats
            .iter()
            .zip(memories)
            .map(|(chat, memory)| chat.changes(maker, memory, (floor, depth), &self.orders));
        Ok(seen.collect())
    }

    /// Returns the news of a caller's list; `None` for a channel that was never polled, because its history is unknown.
    async fn listed(
        &mut self,
        channel: &EventChannel,
        destination: &str,
        (rows, kind): (&[ListedRow], ListKind),
    ) -> Result<Option<ObservedChat>, StoreError> {
        let ids = rows.iter().map(|row| row.id.clone()).collect();
        let wanted = vec![(destination.to_owned(), ids)];
        let days = self.days();
        let memory = self.memories(channel, wanted, &days).await?;
        let memory = memory.into_iter().next().flatten();
        let mut floor = Floor::default();
        if memory.is_none() {
            let Some(known) = self.store.channel_memory(channel).await? else {
                return Ok(None);
            };
            floor = floor_of_new_chats(&known);
        }
        let maker = ChannelEventMaker {
            ids: &self.ids,
            channel,
            days: &days,
        };
        let seen = list_changes(
            maker,
            destination,
            (memory, floor),
            (rows, kind),
            &self.orders,
        );
        Ok((!seen.messages.is_empty()).then_some(seen))
    }

    async fn memories(
        &self,
        channel: &EventChannel,
        wanted: RequestedChats,
        days: &Days,
    ) -> Result<Vec<Option<ChatMemory>>, StoreError> {
        if wanted.is_empty() {
            return Ok(Vec::new());
        }
        let mut memories = self.store.chat_memories(channel, wanted).await?;
        for memory in memories.iter_mut().flatten() {
            // A datetime in the future would silence an erased chat until then.
            let is_future = |datetime: &mut String| {
                memory.is_erased
                    && compared(datetime, &days.after_tomorrow) == Some(Ordering::Greater)
            };
            memory.floor.datetime.take_if(is_future);
        }
        Ok(memories)
    }

    fn days(&self) -> Days {
        Days::around(self.store.judged_ms(now_ms()))
    }
}

fn warn_of_loss(error: &StoreError) {
    tracing::warn!(%error, "events could not be stored; the next polls will find them again");
}

/// Returns an empty sighting of a channel.
fn blank(channel: EventChannel) -> ObservedChannel {
    ObservedChannel {
        channel,
        newest: None,
        stalled_at: None,
        chats: Vec::new(),
        event: None,
    }
}

/// Returns the floor of a chat that is new in a known channel.
pub(crate) fn floor_of_new_chats(channel: &ChannelMemory) -> Floor {
    Floor {
        id: None,
        datetime: channel.newest.clone(),
    }
}

/// Returns the last row of each chat of a poll, by destination.
pub(crate) fn tips_of(rows: Vec<ListedRow>) -> HashMap<String, ListedRow> {
    let named = |row: ListedRow| Some((row.destination.clone()?, row));
    rows.into_iter().filter_map(named).collect()
}
