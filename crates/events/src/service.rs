//! The interface of events for the gateway.

use std::sync::{Arc, OnceLock};

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use store::{Access, Position, Store, StoreError, random_bytes};
use tokio::sync::mpsc;

use crate::config::EventsConfig;
use crate::counts::{EventCounts, EventsStatus};
use crate::hub::EventHub;
use crate::id::EventIds;
use crate::interests::{Interests, now_ms};
use crate::observation_queue::RecorderHandle;
use crate::observed_call::{ObservedCall, WatchedNames};
use crate::reader::EventReader;
use crate::recorder::Recorder;
use crate::stream_limiter::StreamLimiter;
use crate::upstream::PolledUpstream;

/// Maximum number of observed calls in the queue. If the queue is full, the next poll finds the change.
const OBSERVED_CALLS_MAX: usize = 256;

/// Length of the key for ids, in bytes.
const KEY_BYTES: usize = 32;

/// The events of one gateway: the log, the listeners, and the tasks that create events. It outlives changes of the configuration.
pub struct Events {
    config: ArcSwap<EventsConfig>,
    /// Wakes waiting readers.
    pub hub: Arc<EventHub>,
    /// Reads the log.
    pub reader: EventReader,
    /// The accesses that listen.
    pub interests: Arc<Interests>,
    /// The permits for streams and waiting calls.
    pub streams: Arc<StreamLimiter>,
    pub(crate) store: Arc<Store>,
    pub(crate) counts: Arc<EventCounts>,
    pub(crate) recorder: RecorderHandle,
    pub(crate) observed_calls: mpsc::Sender<ObservedCall>,
    pub(crate) watched: ArcSwap<WatchedNames>,
    pub(crate) upstream: OnceLock<Arc<dyn PolledUpstream>>,
    /// The parts that have not been started yet.
    pub(crate) parts: Mutex<Option<(Recorder, mpsc::Receiver<ObservedCall>)>>,
}

impl Events {
    /// Opens the log.
    ///
    /// # Errors
    /// The store cannot be read or written.
    pub async fn open(store: &Arc<Store>, config: EventsConfig) -> Result<Arc<Events>, StoreError> {
        // A page without events contains the end of the log.
        let end = store.events_after(Position::of(i64::MAX), 1, 0).await?;
        let hub = Arc::new(EventHub::new(end.newest));
        let key = store
            .key("events", now_ms() / 1000, || random_bytes(KEY_BYTES))
            .await?;
        let interests = Interests::new(config.interest);
        interests.mark_saved(&store.interests(now_ms()).await?);
        let counts = Arc::<EventCounts>::default();
        let ids = EventIds::new(&key);
        let (recorder, parts) = Recorder::new(
            Arc::clone(store),
            Arc::clone(&hub),
            ids,
            Arc::clone(&counts),
        );
        let (observed_calls, receiver) = mpsc::channel(OBSERVED_CALLS_MAX);
        Ok(Arc::new(Events {
            interests: Arc::new(interests),
            config: ArcSwap::from_pointee(config),
            reader: EventReader::new(Arc::clone(store), Arc::clone(&hub)),
            hub,
            streams: Arc::default(),
            store: Arc::clone(store),
            counts,
            recorder,
            observed_calls,
            watched: ArcSwap::default(),
            upstream: OnceLock::new(),
            parts: Mutex::new(Some((parts, receiver))),
        }))
    }

    /// Returns the current configuration.
    #[must_use]
    pub fn config(&self) -> Arc<EventsConfig> {
        self.config.load_full()
    }

    /// Replaces the configuration.
    pub fn configure(&self, config: EventsConfig) {
        self.interests.set_linger(config.interest);
        self.config.store(Arc::new(config));
    }

    /// Starts only the recorder.
    #[cfg(test)]
    pub(crate) fn start_recorder(&self, upstream: Arc<dyn PolledUpstream>) {
        let _ = self.upstream.set(upstream);
        let parts = self.parts.lock().take();
        tokio::spawn(parts.unwrap().0.run());
    }

    /// Returns the account with which channels are polled.
    pub(crate) fn account(&self) -> Option<String> {
        self.upstream.get().map(|upstream| upstream.account())
    }

    /// Returns the counters for operators.
    #[must_use]
    pub fn status(&self) -> EventsStatus {
        self.counts.status(self.interests.live(now_ms()).len())
    }

    /// Trims the log and drops events that are too old for memory. Call it every ten seconds.
    ///
    /// # Errors
    /// The store cannot be written.
    pub async fn sweep(&self) -> Result<(), StoreError> {
        let now_ms = now_ms();
        self.hub.sweep(self.store.judged_ms(now_ms));
        let retention = self.config().retention;
        self.store.trim_events(now_ms, &retention).await
    }

    /// Stores the interests, and reads those of other processes if the store is shared. Returns whether this process is the one
    /// that polls.
    pub(crate) async fn share_interests(&self) -> bool {
        let due = self.interests.take_unsaved(now_ms());
        if !due.is_empty() && self.store.note_interests(&due).await.is_ok() {
            self.interests.mark_saved(&due);
        }
        if !self.store.shares_events() {
            return true;
        }
        if let Ok(interests) = self.store.interests(now_ms()).await {
            self.interests.mark_saved(&interests);
        }
        let listens = !self.interests.live(now_ms()).is_empty();
        listens && self.store.may_poll().await.unwrap_or(false)
    }

    /// Returns the time by which accesses and the log are judged, in milliseconds since 1970, UTC.
    pub(crate) fn judged_now_ms(&self) -> i64 {
        self.store.judged_ms(now_ms())
    }

    /// Returns the accesses that listen.
    pub(crate) fn listening(&self) -> Vec<Arc<Access>> {
        let accesses = self.store.accesses();
        let live = self.interests.live(now_ms()).into_iter();
        live.filter_map(|client_id| accesses.of_client(&client_id).cloned())
            .collect()
    }
}
