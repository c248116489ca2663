//! Changes of accesses: durable before they are acknowledged, traced, and in force for every request that begins after.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::store::Engine;
use crate::token_bounds::TokenEffect;
use crate::{Access, ChangeError, Store, StoreError};

/// One change of an access.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    /// Its number, and the version of the access after it.
    pub id: i64,
    /// When; seconds since 1970, UTC.
    pub at: i64,
    /// The name of the key that made it.
    pub actor: String,
    /// The access before, without secrets; absent when it was made.
    pub before: Option<Value>,
    /// The access after, without secrets; absent when it was deleted.
    pub after: Option<Value>,
}

impl Store {
    /// Changes the access with this name: `change` gets it as it is, if it is there, and returns it as it shall be, or
    /// nothing to delete it. On disk first, then for every request that begins after. `by` is the name of the admin key, and the time
    /// in seconds since 1970, UTC.
    ///
    /// # Errors
    /// What `change` says, or why the store could not do it. Nothing has changed then.
    pub async fn change_access(
        &self,
        by: (&str, i64),
        name: &str,
        change: impl FnOnce(Option<&Access>) -> Result<Option<Access>, ChangeError>,
    ) -> Result<Option<Arc<Access>>, ChangeError> {
        self.change((by, name), change, TokenEffect::GoOn).await
    }

    /// Ends all tokens of the access with this name that were issued so far, ours and those of outside issuers. `check`
    /// gets the access as it is, and returns it if this is what the caller means.
    ///
    /// # Errors
    /// What `check` says, or why the store could not do it. Nothing has changed then.
    pub async fn end_tokens(
        &self,
        by: (&str, i64),
        name: &str,
        check: impl FnOnce(Option<&Access>) -> Result<Option<Access>, ChangeError>,
    ) -> Result<Option<Arc<Access>>, ChangeError> {
        self.change((by, name), check, TokenEffect::End).await
    }

    async fn change(
        &self,
        what: ((&str, i64), &str),
        change: impl FnOnce(Option<&Access>) -> Result<Option<Access>, ChangeError>,
        tokens: TokenEffect,
    ) -> Result<Option<Arc<Access>>, ChangeError> {
        self.journal_so_far().await;
        match self.engine() {
            Engine::Sqlite(sqlite) => sqlite.change(what, change, tokens).await,
            Engine::Postgres(postgres) => postgres.change(what, change, tokens).await,
        }
    }

    /// Puts accesses in the place of those with their names, all of them or none; no two have the same name. User names and client ids
    /// may pass from one to another.
    ///
    /// # Errors
    /// Why the store could not do it. Nothing has changed then.
    pub async fn put_accesses(
        &self,
        by: (&str, i64),
        accesses: &[Access],
    ) -> Result<(), ChangeError> {
        self.journal_so_far().await;
        match self.engine() {
            Engine::Sqlite(sqlite) => sqlite.put_accesses(by, accesses).await,
            Engine::Postgres(postgres) => postgres.put_accesses(by, accesses).await,
        }
    }

    /// Has the journal's rows from before a change written before it. A store that fails fails the change itself; this waits no
    /// longer than the journal does.
    async fn journal_so_far(&self) {
        if self.journal().trouble().is_none() {
            let _ = self.journal().flush().await;
        }
    }

    /// Notes among the changes of the access with this name that something which belongs to it has changed: what, how it was and how
    /// it is. The access itself stays as it is.
    ///
    /// # Errors
    /// When the store can't be written.
    pub async fn note_change(
        &self,
        by: (&str, i64),
        name: &str,
        (what, before, after): (&str, &str, &str),
    ) -> Result<(), StoreError> {
        let documents = [before, after].map(|said| json!({ what: said }).to_string());
        match self.engine() {
            Engine::Sqlite(sqlite) => sqlite.note_change(by, name, documents).await,
            Engine::Postgres(postgres) => postgres.note_change(by, name, documents).await,
        }
    }

    /// The latest changes of one access, newest first.
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
