//! Runs the background tasks: the recorder, the watcher, and the task that follows a log with other writers.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::timeout;

use crate::caught::caught;
use crate::observed_call::{ChannelName, WatchedNames};
use crate::poll::Poller;
use crate::reader::PAGE_BYTES;
use crate::service::Events;
use crate::upstream::{CallBudget, PolledUpstream};
use crate::watcher::Watcher;

/// Pauses between two reads of a log with other writers: the first while a reader waits, the second otherwise.
const FOLLOW: [Duration; 2] = [Duration::from_millis(200), Duration::from_secs(1)];

/// Maximum number of events per read while following the log.
const FOLLOWED_MAX: usize = 1000;

impl Events {
    /// Creates events until the task is aborted. A second call returns immediately.
    pub async fn run(self: Arc<Self>, upstream: Arc<dyn PolledUpstream>) {
        let parts = self.parts.lock().take();
        let Some((recorder, observed_calls)) = parts else {
            return;
        };
        let _ = self.upstream.set(Arc::clone(&upstream));
        let committed = Arc::clone(&recorder.committed);
        let watcher = Watcher::new(Arc::clone(&self), upstream);
        tokio::join!(
            recorder.run(),
            watcher.run(observed_calls),
            self.follow(&committed)
        );
    }

    /// Follows a log with other writers.
    async fn follow(&self, committed: &Notify) {
        if !self.store.shares_events() {
            return;
        }
        loop {
            let pause = FOLLOW[usize::from(!self.hub.has_waiters())];
            let _ = timeout(pause, committed.notified()).await;
            let _ = caught(self.catch_up()).await;
        }
    }

    /// Reads the log to its end.
    async fn catch_up(&self) {
        loop {
            let (erasures, after) = (self.store.erasures(), self.hub.newest());
            let read = self.store.events_after(after, FOLLOWED_MAX, PAGE_BYTES);
            let Ok(page) = read.await else { break };
            self.hub.publish(page.events);
            if self.store.erasures() != erasures {
                // Events of the page may have been erased after it was read.
                self.hub.clear();
            }
            if !page.more {
                break;
            }
        }
    }

    /// Sets the channels whose calls are observed; calls on other channels are ignored.
    pub(crate) fn watch<'n>(&self, names: impl Iterator<Item = &'n ChannelName>) {
        let mut watched = WatchedNames::new();
        for (platform, platformid) in names {
            let of_platform = watched.entry(platform.clone()).or_default();
            of_platform.insert(platformid.clone());
        }
        self.counts
            .set_watched(watched.values().map(HashSet::len).sum());
        if **self.watched.load() != watched {
            self.watched.store(Arc::new(watched));
        }
    }

    pub(crate) fn poller(
        &self,
        upstream: &Arc<dyn PolledUpstream>,
        budget: &Arc<CallBudget>,
    ) -> Poller {
        Poller {
            store: Arc::clone(&self.store),
            upstream: Arc::clone(upstream),
            budget: Arc::clone(budget),
            recorder: self.recorder.clone(),
            counts: Arc::clone(&self.counts),
            config: self.config(),
        }
    }
}
