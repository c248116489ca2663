//! Changes of accesses. A change is durable and recorded before it is acknowledged, and applies to every request that begins
//! afterwards.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::store::Engine;
use crate::token_bounds::TokenEffect;
use crate::{Access, ChangeAuthor, ChangeError, Store, StoreError};

/// One change of an access.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    /// The number of the change, which is also the access's version after it.
    pub id: i64,
    /// The time; seconds since 1970, UTC.
    pub at: i64,
    /// The name of the admin key that made the change.
    pub actor: String,
    /// The access before the change, without secrets; absent if the change created it.
    pub before: Option<Value>,
    /// The access after the change, without secrets; absent if the change deleted it.
    pub after: Option<Value>,
}

impl Store {
    /// Changes the access with this name: `change` gets the current access, if it exists, and returns the new one, or `None` to
    /// delete it. The change is on disk first, then applies to every request that begins afterwards.
    ///
    /// # Errors
    /// The error of `change`, or the reason why the store failed. Nothing has changed in either case.
    pub async fn change_access(
        &self,
        by: ChangeAuthor<'_>,
        name: &str,
        change: impl FnOnce(Option<&Access>) -> Result<Option<Access>, ChangeError>,
    ) -> Result<Option<Arc<Access>>, ChangeError> {
        self.change((by, name), change, TokenEffect::GoOn).await
    }

    /// Ends all tokens that have been issued so far for the access with this name, ours and those of outside issuers. `check` gets
    /// the current access, and returns it if it is the access that the caller means.
    ///
    /// # Errors
    /// The error of `check`, or the reason why the store failed. Nothing has changed in either case.
    pub async fn end_tokens(
        &self,
        by: ChangeAuthor<'_>,
        name: &str,
        check: impl FnOnce(Option<&Access>) -> Result<Option<Access>, ChangeError>,
    ) -> Result<Option<Arc<Access>>, ChangeError> {
        self.change((by, name), check, TokenEffect::End).await
    }

    async fn change(
        &self,
        what: (ChangeAuthor<'_>, &str),
        change: impl FnOnce(Option<&Access>) -> Result<Option<Access>, ChangeError>,
        tokens: TokenEffect,
    ) -> Result<Option<Arc<Access>>, ChangeError> {
        self.journal_so_far().await;
        match self.engine() {
            Engine::Sqlite(sqlite) => sqlite.change(what, change, tokens).await,
            Engine::Postgres(postgres) => postgres.change(what, change, tokens).await,
        }
    }

    /// Adds accesses, or replaces the accesses that have the same names: all of them or none. No two of the given accesses have the
    /// same name. User names and client ids may pass from one access to another.
    ///
    /// # Errors
    /// The reason why the store failed. Nothing has changed then.
    pub async fn put_accesses(
        &self,
        by: ChangeAuthor<'_>,
        accesses: &[Access],
    ) -> Result<(), ChangeError> {
        self.journal_so_far().await;
        match self.engine() {
            Engine::Sqlite(sqlite) => sqlite.put_accesses(by, accesses).await,
            Engine::Postgres(postgres) => postgres.put_accesses(by, accesses).await,
        }
    }

    /// Flushes the journal, so that rows from before a change are written before the change. An error is ignored here because a
    /// failing store makes the change itself fail. The wait is not longer than the journal's own limit.
    async fn journal_so_far(&self) {
        if self.journal().trouble().is_none() {
            let _ = self.journal().flush().await;
        }
    }

    /// Records, among the changes of the access with this name, a change of something that belongs to the access: its kind, and its
    /// state before and after. The access itself stays unchanged.
    ///
    /// # Errors
    /// When the store can't be written.
    pub async fn note_change(
        &self,
        by: ChangeAuthor<'_>,
        name: &str,
        (what, before, after): (&str, &str, &str),
    ) -> Result<(), StoreError> {
        let documents = [before, after].map(|said| json!({ what: said }).to_string());
        match self.engine() {
            Engine::Sqlite(sqlite) => sqlite.note_change(by, name, documents).await,
            Engine::Postgres(postgres) => postgres.note_change(by, name, documents).await,
        }
    }

    /// Returns the latest changes of one access, newest first.
    ///
    /// # Errors
    /// When the store can't be read.
    pub async fn changes(&self, name: &str, count_max: u32) -> Result<Vec<Change>, StoreError> {
        match self.engine() {
            Engine::Sqlite(sqlite) => sqlite.changes(name, count_max).await,
            Engine::Postgres(postgres) => postgres.changes(name, count_max).await,
        }
    }
}
