//! Calls that are counted together instead of leaving a row each. One row stands for all calls of an address with the same
//! code in a minute; it tells of the first one, and its count is written now and then and at the minute's end.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use super::queue::{self, Entry};
use super::{Class, Journal, JournalRow};

/// Most rows of one class that a minute's counting makes. Beyond it calls are counted by their code alone, under no address.
/// With their lines in the log, this many cost some 8 MiB a minute.
pub const COUNTED_KEYS_MAX: usize = 4096;

/// Refusals of a proven access with one code that are listed one by one in each minute; those after them are counted.
pub const LISTED_REFUSALS_MAX: u32 = 60;

/// Counts of past minutes that may wait for their lines in the log and for a disk that stalls: those of two full minutes of
/// both classes. Beyond it a count has no line, and its row says what was written last.
const ENDED_MAX: usize = 4 * COUNTED_KEYS_MAX;

/// Bits of an IPv6 address that name a customer; the rest is theirs to choose.
const V6_PREFIX_BITS: u32 = 64;

const MINUTE_MS: i64 = 60_000;

/// What is counted together within a minute.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct CountKey {
    /// The access, if it is proven.
    pub access: Option<String>,
    /// The IPv4 address, or the /64 of an IPv6 address. Absent where many addresses are counted together.
    pub network: Option<IpAddr>,
    /// The path as it is routed; empty where many addresses are counted together.
    pub path: &'static str,
    /// The code that the calls ended with; empty if they went well.
    pub code: &'static str,
}

impl CountKey {
    /// For a call from this address.
    #[must_use]
    pub fn new(
        access: Option<String>,
        address: IpAddr,
        path: &'static str,
        code: &'static str,
    ) -> CountKey {
        CountKey {
            access,
            network: Some(network_of(address)),
            path,
            code,
        }
    }

    /// Whose calls they are.
    #[must_use]
    pub fn class(&self) -> Class {
        match self.access {
            Some(_) => Class::Known,
            None => Class::Unknown,
        }
    }

    /// The key for calls from more addresses than are told apart.
    fn of_many(self) -> CountKey {
        CountKey {
            network: None,
            path: "",
            ..self
        }
    }
}

/// The IPv4 address itself, or the /64 that an IPv6 address is in.
fn network_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => address.into(),
        IpAddr::V6(address) => {
            let prefix = u128::MAX << V6_PREFIX_BITS;
            Ipv6Addr::from_bits(address.to_bits() & prefix).into()
        }
    }
}

/// The calls of one key in one minute.
#[derive(Debug)]
pub struct Counted {
    key: CountKey,
    /// Of the first call, once it has ended.
    row: OnceLock<JournalRow>,
    calls: AtomicU64,
    /// What the row on the disk says.
    written: AtomicU64,
    /// Of the row on the disk; 0 as long as there is none.
    id: AtomicI64,
    /// Whether it is in the queue of the writer.
    waits: AtomicBool,
}

/// What becomes of a call that was noted.
#[derive(Debug)]
pub enum Noted {
    /// It has a row and a line of its own.
    Listed,
    /// It is the first of its key: it has a line, and its row stands for all that come after it.
    First(Arc<Counted>),
    /// It is counted, and that is all.
    Counted,
}

impl Counted {
    /// The first call of a key.
    fn new(key: CountKey) -> Counted {
        Counted {
            key,
            row: OnceLock::new(),
            calls: AtomicU64::new(1),
            written: AtomicU64::new(0),
            id: AtomicI64::new(0),
            waits: AtomicBool::new(false),
        }
    }

    /// What the calls have in common.
    #[must_use]
    pub fn key(&self) -> &CountKey {
        &self.key
    }

    /// The row of the first call, if rows are kept of such calls.
    #[must_use]
    pub fn row(&self) -> Option<&JournalRow> {
        self.row.get()
    }

    /// How many calls there were so far.
    #[must_use]
    pub fn calls(&self) -> u64 {
        self.calls.load(Ordering::Relaxed)
    }

    /// The number of its row on the disk, once there is one.
    pub(super) fn id(&self) -> Option<i64> {
        Some(self.id.load(Ordering::Relaxed)).filter(|id| *id != 0)
    }

    /// Sets the row of the first call. What it says of an address is left out where many are counted together.
    pub(super) fn set_row(&self, mut row: JournalRow) {
        if self.key.network.is_none() {
            row.peer = None;
            row.client = None;
            row.path = None;
            row.cause = Some("calls from more addresses than are told apart in a minute".into());
        }
        // There is one first call.
        let _ = self.row.set(row);
    }

    /// Whether it has to go to the writer; if so, it counts as being there.
    pub(super) fn is_due(&self) -> bool {
        !self.is_saved() && !self.waits.swap(true, Ordering::AcqRel)
    }

    /// Whether the row on the disk says how many calls there are, or there is none to be written.
    fn is_saved(&self) -> bool {
        self.row.get().is_none() || self.written.load(Ordering::Relaxed) == self.calls()
    }

    /// It is on the disk under this number and with this many calls.
    pub(super) fn written(&self, id: i64, calls: u64) {
        self.id.store(id, Ordering::Relaxed);
        self.written.store(calls, Ordering::Relaxed);
        self.waits.store(false, Ordering::Release);
    }

    /// The writer had no room for it: it is given up, unless more calls come.
    pub(super) fn dropped(&self) {
        self.written.store(self.calls(), Ordering::Relaxed);
        self.waits.store(false, Ordering::Release);
    }
}

/// The counts of the current minute, and those of past ones that have not been told yet.
#[derive(Default)]
pub(super) struct Counting(Mutex<Minute>);

#[derive(Default)]
struct Minute {
    /// Since 1970.
    number: i64,
    counted: [HashMap<CountKey, Arc<Counted>>; Class::ALL.len()],
    /// Refusals of accesses that were listed, by name and code: as many as there are accesses and codes.
    listed: HashMap<(String, &'static str), u32>,
    /// Of past minutes, until they are saved and taken; each with whether it was taken.
    ended: Vec<(Arc<Counted>, bool)>,
}

impl Counting {
    /// Notes a call of this time, in milliseconds since 1970.
    pub(super) fn note(&self, key: CountKey, at_ms: i64) -> Noted {
        let mut minute = self.minute();
        minute.turn_to(at_ms);
        let class = key.class() as usize;
        if let Some(counted) = minute.counted[class].get(&key) {
            counted.calls.fetch_add(1, Ordering::Relaxed);
            return Noted::Counted;
        }
        if key
            .access
            .as_ref()
            .is_some_and(|access| minute.lists(access, key.code))
        {
            return Noted::Listed;
        }
        let is_full = minute.counted[class].len() >= COUNTED_KEYS_MAX;
        let key = if is_full { key.of_many() } else { key };
        if let Some(counted) = minute.counted[class].get(&key) {
            counted.calls.fetch_add(1, Ordering::Relaxed);
            return Noted::Counted;
        }
        let counted = Arc::new(Counted::new(key.clone()));
        minute.counted[class].insert(key, Arc::clone(&counted));
        Noted::First(counted)
    }

    /// Every count whose row has to be written.
    pub(super) fn due(&self) -> Vec<Arc<Counted>> {
        let minute = self.minute();
        let current = minute.counted.iter().flat_map(HashMap::values);
        let all = current.chain(minute.ended.iter().map(|(counted, _)| counted));
        all.filter(|counted| counted.is_due()).cloned().collect()
    }

    /// Takes the counts of minutes that are over at this time, in milliseconds since 1970. Each is given once.
    pub(super) fn take_ended(&self, now_ms: i64) -> Vec<Arc<Counted>> {
        let mut minute = self.minute();
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

    fn minute(&self) -> MutexGuard<'_, Minute> {
        // Nothing between two changes of it can panic half way.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Minute {
    /// Begins another minute if it is time. A call may come a moment late, after another one of the next minute: it is
    /// counted there.
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

    /// Whether another refusal of this access with this code is listed in this minute.
    fn lists(&mut self, access: &str, code: &'static str) -> bool {
        let listed = self.listed.entry((access.to_owned(), code)).or_default();
        *listed = listed.saturating_add(1);
        *listed <= LISTED_REFUSALS_MAX
    }
}

impl Journal {
    /// Notes a call that may be counted together with others, by its time in milliseconds since 1970. Of the first of its
    /// key [`Journal::begin_count`] has to be told the row.
    pub fn note(&self, key: CountKey, at_ms: i64) -> Noted {
        self.counting.note(key, at_ms)
    }

    /// Takes the row of the first call of a key; its count grows by itself.
    pub fn begin_count(&self, counted: &Arc<Counted>, row: JournalRow) {
        counted.set_row(row);
        if counted.is_due() {
            self.add_count(counted);
        }
    }

    /// Has what was counted since the last time written, and says how much that is. Call it every few seconds; a crash loses
    /// no more than that.
    pub fn save_counts(&self) -> usize {
        let due = self.counting.due();
        let count = due.len();
        due.iter().for_each(|counted| self.add_count(counted));
        count
    }

    /// Takes the counts of minutes that are over at this time, in milliseconds since 1970, for their lines in the log.
    pub fn take_ended_counts(&self, now_ms: i64) -> Vec<Arc<Counted>> {
        self.counting.take_ended(now_ms)
    }

    fn add_count(&self, counted: &Arc<Counted>) {
        let entry = Entry::Counted(Box::new(queue::Counting::of(Arc::clone(counted))));
        if self.queue.push(entry).is_err() {
            counted.dropped();
            self.dropped.add(counted.key().class(), 1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_700_000_000_000;

    fn key(address: &str, code: &'static str) -> CountKey {
        CountKey::new(None, address.parse().unwrap(), "/api/http/", code)
    }

    fn first(noted: Noted) -> Arc<Counted> {
        match noted {
            Noted::First(counted) => counted,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn calls_of_one_address_and_code_are_one_count_for_a_minute() {
        let counting = Counting::default();
        let counted = first(counting.note(key("10.0.0.1", "A"), NOW));
        for _ in 0..9 {
            let noted = counting.note(key("::ffff:10.0.0.1", "A"), NOW);
            assert!(matches!(noted, Noted::Counted));
        }
        first(counting.note(key("10.0.0.2", "A"), NOW));
        first(counting.note(key("10.0.0.1", "B"), NOW));
        assert_eq!(counted.calls(), 10);
        assert!(counting.take_ended(NOW).is_empty());
        let next = first(counting.note(key("10.0.0.1", "A"), NOW + MINUTE_MS));
        assert_eq!((counted.calls(), next.calls()), (10, 1));
        assert_eq!(counting.take_ended(NOW + MINUTE_MS).len(), 3);
        // One that comes a moment late does not begin its minute anew.
        let late = counting.note(key("10.0.0.1", "A"), NOW);
        assert!(matches!(late, Noted::Counted));
        assert_eq!(next.calls(), 2);
        // A clock that goes back does.
        first(counting.note(key("10.0.0.1", "A"), NOW - 10 * MINUTE_MS));
    }

    #[test]
    fn an_ipv6_caller_is_their_prefix() {
        let counting = Counting::default();
        let counted = first(counting.note(key("2001:db8:1:2::1", "A"), NOW));
        counting.note(key("2001:db8:1:2:ffff::9", "A"), NOW);
        first(counting.note(key("2001:db8:1:3::1", "A"), NOW));
        assert_eq!(counted.calls(), 2);
        assert_eq!(counted.key().network, "2001:db8:1:2::".parse().ok());
    }

    #[test]
    fn more_addresses_than_are_told_apart_are_counted_by_their_code() {
        let counting = Counting::default();
        let address = |n: usize| Ipv6Addr::from_bits((n as u128) << 64).to_string();
        for n in 0..COUNTED_KEYS_MAX {
            first(counting.note(key(&address(n), "A"), NOW));
        }
        let many = first(counting.note(key(&address(COUNTED_KEYS_MAX), "A"), NOW));
        for n in 1..1000 {
            counting.note(key(&address(COUNTED_KEYS_MAX + n), "A"), NOW);
        }
        assert_eq!((many.calls(), many.key().network), (1000, None));
        first(counting.note(key(&address(COUNTED_KEYS_MAX), "B"), NOW));
        // Who was there before is counted under their address all the same.
        assert!(matches!(
            counting.note(key(&address(1), "A"), NOW),
            Noted::Counted
        ));
        assert_eq!(many.calls(), 1000);
    }

    #[test]
    fn refusals_of_a_proven_access_are_listed_and_then_counted() {
        let counting = Counting::default();
        let key = |access: &str, code| CountKey {
            access: Some(access.to_owned()),
            ..key("10.0.0.1", code)
        };
        for _ in 0..LISTED_REFUSALS_MAX {
            assert!(matches!(counting.note(key("a", "A"), NOW), Noted::Listed));
        }
        let counted = first(counting.note(key("a", "A"), NOW));
        assert!(matches!(counting.note(key("a", "A"), NOW), Noted::Counted));
        assert_eq!(counted.calls(), 2);
        assert!(matches!(counting.note(key("b", "A"), NOW), Noted::Listed));
        assert!(matches!(counting.note(key("a", "B"), NOW), Noted::Listed));
        let next = counting.note(key("a", "A"), NOW + MINUTE_MS);
        assert!(matches!(next, Noted::Listed));
    }

    #[test]
    fn a_count_goes_to_the_writer_once_and_again_when_it_has_grown() {
        let counting = Counting::default();
        let counted = first(counting.note(key("10.0.0.1", "A"), NOW));
        assert!(counting.due().is_empty(), "there is no row yet");
        counted.set_row(JournalRow::default());
        assert_eq!(counting.due().len(), 1);
        assert!(counting.due().is_empty(), "it is on its way");
        counted.written(7, 1);
        assert!(counting.due().is_empty(), "nothing has come since");
        counting.note(key("10.0.0.1", "A"), NOW);
        assert_eq!(counting.due().len(), 1);
        // What has grown while it was being written is written once more, even if its minute is over.
        counting.note(key("10.0.0.1", "A"), NOW);
        assert_eq!(counting.take_ended(NOW + MINUTE_MS).len(), 1);
        counted.written(7, 2);
        assert_eq!(counting.due().len(), 1);
        counted.written(7, 3);
        assert!(counting.take_ended(NOW + MINUTE_MS).is_empty());
        assert!(counting.due().is_empty());
    }
}
