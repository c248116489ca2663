//! Counters that every call updates, indexed by small numbers, so that a call need not hash five labels for each counter.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use adapter::{Code, OPERATIONS, Operation, Way};
use hashbrown::{Equivalent, HashMap, HashSet};
use parking_lot::RwLock;
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

/// Maximum number of accesses with their own series, so that the size of a scrape does not grow with the number of accesses.
const ACCESSES_MAX: usize = 1000;

/// Maximum number of series of named accesses. With the longest names and codes, a scrape stays below 2 MiB.
const SERIES_MAX: usize = 8000;

/// An access replaces a named one if it makes this many times as many calls, and this many calls more. The threshold exists because
/// new and ended series cost Prometheus more than lasting ones.
const BUSIER_TIMES: u64 = 2;
const BUSIER_CALLS: u64 = 10;

/// Maximum number of accesses that become named in one round, because calls wait for the lock meanwhile.
const PLACES_PER_ROUND: usize = 50;

/// The label of all other accesses together. No access can have this name.
const OTHERS: &str = "(other)";

/// The label of requests without a known access.
const NOBODY: &str = "none";

/// The number of ways in, plus one for none.
const WAYS: usize = Way::ALL.len() + 1;

/// The number of operations, plus one for none.
const CALLS: usize = OPERATIONS.len() + 1;

/// One metric for each way in and operation, created on first use.
pub(crate) struct ByCall<M>([[OnceLock<M>; CALLS]; WAYS]);

impl<M> ByCall<M> {
    pub(crate) fn new() -> ByCall<M> {
        ByCall(std::array::from_fn(|_| {
            std::array::from_fn(|_| OnceLock::new())
        }))
    }

    /// Returns the metrics that have been created, each with the names of its way in and its operation.
    pub(crate) fn all(&self) -> impl Iterator<Item = (&'static str, &'static str, &M)> {
        self.0.iter().enumerate().flat_map(|(way, calls)| {
            let calls = calls.iter().enumerate();
            calls.filter_map(move |(call, made)| {
                Some((way_name(way), method_name(call), made.get()?))
            })
        })
    }

    /// Returns the metric of this way in and operation.
    pub(crate) fn of(
        &self,
        way: Option<Way>,
        operation: Option<&Operation>,
        make: impl FnOnce() -> M,
    ) -> &M {
        self.0[way_number(way)][operation_number(operation)].get_or_init(make)
    }
}

/// The number of answered requests by outcome. The busiest accesses have their own series, and all others share the series
/// `(other)`. When an access gets its own series, its earlier calls remain in `(other)`, so that no counter ever decreases.
#[derive(Default)]
pub struct Requests {
    pub(crate) family: Family<RequestLabels, Counter>,
    /// The requests for which the upstream rejected the gateway's own account. The series exists from the start, because the first
    /// count of a new series is not an increase and alerts would miss it.
    pub(crate) account_refusals: Counter,
    handles: RwLock<HandleTable>,
}

/// The counters created so far.
#[derive(Default)]
struct HandleTable {
    counters: HashMap<SeriesKey, Counter>,
    /// The accesses with their own counters, and their recent numbers of calls.
    named: HashMap<Box<str>, AccessActivity>,
    /// The recent number of calls of each other access.
    others: HashMap<Box<str>, AtomicU64>,
    /// The sums of removed counters: successes and failures.
    gone: (u64, u64),
}

/// The recent number of calls of an access.
#[derive(Default)]
struct AccessActivity {
    /// The sum of its counters in the last round.
    counted: u64,
    /// The calls of the last round, plus half of the value before it.
    lately: u64,
}

impl HandleTable {
    /// Returns whether an access may have one more counter of its own. Requests without an access always may, because they need
    /// only a few.
    fn has_room(&self, access: &str) -> bool {
        if access == NOBODY {
            return true;
        }
        let has_place = self.named.len() < ACCESSES_MAX || self.named.contains_key(access);
        has_place && self.counters.len() < SERIES_MAX
    }

    /// Counts a request with existing counters. Returns false if a counter is missing.
    fn count(&self, kind: CallKind, access: &str) -> bool {
        if let Some(counter) = self.counters.get(&SeriesKeyRef(kind, access)) {
            counter.inc();
            return true;
        }
        let (Some(calls), Some(counter)) = (
            self.others.get(access),
            self.counters.get(&SeriesKeyRef(kind, OTHERS)),
        ) else {
            return false;
        };
        calls.fetch_add(1, Ordering::Relaxed);
        counter.inc();
        true
    }

    /// Returns the accesses that should become named, each with the named access that it replaces.
    fn changes(&self) -> Vec<(Box<str>, Box<str>)> {
        let others = self.others.iter();
        let mut others: Vec<_> = others
            .map(|(name, calls)| (calls.load(Ordering::Relaxed), name))
            .collect();
        let mut named: Vec<_> = self
            .named
            .iter()
            .map(|(name, at)| (at.lately, name))
            .collect();
        // Selects only the few candidates that matter, without sorting all accesses.
        let places = PLACES_PER_ROUND.min(others.len()).min(named.len());
        if places == 0 {
            return Vec::new();
        }
        others.select_nth_unstable_by(places - 1, |one, other| other.cmp(one));
        named.select_nth_unstable(places - 1);
        others[..places].sort_unstable_by(|one, other| other.cmp(one));
        named[..places].sort_unstable();
        let pairs = others.iter().zip(&named).take(places);
        let busier = pairs.take_while(|((calls, _), (least, _))| {
            *calls
                > least
                    .saturating_mul(BUSIER_TIMES)
                    .saturating_add(BUSIER_CALLS)
        });
        busier
            .map(|((_, other), (_, named))| ((*other).clone(), (*named).clone()))
            .collect()
    }

    /// Updates the recent number of calls of each named access.
    fn rank(&mut self) {
        let mut counted: HashMap<&str, u64> = HashMap::new();
        for (SeriesKey(_, access), counter) in &self.counters {
            *counted.entry(access).or_default() += counter.get();
        }
        for (access, activity) in &mut self.named {
            let counted = counted.get(&**access).copied().unwrap_or_default();
            activity.lately = activity.lately / 2 + counted.saturating_sub(activity.counted);
            activity.counted = counted;
        }
    }

    /// Removes the counters of these accesses, adds their values to `gone`, and returns their keys.
    fn take(&mut self, accesses: &HashSet<Box<str>>) -> Vec<SeriesKey> {
        self.named.retain(|access, _| !accesses.contains(access));
        let taken = self
            .counters
            .extract_if(|kept, _| accesses.contains(&kept.1));
        let mut kept = Vec::new();
        for (what, counter) in taken {
            let (served, failed) = &mut self.gone;
            let is_served = what.0.2.is_none();
            *(if is_served { served } else { failed }) += counter.get();
            kept.push(what);
        }
        kept
    }
}

/// Way in, operation and code.
type CallKind = (usize, usize, Option<Code>);

#[derive(Hash, PartialEq, Eq)]
struct SeriesKey(CallKind, Box<str>);

/// The key for a lookup of `SeriesKey`. A borrowed name has the same hash as an owned one.
#[derive(Hash)]
struct SeriesKeyRef<'a>(CallKind, &'a str);

impl Equivalent<SeriesKey> for SeriesKeyRef<'_> {
    fn equivalent(&self, kept: &SeriesKey) -> bool {
        (self.0, self.1) == (kept.0, &*kept.1)
    }
}

impl Requests {
    /// Returns the numbers of successful and of failed requests.
    pub(crate) fn outcome_totals(&self) -> (u64, u64) {
        let handles = self.handles.read();
        let (mut served, mut failed) = handles.gone;
        for (SeriesKey((.., code), _), counter) in &handles.counters {
            let sum = if code.is_none() {
                &mut served
            } else {
                &mut failed
            };
            *sum += counter.get();
        }
        (served, failed)
    }

    /// Counts a request of an access, or without a known access, that failed with this code or succeeded.
    pub fn count(
        &self,
        way: Option<Way>,
        operation: Option<&'static Operation>,
        access: Option<&str>,
        code: Option<Code>,
    ) {
        if code == Some(Code::UpstreamRefusedCredentials) {
            self.account_refusals.inc();
        }
        let access = access.unwrap_or(NOBODY);
        let kind = (way_number(way), operation_number(operation), code);
        let handles = self.handles.read();
        if handles.count(kind, access) {
            return;
        }
        drop(handles);
        let mut handles = self.handles.write();
        let label = if handles.has_room(access) {
            if access != NOBODY {
                handles.named.entry_ref(access).or_default();
            }
            access
        } else {
            handles.others.entry_ref(access).or_default();
            OTHERS
        };
        let counter = self.family.get_or_create_owned(&labels(kind, label));
        handles
            .counters
            .insert(SeriesKey(kind, label.into()), counter);
        handles.count(kind, access);
    }

    /// Gives the busiest accesses their own series. Call it every few seconds.
    pub fn rank(&self) {
        let handles = self.handles.read();
        if handles.others.is_empty() {
            return;
        }
        drop(handles);
        self.handles.write().rank();
        let handles = self.handles.read();
        let (busiest, least): (Vec<_>, HashSet<_>) = handles.changes().into_iter().unzip();
        drop(handles);
        let mut handles = self.handles.write();
        for SeriesKey(kind, access) in handles.take(&least) {
            self.family.remove(&labels(kind, &access));
        }
        for access in busiest {
            handles.others.remove(&access);
            handles.named.insert(access, AccessActivity::default());
        }
        handles.others.retain(|_, calls| {
            *calls.get_mut() /= 2;
            *calls.get_mut() > 0
        });
    }
}

/// Returns the labels for a kind of request of an access.
fn labels((way, operation, code): CallKind, access: &str) -> RequestLabels {
    RequestLabels {
        way: way_name(way),
        method: method_name(operation),
        access: access.to_owned(),
        outcome: if code.is_none() { "success" } else { "error" },
        code: code.map_or("", Code::word),
    }
}

fn way_name(way: usize) -> &'static str {
    Way::ALL.get(way).map_or("none", |way| way.name())
}

fn method_name(operation: usize) -> &'static str {
    OPERATIONS.get(operation).map_or("none", |row| row.method)
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
    fn counts_through_handles_appear_in_the_metric_family() {
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
        assert_eq!(requests.account_refusals.get(), 0);
        let refused = Code::UpstreamRefusedCredentials;
        requests.count(Some(Way::Soap), read, Some("a"), Some(refused));
        assert_eq!(requests.account_refusals.get(), 1);
    }

    #[test]
    fn the_first_accesses_have_separate_series_and_all_others_share_one() {
        let requests = Requests::default();
        let read = Operation::named("getchats");
        for number in 0..3 * ACCESSES_MAX {
            requests.count(Some(Way::Http), read, Some(&number.to_string()), None);
        }
        requests.count(Some(Way::Http), read, Some("7"), None);
        let (whole, of) = counted(&requests, read);
        assert_eq!(whole, ACCESSES_MAX + 1);
        assert_eq!((of("7"), of("8"), of("2999")), (2, 1, 0));
        assert_eq!(of(OTHERS), 2 * ACCESSES_MAX as u64);
        assert_eq!(requests.outcome_totals(), (3 * ACCESSES_MAX as u64 + 1, 0));
    }

    /// Returns the number of series, and a function that returns the count of an access.
    fn counted(
        requests: &Requests,
        operation: Option<&'static Operation>,
    ) -> (usize, impl Fn(&str) -> u64) {
        let handles = requests.handles.read();
        let kind = (
            way_number(Some(Way::Http)),
            operation_number(operation),
            None,
        );
        let whole = handles.counters.len();
        let of = move |access: &str| {
            let labels = labels(kind, access);
            requests
                .family
                .get(&labels)
                .map_or(0, |counter| counter.get())
        };
        (whole, of)
    }

    #[test]
    fn a_busy_access_replaces_the_series_of_a_less_busy_one() {
        let (requests, read) = (Requests::default(), Operation::named("getchats"));
        let call = |access: &str, times: u64| {
            for _ in 0..times {
                requests.count(Some(Way::Http), read, Some(access), None);
            }
        };
        for number in 0..ACCESSES_MAX {
            call(&number.to_string(), 2);
        }
        call("late", 1 + 2 * BUSIER_TIMES + BUSIER_CALLS);
        call("rare", 1);
        let all = requests.outcome_totals();
        requests.rank();
        call("late", 5);
        call("rare", 1);
        let (whole, of) = counted(&requests, read);
        // The shared count does not decrease, and the replaced access is counted there from now on.
        assert_eq!((whole, of("late")), (ACCESSES_MAX + 1, 5));
        assert_eq!(of(OTHERS), 1 + 2 * BUSIER_TIMES + BUSIER_CALLS + 2);
        assert_eq!(requests.outcome_totals(), (all.0 + 6, 0));
        let left = (0..ACCESSES_MAX).filter(|number| of(&number.to_string()) == 2);
        assert_eq!(left.count(), ACCESSES_MAX - 1);
        // Accesses that are as busy as before keep their series.
        requests.rank();
        assert_eq!(counted(&requests, read).0, ACCESSES_MAX + 1);
    }

    #[test]
    fn the_number_of_series_is_bounded_for_any_calls() {
        let requests = Requests::default();
        for number in 0..ACCESSES_MAX {
            for code in Code::ALL {
                requests.count(Some(Way::Http), None, Some(&number.to_string()), Some(code));
            }
        }
        let series = requests.handles.read().counters.len();
        assert!(series <= SERIES_MAX + Code::ALL.len(), "{series}");
    }
}
