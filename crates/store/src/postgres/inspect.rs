//! Inspects a database before a gateway starts on it: reports what is wrong and what is right.

use tokio_postgres::Row;
use tokio_postgres::types::FromSql;

use super::connector::PgConnector;
use super::error::PgError;
use super::lease::{CLOCK_MAX_MS, now_ms};
use super::migrations::is_up_to_date;
use super::options::PostgresOptions;
use super::seal::SealContext;
use super::session::PgSession;
use super::table_version::check_contract;
use crate::StoreError;

/// Connections of one replica in addition to those for lookups and operators: three writers, the sweeper, the heartbeat, the
/// notifications, the clearing of the journal and an erasure.
const OWN_CONNECTIONS: i64 = 8;

/// The number of times that two connections are compared.
const LOOKS: usize = 5;

/// A finding of an inspection: its subject, and either the state or the problem.
pub type DatabaseFinding = (&'static str, Result<String, String>);

/// Checks everything that can be seen without changing anything. Omits checks that depend on something that is wrong.
pub async fn inspect_postgres(options: &PostgresOptions) -> Vec<DatabaseFinding> {
    let mut findings = Vec::new();
    let connected = connect(options).await;
    let (mut session, mut direct) = match connected {
        Ok(sessions) => sessions,
        Err((what, error)) => return vec![(what, Err(error))],
    };
    findings.push(("store.url", Ok("a writable server answers".to_owned())));
    let pooled = pooled(&mut session, options).await;
    findings.push(("store.direct_url", finding(pooled)));
    let schema = schema(&mut direct, options.migrates).await;
    let has_tables = matches!(schema, Ok(Schema::UpToDate));
    findings.push(("tables", finding(schema.and_then(Schema::describe))));
    if has_tables {
        findings.push(("rights", finding(rights(&mut session).await)));
        findings.push(("store.seal", finding(seal(&mut session, options).await)));
    }
    findings.push((
        "connections",
        finding(connections(&mut session, options, has_tables).await),
    ));
    findings.push((
        "store.durability",
        finding(durability(&mut session, options).await),
    ));
    findings.push(("clock", finding(clock(&mut session).await)));
    findings
}

/// The state of the tables.
#[derive(Clone, Copy)]
enum Schema {
    UpToDate,
    MadeAtStart,
    Outdated,
}

impl Schema {
    fn describe(self) -> Result<String, StoreError> {
        match self {
            Schema::UpToDate => Ok("up to date".to_owned()),
            Schema::MadeAtStart => Ok("the next start brings them up to date".to_owned()),
            Schema::Outdated => Err(StoreError::new(
                "not up to date, and store.migrate = \"check\": run `chatgate migrate`",
            )),
        }
    }
}

fn finding(found: Result<String, StoreError>) -> Result<String, String> {
    found.map_err(|error| error.to_string())
}

async fn connect(
    options: &PostgresOptions,
) -> Result<(PgSession, PgSession), (&'static str, String)> {
    let connect = async |url: &super::options::PostgresUrl| {
        let session = PgConnector::for_command(url)?.connect().await?;
        Ok::<_, StoreError>(session)
    };
    let session = connect(&options.url).await;
    let session = session.map_err(|error| ("store.url", error.to_string()))?;
    let direct = connect(&options.direct_url).await;
    let direct = direct.map_err(|error| ("store.direct_url", error.to_string()))?;
    Ok((session, direct))
}

/// Checks that two simultaneous connections have different server processes; a pooler may give both the same one.
async fn pooled(session: &mut PgSession, options: &PostgresOptions) -> Result<String, StoreError> {
    let connector = PgConnector::for_command(&options.direct_url)?;
    let (mut one, mut two) = (connector.connect().await?, connector.connect().await?);
    for _ in 0..LOOKS {
        if backend(&mut one).await? == backend(&mut two).await? {
            return Err(StoreError::new(
                "it is a pooler in transaction mode, which loses notifications and session locks: name the database server \
                 itself",
            ));
        }
    }
    let connector = PgConnector::for_command(&options.url)?;
    let mut other = connector.connect().await?;
    let is_pooled = backend(session).await? == backend(&mut other).await?;
    Ok(if is_pooled {
        "the database server; store.url is a pooler".to_owned()
    } else {
        "the database server".to_owned()
    })
}

async fn backend(session: &mut PgSession) -> Result<i32, StoreError> {
    one(session, "SELECT pg_backend_pid() AS found").await
}

async fn schema(session: &mut PgSession, migrates: bool) -> Result<Schema, StoreError> {
    match (is_up_to_date(session).await?, migrates) {
        (true, _) => check_contract(session).await.map(|()| Schema::UpToDate),
        (false, true) => Ok(Schema::MadeAtStart),
        (false, false) => Ok(Schema::Outdated),
    }
}

async fn rights(session: &mut PgSession) -> Result<String, StoreError> {
    let missing = "SELECT coalesce(string_agg(relname, ', '), '') AS found FROM pg_class
         WHERE relnamespace = 'chatgate'::regnamespace AND relkind IN ('r', 'p')
         AND NOT (has_table_privilege(oid, 'SELECT') AND has_table_privilege(oid, 'INSERT')
             AND has_table_privilege(oid, 'UPDATE') AND has_table_privilege(oid, 'DELETE'))";
    let missing: String = one(session, missing).await?;
    let owned = "SELECT coalesce(string_agg(relname, ', '), '') AS found FROM pg_class
         WHERE oid IN ('chatgate.journal'::regclass, 'chatgate.journal_payload'::regclass)
         AND NOT pg_has_role(relowner, 'USAGE')";
    let foreign: String = one(session, owned).await?;
    match (missing.is_empty(), foreign.is_empty()) {
        (true, true) => Ok("all tables can be written".to_owned()),
        (false, _) => Err(StoreError::new(format!(
            "this user may not read and write {missing}"
        ))),
        (true, false) => Err(StoreError::new(format!(
            "this user does not own {foreign}, so it can't create the partition of a new day"
        ))),
    }
}

async fn seal(session: &mut PgSession, options: &PostgresOptions) -> Result<String, StoreError> {
    let keys = "SELECT k.purpose, k.sealed, d.id::text AS deployment FROM chatgate.keys k CROSS JOIN chatgate.deployment d";
    let keys = session.query(keys, &[]).await?;
    for key in &keys {
        let (purpose, deployment): (String, String) =
            (column(key, "purpose")?, column(key, "deployment")?);
        let context = SealContext {
            deployment: &deployment,
            purpose: &purpose,
        };
        options
            .seal
            .open(&context, &column::<Vec<u8>>(key, "sealed")?)?;
    }
    Ok(format!("opens all {} keys", keys.len()))
}

/// Checks that the server accepts as many connections as the live replicas and this one may open.
async fn connections(
    session: &mut PgSession,
    options: &PostgresOptions,
    has_tables: bool,
) -> Result<String, StoreError> {
    let most = "SELECT least(
             current_setting('max_connections')::bigint - current_setting('superuser_reserved_connections')::bigint,
             (SELECT nullif(rolconnlimit, -1) FROM pg_roles WHERE rolname = current_user),
             (SELECT nullif(datconnlimit, -1) FROM pg_database WHERE datname = current_database())) AS found";
    let most: i64 = one(session, most).await?;
    let live = "SELECT count(*) AS found FROM chatgate.replicas WHERE lease_until > now()";
    let live: i64 = if has_tables {
        one(session, live).await?
    } else {
        0
    };
    let each =
        OWN_CONNECTIONS + i64::try_from(options.connections).unwrap_or(i64::MAX - OWN_CONNECTIONS);
    let wanted = each.saturating_mul(live + 1);
    let text = format!(
        "a replica opens up to {each} connections, {live} replicas are alive, and the server accepts {most} connections of this \
         user"
    );
    if wanted > most {
        return Err(StoreError::new(format!(
            "{text}: raise max_connections, or lower store.connections"
        )));
    }
    Ok(text)
}

async fn durability(
    session: &mut PgSession,
    options: &PostgresOptions,
) -> Result<String, StoreError> {
    let setting = async |session: &mut PgSession, name: &str| {
        let setting = format!("SELECT current_setting('{name}') AS found");
        one::<String>(session, &setting).await
    };
    let commit = setting(session, "synchronous_commit").await?;
    if commit == "off" || setting(session, "fsync").await? == "off" {
        let text = "the server can lose acknowledged writes in a crash: set fsync and synchronous_commit to on";
        return Err(StoreError::new(text));
    }
    let standbys = setting(session, "synchronous_standby_names").await?;
    match (
        options.is_replicated,
        standbys.is_empty() || commit == "local",
    ) {
        (true, true) => Err(StoreError::new(
            "it is \"replicated\", but the server waits for no standby: set synchronous_standby_names",
        )),
        (true, false) => Ok(format!(
            "acknowledged writes are also on a standby ({standbys})"
        )),
        (false, true) => Ok("acknowledged writes are on this server's disk only".to_owned()),
        (false, false) => Ok(format!(
            "acknowledged writes are also on a standby ({standbys}), which this setting does not require"
        )),
    }
}

async fn clock(session: &mut PgSession) -> Result<String, StoreError> {
    let before = now_ms();
    let there = "SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint AS found";
    let there: i64 = one(session, there).await?;
    let offset = there - i64::midpoint(before, now_ms());
    let text = format!("the server's is {offset} ms ahead of this machine's");
    if offset.abs() > CLOCK_MAX_MS {
        return Err(StoreError::new(text));
    }
    Ok(text)
}

/// Returns the one value of a query, whose column is named `found`.
async fn one<T: for<'r> FromSql<'r>>(session: &mut PgSession, sql: &str) -> Result<T, StoreError> {
    let rows = session.query(sql, &[]).await?;
    let row = rows
        .first()
        .ok_or_else(|| StoreError::new("the database returned no row"))?;
    Ok(column(row, "found")?)
}

fn column<'r, T: FromSql<'r>>(row: &'r Row, name: &str) -> Result<T, PgError> {
    Ok(row.try_get(name)?)
}

#[cfg(test)]
mod tests {
    use secrecy::SecretString;

    use super::*;
    use crate::postgres::test_server::new_database;
    use crate::{PostgresUrl, SEAL_BYTES, SealKeys, Store, reseal_postgres};

    async fn wrong(options: &PostgresOptions) -> Vec<&'static str> {
        let found = inspect_postgres(options).await.into_iter();
        let wrong = found.filter(|(_, found)| found.is_err());
        wrong.map(|(what, _)| what).collect()
    }

    #[tokio::test]
    async fn inspection_reports_exactly_the_problems_that_prevent_operation() {
        let Some(options) = new_database() else {
            return;
        };
        let with = |change: fn(&mut PostgresOptions)| {
            let mut options = options.clone();
            change(&mut options);
            options
        };
        let none: [&str; 0] = [];
        assert_eq!(wrong(&options).await, none);
        let only_looks = with(|options| options.migrates = false);
        assert_eq!(wrong(&only_looks).await, ["tables"]);
        Store::open_postgres(&options).await.unwrap();
        assert_eq!(wrong(&only_looks).await, none);
        let sealed = with(|options| options.seal = SealKeys::new(&[vec![9; SEAL_BYTES]]).unwrap());
        assert_eq!(wrong(&sealed).await, ["store.seal"]);
        let many = with(|options| options.connections = 1000);
        assert_eq!(wrong(&many).await, ["connections"]);
        let replicated = with(|options| options.is_replicated = true);
        assert_eq!(wrong(&replicated).await, ["store.durability"]);
        let nowhere = with(|options| {
            let url = SecretString::from("postgres://a@127.0.0.1:1/b");
            options.url = PostgresUrl::parse(&url).unwrap();
        });
        assert_eq!(wrong(&nowhere).await, ["store.url"]);
    }

    #[tokio::test]
    async fn resealing_replaces_the_seals_of_all_keys_or_of_none() {
        let Some(options) = new_database() else {
            return;
        };
        let store = Store::open_postgres(&options).await.unwrap();
        store.add_key("tokens/ES256", b"signs", 1).await.unwrap();
        let (old, new) = (vec![7; SEAL_BYTES], vec![8; SEAL_BYTES]);
        let sealed = |keys: &[Vec<u8>]| PostgresOptions {
            seal: SealKeys::new(keys).unwrap(),
            ..options.clone()
        };
        let foreign = reseal_postgres(&sealed(std::slice::from_ref(&new)))
            .await
            .err()
            .unwrap();
        assert!(foreign.to_string().contains("store.seal"), "{foreign}");
        assert_eq!(
            reseal_postgres(&sealed(&[new.clone(), old])).await.unwrap(),
            2
        );
        assert_eq!(wrong(&options).await, ["store.seal"]);
        assert_eq!(wrong(&sealed(&[new])).await, [""; 0]);
    }
}
