//! Copies a store from a file into a database.

use crate::postgres::copy_into;
use crate::store::Engine;
use crate::{PostgresOptions, Store, StoreError};

impl Store {
    /// Copies this store, which must be a file, into a database that contains no store yet: accesses with their secrets and
    /// history, keys and webhooks (sealed again), keys of operators, receipts, daily counts, last uses, and the journal on request.
    /// Returns the names of the copied tables and the number of rows of each.
    ///
    /// # Errors
    /// When this store is not a file, the database is not empty, or either of them can't be read or written. The database is
    /// unchanged then.
    pub async fn copy_into(
        &self,
        database: &PostgresOptions,
        with_journal: bool,
    ) -> Result<Vec<(&'static str, u64)>, StoreError> {
        let keys = self.keys("").await?;
        match self.engine() {
            Engine::Sqlite(sqlite) => copy_into(database, sqlite, keys, with_journal).await,
            Engine::Postgres(_) => Err(StoreError::new("only a store in a file can be copied")),
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::postgres::test_server::new_database;
    use crate::{Access, AdminKey, ChangeAuthor, DailyCount, Position, Role, Store, StoredSecret};

    #[tokio::test]
    async fn a_copy_is_complete_and_requires_an_empty_database() {
        let Some(options) = new_database() else {
            return;
        };
        let folder = tempfile::tempdir().unwrap();
        let file = Store::open(&folder.path().join("chatgate.db"))
            .await
            .unwrap();
        let access = Access::new("a", "u", "c");
        file.first_start(ChangeAuthor::new("first start", 7), &[access])
            .await
            .unwrap();
        file.add_key("tokens/ES256", b"signs", 7).await.unwrap();
        file.key("secrets", 7, || Ok(vec![5; 32])).await.unwrap();
        let key = AdminKey::new("ann", Role::Viewer, 7, StoredSecret::Keyed("h".to_owned()));
        file.put_admin_key(&key).await.unwrap();
        file.take_daily_block("a", 3, (5, 9)).await.unwrap();
        let hook = crate::webhooks::tests::webhook_of("whk_1", "c");
        let put = move |_: &[crate::Webhook]| Ok::<_, crate::StoreError>(Some(hook));
        file.change_webhook(("whk_1", "c"), put).await.unwrap();
        let copied = file.copy_into(&options, true).await.unwrap();
        assert!(
            copied.contains(&("accesses", 1)) && copied.contains(&("keys", 3)),
            "{copied:?}"
        );

        let again = file.copy_into(&options, false).await.err().unwrap();
        assert!(again.to_string().contains("not empty"), "{again}");
        let database = Store::open_postgres(&options).await.unwrap();
        assert_eq!(database.accesses().named("a"), file.accesses().named("a"));
        assert_eq!(database.admin_keys().len(), 1);
        assert!(database.has_started().await.unwrap());
        let material = |mut keys: Vec<crate::StoredKey>| {
            keys.sort_by_key(|key| key.id);
            let keys = keys
                .into_iter()
                .map(|key| (key.purpose, key.material.unwrap()));
            keys.collect::<Vec<_>>()
        };
        assert_eq!(
            material(database.keys("").await.unwrap()),
            material(file.keys("").await.unwrap())
        );
        let count = DailyCount {
            access: "a".to_owned(),
            day: 3,
            given: 5,
        };
        assert_eq!(database.daily_counts(3).await.unwrap(), [count]);
        assert_eq!(database.changes("a", 9).await.unwrap().len(), 1);
        assert_eq!(
            database.webhooks().await.unwrap(),
            file.webhooks().await.unwrap()
        );
        // Numbers of changes continue above the file's numbers.
        let change = |_: Option<&Access>| Ok(Some(Access::new("a", "other", "c")));
        database
            .change_access(ChangeAuthor::new("me", 9), "a", change)
            .await
            .unwrap();
        assert_eq!(database.accesses().named("a").unwrap().version, 2);
        let refused = database.copy_into(&options, false).await.err().unwrap();
        assert!(refused.to_string().contains("in a file"), "{refused}");
    }

    #[tokio::test]
    async fn event_positions_continue_above_the_copied_ones_despite_a_slow_clock() {
        let Some(options) = new_database() else {
            return;
        };
        let folder = tempfile::tempdir().unwrap();
        let file = Store::open(&folder.path().join("chatgate.db"))
            .await
            .unwrap();
        let ahead_ms = 4_000_000_000_000;
        file.record_observed(vec![crate::events::tests::stalled("a")], ahead_ms)
            .await
            .unwrap();
        let end = async |store: &Store| {
            let page = store.events_after(Position::of(i64::MAX), 0, 0).await;
            page.unwrap().newest
        };
        let newest = end(&file).await;
        assert_eq!(newest, Position::first_at(ahead_ms));
        file.copy_into(&options, false).await.unwrap();
        let database = Store::open_postgres(&options).await.unwrap();
        assert_eq!(end(&database).await, newest);
        // A webhook that was copied with its position receives new events.
        let new = database
            .record_observed(vec![crate::events::tests::stalled("b")], 0)
            .await;
        assert!(new.unwrap()[0].position > newest);
    }
}
