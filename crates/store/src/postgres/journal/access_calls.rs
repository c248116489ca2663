//! Counts the recent calls of accesses over all replicas.

use tokio_postgres::Row;
use tokio_postgres::types::Type;

use crate::journal::row::first_id_at;
use crate::postgres::error::PgError;
use crate::postgres::session::Value;
use crate::postgres::store::PostgresStore;
use crate::{AccessCalls, StoreError};

/// The limit applies to rows before the kinds are filtered, so that rows that are not calls count towards it as well. Sends under
/// way are not included.
const CALLS: &str = "SELECT count(j.id) AS seen,
        coalesce(sum(j.count) FILTER (WHERE j.kind = 'request'), 0)::bigint AS calls,
        coalesce(sum(j.count) FILTER (WHERE j.kind = 'request' AND j.code IS NOT NULL), 0)::bigint AS failed
    FROM unnest($1::text[]) WITH ORDINALITY AS a (access, place)
    LEFT JOIN LATERAL (SELECT id, kind, code, count FROM chatgate.journal
        WHERE access = a.access AND id >= $2 ORDER BY id DESC LIMIT $3) j ON true
    GROUP BY a.place ORDER BY a.place";

impl PostgresStore {
    pub(crate) async fn access_calls(
        &self,
        accesses: &[&str],
        since_ms: i64,
        rows_max: u32,
    ) -> Result<Vec<AccessCalls>, StoreError> {
        let (first, most) = (first_id_at(since_ms), i64::from(rows_max));
        let values: [Value<'_>; 3] = [
            (&accesses, Type::TEXT_ARRAY),
            (&first, Type::INT8),
            (&most, Type::INT8),
        ];
        let rows = self.pool().read(CALLS, &values).await?;
        let calls = |row: &Row| -> Result<AccessCalls, PgError> {
            let count = |name: &str| row.try_get::<_, i64>(name).map(i64::unsigned_abs);
            Ok(AccessCalls {
                calls: count("calls")?,
                failed: count("failed")?,
                is_cut: count("seen")? >= u64::from(rows_max),
            })
        };
        Ok(rows.iter().map(calls).collect::<Result<_, _>>()?)
    }
}
