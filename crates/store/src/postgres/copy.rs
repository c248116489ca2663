//! Copies a store from a file into an empty database, in one transaction: all of it or nothing.

use std::ops::RangeInclusive;
use std::time::Duration;

use serde_json::Value as Json;
use tokio::sync::mpsc::channel;
use tokio_postgres::types::Type;

use super::connector::PgConnector;
use super::error::PgError;
use super::journal::{day_of, partition};
use super::migrations::migrate;
use super::options::PostgresOptions;
use super::seal::SealContext;
use super::session::{PgSession, Value};
use super::webhooks::put_webhook;
use crate::sqlite::SqliteStore;
use crate::{JournalRow, Position, StoreError, StoredKey};

/// Time limit for one statement of the copy. The journal is copied in batches.
const STATEMENT_TIMEOUT: Duration = Duration::from_secs(600);

/// Maximum number of batches that are read ahead.
const BATCHES_AHEAD: usize = 2;

/// A table that both engines have: its name, its columns in PostgreSQL, and the expressions for their values in SQLite.
type CopiedTable = (&'static str, &'static str, &'static str);

/// The tables that a gateway needs to continue as before. Keys are not among them, because they are sealed during the copy.
const TABLES: [CopiedTable; 7] = [
    same("accesses", "name, \"user\", client_id, document"),
    same("changes", "id, at, actor, access, before, after"),
    same("admin_keys", "name, role, hash, created_at"),
    same("facts", "name, at"),
    same(
        "receipts",
        "client_id, method, key, fingerprint, row, request_id, made_at, state, answer",
    ),
    (
        "daily_counts",
        "access, day, given, block",
        "access, day, given, 0",
    ),
    same("last_uses", "client_id, at, address, way"),
];

/// The tables that depend on webhooks. The webhooks themselves are sealed during the copy, like keys.
const OF_WEBHOOKS: [CopiedTable; 2] = [
    same(
        "deliveries",
        "webhook, position, event_id, state, attempts, first_at, next_at, cause",
    ),
    same(
        "attempts",
        "webhook, position, event_id, at, number, status, cause, ms",
    ),
];

const JOURNAL: [CopiedTable; 2] = [
    (
        "journal",
        "replica, id, kind, count, request_id, caller_request_id, trace_id, way, access, method, http_method, path, peer, client, \
         status, canonical, code, upstream_code, delivery, attempts, queue_us, upstream_us, total_us, cache, limited_by, limit_max, \
         limit_left, generation, user_agent, cause, would_refuse, actor, change",
        "0, id, kind, count, request_id, caller_request_id, trace_id, way, access, method, http_method, path, peer, client, \
         status, canonical, code, upstream_code, delivery, attempts, queue_us, upstream_us, total_us, cache, limited_by, limit_max, \
         limit_left, generation, user_agent, cause, would_refuse, actor, change",
    ),
    same("journal_payload", "id, destination, parameters, answer"),
];

const fn same(name: &'static str, columns: &'static str) -> CopiedTable {
    (name, columns, columns)
}

/// Lists the tables that prevent a copy because they have rows. The lock below prevents a gateway from starting during the copy.
const THERE: &str = "WITH there AS (
        SELECT 'accesses' AS name WHERE EXISTS (SELECT FROM chatgate.accesses)
        UNION ALL SELECT 'changes' WHERE EXISTS (SELECT FROM chatgate.changes)
        UNION ALL SELECT 'keys' WHERE EXISTS (SELECT FROM chatgate.keys)
        UNION ALL SELECT 'admin keys' WHERE EXISTS (SELECT FROM chatgate.admin_keys)
        UNION ALL SELECT 'receipts' WHERE EXISTS (SELECT FROM chatgate.receipts)
        UNION ALL SELECT 'journal' WHERE EXISTS (SELECT FROM chatgate.journal)
        UNION ALL SELECT 'facts' WHERE EXISTS (SELECT FROM chatgate.facts)
    ) SELECT coalesce(string_agg(name, ', '), '') AS names FROM there";

const LOCK: &str =
    "LOCK TABLE chatgate.keys, chatgate.accesses, chatgate.facts IN SHARE ROW EXCLUSIVE MODE";

/// Continues the numbers above those of the file, and counts the calls of each minute from the copied rows.
const GO_ON: &str = "WITH epoch AS (
        UPDATE chatgate.epochs SET epoch = (SELECT coalesce(max(id), 0) FROM chatgate.changes) WHERE what = 'accesses'
    ) INSERT INTO chatgate.tallies (minute, replica, calls, failed)
    SELECT (id >> 20) / 60000, 0, sum(count), coalesce(sum(count) FILTER (WHERE canonical >= 500 AND upstream_code IS NULL), 0)
    FROM chatgate.journal WHERE kind = 'request' GROUP BY 1";

/// Events are not copied. The `trimmed` mark rises as well, so that readers of the file's events learn that they have missed some.
/// Positions continue above those of the file, whatever the database's clock says: the position of a webhook was copied, and the
/// webhook would skip events with lower positions.
const EVENTS_GO_ON: &str =
    "UPDATE chatgate.event_marks SET value = greatest((extract(epoch FROM clock_timestamp()) * 1000)::bigint << 20, $1)
    WHERE name IN ('newest', 'trimmed')";

/// The names of the copied tables, each with its number of rows.
pub(crate) type CopiedRows = Vec<(&'static str, u64)>;

/// Copies a store into the database.
///
/// # Errors
/// When the database is not empty, or either store can't be read or written. The database stays as it was.
pub(crate) async fn copy_into(
    options: &PostgresOptions,
    from: &SqliteStore,
    keys: Vec<StoredKey>,
    with_journal: bool,
) -> Result<CopiedRows, StoreError> {
    let direct = PgConnector::for_command(&options.direct_url)?;
    migrate(&direct, options.migrates).await?;
    let mut session = direct.connect().await?;
    session.set_timeout(STATEMENT_TIMEOUT);
    session.begin().await?;
    session.batch(LOCK).await?;
    check_empty(&mut session).await?;
    let deployment = read_deployment(&mut session).await?;
    let mut copied = vec![(
        "keys",
        copy_keys(&mut session, (options, &deployment), keys).await?,
    )];
    let webhooks = from.webhooks().await?;
    for webhook in &webhooks {
        if webhook.is_unreadable {
            return Err(StoreError::new(format!(
                "this version of the program can't read the webhook {}: copy the store with the version that has written it, or \
                 delete the webhook",
                webhook.id
            )));
        }
        put_webhook(&mut session, (&options.seal, &deployment), webhook).await?;
    }
    copied.push(("webhooks", webhooks.len() as u64));
    let mut tables = [&TABLES[..], &OF_WEBHOOKS[..]].concat();
    if with_journal {
        if let Some((oldest, newest)) = from.journal_ends().await? {
            let day = |id| day_of(JournalRow::time_of(id));
            make_days(&mut session, day(oldest)..=day(newest)).await?;
        }
        tables.extend(JOURNAL);
    }
    for table in tables {
        copied.push((table.0, copy_table(&mut session, from, table).await?));
    }
    session.batch(GO_ON).await?;
    let end = from.events_after(Position::of(i64::MAX), 0, 0).await?;
    let newest: [Value<'_>; 1] = [(&end.newest.number(), Type::INT8)];
    session.execute(EVENTS_GO_ON, &newest).await?;
    session.commit().await?;
    Ok(copied)
}

async fn check_empty(session: &mut PgSession) -> Result<(), StoreError> {
    let rows = session.query(THERE, &[]).await?;
    let names = rows.first().map(|row| row.try_get::<_, String>("names"));
    match names
        .transpose()
        .map_err(PgError::from)?
        .unwrap_or_default()
    {
        names if names.is_empty() => Ok(()),
        names => Err(StoreError::new(format!(
            "the database is not empty, it has {names}; copy into a new database that no gateway has used"
        ))),
    }
}

async fn read_deployment(session: &mut PgSession) -> Result<String, StoreError> {
    let deployment = session
        .query("SELECT id::text AS id FROM chatgate.deployment", &[])
        .await?;
    let deployment = deployment.first().map(|row| row.try_get::<_, String>("id"));
    let deployment = deployment.transpose().map_err(PgError::from)?;
    deployment.ok_or_else(|| StoreError::new("the database has no deployment id"))
}

async fn copy_keys(
    session: &mut PgSession,
    (options, deployment): (&PostgresOptions, &str),
    keys: Vec<StoredKey>,
) -> Result<u64, StoreError> {
    let add = "INSERT INTO chatgate.keys (purpose, sealed, created_at, signs_from) VALUES ($1, $2, $3, $4)";
    let count = keys.len() as u64;
    for key in keys {
        let context = SealContext {
            deployment,
            purpose: &key.purpose,
        };
        let sealed = options.seal.seal(&context, &key.material?)?;
        let values: [Value<'_>; 4] = [
            (&key.purpose, Type::TEXT),
            (&sealed, Type::BYTEA),
            (&key.created_at, Type::INT8),
            (&key.signs_from, Type::INT8),
        ];
        session.execute(add, &values).await?;
    }
    Ok(count)
}

async fn make_days(session: &mut PgSession, days: RangeInclusive<i64>) -> Result<(), PgError> {
    for day in days {
        for (table, ..) in JOURNAL {
            let (name, from, to) = partition(table, day);
            let make = format!(
                "CREATE TABLE IF NOT EXISTS chatgate.{name} PARTITION OF chatgate.{table} FOR VALUES FROM ({from}) TO ({to})"
            );
            session.batch(&make).await?;
        }
    }
    Ok(())
}

/// Copies all rows of a table, and reads the next batch while one is written.
async fn copy_table(
    session: &mut PgSession,
    from: &SqliteStore,
    table: CopiedTable,
) -> Result<u64, StoreError> {
    let (name, columns, _) = table;
    let add = format!(
        "INSERT INTO chatgate.{name} ({columns}) SELECT {columns} FROM jsonb_populate_recordset(NULL::chatgate.{name}, $1::text::jsonb)"
    );
    let (sender, batches) = channel::<Json>(BATCHES_AHEAD);
    let writing = async move {
        // The receiver is dropped when writing ends, so that reading ends as well.
        let mut batches = batches;
        let mut rows = 0;
        while let Some(batch) = batches.recv().await {
            let batch = batch.to_string();
            rows += session.execute(&add, &[(&batch, Type::TEXT)]).await?;
        }
        Ok::<_, PgError>(rows)
    };
    let (read, written) = tokio::join!(from.send_rows(table, sender), writing);
    let rows = written?;
    read?;
    Ok(rows)
}
