//! The fact of the first start in SQLite.

use rusqlite::{OptionalExtension, Transaction};

use super::change::put;
use super::store::SqliteStore;
use crate::first_start::FIRST_START;
use crate::{Access, ChangeAuthor, ChangeError, StoreError};

impl SqliteStore {
    pub(crate) async fn has_started(&self) -> Result<bool, StoreError> {
        self.read(|connection| {
            let fact = "SELECT 1 FROM facts WHERE name = ?";
            let fact = connection.query_row(fact, [FIRST_START], |_| Ok(()));
            Ok(fact.optional()?.is_some())
        })
        .await
    }

    pub(crate) async fn first_start(
        &self,
        ChangeAuthor { actor, at_s }: ChangeAuthor<'_>,
        accesses: &[Access],
    ) -> Result<(), ChangeError> {
        let guard = self.changing().await?;
        let (actor, accesses, there) = (
            actor.to_owned(),
            accesses.to_vec(),
            self.memory().accesses.load_full(),
        );
        let write = move |transaction: &Transaction<'_>| {
            let noted = transaction.execute(
                "INSERT INTO facts (name, at) VALUES (?, ?) ON CONFLICT DO NOTHING",
                (FIRST_START, at_s),
            )?;
            match noted {
                0 => Ok(Vec::new()),
                _ => put(
                    transaction,
                    ChangeAuthor::new(&actor, at_s),
                    &there,
                    accesses,
                ),
            }
        };
        self.write_accesses(guard, write).await.map(drop)
    }
}

#[cfg(test)]
mod tests {
    use crate::Store;

    /// An older store did not store this fact, so that its other data must show whether it has started.
    #[tokio::test]
    async fn an_older_store_that_had_an_access_counts_as_started() {
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
