//! Last uses, read and written. The newest of all replicas stays.

use std::borrow::Cow;
use std::net::IpAddr;

use tokio_postgres::types::Type;

use super::error::PgError;
use super::pool::PgPool;
use super::session::Value;
use super::store::PostgresStore;
use crate::StoreError;
use crate::last_use::{LastUse, LastUses};

/// How far back a replica looks for what others have written, in seconds: twice the time between two savings.
const LOOK_BACK_S: i64 = 20;

impl PostgresStore {
    /// Writes these down, by client id, forgets accesses that are gone, and learns what others have written.
    pub(crate) async fn write_uses(&self, uses: Vec<(String, LastUse)>) -> Result<(), StoreError> {
        let oldest = uses.iter().map(|(_, last)| last.at).min();
        let mut uses = uses;
        // In one order, so that no two replicas wait for each other's rows.
        uses.sort_by(|a, b| a.0.cmp(&b.0));
        let clients: Vec<&str> = uses
            .iter()
            .map(|(client_id, _)| client_id.as_str())
            .collect();
        let times: Vec<i64> = uses.iter().map(|(_, last)| last.at).collect();
        let addresses: Vec<IpAddr> = uses.iter().map(|(_, last)| last.address).collect();
        let ways: Vec<&str> = uses.iter().map(|(_, last)| &*last.way).collect();
        let put = "INSERT INTO chatgate.last_uses AS l (client_id, at, address, way)
             SELECT u.client_id, u.at, u.address, u.way
             FROM unnest($1::text[], $2::bigint[], $3::inet[], $4::text[]) AS u(client_id, at, address, way)
             JOIN chatgate.accesses a ON a.client_id = u.client_id ORDER BY u.client_id
             ON CONFLICT (client_id) DO UPDATE SET at = excluded.at, address = excluded.address, way = excluded.way
             WHERE excluded.at > l.at";
        let values: [Value<'_>; 4] = [
            (&clients, Type::TEXT_ARRAY),
            (&times, Type::INT8_ARRAY),
            (&addresses, Type::INET_ARRAY),
            (&ways, Type::TEXT_ARRAY),
        ];
        self.pool().write(put, &values).await?;
        let gone = "DELETE FROM chatgate.last_uses l
             WHERE NOT EXISTS (SELECT FROM chatgate.accesses a WHERE a.client_id = l.client_id)";
        self.pool().write(gone, &[]).await?;
        let since = oldest.unwrap_or(0) - LOOK_BACK_S;
        for (client_id, last) in read_since(self.pool(), since).await? {
            self.memory().last_uses.learn(&client_id, last);
        }
        Ok(())
    }
}

/// The last uses that the database has.
pub(super) async fn read_last_uses(pool: &PgPool) -> Result<LastUses, StoreError> {
    Ok(read_since(pool, 0).await?.into_iter().collect())
}

async fn read_since(pool: &PgPool, since: i64) -> Result<Vec<(String, LastUse)>, PgError> {
    let uses = "SELECT client_id, at, address, way FROM chatgate.last_uses WHERE at >= $1";
    let rows = pool.read(uses, &[(&since, Type::INT8)]).await?;
    let read = |row: &tokio_postgres::Row| {
        let last = LastUse {
            at: row.try_get("at")?,
            address: row.try_get("address")?,
            way: Cow::Owned(row.try_get("way")?),
        };
        Ok((row.try_get("client_id")?, last))
    };
    rows.iter().map(read).collect()
}
