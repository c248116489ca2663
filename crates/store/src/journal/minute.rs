//! The counts of a minute, and the decision whether a call is listed separately or counted together with others.

use std::collections::HashMap;
use std::sync::Arc;

use foldhash::quality::RandomState;
use parking_lot::Mutex;

use super::class::CallerClass;
use super::counted::{CountKey, CountResult, CountedCalls};

/// Maximum number of separate counts of one class in a minute. Beyond it, calls are counted without address and path. With their
/// log lines, this many rows cost about 8 MiB a minute.
pub const COUNTED_KEYS_MAX: usize = 4096;

/// Number of rejections with one code, for one proven access or one operator's key, that are listed separately in each minute;
/// later ones are counted.
pub const LISTED_REFUSALS_MAX: u32 = 60;

/// Maximum number of counts of past minutes that wait for their log lines or for a stalled disk: the counts of two full minutes of
/// both classes. Further counts get no log line, and their rows keep the count that was written last.
const ENDED_MAX: usize = 4 * COUNTED_KEYS_MAX;

const MINUTE_MS: i64 = 60_000;

/// The access or the name of the operator's key, and the code.
type ListedBy = (Option<String>, Option<String>, &'static str);

/// The counts of the current minute, and the counts of past minutes that have not been logged yet.
#[derive(Default)]
pub(crate) struct MinuteCounts(Mutex<CurrentMinute>);

#[derive(Default)]
struct CurrentMinute {
    /// The minute's number, counted from 1970.
    number: i64,
    counted: [HashMap<CountKey, Arc<CountedCalls>, RandomState>; CallerClass::ALL.len()],
    /// The number of listed rejections by access, operator's key and code; the map has one entry for each combination that
    /// occurred.
    listed: HashMap<ListedBy, u32, RandomState>,
    /// The counts of past minutes, until they are saved and taken; `true` if the count was taken.
    ended: Vec<(Arc<CountedCalls>, bool)>,
}

impl MinuteCounts {
    /// Notes a call with this time, in milliseconds since 1970.
    pub(crate) fn note(&self, key: CountKey, at_ms: i64) -> CountResult {
        let mut minute = self.0.lock();
        minute.turn_to(at_ms);
        let class = key.class() as usize;
        if let Some(counted) = minute.counted[class].get(&key) {
            counted.add();
            return CountResult::Counted;
        }
        if key.class() == CallerClass::Known && minute.lists(&key) {
            return CountResult::Listed;
        }
        let is_full = minute.counted[class].len() >= COUNTED_KEYS_MAX;
        let key = if is_full { key.of_many() } else { key };
        if let Some(counted) = minute.counted[class].get(&key) {
            counted.add();
            return CountResult::Counted;
        }
        let counted = Arc::new(CountedCalls::new(key.clone()));
        minute.counted[class].insert(key, Arc::clone(&counted));
        CountResult::First(counted)
    }

    /// Returns the counts whose rows must be written.
    pub(crate) fn due(&self) -> Vec<Arc<CountedCalls>> {
        let minute = self.0.lock();
        let current = minute.counted.iter().flat_map(HashMap::values);
        let all = current.chain(minute.ended.iter().map(|(counted, _)| counted));
        all.filter(|counted| counted.is_due()).cloned().collect()
    }

    /// Takes the counts of minutes that have ended by this time, in milliseconds since 1970. Each count is returned once.
    pub(crate) fn take_ended(&self, now_ms: i64) -> Vec<Arc<CountedCalls>> {
        let mut minute = self.0.lock();
        minute.turn_to(now_ms);
        let ended = minute.ended.iter_mut();
        let taken = ended.filter(|(_, is_taken)| !is_taken);
        let taken = taken.map(|(counted, is_taken)| {
            *is_taken = true;
            Arc::clone(counted)
        });
        let taken = taken.collect();
        minute.ended.retain(|(counted, _)| !counted.is_saved());
        taken
    }
}

impl CurrentMinute {
    /// Starts another minute if the time is in one. A call may arrive slightly late, after a call of the next minute: it is counted
    /// in that next minute.
    fn turn_to(&mut self, at_ms: i64) {
        let number = at_ms.div_euclid(MINUTE_MS);
        if number == self.number || number == self.number - 1 {
            return;
        }
        self.number = number;
        self.listed.clear();
        for counted in &mut self.counted {
            let ended = counted.drain().map(|(_, counted)| (counted, false));
            self.ended.extend(ended);
        }
        self.ended.truncate(ENDED_MAX);
    }

    /// Returns whether a further rejection of this caller with this code is listed separately in this minute.
    fn lists(&mut self, key: &CountKey) -> bool {
        let by = (key.access.clone(), key.actor.clone(), key.code);
        let listed = self.listed.entry(by).or_default();
        *listed = listed.saturating_add(1);
        *listed <= LISTED_REFUSALS_MAX
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv6Addr;

    use super::super::row::JournalRow;
    use super::*;

    const NOW: i64 = 1_700_000_000_000;

    fn key(address: &str, code: &'static str) -> CountKey {
        CountKey::new(None, address.parse().unwrap(), "/api/http/", code)
    }

    fn first(noted: CountResult) -> Arc<CountedCalls> {
        match noted {
            CountResult::First(counted) => counted,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn calls_of_one_address_and_code_share_one_count_per_minute() {
        let counts = MinuteCounts::default();
        let counted = first(counts.note(key("10.0.0.1", "A"), NOW));
        for _ in 0..9 {
            let noted = counts.note(key("::ffff:10.0.0.1", "A"), NOW);
            assert!(matches!(noted, CountResult::Counted));
        }
        first(counts.note(key("10.0.0.2", "A"), NOW));
        first(counts.note(key("10.0.0.1", "B"), NOW));
        assert_eq!(counted.calls(), 10);
        assert!(counts.take_ended(NOW).is_empty());
        let next = first(counts.note(key("10.0.0.1", "A"), NOW + MINUTE_MS));
        assert_eq!((counted.calls(), next.calls()), (10, 1));
        assert_eq!(counts.take_ended(NOW + MINUTE_MS).len(), 3);
        // A call that arrives slightly late does not return to the previous minute.
        let late = counts.note(key("10.0.0.1", "A"), NOW);
        assert!(matches!(late, CountResult::Counted));
        assert_eq!(next.calls(), 2);
        // A clock that was set back starts its minute again.
        first(counts.note(key("10.0.0.1", "A"), NOW - 10 * MINUTE_MS));
    }

    #[test]
    fn ipv6_callers_are_counted_by_their_prefix() {
        let counts = MinuteCounts::default();
        let counted = first(counts.note(key("2001:db8:1:2::1", "A"), NOW));
        counts.note(key("2001:db8:1:2:ffff::9", "A"), NOW);
        first(counts.note(key("2001:db8:1:3::1", "A"), NOW));
        assert_eq!(counted.calls(), 2);
        assert_eq!(counted.key().network, "2001:db8:1:2::".parse().ok());
    }

    #[test]
    fn addresses_beyond_the_bound_are_counted_together_by_code() {
        let counts = MinuteCounts::default();
        let address = |n: usize| Ipv6Addr::from_bits((n as u128) << 64).to_string();
        for n in 0..COUNTED_KEYS_MAX {
            first(counts.note(key(&address(n), "A"), NOW));
        }
        let many = first(counts.note(key(&address(COUNTED_KEYS_MAX), "A"), NOW));
        for n in 1..1000 {
            counts.note(key(&address(COUNTED_KEYS_MAX + n), "A"), NOW);
        }
        assert_eq!((many.calls(), many.key().network), (1000, None));
        first(counts.note(key(&address(COUNTED_KEYS_MAX), "B"), NOW));
        // A caller that called before is still counted under its own address.
        assert!(matches!(
            counts.note(key(&address(1), "A"), NOW),
            CountResult::Counted
        ));
        assert_eq!(many.calls(), 1000);
    }

    #[test]
    fn refusals_of_an_authenticated_access_are_listed_first_and_then_counted() {
        let counts = MinuteCounts::default();
        let key = |access: &str, code| CountKey {
            access: Some(access.to_owned()),
            ..key("10.0.0.1", code)
        };
        for _ in 0..LISTED_REFUSALS_MAX {
            assert!(matches!(
                counts.note(key("a", "A"), NOW),
                CountResult::Listed
            ));
        }
        let counted = first(counts.note(key("a", "A"), NOW));
        assert!(matches!(
            counts.note(key("a", "A"), NOW),
            CountResult::Counted
        ));
        assert_eq!(counted.calls(), 2);
        assert!(matches!(
            counts.note(key("b", "A"), NOW),
            CountResult::Listed
        ));
        assert!(matches!(
            counts.note(key("a", "B"), NOW),
            CountResult::Listed
        ));
        // An operator's key with the same name is another caller.
        let operators = CountKey {
            access: None,
            actor: Some("a".to_owned()),
            ..key("a", "A")
        };
        for _ in 0..LISTED_REFUSALS_MAX {
            assert!(matches!(
                counts.note(operators.clone(), NOW),
                CountResult::Listed
            ));
        }
        first(counts.note(operators, NOW));
        let next = counts.note(key("a", "A"), NOW + MINUTE_MS);
        assert!(matches!(next, CountResult::Listed));
    }

    #[test]
    fn a_count_is_written_once_and_again_only_after_it_has_grown() {
        let counts = MinuteCounts::default();
        let counted = first(counts.note(key("10.0.0.1", "A"), NOW));
        assert!(counts.due().is_empty(), "there is no row yet");
        counted.set_row(JournalRow::default());
        assert_eq!(counts.due().len(), 1);
        assert!(counts.due().is_empty(), "it is on its way");
        counted.written(7, 1);
        assert!(counts.due().is_empty(), "nothing has come since");
        counts.note(key("10.0.0.1", "A"), NOW);
        assert_eq!(counts.due().len(), 1);
        // A count that grows while it is being written is written once more, even if its minute has ended.
        counts.note(key("10.0.0.1", "A"), NOW);
        assert_eq!(counts.take_ended(NOW + MINUTE_MS).len(), 1);
        counted.written(7, 2);
        assert_eq!(counts.due().len(), 1);
        counted.written(7, 3);
        assert!(counts.take_ended(NOW + MINUTE_MS).is_empty());
        assert!(counts.due().is_empty());
    }
}
