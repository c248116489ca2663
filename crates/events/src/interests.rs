//! The accesses that listen. A channel is polled only while an access that may see it listens, or shortly after that.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use parking_lot::Mutex;
use tokio::sync::Notify;

/// Maximum age of the stored state of an interest, in milliseconds. After a restart, channels may be polled for up to this much
/// less time.
const SAVE_INTERVAL_MS: i64 = 600_000;

/// The accesses that listen.
pub struct Interests {
    accesses: Mutex<HashMap<String, Interest>>,
    /// The time for which an interest continues after the last activity, in milliseconds.
    linger_ms: AtomicI64,
    /// Notified when an access begins to listen.
    pub(crate) begun: Notify,
}

#[derive(Clone, Copy, Default)]
struct Interest {
    /// Number of streams, waiting calls and webhooks that hold the interest.
    held: usize,
    /// The end of the interest, in milliseconds since 1970, UTC.
    until_ms: i64,
    /// The end of the interest according to the store.
    saved_until_ms: i64,
}

/// Holds an interest until the guard is dropped. After that the interest continues for the configured time.
pub struct InterestGuard {
    interests: Arc<Interests>,
    client_id: String,
}

impl Interests {
    pub(crate) fn new(lasting: Duration) -> Interests {
        let interests = Interests {
            accesses: Mutex::default(),
            linger_ms: AtomicI64::new(0),
            begun: Notify::new(),
        };
        interests.set_linger(lasting);
        interests
    }

    pub(crate) fn set_linger(&self, lasting: Duration) {
        let lasting = i64::try_from(lasting.as_millis()).unwrap_or(i64::MAX);
        self.linger_ms.store(lasting, Ordering::Relaxed);
    }

    /// Holds the interest of an access, identified by its client id, as long as the guard exists.
    #[must_use]
    pub fn hold(self: &Arc<Self>, client_id: &str) -> InterestGuard {
        self.renew(client_id, |interest| interest.held += 1);
        InterestGuard {
            interests: Arc::clone(self),
            client_id: client_id.to_owned(),
        }
    }

    /// Renews the interest of an access once.
    pub fn touch(&self, client_id: &str) {
        self.renew(client_id, |_| {});
    }

    fn renew(&self, client_id: &str, change: impl FnOnce(&mut Interest)) {
        let now_ms = now_ms();
        let until_ms = now_ms.saturating_add(self.linger_ms.load(Ordering::Relaxed));
        let mut accesses = self.accesses.lock();
        let interest = match accesses.get_mut(client_id) {
            Some(interest) => interest,
            None => accesses.entry(client_id.to_owned()).or_default(),
        };
        let has_begun = interest.held == 0 && interest.until_ms <= now_ms;
        interest.until_ms = interest.until_ms.max(until_ms);
        change(interest);
        drop(accesses);
        if has_begun {
            self.begun.notify_one();
        }
    }

    /// Returns the client ids of the accesses that currently listen.
    pub(crate) fn live(&self, now_ms: i64) -> Vec<String> {
        let accesses = self.accesses.lock();
        let live = accesses
            .iter()
            .filter(|(_, interest)| interest.held > 0 || interest.until_ms > now_ms);
        live.map(|(client_id, _)| client_id.clone()).collect()
    }

    /// Returns the interests whose ends must be stored now, and removes the expired ones.
    pub(crate) fn take_unsaved(&self, now_ms: i64) -> Vec<(String, i64)> {
        let linger_ms = self.linger_ms.load(Ordering::Relaxed);
        let mut due = Vec::new();
        self.accesses.lock().retain(|client_id, interest| {
            if interest.held > 0 {
                interest.until_ms = interest.until_ms.max(now_ms.saturating_add(linger_ms));
            }
            let is_behind = interest.until_ms.saturating_sub(interest.saved_until_ms);
            if interest.until_ms > now_ms && is_behind >= SAVE_INTERVAL_MS.min(linger_ms.max(1)) {
                due.push((client_id.clone(), interest.until_ms));
            }
            interest.held > 0 || interest.until_ms > now_ms
        });
        due
    }

    /// Records the ends that are stored, by this process or by others.
    pub(crate) fn mark_saved(&self, noted: &[(String, i64)]) {
        let mut accesses = self.accesses.lock();
        for (client_id, until_ms) in noted {
            let interest = accesses.entry(client_id.clone()).or_default();
            interest.until_ms = interest.until_ms.max(*until_ms);
            interest.saved_until_ms = interest.saved_until_ms.max(*until_ms);
        }
    }
}

impl Drop for InterestGuard {
    fn drop(&mut self) {
        self.interests.renew(&self.client_id, |interest| {
            interest.held = interest.held.saturating_sub(1);
        });
    }
}

/// Returns the current time, in milliseconds since 1970, UTC.
pub(crate) fn now_ms() -> i64 {
    Timestamp::now().as_millisecond()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interest_stays_live_while_held_and_expires_after_its_release() {
        let interests = Arc::new(Interests::new(Duration::from_secs(3600)));
        let held = interests.hold("a");
        interests.touch("b");
        let later = now_ms() + 3_600_001;
        assert_eq!(interests.live(later), ["a"]);
        let mut due = interests.take_unsaved(now_ms());
        due.sort();
        assert_eq!(due.len(), 2);
        interests.mark_saved(&due);
        assert_eq!(interests.take_unsaved(now_ms()), []);
        drop(held);
        assert_eq!(interests.live(now_ms()).len(), 2);
        assert_eq!(interests.live(later + 10_000), Vec::<String>::new());
        assert_eq!(interests.take_unsaved(later + 10_000), []);
        assert!(interests.accesses.lock().is_empty());
    }
}
