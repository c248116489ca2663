//! Counts wrong keys by address, for the console and the admin API. A key has 256 bits, and comparing a key costs next to nothing.
//! The counters therefore only limit how much a guesser can write into the log, and never block a right key.

use std::collections::HashMap;
use std::net::IpAddr;
use std::num::NonZeroU32;

use parking_lot::Mutex;
use store::counted_address;

/// Maximum number of wrong keys that an address may send within a minute: more than a person mistypes.
pub(crate) const WRONG_PER_MINUTE: NonZeroU32 = NonZeroU32::new(30).unwrap();

/// Maximum number of addresses counted separately within a minute. All other addresses share one counter.
const ADDRESSES_MAX: usize = 1000;

/// Seconds in a minute.
const MINUTE_S: i64 = 60;

/// The counters of wrong keys in the current minute.
#[derive(Default)]
pub(crate) struct Attempts(Mutex<AttemptWindow>);

/// The wrong keys of one minute, by address.
#[derive(Default)]
struct AttemptWindow {
    minute: i64,
    wrong: HashMap<Option<IpAddr>, u32>,
}

impl Attempts {
    /// Counts a wrong key. Each of the replicas allows its share of the maximum. Returns the seconds to wait if the address has
    /// sent too many wrong keys.
    pub(crate) fn note_wrong(
        &self,
        address: Option<IpAddr>,
        (now, replicas): (i64, u32),
    ) -> Option<i64> {
        let mut window = self.0.lock();
        if window.minute != now / MINUTE_S {
            *window = AttemptWindow {
                minute: now / MINUTE_S,
                wrong: HashMap::new(),
            };
        }
        let address = address.map(counted_address);
        let most = (WRONG_PER_MINUTE.get() / replicas.max(1)).max(1);
        let has_room = window.wrong.len() < ADDRESSES_MAX || window.wrong.contains_key(&address);
        let count = window
            .wrong
            .entry(address.filter(|_| has_room))
            .or_default();
        *count = count.saturating_add(1);
        (*count > most).then(|| MINUTE_S - now % MINUTE_S)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrong_keys_are_limited_per_minute_and_address() {
        let attempts = Attempts::default();
        let now = 1_700_000_000;
        let note = |text: &str, now| attempts.note_wrong(Some(text.parse().unwrap()), (now, 1));
        for _ in 0..WRONG_PER_MINUTE.get() {
            assert_eq!(note("192.0.2.1", now), None);
            assert_eq!(note("2001:db8::1", now), None);
        }
        let wait = Some(MINUTE_S - now % MINUTE_S);
        assert_eq!(note("::ffff:192.0.2.1", now), wait);
        assert_eq!(note("2001:db8::2", now), wait);
        assert_eq!(note("192.0.2.2", now), None);
        assert_eq!(note("192.0.2.1", now + MINUTE_S), None);
    }

    #[test]
    fn wrong_key_counters_are_bounded_for_any_number_of_addresses() {
        let attempts = Attempts::default();
        let refused = (0..5000_u32).filter(|n| {
            let address = IpAddr::from(n.to_be_bytes());
            attempts.note_wrong(Some(address), (0, 1)).is_some()
        });
        let refused = refused.count();
        assert_eq!(attempts.0.lock().wrong.len(), ADDRESSES_MAX + 1);
        assert_eq!(
            refused,
            5000 - ADDRESSES_MAX - WRONG_PER_MINUTE.get() as usize
        );
    }
}
