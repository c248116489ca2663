//! Reading the journal: by filters, in pages that neither miss a row nor show one twice while others are written.

use std::net::IpAddr;

use crate::journal::filter::RowDetail;
use crate::journal::row::first_id_at;
use crate::store::Engine;
use crate::{FoundRows, JournalFilter, JournalOrder, JournalRow, Store, StoreError};

/// How much later than the newest row one may come whose number is lower, where several processes write: the batches of a lane,
/// and a second in which the database hesitates. In milliseconds.
pub(crate) const LATE_MS: i64 = 5000;

/// What is known of a call for judging its address once more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplayCall {
    /// The number of its row.
    pub id: i64,
    /// The resolved address.
    pub client: IpAddr,
    /// The id that the gateway gave it.
    pub request_id: String,
    /// The id that its caller chose for it.
    pub caller_request_id: Option<String>,
    /// The operation, once it was known.
    pub method: Option<String>,
    /// The code that it ended with, unless it succeeded.
    pub code: Option<String>,
    /// How many calls the row stands for.
    pub count: u64,
}

/// What is known of a call for judging its limits once more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LimitCall {
    /// The number of its row.
    pub id: i64,
    /// The operation, once it was known.
    pub method: Option<String>,
    /// The code that it ended with, unless it succeeded.
    pub code: Option<String>,
    /// How long it waited for the upstream and was there, in microseconds; absent if it didn't come that far.
    pub held_us: Option<i64>,
    /// The hash of its destination, as long as that is kept; absent if it was not asked for.
    pub destination: Option<Vec<u8>>,
    /// How many calls the row stands for; they came from its time to the end of its minute.
    pub count: u64,
}

impl Store {
    /// At most so many calls of an access whose networks let them in, in the order of their rows, since a time in
    /// milliseconds and beyond a row.
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

    /// At most so many rows, beyond the row with the given number in the given order. Where several conditions rarely meet, the
    /// page is cut, and the next one goes on.
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

    /// Such a page for sums: of each row only its number, kind, count, access, client, canonical status, code, delivery, time of
    /// the upstream and cause are there. It costs a fraction of the whole rows.
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

    /// At most so many calls of an access that came to be judged by its networks, the oldest first, beyond the row with
    /// this number.
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

    /// The number of the newest row; 0 when there is none.
    ///
    /// # Errors
    /// When the store can't be read.
    pub async fn newest_row(&self) -> Result<i64, StoreError> {
        match self.engine() {
            Engine::Sqlite(sqlite) => sqlite.newest_row().await,
            Engine::Postgres(postgres) => postgres.newest_row().await,
        }
    }

    /// The number beyond which somebody reads again who has seen rows up to this one, so as to miss none that comes late. In a
    /// store of one process it is the same number: no row comes late.
    #[must_use]
    pub fn look_back(&self, id: i64) -> i64 {
        match self.engine() {
            Engine::Sqlite(_) => id,
            Engine::Postgres(_) => (first_id_at(JournalRow::time_of(id) - LATE_MS) - 1).max(0),
        }
    }

    /// Before which time no row comes any more, unless the database was away; both in milliseconds since 1970, UTC. Nothing where
    /// no row comes late.
    #[must_use]
    pub fn settled_ms(&self, now_ms: i64) -> Option<i64> {
        match self.engine() {
            Engine::Sqlite(_) => None,
            Engine::Postgres(postgres) => Some(postgres.lease().database_ms(now_ms) - LATE_MS),
        }
    }

    /// The row with this number, if it is there.
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
