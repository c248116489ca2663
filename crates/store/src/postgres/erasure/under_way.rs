//! Rows that may still be written about a destination during its erasure: outcomes of sends under way, and rows that wait in other
//! replicas.

use std::time::{Duration, Instant};

use tokio::time::sleep;
use tokio_postgres::types::Type;

use crate::StoreError;
use crate::journal::query::LATE_MS;
use crate::journal::row::first_id_at;
use crate::postgres::error::PgError;
use crate::postgres::lease::now_ms;
use crate::postgres::store::PostgresStore;

/// Maximum wait for sends under way. It is longer than a send with retries takes.
const WAIT_MAX: Duration = Duration::from_secs(120);

/// Pause between two checks for these sends.
const LOOK_INTERVAL: Duration = Duration::from_millis(100);

const SENDS: &str = "SELECT id FROM chatgate.intents";

const OTHERS: &str =
    "SELECT count(*) AS others FROM chatgate.replicas WHERE id <> $1 AND lease_until > now()";

const LEFT: &str = "SELECT id FROM chatgate.intents WHERE id = ANY($1)";

/// Rows that may still be written after the beginning of an erasure.
pub(super) struct RowsToCome {
    began: Instant,
    /// The database's time at the beginning, in milliseconds since 1970, UTC.
    began_ms: i64,
    /// The ids of the rows of sends under way.
    sends: Vec<i64>,
    /// True if other replicas may have waiting rows.
    has_others: bool,
}

impl RowsToCome {
    pub(super) fn is_any(&self) -> bool {
        self.has_others || !self.sends.is_empty()
    }

    /// Returns the id beyond which all these rows are.
    pub(super) fn beyond(&self) -> i64 {
        let waiting = first_id_at(self.began_ms - LATE_MS);
        let oldest = self.sends.iter().copied().min();
        oldest.map_or(waiting, |oldest| oldest.min(waiting)) - 1
    }
}

impl PostgresStore {
    /// Reads which rows may still be written.
    pub(super) async fn rows_to_come(&self) -> Result<RowsToCome, PgError> {
        let (began, began_ms) = (Instant::now(), self.lease().database_ms(now_ms()));
        let own = self.ids().replica().id;
        let others = self.pool().read(OTHERS, &[(&own, Type::INT8)]).await?;
        let others = others.first().map(|row| row.try_get::<_, i64>("others"));
        let sends = self.pool().read(SENDS, &[]).await?;
        let sends = sends.iter().map(|row| row.try_get("id"));
        Ok(RowsToCome {
            began,
            began_ms,
            sends: sends.collect::<Result<_, _>>()?,
            has_others: others.transpose()?.unwrap_or(0) > 0,
        })
    }

    /// Waits until these rows have been written.
    ///
    /// # Errors
    /// When the database can't be read, or sends take too long.
    pub(super) async fn wait_for(&self, coming: &RowsToCome) -> Result<(), StoreError> {
        if coming.has_others {
            let late = Duration::from_millis(LATE_MS.unsigned_abs());
            sleep(late.saturating_sub(coming.began.elapsed())).await;
        }
        loop {
            let values = [(&coming.sends as _, Type::INT8_ARRAY)];
            let left = self.pool().read(LEFT, &values).await?;
            if left.is_empty() {
                return Ok(());
            }
            if coming.began.elapsed() > WAIT_MAX {
                return Err(StoreError::new(format!(
                    "{} sends have been under way all the while and may speak of it: erase it again when they have ended",
                    left.len()
                )));
            }
            sleep(LOOK_INTERVAL).await;
        }
    }
}
