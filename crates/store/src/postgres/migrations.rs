//! The migrations of a database. One process at a time runs them, under a lock that it polls instead of waiting in the database: a
//! waiting statement holds a snapshot, and migrations of other processes wait for that snapshot.

use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use tokio::time::{Instant, sleep};
use tokio_postgres::types::Type;

use super::connector::PgConnector;
use super::error::PgError;
use super::options::PostgresUrl;
use super::session::{PgSession, START_STATEMENT_MAX};
use super::table_version::{SCHEMA, check_contract};
use crate::StoreError;

/// A migration: its number, its description, and its SQL, of which not a byte may change.
type PgMigration = (i32, &'static str, &'static str);

#[rustfmt::skip]
const MIGRATIONS: [PgMigration; 6] = [
    (1, "deployment", include_str!("migrations/0001_deployment.sql")),
    (2, "sends and journal", include_str!("migrations/0002_sends_and_journal.sql")),
    (3, "receipt room", include_str!("migrations/0003_receipt_room.sql")),
    (4, "events", include_str!("migrations/0004_events.sql")),
    (5, "webhooks", include_str!("migrations/0005_webhooks.sql")),
    (6, "erased chats", include_str!("migrations/0006_erased_chats.sql")),
];

const _: () = assert!(MIGRATIONS[MIGRATIONS.len() - 1].0 == SCHEMA);

/// The number of the advisory lock: "chatgate" as a number.
pub(super) const LOCK: i64 = 0x6368_6174_6761_7465;

/// Pause between two attempts to get the lock.
const LOCK_INTERVAL: Duration = Duration::from_millis(500);

/// Maximum wait for the migrations of another process.
const LOCK_MAX: Duration = Duration::from_secs(300);

/// Time limit for one migration, which may rewrite the rows of a large table.
const MIGRATION_MAX: Duration = Duration::from_secs(600);

/// Maximum number of attempts for a migration that does not get a table's lock within two seconds.
const TRIES: u32 = 3;

const TABLE: &str = "CREATE SCHEMA IF NOT EXISTS chatgate;
    CREATE TABLE IF NOT EXISTS chatgate.migrations (
        version integer PRIMARY KEY, description text NOT NULL, checksum bytea NOT NULL, at timestamptz NOT NULL DEFAULT now()
    )";

/// Brings the tables of a database up to date.
///
/// # Errors
/// When the database can't be reached or changed, or a newer program has changed it.
pub async fn migrate_postgres(url: &PostgresUrl) -> Result<(), StoreError> {
    migrate(&PgConnector::for_command(url)?, true).await
}

/// Brings the tables up to date, or only checks that they are, depending on `migrates`.
///
/// # Errors
/// When the tables can't be changed, must not be changed, were changed by a migration with another text, or need a newer program.
pub(super) async fn migrate(connector: &PgConnector, migrates: bool) -> Result<(), StoreError> {
    let mut session = connector.connect().await?;
    session.set_timeout(START_STATEMENT_MAX);
    if is_up_to_date(&mut session).await? {
        return check_contract(&mut session).await;
    }
    if !migrates {
        return Err(StoreError::new(
            "the tables of the database are not up to date, and store.migrate = \"check\" forbids this process to change them: \
             run `chatgate migrate`",
        ));
    }
    lock(&mut session).await?;
    session.set_timeout(MIGRATION_MAX);
    session.batch("SET lock_timeout = '2s'").await?;
    session.batch(TABLE).await?;
    let applied = applied(&mut session).await?;
    for migration in MIGRATIONS {
        if !applied.iter().any(|(version, _)| *version == migration.0) {
            apply(&mut session, migration).await?;
        }
    }
    // The lock ends with the connection.
    check_contract(&mut session).await
}

/// Returns whether all migrations have been applied. A newer program may have applied more.
pub(super) async fn is_up_to_date(session: &mut PgSession) -> Result<bool, StoreError> {
    let table = "SELECT to_regclass('chatgate.migrations') IS NOT NULL AS there";
    let there = session.query(table, &[]).await?;
    let there = there.first().map(|row| row.try_get("there"));
    if !there.transpose().map_err(PgError::from)?.unwrap_or(false) {
        return Ok(false);
    }
    let applied = applied(session).await?;
    for (version, _, sql) in MIGRATIONS {
        match applied.iter().find(|(known, _)| *known == version) {
            None => return Ok(false),
            Some((_, checksum)) if *checksum == checksum_of(sql) => {}
            Some(_) => {
                return Err(StoreError::new(format!(
                    "the database was changed by another version of migration {version} than this program has"
                )));
            }
        }
    }
    Ok(true)
}

async fn applied(session: &mut PgSession) -> Result<Vec<(i32, Vec<u8>)>, PgError> {
    let applied = "SELECT version, checksum FROM chatgate.migrations ORDER BY version";
    let rows = session.query(applied, &[]).await?;
    let read = |row: &tokio_postgres::Row| Ok((row.try_get("version")?, row.try_get("checksum")?));
    rows.iter().map(read).collect()
}

/// Takes the lock. The lock ends with the connection, so no process leaves it behind.
async fn lock(session: &mut PgSession) -> Result<(), StoreError> {
    let until = Instant::now() + LOCK_MAX;
    loop {
        let asked = "SELECT pg_try_advisory_lock($1) AS mine";
        let rows = session.query(asked, &[(&LOCK, Type::INT8)]).await?;
        let mine = rows.first().map(|row| row.try_get("mine"));
        if mine.transpose().map_err(PgError::from)?.unwrap_or(false) {
            return Ok(());
        }
        if Instant::now() >= until {
            return Err(StoreError::new(
                "another process has been changing the tables for five minutes",
            ));
        }
        sleep(LOCK_INTERVAL).await;
    }
}

async fn apply(
    session: &mut PgSession,
    (version, description, sql): PgMigration,
) -> Result<(), StoreError> {
    let mut tries = 1;
    while let Err(error) = try_to_apply(session, (version, description, sql)).await {
        if tries == TRIES || error.ends_connection() {
            return Err(StoreError::new(format!("migration {version}: {error}")));
        }
        session.roll_back().await?;
        tries += 1;
    }
    Ok(())
}

async fn try_to_apply(
    session: &mut PgSession,
    (version, description, sql): PgMigration,
) -> Result<(), PgError> {
    session.begin().await?;
    session.batch(sql).await?;
    let noted =
        "INSERT INTO chatgate.migrations (version, description, checksum) VALUES ($1, $2, $3)";
    let checksum = checksum_of(sql);
    let values = [
        (&version as _, Type::INT4),
        (&description as _, Type::TEXT),
        (&checksum as _, Type::BYTEA),
    ];
    session.execute(noted, &values).await?;
    let newest = "UPDATE chatgate.deployment SET schema = $1";
    session.execute(newest, &[(&version, Type::INT4)]).await?;
    session.commit().await
}

fn checksum_of(sql: &str) -> Vec<u8> {
    digest(&SHA256, sql.as_bytes()).as_ref().to_vec()
}
