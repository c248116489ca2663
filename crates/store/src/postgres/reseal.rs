//! Seals all keys and the secrets of webhooks again, after `store.seal` has got a new key in addition to the old one.

use tokio_postgres::types::Type;

use super::connector::PgConnector;
use super::error::PgError;
use super::options::PostgresOptions;
use super::seal::SealContext;
use super::session::{PgSession, Value};
use crate::StoreError;

/// Seals all keys of a database and the secrets of its webhooks with the first key of the options: all or none. Returns their
/// number.
///
/// # Errors
/// When a key or a secret does not open with any key of the options, or the database can't be read or written.
pub async fn reseal_postgres(options: &PostgresOptions) -> Result<usize, StoreError> {
    let mut session = PgConnector::for_command(&options.url)?.connect().await?;
    session.begin().await?;
    let count = reseal(&mut session, options).await?;
    session.commit().await?;
    Ok(count)
}

/// The statements for each sealed table: one selects the id, the purpose and the sealed bytes of each row, the other replaces the
/// bytes.
const SEALED: [(&str, &str); 2] = [
    (
        "SELECT k.id::text AS id, k.purpose, k.sealed, d.id::text AS deployment
         FROM chatgate.keys k CROSS JOIN chatgate.deployment d ORDER BY k.id FOR UPDATE OF k",
        "UPDATE chatgate.keys SET sealed = $2 WHERE id::text = $1",
    ),
    (
        "SELECT w.id, 'webhook/' || w.id AS purpose, w.secrets AS sealed, d.id::text AS deployment
         FROM chatgate.webhooks w CROSS JOIN chatgate.deployment d ORDER BY w.id FOR UPDATE OF w",
        "UPDATE chatgate.webhooks SET secrets = $2 WHERE id = $1",
    ),
];

async fn reseal(session: &mut PgSession, options: &PostgresOptions) -> Result<usize, StoreError> {
    let mut count = 0;
    for (all, put) in SEALED {
        let rows = session.query(all, &[]).await?;
        for row in &rows {
            let (id, purpose): (String, String) = (column(row, "id")?, column(row, "purpose")?);
            let deployment: String = column(row, "deployment")?;
            let context = SealContext {
                deployment: &deployment,
                purpose: &purpose,
            };
            let sealed: Vec<u8> = column(row, "sealed")?;
            let sealed = options
                .seal
                .seal(&context, &options.seal.open(&context, &sealed)?)?;
            let values: [Value<'_>; 2] = [(&id, Type::TEXT), (&sealed, Type::BYTEA)];
            session.execute(put, &values).await?;
        }
        count += rows.len();
    }
    Ok(count)
}

fn column<'r, T: tokio_postgres::types::FromSql<'r>>(
    row: &'r tokio_postgres::Row,
    name: &str,
) -> Result<T, PgError> {
    Ok(row.try_get(name)?)
}
