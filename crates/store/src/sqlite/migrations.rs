//! The migrations of the store's file, and the table that records the applied migrations. The table has the name and the columns of
//! sqlx's migrator, which earlier versions of the program used, so that each version reads the records of the other versions.

use std::collections::BTreeMap;
use std::time::Instant;

use aws_lc_rs::digest::{SHA384, digest};
use rusqlite::Connection;

use super::connection::in_transaction;
use crate::StoreError;

/// A migration: its version, its subject, and its SQL, of which not a byte may change.
type Migration = (i64, &'static str, &'static str);

#[rustfmt::skip]
const MIGRATIONS: [Migration; 12] = [
    (1, "accesses and keys", include_str!("migrations/0001_accesses_and_keys.sql")),
    (2, "changes and admin keys", include_str!("migrations/0002_changes_and_admin_keys.sql")),
    (3, "journal", include_str!("migrations/0003_journal.sql")),
    (4, "daily counts and last uses", include_str!("migrations/0004_daily_counts_and_last_uses.sql")),
    (5, "receipts", include_str!("migrations/0005_receipts.sql")),
    (6, "cheaper status index", include_str!("migrations/0006_cheaper_status_index.sql")),
    (7, "counted rows", include_str!("migrations/0007_counted_rows.sql")),
    (8, "receipts and scrubbing", include_str!("migrations/0008_receipts_and_scrubbing.sql")),
    (10, "facts", include_str!("migrations/0010_facts.sql")),
    (11, "events", include_str!("migrations/0011_events.sql")),
    (12, "webhooks", include_str!("migrations/0012_webhooks.sql")),
    (13, "erased chats", include_str!("migrations/0013_erased_chats.sql")),
];

const TABLE: &str = "CREATE TABLE IF NOT EXISTS _sqlx_migrations (
    version BIGINT PRIMARY KEY,
    description TEXT NOT NULL,
    installed_on TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP,
    success BOOLEAN NOT NULL,
    checksum BLOB NOT NULL,
    execution_time BIGINT NOT NULL
)";

/// Brings the file up to date; each migration runs in its own transaction.
///
/// # Errors
/// When the file can't be written, when a newer program has written it, or when it contains a migration with another text.
pub(super) fn migrate(connection: &mut Connection) -> Result<(), StoreError> {
    connection.execute_batch(TABLE)?;
    let applied = applied(connection)?;
    let is_known = |version: &&i64| MIGRATIONS.iter().any(|(known, ..)| known == *version);
    if let Some(version) = applied.keys().find(|version| !is_known(version)) {
        return Err(StoreError::new(format!(
            "a newer version of the program has written the store: migration {version} is unknown"
        )));
    }
    for migration @ (version, _, sql) in MIGRATIONS {
        match applied.get(&version) {
            None => apply(connection, migration)?,
            Some((true, checksum)) if *checksum == checksum_of(sql) => {}
            Some((true, _)) => {
                return Err(StoreError::new(format!(
                    "the store was changed by another version of migration {version} than this program has"
                )));
            }
            Some((false, _)) => {
                return Err(StoreError::new(format!(
                    "migration {version} was applied to the store only in part"
                )));
            }
        }
    }
    Ok(())
}

/// Returns the migrations that were applied to the file, by version: whether each succeeded, and its checksum.
fn applied(connection: &Connection) -> Result<BTreeMap<i64, (bool, Vec<u8>)>, StoreError> {
    let mut applied =
        connection.prepare("SELECT version, success, checksum FROM _sqlx_migrations")?;
    let applied = applied.query_map([], |row| Ok((row.get(0)?, (row.get(1)?, row.get(2)?))))?;
    Ok(applied.collect::<Result<_, _>>()?)
}

fn apply(
    connection: &mut Connection,
    (version, description, sql): Migration,
) -> Result<(), StoreError> {
    let began = Instant::now();
    in_transaction(connection, |transaction| {
        transaction.execute_batch(sql)?;
        let took = i64::try_from(began.elapsed().as_nanos()).unwrap_or(i64::MAX);
        transaction.execute(
            "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
             VALUES (?, ?, TRUE, ?, ?)",
            (version, description, checksum_of(sql), took),
        )?;
        Ok(())
    })
}

fn checksum_of(sql: &str) -> Vec<u8> {
    digest(&SHA384, sql.as_bytes()).as_ref().to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn migrated() -> Connection {
        let mut connection = Connection::open_in_memory().unwrap();
        migrate(&mut connection).unwrap();
        connection
    }

    /// sqlx's migrator recorded these values in existing stores: the beginnings of its SHA-384 sums.
    #[test]
    fn recorded_migrations_match_those_of_existing_stores() {
        let connection = migrated();
        let recorded = "SELECT version, description, lower(substr(hex(checksum), 1, 16)), length(checksum), success
             FROM _sqlx_migrations ORDER BY version";
        let mut recorded = connection.prepare(recorded).unwrap();
        let recorded = recorded.query_map([], |row| {
            assert_eq!((row.get(3), row.get(4)), (Ok(48), Ok(true)));
            Ok((row.get(0)?, row.get(1)?, row.get(2)?))
        });
        let recorded: Vec<(i64, String, String)> = recorded.unwrap().map(Result::unwrap).collect();
        let expected = [
            (1, "accesses and keys", "28fcc0c09f85253b"),
            (2, "changes and admin keys", "cdabac6e10037c8a"),
            (3, "journal", "927f3932a69037cf"),
            (4, "daily counts and last uses", "8d6aa027fd61853a"),
            (5, "receipts", "ec07e2cce4f3d813"),
            (6, "cheaper status index", "23cb00f4838d3871"),
            (7, "counted rows", "8bce8f9ab36a1941"),
            (8, "receipts and scrubbing", "1f5425a0b1c6eb68"),
            (10, "facts", "230ddfa4597c0ab3"),
            (11, "events", "402664dff6b99111"),
            (12, "webhooks", "4f5b90d58c9585a6"),
            (13, "erased chats", "974136f5a2bc74dd"),
        ];
        let expected =
            expected.map(|(version, what, sum)| (version, what.to_owned(), sum.to_owned()));
        assert_eq!(recorded, expected);
    }

    #[test]
    fn migrate_does_not_change_an_up_to_date_store() {
        let mut connection = migrated();
        connection
            .execute_batch("INSERT INTO facts VALUES ('x', 1)")
            .unwrap();
        migrate(&mut connection).unwrap();
        let facts = connection.query_row("SELECT count(*) FROM facts", [], |row| row.get(0));
        assert_eq!(facts, Ok(1));
    }

    #[test]
    fn a_newer_or_altered_store_is_rejected() {
        for (change, expected) in [
            (
                "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
                 VALUES (99, 'tomorrow', TRUE, x'00', 0)",
                "a newer version of the program",
            ),
            (
                "UPDATE _sqlx_migrations SET checksum = x'00' WHERE version = 3",
                "another version of migration 3",
            ),
            (
                "UPDATE _sqlx_migrations SET success = FALSE WHERE version = 8",
                "migration 8 was applied to the store only in part",
            ),
        ] {
            let mut connection = migrated();
            connection.execute_batch(change).unwrap();
            let error = migrate(&mut connection).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }
}
