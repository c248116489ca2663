//! Cached summaries of the journal over the last minutes to the last week. All pages share them, because an open overview asks for
//! them again and again.

use std::collections::HashMap;
use std::sync::Arc;

use store::{JournalFilter, Store, StoreError};
use tokio::sync::Mutex;

use crate::journal::summary::JournalSummary;

/// Summaries by the length of their time range in seconds, each with the time at which it was made. There are only a few lengths.
#[derive(Default)]
pub(crate) struct RecentSums(Mutex<HashMap<i64, (i64, Arc<JournalSummary>)>>);

impl RecentSums {
    /// Sums up the last `seconds`, or returns the cached summary if it is at most `age_max_s` old. `now` is in seconds since 1970,
    /// UTC.
    ///
    /// # Errors
    /// Returns an error if the store can't be read.
    pub(crate) async fn of(
        &self,
        store: &Store,
        (seconds, now): (i64, i64),
        age_max_s: i64,
    ) -> Result<Arc<JournalSummary>, StoreError> {
        // The lock is held while a summary is made, so that waiting callers get the summary that the caller before them made.
        let mut sums = self.0.lock().await;
        if let Some((at, summary)) = sums.get(&seconds)
            && now - at <= age_max_s
        {
            return Ok(Arc::clone(summary));
        }
        let filter = JournalFilter {
            since_ms: Some((now - seconds).saturating_mul(1000)),
            ..JournalFilter::default()
        };
        let summary = Arc::new(JournalSummary::of(store, &filter).await?);
        sums.insert(seconds, (now, Arc::clone(&summary)));
        Ok(summary)
    }
}
