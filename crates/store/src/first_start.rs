//! The first start of a store: a fact that is written once, in the transaction of the accesses that it brings. Whatever is
//! deleted later, no other start brings them back.

use crate::store::Engine;
use crate::{Access, ChangeError, Store, StoreError};

/// Its name among the facts.
pub(crate) const FIRST_START: &str = "first start";

impl Store {
    /// Whether the store has had its first start.
    ///
    /// # Errors
    /// When the store can't be read.
    pub async fn has_started(&self) -> Result<bool, StoreError> {
        match self.engine() {
            Engine::Sqlite(sqlite) => sqlite.has_started().await,
            Engine::Postgres(postgres) => postgres.has_started().await,
        }
    }

    /// Writes down the first start together with the accesses that it brings. A store that has had it is left as it is.
    ///
    /// # Errors
    /// Why the store could not do it. Nothing has changed then, and the next start is the first one.
    pub async fn first_start(
        &self,
        by: (&str, i64),
        accesses: &[Access],
    ) -> Result<(), ChangeError> {
        match self.engine() {
            Engine::Sqlite(sqlite) => sqlite.first_start(by, accesses).await,
            Engine::Postgres(postgres) => postgres.first_start(by, accesses).await,
        }
    }
}
