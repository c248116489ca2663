//! The first start of a store: a fact that is written once, in the transaction of the accesses that it brings. Whatever is
//! deleted later, no other start brings them back.

use crate::access::Access;
use crate::change::{ChangeError, put};
use crate::database::read_accesses;
use crate::{Store, StoreError};
use sqlx::Connection;

/// Its name among the facts.
const FIRST_START: &str = "first start";

impl Store {
    /// Whether the store has had its first start.
    ///
    /// # Errors
    /// When the store can't be read.
    pub async fn has_started(&self) -> Result<bool, StoreError> {
        let found = sqlx::query("SELECT name FROM facts WHERE name = ?")
            .bind(FIRST_START)
            .fetch_optional(&mut *self.writer().await?)
            .await?;
        Ok(found.is_some())
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
        let _change = self.changing().await;
        let there = self.accesses();
        let mut writer = self.writer().await?;
        let mut transaction = writer.begin_with("BEGIN IMMEDIATE").await?;
        let noted =
            sqlx::query("INSERT INTO facts (name, at) VALUES (?, ?) ON CONFLICT DO NOTHING")
                .bind(FIRST_START)
                .bind(by.1)
                .execute(&mut *transaction)
                .await?;
        if noted.rows_affected() == 0 {
            return Ok(());
        }
        put(&mut transaction, by, &there, accesses).await?;
        let accesses = read_accesses(&mut *transaction).await?;
        transaction.commit().await?;
        self.swap_accesses(accesses);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn open(folder: &tempfile::TempDir) -> Store {
        Store::open(&folder.path().join("store.db")).await.unwrap()
    }

    #[tokio::test]
    async fn the_first_start_is_written_once() {
        let folder = tempfile::tempdir().unwrap();
        let store = open(&folder).await;
        assert!(!store.has_started().await.unwrap());
        store.first_start(("first start", 7), &[]).await.unwrap();
        store.first_start(("first start", 8), &[]).await.unwrap();
        assert!(store.has_started().await.unwrap());
        store.close().await;
        assert!(open(&folder).await.has_started().await.unwrap());
    }

    /// A store from before this fact was kept: what it has had says whether it has started.
    #[tokio::test]
    async fn an_older_store_that_has_had_an_access_has_started() {
        for (row, has_started) in [
            ("", false),
            (
                "INSERT INTO changes (at, actor, access) VALUES (7, 'x', 'a')",
                true,
            ),
            (
                "INSERT INTO accesses (name, user, client_id, document) VALUES ('a', 'a', 'a', '{}')",
                true,
            ),
        ] {
            let folder = tempfile::tempdir().unwrap();
            let file = folder.path().join("store.db");
            Store::open(&file).await.unwrap().close().await;
            let connection = rusqlite::Connection::open(&file).unwrap();
            connection.execute_batch("DROP TABLE facts").unwrap();
            connection.execute_batch(row).unwrap();
            let migration = include_str!("migrations/0010_facts.sql");
            connection.execute_batch(migration).unwrap();
            let facts = "SELECT count(*) FROM facts WHERE name = 'first start'";
            let facts: i64 = connection.query_row(facts, [], |row| row.get(0)).unwrap();
            assert_eq!(facts == 1, has_started, "{row}");
        }
    }
}
