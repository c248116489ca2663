//! Reads who may still write about a destination during its erasure.

use tokio_postgres::types::Type;

use crate::StoreError;
use crate::postgres::error::PgError;
use crate::postgres::store::PostgresStore;

const SENDS: &str = "SELECT id FROM chatgate.intents";

const OTHERS: &str =
    "SELECT count(*) AS others FROM chatgate.replicas WHERE id <> $1 AND lease_until > now()";

impl PostgresStore {
    /// Returns the ids of the rows of sends under way.
    pub(crate) async fn sends_under_way(&self) -> Result<Vec<i64>, StoreError> {
        let sends = self.pool().read(SENDS, &[]).await?;
        let sends = sends.iter().map(|row| row.try_get("id"));
        Ok(sends.collect::<Result<_, _>>().map_err(PgError::from)?)
    }

    /// Returns whether other replicas may have waiting rows.
    pub(crate) async fn has_others(&self) -> Result<bool, StoreError> {
        let own = self.ids().replica().id;
        let others = self.pool().read(OTHERS, &[(&own, Type::INT8)]).await?;
        let others = others.first().map(|row| row.try_get::<_, i64>("others"));
        Ok(others.transpose().map_err(PgError::from)?.unwrap_or(0) > 0)
    }
}
