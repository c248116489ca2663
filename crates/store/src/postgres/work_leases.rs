//! Leases of work that one of the replicas does for all of them.

use tokio_postgres::types::Type;

use super::error::PgError;
use super::session::Value;
use super::store::PostgresStore;

/// Takes or renews a lease, unless another replica holds it. Another holder begins another term.
const HOLD: &str = "INSERT INTO chatgate.leases AS l (what, holder, token, lease_until)
    VALUES ($1, $2, 1, now() + $3 * interval '1 ms')
    ON CONFLICT (what) DO UPDATE SET lease_until = excluded.lease_until, holder = excluded.holder,
        token = l.token + (l.holder <> excluded.holder)::int
    WHERE l.holder = excluded.holder OR l.lease_until < now() RETURNING token";

impl PostgresStore {
    /// Takes or renews the lease of this work for `held_ms` milliseconds. Returns the term, or `None` if another replica holds the
    /// lease.
    pub(super) async fn hold_lease(
        &self,
        what: &str,
        held_ms: i64,
    ) -> Result<Option<i64>, PgError> {
        let replica = self.ids().replica().id;
        let values: [Value<'_>; 3] = [
            (&what, Type::TEXT),
            (&replica, Type::INT8),
            (&held_ms, Type::INT8),
        ];
        let held = self.pool().write(HOLD, &values).await?;
        Ok(held.first().map(|row| row.try_get("token")).transpose()?)
    }
}
