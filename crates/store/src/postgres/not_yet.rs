//! Verbs whose statements are still to be written. No configuration leads to this engine before they are.

use super::store::PostgresStore;
use crate::{
    Claim, JournalFilter, JournalOrder, JournalRow, LimitCall, Obstacle, Receipt, ReplayCall,
    Retention, StoreError, Tally,
};

fn not_yet<T>() -> Result<T, StoreError> {
    Err(StoreError::new("PostgreSQL does not do this yet"))
}

#[rustfmt::skip]
impl PostgresStore {
    pub(crate) async fn erase_destination(&self, _: (&str, i64), _: &str) -> Result<u64, StoreError> { not_yet() }
    pub(crate) async fn scrub(&self) -> Result<(), StoreError> { not_yet() }
    pub(crate) async fn close_left_open(&self) -> Result<u64, StoreError> { not_yet() }
    pub(crate) async fn limit_calls(&self, _: (&str, bool), _: (i64, i64), _: u32) -> Result<Vec<LimitCall>, StoreError> { not_yet() }
    pub(crate) async fn journal_rows(&self, _: &JournalFilter, _: (JournalOrder, Option<i64>), _: u32) -> Result<Vec<JournalRow>, StoreError> { not_yet() }
    pub(crate) async fn replay_calls(&self, _: &str, _: (i64, i64), _: u32) -> Result<Vec<ReplayCall>, StoreError> { not_yet() }
    pub(crate) async fn newest_row(&self) -> Result<i64, StoreError> { not_yet() }
    pub(crate) async fn journal_row(&self, _: i64) -> Result<Option<JournalRow>, StoreError> { not_yet() }
    pub(crate) async fn clear_old(&self, _: i64, _: &Retention) -> Result<(), StoreError> { not_yet() }
    pub(crate) async fn clear_surplus(&self, _: i64, _: &Retention) -> Result<(), StoreError> { not_yet() }
    pub(crate) async fn tally(&self, _: (i64, i64), _: Tally, _: u32) -> Result<(Tally, bool), StoreError> { not_yet() }
    pub(crate) async fn obstacle(&self, _: &Claim) -> Result<Option<Obstacle>, StoreError> { not_yet() }
    pub(crate) async fn receipts(&self, _: &str, _: &str) -> Result<Vec<Receipt>, StoreError> { not_yet() }
    pub(crate) async fn receipts_taken(&self, _: &str) -> Result<(u64, u64), StoreError> { not_yet() }
    pub(crate) async fn clear_receipts(&self, _: i64) -> Result<(), StoreError> { not_yet() }
}
