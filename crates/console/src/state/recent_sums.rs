//! What the journal comes to over the last minutes to a week, summed up for all pages together: an overview that stays open asks
//! again and again.

use std::collections::HashMap;
use std::sync::Arc;

use store::{JournalFilter, Store, StoreError};
use tokio::sync::Mutex;

use crate::journal::summary::JournalSummary;

/// Sums by the filter's length in seconds, of which there are a few, each with the time at which it was made.
#[derive(Default)]
pub(crate) struct RecentSums(Mutex<HashMap<i64, (i64, Arc<JournalSummary>)>>);

impl RecentSums {
    /// Sums up the last so many seconds, unless that was done at most `age_max_s` ago. `now` is in seconds since 1970, UTC.
    ///
    /// # Errors
    /// When the store can't be read.
    pub(crate) async fn of(
        &self,
        store: &Store,
        (seconds, now): (i64, i64),
        age_max_s: i64,
    ) -> Result<Arc<JournalSummary>, StoreError> {
        // One at a time: who waits gets what the one before has made.
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
