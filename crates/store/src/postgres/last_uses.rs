//! Reads and writes the last uses of accesses. The newest use over all replicas is stored, by the clock that also judges accesses.

use std::net::IpAddr;

use tokio_postgres::types::Type;

use super::session::Value;
use super::snapshot::read_uses_since;
use super::store::PostgresStore;
use crate::StoreError;
use crate::last_use::LastUse;

/// The number of seconds before its oldest use for which a replica reads what others have written: twice the interval between two
/// writes.
const OVERLAP_S: i64 = 20;

impl PostgresStore {
    /// Writes these uses, by client id, and reads the uses that other replicas have written.
    pub(crate) async fn write_uses(&self, uses: Vec<(String, LastUse)>) -> Result<(), StoreError> {
        let mut uses = uses;
        let oldest = uses.iter().map(|(_, last)| last.at).min();
        // Sorted, so that no two replicas wait for each other's rows.
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
        let since = oldest.unwrap_or(0) - OVERLAP_S;
        for (client_id, last) in read_uses_since(self.pool(), since).await? {
            self.memory().last_uses.learn(&client_id, last);
        }
        Ok(())
    }
}
