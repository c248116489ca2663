//! Sealing all keys anew, after `store.seal` has got a new key beside the old one.

use tokio_postgres::types::Type;

use super::connector::PgConnector;
use super::error::PgError;
use super::options::PostgresOptions;
use super::seal::SealContext;
use super::session::{PgSession, Value};
use crate::StoreError;

/// Seals all keys of a database by the first key of the options, all or none. Returns how many they are.
///
/// # Errors
/// When one does not open by any key of the options, or the database can't be read or written.
pub async fn reseal_postgres(options: &PostgresOptions) -> Result<usize, StoreError> {
    let mut session = PgConnector::for_command(&options.url)?.connect().await?;
    session.begin().await?;
    let count = reseal(&mut session, options).await?;
    session.commit().await?;
    Ok(count)
}

async fn reseal(session: &mut PgSession, options: &PostgresOptions) -> Result<usize, StoreError> {
    let all = "SELECT k.id, k.purpose, k.sealed, d.id::text AS deployment
         FROM chatgate.keys k CROSS JOIN chatgate.deployment d ORDER BY k.id FOR UPDATE OF k";
    let keys = session.query(all, &[]).await?;
    for key in &keys {
        let (id, purpose): (i64, String) = (column(key, "id")?, column(key, "purpose")?);
        let deployment: String = column(key, "deployment")?;
        let context = SealContext {
            deployment: &deployment,
            purpose: &purpose,
        };
        let material = options
            .seal
            .open(&context, &column::<Vec<u8>>(key, "sealed")?)?;
        let sealed = options.seal.seal(&context, &material)?;
        let put = "UPDATE chatgate.keys SET sealed = $2 WHERE id = $1";
        let values: [Value<'_>; 2] = [(&id, Type::INT8), (&sealed, Type::BYTEA)];
        session.execute(put, &values).await?;
    }
    Ok(keys.len())
}

fn column<'r, T: tokio_postgres::types::FromSql<'r>>(
    row: &'r tokio_postgres::Row,
    name: &str,
) -> Result<T, PgError> {
    Ok(row.try_get(name)?)
}
