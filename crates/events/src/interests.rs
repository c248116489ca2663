//! Who listens. A channel is looked at only while an access that may see it does, or did until lately.

use std::collections::HashMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::Notify;

/// How old what is kept of an interest may be, in milliseconds: after a restart channels are looked at for so much less long.
const NOTED_EVERY_MS: i64 = 600_000;

/// The accesses that listen.
pub struct Interests {
    accesses: Mutex<HashMap<String, Interest>>,
    /// How long one goes on after it was last shown, in milliseconds.
    lasting_ms: AtomicI64,
    /// Told when somebody begins to listen.
    pub(crate) begun: Notify,
}

#[derive(Clone, Copy, Default)]
struct Interest {
    /// How many streams, waits and webhooks hold it.
    held: usize,
    /// When it ends, in milliseconds since 1970, UTC.
    until_ms: i64,
    /// When it ends by what is kept in the store.
    noted_until_ms: i64,
}

/// Holds an interest until it is dropped; after that it goes on for as long as is configured.
pub struct InterestGuard {
    interests: Arc<Interests>,
    client_id: String,
}

impl Interests {
    pub(crate) fn new(lasting: Duration) -> Interests {
        let interests = Interests {
            accesses: Mutex::default(),
            lasting_ms: AtomicI64::new(0),
            begun: Notify::new(),
        };
        interests.set_lasting(lasting);
        interests
    }

    pub(crate) fn set_lasting(&self, lasting: Duration) {
        let lasting = i64::try_from(lasting.as_millis()).unwrap_or(i64::MAX);
        self.lasting_ms.store(lasting, Ordering::Relaxed);
    }

    /// Holds the interest of an access, named by its client id, for as long as the guard lives.
    #[must_use]
    pub fn hold(self: &Arc<Self>, client_id: &str) -> InterestGuard {
        self.show(client_id, |interest| interest.held += 1);
        InterestGuard {
            interests: Arc::clone(self),
            client_id: client_id.to_owned(),
        }
    }

    /// Shows the interest of an access once.
    pub fn touch(&self, client_id: &str) {
        self.show(client_id, |_| {});
    }

    fn show(&self, client_id: &str, change: impl FnOnce(&mut Interest)) {
        let now_ms = now_ms();
        let until_ms = now_ms.saturating_add(self.lasting_ms.load(Ordering::Relaxed));
        let mut accesses = self.lock();
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

    /// The client ids of the accesses that listen now.
    pub(crate) fn live(&self, now_ms: i64) -> Vec<String> {
        let accesses = self.lock();
        let live = accesses
            .iter()
            .filter(|(_, interest)| interest.held > 0 || interest.until_ms > now_ms);
        live.map(|(client_id, _)| client_id.clone()).collect()
    }

    /// What is to be kept in the store by now, and forgets what has ended.
    pub(crate) fn to_note(&self, now_ms: i64) -> Vec<(String, i64)> {
        let lasting_ms = self.lasting_ms.load(Ordering::Relaxed);
        let mut due = Vec::new();
        self.lock().retain(|client_id, interest| {
            if interest.held > 0 {
                interest.until_ms = interest.until_ms.max(now_ms.saturating_add(lasting_ms));
            }
            let is_behind = interest.until_ms.saturating_sub(interest.noted_until_ms);
            if interest.until_ms > now_ms && is_behind >= NOTED_EVERY_MS.min(lasting_ms.max(1)) {
                due.push((client_id.clone(), interest.until_ms));
            }
            interest.held > 0 || interest.until_ms > now_ms
        });
        due
    }

    /// These stand in the store now, by us or by others.
    pub(crate) fn noted(&self, noted: &[(String, i64)]) {
        let mut accesses = self.lock();
        for (client_id, until_ms) in noted {
            let interest = accesses.entry(client_id.clone()).or_default();
            interest.until_ms = interest.until_ms.max(*until_ms);
            interest.noted_until_ms = interest.noted_until_ms.max(*until_ms);
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Interest>> {
        self.accesses.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for InterestGuard {
    fn drop(&mut self) {
        self.interests.show(&self.client_id, |interest| {
            interest.held = interest.held.saturating_sub(1);
        });
    }
}

/// Now, in milliseconds since 1970, UTC.
pub(crate) fn now_ms() -> i64 {
    Timestamp::now().as_millisecond()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interest_is_held_and_goes_on_for_a_while() {
        let interests = Arc::new(Interests::new(Duration::from_secs(3600)));
        let held = interests.hold("a");
        interests.touch("b");
        let later = now_ms() + 3_600_001;
        assert_eq!(interests.live(later), ["a"]);
        let mut due = interests.to_note(now_ms());
        due.sort();
        assert_eq!(due.len(), 2);
        interests.noted(&due);
        assert_eq!(interests.to_note(now_ms()), []);
        drop(held);
        assert_eq!(interests.live(now_ms()).len(), 2);
        assert_eq!(interests.live(later + 10_000), Vec::<String>::new());
        assert_eq!(interests.to_note(later + 10_000), []);
        assert!(interests.lock().is_empty());
    }
}
