//! The metrics that every call moves, kept at hand: found by small numbers, not by hashing five words for each of them.

use std::sync::{OnceLock, PoisonError, RwLock};

use adapter::{Code, OPERATIONS, Operation, Way};
use hashbrown::{Equivalent, HashMap, HashSet};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct RequestLabels {
    pub(crate) way: &'static str,
    pub(crate) method: &'static str,
    pub(crate) access: String,
    pub(crate) outcome: &'static str,
    pub(crate) code: &'static str,
}

/// Most accesses that have series of their own, the first that call; all others share those of [`OTHERS`]. What every
/// scrape carries does not grow with the accesses; what each of them does stands in the journal.
const ACCESSES_MAX: usize = 1000;

/// The label of all other accesses together; no access can have this name.
const OTHERS: &str = "(other)";

/// The ways in, and none.
const WAYS: usize = Way::ALL.len() + 1;

/// The operations, and none.
const CALLS: usize = OPERATIONS.len() + 1;

/// One metric for each way in and operation, made when it is first needed.
pub(crate) struct ByCall<M>([[OnceLock<M>; CALLS]; WAYS]);

impl<M> ByCall<M> {
    pub(crate) fn new() -> ByCall<M> {
        ByCall(std::array::from_fn(|_| {
            std::array::from_fn(|_| OnceLock::new())
        }))
    }

    /// Returns those that were made so far.
    pub(crate) fn all(&self) -> impl Iterator<Item = &M> {
        self.0.iter().flatten().filter_map(OnceLock::get)
    }

    /// The one of this call.
    pub(crate) fn of(
        &self,
        way: Option<Way>,
        operation: Option<&Operation>,
        make: impl FnOnce() -> M,
    ) -> &M {
        self.0[way_number(way)][operation_number(operation)].get_or_init(make)
    }
}

/// How many requests were answered, and how. As many as the family that they belong to has.
#[derive(Default)]
pub struct Requests {
    pub(crate) family: Family<RequestLabels, Counter>,
    at_hand: RwLock<HandleTable>,
}

/// The counters so far, and the accesses that have some of their own.
#[derive(Default)]
struct HandleTable {
    counters: HashMap<Kept, Counter>,
    accesses: HashSet<Box<str>>,
}

impl HandleTable {
    /// The label under which an access is counted, now that it has no counter of this kind at hand.
    fn label<'a>(&self, access: &'a str) -> &'a str {
        let has_its_own = self.accesses.len() < ACCESSES_MAX || self.accesses.contains(access);
        if has_its_own { access } else { OTHERS }
    }

    fn counter(&self, kind: Kind, access: &str) -> Option<&Counter> {
        let own = self.counters.get(&Wanted(kind, access));
        own.or_else(|| self.counters.get(&Wanted(kind, self.label(access))))
    }
}

/// Way in, operation and code.
type Kind = (usize, usize, Option<Code>);

#[derive(Hash, PartialEq, Eq)]
struct Kept(Kind, Box<str>);

/// What finds a kept one; a borrowed name hashes as an owned one does.
#[derive(Hash)]
struct Wanted<'a>(Kind, &'a str);

impl Equivalent<Kept> for Wanted<'_> {
    fn equivalent(&self, kept: &Kept) -> bool {
        (self.0, self.1) == (kept.0, &*kept.1)
    }
}

impl Requests {
    /// Returns how many requests succeeded, and how many failed.
    pub(crate) fn served_and_failed(&self) -> (u64, u64) {
        let at_hand = self.at_hand.read().unwrap_or_else(PoisonError::into_inner);
        let (mut served, mut failed) = (0, 0);
        for (Kept((.., code), _), counter) in &at_hand.counters {
            let sum = if code.is_none() {
                &mut served
            } else {
                &mut failed
            };
            *sum += counter.get();
        }
        (served, failed)
    }

    /// Counts one of an access, or of nobody known, that ended with this code, or well.
    pub fn count(
        &self,
        way: Option<Way>,
        operation: Option<&'static Operation>,
        access: Option<&str>,
        code: Option<Code>,
    ) {
        let access = access.unwrap_or("none");
        let kind = (way_number(way), operation_number(operation), code);
        let at_hand = self.at_hand.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(counter) = at_hand.counter(kind, access) {
            counter.inc();
            return;
        }
        drop(at_hand);
        let mut at_hand = self.at_hand.write().unwrap_or_else(PoisonError::into_inner);
        let access = at_hand.label(access);
        let counter = self.family.get_or_create_owned(&RequestLabels {
            way: way.map_or("none", Way::name),
            method: operation.map_or("none", |operation| operation.method),
            access: access.to_owned(),
            outcome: if code.is_none() { "success" } else { "error" },
            code: code.map_or("", Code::word),
        });
        counter.inc();
        if access != OTHERS {
            at_hand.accesses.insert(access.into());
        }
        at_hand.counters.insert(Kept(kind, access.into()), counter);
    }
}

fn way_number(way: Option<Way>) -> usize {
    way.map_or(WAYS - 1, |way| way as usize)
}

fn operation_number(operation: Option<&Operation>) -> usize {
    let number = operation.and_then(|wanted| {
        let mut rows = OPERATIONS.iter();
        rows.position(|row| std::ptr::eq(row, wanted))
    });
    number.unwrap_or(CALLS - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_by_handle_are_counts_of_the_family() {
        let requests = Requests::default();
        let read = Operation::named("getchats");
        for _ in 0..3 {
            requests.count(Some(Way::Soap), read, Some("a"), None);
        }
        requests.count(Some(Way::Soap), read, Some("b"), None);
        requests.count(Some(Way::Soap), read, Some("a"), Some(Code::RateLimited));
        requests.count(None, None, None, Some(Code::NotFound));
        let counted = |way, method, access: &str, code: &'static str| {
            let labels = RequestLabels {
                way,
                method,
                access: access.to_owned(),
                outcome: if code.is_empty() { "success" } else { "error" },
                code,
            };
            requests.family.get_or_create(&labels).get()
        };
        assert_eq!(counted("soap", "getchats", "a", ""), 3);
        assert_eq!(counted("soap", "getchats", "b", ""), 1);
        assert_eq!(counted("soap", "getchats", "a", "RATE_LIMITED"), 1);
        assert_eq!(counted("none", "none", "none", "NOT_FOUND"), 1);
    }
    #[test]
    fn the_first_accesses_have_series_of_their_own_and_all_others_one() {
        let requests = Requests::default();
        let read = Operation::named("getchats");
        for number in 0..3 * ACCESSES_MAX {
            requests.count(Some(Way::Http), read, Some(&number.to_string()), None);
        }
        requests.count(Some(Way::Http), read, Some("7"), None);
        let counted = requests.at_hand.read().unwrap();
        assert_eq!(counted.counters.len(), ACCESSES_MAX + 1);
        let kind = (way_number(Some(Way::Http)), operation_number(read), None);
        let of = |access| counted.counter(kind, access).unwrap().get();
        assert_eq!((of("7"), of("8")), (2, 1));
        assert_eq!(of("2999"), 2 * ACCESSES_MAX as u64);
        drop(counted);
        assert_eq!(
            requests.served_and_failed(),
            (3 * ACCESSES_MAX as u64 + 1, 0)
        );
    }
}
