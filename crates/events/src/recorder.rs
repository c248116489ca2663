//! The only place in a process that creates events. Observations are taken in order of arrival, compared with the stored state, and
//! stored in batches. No reader gets an event before its commit.

use std::collections::HashMap;
use std::sync::Arc;

use store::{
    ChannelMemory, ChatMemory, EventChannel, EventKind, Floor, NewEvent, ObservedChannel,
    ObservedChat, RequestedChats, Store, StoreError,
};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, mpsc, oneshot};

use crate::caught::caught;
use crate::config::EventDepth;
use crate::counts::EventCounts;
use crate::diff::ListKind;
use crate::hub::EventHub;
use crate::id::EventIds;
use crate::interests::now_ms;
use crate::orders::ListOrders;
use crate::polled_chat::{PolledChat, list_changes};
use crate::row::{ListedRow, listed_rows};

/// Maximum number of queued observations. Callers wait for their own, and a commit takes only as long as the disk needs.
const QUEUE_MAX: usize = 1024;

/// Maximum size of queued lists, in KiB: as much as one answer may have. The lists may outlive their callers' calls.
const QUEUE_KIB_MAX: u32 = 16 * 1024;

/// Maximum number of observations in one commit.
const BATCH_MAX: usize = 256;

/// An observation that may cause events.
pub(crate) enum Observation {
    /// A poll has found changed chats.
    Poll {
        channel: EventChannel,
        /// The largest datetime of the poll, as in [`ChannelMemory::newest`], once all of its chats are stored.
        newest: Option<String>,
        chats: Vec<PolledChat>,
        /// True if all chats of the poll are history.
        is_first: bool,
        /// The floor of unknown chats: everything before it is history.
        floor: Floor,
        depth: EventDepth,
    },
    /// A list of a chat in the answer to a caller.
    List {
        channel: EventChannel,
        destination: String,
        kind: ListKind,
        result: adapter::Response,
        keeps_texts: bool,
    },
    /// A change of a channel as a whole.
    Channel {
        channel: EventChannel,
        stalled_at: Option<i64>,
        kind: EventKind,
        what: String,
        row: String,
    },
    /// An observation that panics.
    #[cfg(test)]
    Defect,
}

/// An observation that waits to be stored.
struct QueuedObservation {
    seen: Observation,
    waiting: KeptReply,
}

/// Released when an observation has been stored or dropped: the sender that reports it, and the queue room.
struct KeptReply {
    kept: oneshot::Sender<()>,
    _room: Option<OwnedSemaphorePermit>,
}

/// The handle that queues observations for the recorder.
#[derive(Clone)]
pub(crate) struct RecorderHandle {
    queue: mpsc::Sender<QueuedObservation>,
    /// Remaining room for queued lists, in KiB.
    room: Arc<Semaphore>,
    /// The sort orders that the recorder has learned.
    pub(crate) orders: Arc<ListOrders>,
}

impl Observation {
    /// Returns the queue room that the observation needs, in KiB; 0 for small ones.
    fn kib(&self) -> u32 {
        let Observation::List { result, .. } = self else {
            return 0;
        };
        let kib = u32::try_from(result.bytes() / 1024);
        kib.unwrap_or(u32::MAX).min(QUEUE_KIB_MAX)
    }
}

impl RecorderHandle {
    /// Queues an observation if there is room. The returned receiver completes once it is stored, and fails if that fails.
    pub(crate) fn queue(&self, seen: Observation) -> Option<oneshot::Receiver<()>> {
        let room = match seen.kib() {
            0 => None,
            kib => Some(Arc::clone(&self.room).try_acquire_many_owned(kib).ok()?),
        };
        let (kept, is_kept) = oneshot::channel();
        let waiting = KeptReply { kept, _room: room };
        let queued = QueuedObservation { seen, waiting };
        self.queue.try_send(queued).ok()?;
        Some(is_kept)
    }

    /// Queues an observation, waits, and returns whether it is stored.
    pub(crate) async fn keep(&self, seen: Observation) -> bool {
        let (kept, is_kept) = oneshot::channel();
        let waiting = KeptReply { kept, _room: None };
        let queued = QueuedObservation { seen, waiting };
        self.queue.send(queued).await.is_ok() && is_kept.await.is_ok()
    }
}

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
        let (sender, queue) = mpsc::channel(QUEUE_MAX);
        let orders = Arc::<ListOrders>::default();
        let handle = RecorderHandle {
            queue: sender,
            room: Arc::new(Semaphore::new(QUEUE_KIB_MAX as usize)),
            orders: Arc::clone(&orders),
        };
        let recorder = Recorder {
            store,
            hub,
            ids,
            counts,
            orders,
            queue,
            committed: Arc::default(),
        };
        (handle, recorder)
    }

    /// Runs until all handles have been dropped.
    pub(crate) async fn run(mut self) {
        let mut batch = Vec::new();
        while self.queue.recv_many(&mut batch, BATCH_MAX).await > 0 {
            let batch = batch.drain(..).map(|queued| (queued.seen, queued.waiting));
            let (seen, waiting): (Vec<_>, Vec<_>) = batch.unzip();
            let is_list = |seen: &&Observation| matches!(seen, Observation::List { .. });
            let lists = seen.iter().filter(is_list).count();
            let panicked = || Err(StoreError::new("a panic while events were stored"));
            match caught(self.keep(seen)).await.unwrap_or_else(panicked) {
                // A send fails only if the waiting caller has disconnected.
                Ok(()) => waiting.into_iter().for_each(|waiting| {
                    let _ = waiting.kept.send(());
                }),
                Err(error) => {
                    self.counts.unharvested(lists);
                    tracing::warn!(%error, "events could not be stored; the next polls will find them again");
                }
            }
        }
    }

    async fn keep(&mut self, seen: Vec<Observation>) -> Result<(), StoreError> {
        let mut observations = Vec::new();
        for observation in seen {
            observations.extend(self.compare(observation).await?);
        }
        if observations.is_empty() {
            return Ok(());
        }
        let events = self.store.record_observed(observations, now_ms()).await?;
        self.counts.record_events(&events);
        if self.store.shares_events() {
            // Others may have written in between, so the new events are read from the log.
            self.committed.notify_one();
        } else {
            self.hub.publish(events.into_iter().map(Arc::new));
        }
        Ok(())
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
        let memories = self.memories(channel, wanted.collect()).await?;
        let (ids, orders) = (&self.ids, &self.orders);
        let seen = chats
            .iter()
            .zip(memories)
            .map(|(chat, memory)| chat.changes((ids, channel), memory, (floor, depth), orders));
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
        let memory = self.memories(channel, wanted).await?.pop().flatten();
        let mut floor = Floor::default();
        if memory.is_none() {
            let Some(known) = self.store.channel_memory(channel).await? else {
                return Ok(None);
            };
            floor = floor_of_new_chats(&known);
        }
        let seen = list_changes(
            (&self.ids, channel),
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
    ) -> Result<Vec<Option<ChatMemory>>, StoreError> {
        if wanted.is_empty() {
            return Ok(Vec::new());
        }
        self.store.chat_memories(channel, wanted).await
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queued_lists_are_bounded_by_their_total_size() {
        let (queue, mut waits) = mpsc::channel(QUEUE_MAX);
        let handle = RecorderHandle {
            queue,
            room: Arc::new(Semaphore::new(QUEUE_KIB_MAX as usize)),
            orders: Arc::default(),
        };
        let list = |mib: usize| Observation::List {
            channel: EventChannel {
                account: "host".to_owned(),
                platform: "webchat".to_owned(),
                platformid: "1".to_owned(),
            },
            destination: "a".to_owned(),
            kind: ListKind::Whole,
            result: adapter::Response::of(&format!("\"{}\"", "x".repeat(mib << 20))).unwrap(),
            keeps_texts: true,
        };
        // A list that exceeds the whole room is accepted if no other list waits.
        assert!(handle.queue(list(20)).is_some());
        assert!(handle.queue(list(1)).is_none());
        drop(waits.try_recv().unwrap());
        let waiting: Vec<_> = (0..20).map(|_| handle.queue(list(1))).collect();
        assert_eq!(waiting.iter().flatten().count(), 16);
    }
}
