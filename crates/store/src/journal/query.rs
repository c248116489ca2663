//! Reads the journal by filters, in pages that neither miss a row nor show a row twice while other rows are written.

use std::net::IpAddr;

use crate::journal::filter::RowDetail;
use crate::journal::row::first_id_at;
use crate::store::Engine;
use crate::{FoundRows, JournalFilter, JournalOrder, JournalRow, Store, StoreError};

/// Maximum delay, in milliseconds, with which a row can appear after a row with a higher number, where several processes write. It
/// covers the batches of a lane, and a second in which the database stalls.
pub(crate) const LATE_MS: i64 = 5000;

/// The data of a call that are needed to judge its address again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplayCall {
    /// The number of its row.
    pub id: i64,
    /// The resolved address.
    pub client: IpAddr,
    /// The id that the gateway gave the call.
    pub request_id: String,
    /// The id that the caller chose for the call.
    pub caller_request_id: Option<String>,
    /// The operation, if it was determined.
    pub method: Option<String>,
    /// The code of the outcome; absent if the call succeeded.
    pub code: Option<String>,
    /// True if the upstream chose the code, which may be a word of the gateway's own codes.
    pub is_upstreams: bool,
    /// The number of calls that the row stands for.
    pub count: u64,
}

/// The data of a call that are needed to judge its limits again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LimitCall {
    /// The number of its row.
    pub id: i64,
    /// The operation, if it was determined.
    pub method: Option<String>,
    /// The code of the outcome; absent if the call succeeded.
    pub code: Option<String>,
    /// True if the upstream chose the code, which may be a word of the gateway's own codes.
    pub is_upstreams: bool,
    /// Time in the queue for the upstream plus time at the upstream, in microseconds; absent if the call did not reach the
    /// upstream.
    pub held_us: Option<i64>,
    /// The hash of the destination, as long as it is stored; absent if it was not requested.
    pub destination: Option<Vec<u8>>,
    /// The number of calls that the row stands for; they came between the row's time and the end of its minute.
    pub count: u64,
}

impl Store {
    /// Returns at most this many calls of an access that its networks admitted, in row order, from a time in milliseconds and after
    /// a row.
    ///
    /// # Errors
    /// When the store can't be read.
    pub async fn limit_calls(
        &self,
        of: (&str, bool),
        from: (i64, i64),
        count_max: u32,
    ) -> Result<Vec<LimitCall>, StoreError> {
        match self.engine() {
            Engine::Sqlite(sqlite) => sqlite.limit_calls(of, from, count_max).await,
            Engine::Postgres(postgres) => postgres.limit_calls(of, from, count_max).await,
        }
    }

    /// Returns at most this many rows, after the row with the given number in the given order. If several conditions rarely match
    /// the same row, the page is cut, and the next page continues the search.
    ///
    /// # Errors
    /// When the store can't be read.
    pub async fn journal_page(
        &self,
        filter: &JournalFilter,
        from: (JournalOrder, Option<i64>),
        count_max: u32,
    ) -> Result<FoundRows, StoreError> {
        let whole = (count_max, RowDetail::Whole);
        match self.engine() {
            Engine::Sqlite(sqlite) => sqlite.journal_page(filter, from, whole).await,
            Engine::Postgres(postgres) => postgres.journal_page(filter, from, whole).await,
        }
    }

    /// Returns a page like [`Store::journal_page`], but without the answers. An answer may have 256 KiB, so that a long page with
    /// answers could take hundreds of megabytes.
    ///
    /// # Errors
    /// When the store can't be read.
    pub async fn journal_page_without_answers(
        &self,
        filter: &JournalFilter,
        from: (JournalOrder, Option<i64>),
        count_max: u32,
    ) -> Result<FoundRows, StoreError> {
        let listed = (count_max, RowDetail::WithoutAnswer);
        match self.engine() {
            Engine::Sqlite(sqlite) => sqlite.journal_page(filter, from, listed).await,
            Engine::Postgres(postgres) => postgres.journal_page(filter, from, listed).await,
        }
    }

    /// Returns a page for sums: each row has only its number, kind, count, access, client, canonical status, code, delivery, time
    /// of the upstream and cause. It costs a fraction of a page of whole rows.
    ///
    /// # Errors
    /// When the store can't be read.
    pub async fn brief_journal_page(
        &self,
        filter: &JournalFilter,
        from: (JournalOrder, Option<i64>),
        count_max: u32,
    ) -> Result<FoundRows, StoreError> {
        let brief = (count_max, RowDetail::Brief);
        match self.engine() {
            Engine::Sqlite(sqlite) => sqlite.journal_page(filter, from, brief).await,
            Engine::Postgres(postgres) => postgres.journal_page(filter, from, brief).await,
        }
    }

    /// Returns at most this many calls of an access that reached the check of its networks, oldest first, from a time in
    /// milliseconds and after a row.
    ///
    /// # Errors
    /// When the store can't be read.
    pub async fn replay_calls(
        &self,
        access: &str,
        from: (i64, i64),
        count_max: u32,
    ) -> Result<Vec<ReplayCall>, StoreError> {
        match self.engine() {
            Engine::Sqlite(sqlite) => sqlite.replay_calls(access, from, count_max).await,
            Engine::Postgres(postgres) => postgres.replay_calls(access, from, count_max).await,
        }
    }

    /// Returns the number of the newest row; 0 if the journal is empty.
    ///
    /// # Errors
    /// When the store can't be read.
    pub async fn newest_row(&self) -> Result<i64, StoreError> {
        match self.engine() {
            Engine::Sqlite(sqlite) => sqlite.newest_row().await,
            Engine::Postgres(postgres) => postgres.newest_row().await,
        }
    }

    /// Returns the number after which a reader that has seen rows up to `id` must read again, in order to miss no late row. In a
    /// store of one process this is the same number, because no row comes late.
    #[must_use]
    pub fn reread_from(&self, id: i64) -> i64 {
        match self.engine() {
            Engine::Sqlite(_) => id,
            Engine::Postgres(_) => (first_id_at(JournalRow::time_of(id) - LATE_MS) - 1).max(0),
        }
    }

    /// Returns the time before which no further row will appear, unless the database was away; both times in milliseconds since
    /// 1970, UTC. `None` where no row comes late.
    #[must_use]
    pub fn settled_ms(&self, now_ms: i64) -> Option<i64> {
        match self.engine() {
            Engine::Sqlite(_) => None,
            Engine::Postgres(postgres) => Some(postgres.lease().database_ms(now_ms) - LATE_MS),
        }
    }

    /// Returns the row with this number, if it exists.
    ///
    /// # Errors
    /// When the store can't be read.
    pub async fn journal_row(&self, id: i64) -> Result<Option<JournalRow>, StoreError> {
        match self.engine() {
            Engine::Sqlite(sqlite) => sqlite.journal_row(id).await,
            Engine::Postgres(postgres) => postgres.journal_row(id).await,
        }
    }
}
