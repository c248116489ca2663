//! What a gateway holds of events.

use std::sync::{Arc, Mutex, OnceLock};

use arc_swap::ArcSwap;
use store::{Access, Position, Store, StoreError, random_bytes};
use tokio::sync::mpsc;

use crate::config::EventsConfig;
use crate::counts::{EventCounts, EventsStatus};
use crate::heard::{Heard, WatchedNames};
use crate::hub::EventHub;
use crate::id::EventIds;
use crate::interests::{Interests, now_ms};
use crate::places::StreamPlaces;
use crate::reader::EventReader;
use crate::recorder::{Recorder, RecorderHandle};
use crate::upstream::PolledUpstream;

/// Calls of callers that wait to be heard at most; one that finds no room is made up for by the next look.
const HEARD_MAX: usize = 256;

/// Bytes of the key of ids.
const KEY_BYTES: usize = 32;

/// The events of one gateway: the log, who listens, and what makes events. It outlives a configuration.
pub struct Events {
    config: ArcSwap<EventsConfig>,
    /// What wakes those who wait.
    pub hub: Arc<EventHub>,
    /// Reads the log.
    pub reader: EventReader,
    /// Who listens.
    pub interests: Arc<Interests>,
    /// How many streams and waiting calls there are.
    pub places: Arc<StreamPlaces>,
    pub(crate) store: Arc<Store>,
    pub(crate) counts: Arc<EventCounts>,
    pub(crate) recorder: RecorderHandle,
    pub(crate) heard: mpsc::Sender<Heard>,
    pub(crate) watched: ArcSwap<WatchedNames>,
    pub(crate) upstream: OnceLock<Arc<dyn PolledUpstream>>,
    /// What has not been started yet.
    pub(crate) parts: Mutex<Option<(Recorder, mpsc::Receiver<Heard>)>>,
}

impl Events {
    /// Opens the log.
    ///
    /// # Errors
    /// When the store can't be read or written.
    pub async fn open(store: &Arc<Store>, config: EventsConfig) -> Result<Arc<Events>, StoreError> {
        // A page without events says where the log ends.
        let end = store.events_after(Position::of(i64::MAX), 1, 0).await?;
        let hub = Arc::new(EventHub::new(end.newest));
        let key = store
            .key("events", now_ms() / 1000, || random_bytes(KEY_BYTES))
            .await?;
        let interests = Interests::new(config.interest);
        interests.noted(&store.interests(now_ms()).await?);
        let counts = Arc::<EventCounts>::default();
        let ids = EventIds::new(&key);
        let (recorder, parts) = Recorder::new(
            Arc::clone(store),
            Arc::clone(&hub),
            ids,
            Arc::clone(&counts),
        );
        let (heard, hears) = mpsc::channel(HEARD_MAX);
        Ok(Arc::new(Events {
            interests: Arc::new(interests),
            config: ArcSwap::from_pointee(config),
            reader: EventReader::new(Arc::clone(store), Arc::clone(&hub)),
            hub,
            places: Arc::default(),
            store: Arc::clone(store),
            counts,
            recorder,
            heard,
            watched: ArcSwap::default(),
            upstream: OnceLock::new(),
            parts: Mutex::new(Some((parts, hears))),
        }))
    }

    /// The configuration in force.
    #[must_use]
    pub fn config(&self) -> Arc<EventsConfig> {
        self.config.load_full()
    }

    /// Puts another configuration in force.
    pub fn configure(&self, config: EventsConfig) {
        self.interests.set_lasting(config.interest);
        self.config.store(Arc::new(config));
    }

    /// Starts what keeps events, and nothing else.
    #[cfg(test)]
    pub(crate) fn start_recorder(&self, upstream: Arc<dyn PolledUpstream>) {
        let _ = self.upstream.set(upstream);
        let parts = self.parts.lock().unwrap().take();
        tokio::spawn(parts.unwrap().0.run());
    }

    /// The account that channels are looked at with.
    pub(crate) fn account(&self) -> Option<String> {
        self.upstream.get().map(|upstream| upstream.account())
    }

    /// How events are, for operators.
    #[must_use]
    pub fn status(&self) -> EventsStatus {
        self.counts.status(self.interests.live(now_ms()).len())
    }

    /// Trims the log and forgets what is too old for memory. Call it every ten seconds.
    ///
    /// # Errors
    /// When the store can't be written.
    pub async fn sweep(&self) -> Result<(), StoreError> {
        let now_ms = now_ms();
        self.hub.sweep(now_ms);
        let retention = self.config().retention;
        self.store.trim_events(now_ms, &retention).await
    }

    /// Notes interests, and where others share the store takes theirs. Returns whether this process is the one that looks.
    pub(crate) async fn share_interests(&self) -> bool {
        let due = self.interests.to_note(now_ms());
        if !due.is_empty() && self.store.note_interests(&due).await.is_ok() {
            self.interests.noted(&due);
        }
        if !self.store.shares_events() {
            return true;
        }
        if let Ok(interests) = self.store.interests(now_ms()).await {
            self.interests.noted(&interests);
        }
        let listens = !self.interests.live(now_ms()).is_empty();
        listens && self.store.may_poll().await.unwrap_or(false)
    }

    /// The accesses that listen.
    pub(crate) fn listening(&self) -> Vec<Arc<Access>> {
        let accesses = self.store.accesses();
        let live = self.interests.live(now_ms()).into_iter();
        live.filter_map(|client_id| accesses.of_client(&client_id).cloned())
            .collect()
    }
}
