//! The queue of observations that wait to be compared with the stored state and stored.

use std::sync::Arc;

use store::{EventChannel, EventKind, Floor};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};

use crate::config::EventDepth;
use crate::diff::ListKind;
use crate::orders::ListOrders;
use crate::polled_chat::PolledChat;

/// Maximum number of queued observations. Callers wait for their own, and a commit takes only as long as the disk needs.
const QUEUE_MAX: usize = 1024;

/// Maximum size of queued lists, in KiB: as much as one answer may have. The lists may outlive their callers' calls.
const QUEUE_KIB_MAX: u32 = 16 * 1024;

/// An observation that may cause events.
pub(crate) enum Observation {
    /// A poll has found changed chats.
    Poll {
        channel: EventChannel,
        /// The largest datetime of the poll, as in [`store::ChannelMemory::newest`], once all of its chats are stored.
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
pub(crate) struct QueuedObservation {
    pub(crate) seen: Observation,
    pub(crate) waiting: KeptReply,
}

/// Released when an observation has been stored or dropped: the sender that reports it, and the queue room.
pub(crate) struct KeptReply {
    pub(crate) kept: oneshot::Sender<()>,
    /// True for a list in the answer to a caller.
    pub(crate) is_list: bool,
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
    /// Makes a handle and the end of its queue.
    pub(crate) fn new() -> (RecorderHandle, mpsc::Receiver<QueuedObservation>) {
        let (queue, queued) = mpsc::channel(QUEUE_MAX);
        let handle = RecorderHandle {
            queue,
            room: Arc::new(Semaphore::new(QUEUE_KIB_MAX as usize)),
            orders: Arc::default(),
        };
        (handle, queued)
    }

    /// Queues an observation if there is room. The returned receiver completes once it is stored, and fails if that fails.
    pub(crate) fn queue(&self, seen: Observation) -> Option<oneshot::Receiver<()>> {
        let room = match seen.kib() {
            0 => None,
            kib => Some(Arc::clone(&self.room).try_acquire_many_owned(kib).ok()?),
        };
        let (kept, is_kept) = oneshot::channel();
        let waiting = KeptReply {
            kept,
            is_list: matches!(seen, Observation::List { .. }),
            _room: room,
        };
        let queued = QueuedObservation { seen, waiting };
        self.queue.try_send(queued).ok()?;
        Some(is_kept)
    }

    /// Queues an observation, waits, and returns whether it is stored.
    pub(crate) async fn keep(&self, seen: Observation) -> bool {
        let (kept, is_kept) = oneshot::channel();
        let waiting = KeptReply {
            kept,
            is_list: matches!(seen, Observation::List { .. }),
            _room: None,
        };
        let queued = QueuedObservation { seen, waiting };
        self.queue.send(queued).await.is_ok() && is_kept.await.is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queued_lists_are_bounded_by_their_total_size() {
        let (handle, mut waits) = RecorderHandle::new();
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
