//! Sums up the journal rows of a time range: rejections by code, the busiest callers, upstream durations, and changes.

use std::collections::{BTreeMap, HashMap};
use std::hash::Hash;
use std::net::IpAddr;

use store::{JournalFilter, JournalKind, JournalOrder, JournalRow, Store, StoreError};

/// Maximum number of rows in a summary, so that its page answers as fast as other pages. The summary reports how far back its rows
/// reach.
pub(crate) const ROWS_MAX: u32 = 10_000;

/// Maximum number of listed changes.
const CHANGES_MAX: usize = 8;

/// The length of a step, in milliseconds.
pub(crate) const STEP_MS: i64 = 10_000;

/// The summary of some rows.
#[derive(Default)]
pub(crate) struct JournalSummary {
    /// The time of the oldest row in the summary, in milliseconds since 1970; `None` if the summary covers all rows.
    pub(crate) examined_to_ms: Option<i64>,
    pub(crate) calls: u64,
    pub(crate) failed: u64,
    /// The failed calls, groups with the most calls first.
    pub(crate) failures: Vec<FailureGroup>,
    pub(crate) accesses: Vec<CallerCalls>,
    pub(crate) addresses: Vec<CallerCalls>,
    /// The number of sends by delivery word.
    pub(crate) deliveries: Vec<(String, u64)>,
    /// The upstream's durations in microseconds, in ascending order.
    pub(crate) upstream_us: Vec<i64>,
    /// The call with the longest upstream duration: the id of its row, and the duration in microseconds.
    pub(crate) slowest: Option<(i64, i64)>,
    /// All calls and failed calls, by steps of [`STEP_MS`] since 1970.
    pub(crate) steps: BTreeMap<i64, (u64, u64)>,
    /// The latest changes and operator actions, newest first.
    pub(crate) changes: Vec<JournalRow>,
}

/// The failed calls with one code, of one access or one address.
pub(crate) struct FailureGroup {
    pub(crate) code: String,
    /// The access; `None` for callers that have not authenticated.
    pub(crate) access: Option<String>,
    /// The address of the latest call.
    pub(crate) client: Option<IpAddr>,
    pub(crate) calls: u64,
    pub(crate) canonical: u16,
    pub(crate) first_ms: i64,
    pub(crate) last_ms: i64,
    /// The cause of the latest call's failure.
    pub(crate) cause: String,
}

/// The calls of an access or an address.
pub(crate) struct CallerCalls {
    pub(crate) name: String,
    pub(crate) calls: u64,
    pub(crate) failed: u64,
}

/// Counters that are filled while the rows are read.
#[derive(Default)]
struct Counted<'r> {
    failures: HashMap<(&'r str, Option<&'r str>, Option<IpAddr>), FailureGroup>,
    accesses: HashMap<&'r str, (u64, u64)>,
    addresses: HashMap<IpAddr, (u64, u64)>,
    deliveries: HashMap<&'r str, u64>,
}

impl JournalSummary {
    /// Sums up the newest rows that match the filter, at most [`ROWS_MAX`].
    ///
    /// # Errors
    /// Returns an error if the store can't be read.
    pub(crate) async fn of(
        store: &Store,
        filter: &JournalFilter,
    ) -> Result<JournalSummary, StoreError> {
        // If the flush fails, the unwritten rows are missing, but all others can still be read.
        let _ = store.journal().flush().await;
        let newest = (JournalOrder::NewestFirst, None);
        let found = store.brief_journal_page(filter, newest, ROWS_MAX).await?;
        let mut summary = JournalSummary {
            examined_to_ms: found.next.map(JournalRow::time_of),
            ..JournalSummary::default()
        };
        let (mut counted, mut changes) = (Counted::default(), Vec::new());
        for row in &found.rows {
            if row.kind == JournalKind::Request {
                summary.add(row, &mut counted);
            } else if changes.len() < CHANGES_MAX {
                changes.push(row.id);
            }
        }
        summary.sort(counted);
        for id in changes {
            summary.changes.extend(store.journal_row(id).await?);
        }
        Ok(summary)
    }

    fn add<'r>(&mut self, row: &'r JournalRow, counted: &mut Counted<'r>) {
        let calls = row.count.0;
        let failed = if row.code.is_some() { calls } else { 0 };
        let both = (calls, failed);
        self.calls += calls;
        self.failed += failed;
        count(
            self.steps
                .entry(JournalRow::time_of(row.id) / STEP_MS)
                .or_default(),
            both,
        );
        if let Some(access) = row.access.as_deref() {
            count(counted.accesses.entry(access).or_default(), both);
        }
        if let Some(client) = row.client {
            count(counted.addresses.entry(client).or_default(), both);
        }
        if let Some(word) = row.delivery.as_deref() {
            *counted.deliveries.entry(word).or_default() += calls;
        }
        if let Some(us) = row.upstream_us {
            self.upstream_us.push(us);
            if self.slowest.is_none_or(|(_, most)| us > most) {
                self.slowest = Some((row.id, us));
            }
        }
        if let Some(code) = row.code.as_deref() {
            counted.fail(code, row);
        }
    }

    fn sort(&mut self, counted: Counted<'_>) {
        self.upstream_us.sort_unstable();
        self.failures = counted.failures.into_values().collect();
        self.failures
            .sort_by(|one, other| other.calls.cmp(&one.calls).then(one.code.cmp(&other.code)));
        self.accesses = most_first(counted.accesses);
        self.addresses = most_first(counted.addresses);
        let deliveries = counted.deliveries.into_iter();
        self.deliveries = deliveries
            .map(|(word, calls)| (word.to_owned(), calls))
            .collect();
        self.deliveries.sort();
    }

    /// Returns the number of failed calls, by code.
    pub(crate) fn failed_by_code(&self) -> BTreeMap<&str, u64> {
        let mut by_code = BTreeMap::new();
        for group in &self.failures {
            *by_code.entry(group.code.as_str()).or_default() += group.calls;
        }
        by_code
    }

    /// Returns the duration, in microseconds, that this fraction of the upstream's answers did not exceed.
    pub(crate) fn upstream_quantile(&self, part: f64) -> Option<i64> {
        let last = self.upstream_us.len().checked_sub(1)?;
        self.upstream_us
            .get((last as f64 * part).round() as usize)
            .copied()
    }
}

impl<'r> Counted<'r> {
    /// Counts a failed call. Rows are passed from the newest to the oldest.
    fn fail(&mut self, code: &'r str, row: &'r JournalRow) {
        let access = row.access.as_deref();
        let client = row.client.filter(|_| access.is_none());
        let at_ms = JournalRow::time_of(row.id);
        let group = self.failures.entry((code, access, client));
        let group = group.or_insert_with(|| FailureGroup {
            code: code.to_owned(),
            access: access.map(str::to_owned),
            client: row.client,
            calls: 0,
            canonical: row.canonical.unwrap_or_default(),
            first_ms: at_ms,
            last_ms: at_ms,
            cause: row.cause.as_deref().unwrap_or_default().to_owned(),
        });
        group.calls += row.count.0;
        group.first_ms = at_ms;
    }
}

fn count(counts: &mut (u64, u64), (calls, failed): (u64, u64)) {
    counts.0 += calls;
    counts.1 += failed;
}

fn most_first<N: ToString + Eq + Hash>(callers: HashMap<N, (u64, u64)>) -> Vec<CallerCalls> {
    let callers = callers.into_iter();
    let callers = callers.map(|(name, (calls, failed))| CallerCalls {
        name: name.to_string(),
        calls,
        failed,
    });
    let mut callers: Vec<_> = callers.collect();
    callers.sort_by(|one, other| other.calls.cmp(&one.calls).then(one.name.cmp(&other.name)));
    callers
}
