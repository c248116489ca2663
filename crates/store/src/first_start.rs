//! The first start of a store: a fact that is written once, in the same transaction as the accesses that are imported at the first
//! start. Even if these accesses are deleted later, no other start imports them again.

use crate::store::Engine;
use crate::{Access, ChangeAuthor, ChangeError, Store, StoreError};

/// The name of this fact in the table of facts.
pub(crate) const FIRST_START: &str = "first start";

impl Store {
    /// Returns whether the store has had its first start.
    ///
    /// # Errors
    /// When the store can't be read.
    pub async fn has_started(&self) -> Result<bool, StoreError> {
        match self.engine() {
            Engine::Sqlite(sqlite) => sqlite.has_started().await,
            Engine::Postgres(postgres) => postgres.has_started().await,
        }
    }

    /// Records the first start together with the accesses of that start. Leaves a store that has already had its first start
    /// unchanged.
    ///
    /// # Errors
    /// The reason why the store failed. Nothing has changed then, and the next start is the first one.
    pub async fn first_start(
        &self,
        by: ChangeAuthor<'_>,
        accesses: &[Access],
    ) -> Result<(), ChangeError> {
        match self.engine() {
            Engine::Sqlite(sqlite) => sqlite.first_start(by, accesses).await,
            Engine::Postgres(postgres) => postgres.first_start(by, accesses).await,
        }
    }
}
