//! This process among the replicas: each life of a process has its own row, so that its work is told apart from the work of the
//! next life.

use std::sync::LazyLock;

use tokio_postgres::types::Type;

use super::error::PgError;
use super::ids::ReplicaId;
use super::options::ReplicaOptions;
use super::pool::PgPool;
use super::session::Value;
use super::table_version::CONTRACT;
use crate::StoreError;

/// Maximum number of attempts to take a slot while others take slots at the same time.
const TRIES: u32 = 20;

/// The time for which a replica that has lost its lease without announcing its end may still have rows in memory, so that an erasure
/// fails.
pub(super) const SILENT_MAX: &str = "interval '10 min'";

/// Takes the lowest free slot. The row of an ended life stays for a minute, so that the ids of two lives never share a time and a
/// slot. Then it is deleted. The row of a life that has not announced its end stays longer, while enough slots are free.
static REGISTER: LazyLock<String> = LazyLock::new(|| {
    format!(
        "WITH gone AS (
        DELETE FROM chatgate.replicas WHERE lease_until < now() - interval '1 min' AND (draining
            OR lease_until < now() - {SILENT_MAX} OR (SELECT count(*) FROM chatgate.replicas) > 128)
    )
    INSERT INTO chatgate.replicas (slot, name, version, contract, config, lease_until)
    SELECT min(s), $1, $2, $3, $4, now() + $5 * interval '1 ms' FROM generate_series(0, 255) s
    WHERE NOT EXISTS (SELECT FROM chatgate.replicas r WHERE r.slot = s)
    HAVING min(s) IS NOT NULL
    ON CONFLICT (slot) DO NOTHING RETURNING id, slot, (extract(epoch FROM clock_timestamp()) * 1000)::bigint AS now_ms"
    )
});

/// Inserts the row of this life. Also returns the time of the database's clock, in milliseconds since 1970.
///
/// # Errors
/// When the database can't be written, or there are 256 replicas already.
pub(super) async fn register(
    pool: &PgPool,
    options: &ReplicaOptions,
) -> Result<(ReplicaId, i64), StoreError> {
    let lease_ms = i64::try_from(options.lease.as_millis()).unwrap_or(i64::MAX);
    let values: [Value<'_>; 5] = [
        (&options.name, Type::TEXT),
        (&options.version, Type::TEXT),
        (&CONTRACT, Type::INT4),
        (&options.config, Type::BYTEA),
        (&lease_ms, Type::INT8),
    ];
    for _ in 0..TRIES {
        let rows = pool.write(&REGISTER, &values).await?;
        if let Some(row) = rows.first() {
            let slot: i16 = row.try_get("slot").map_err(PgError::from)?;
            let replica = ReplicaId {
                id: row.try_get("id").map_err(PgError::from)?,
                slot: slot.into(),
            };
            return Ok((replica, row.try_get("now_ms").map_err(PgError::from)?));
        }
    }
    Err(StoreError::new("there are already 256 replicas"))
}

/// Announces that this life is about to end. Other replicas take over its share of divided quantities.
pub(super) async fn drain(pool: &PgPool, replica: ReplicaId) -> Result<(), StoreError> {
    let drain = "UPDATE chatgate.replicas SET draining = true WHERE id = $1";
    pool.write(drain, &[(&replica.id, Type::INT8)]).await?;
    Ok(())
}

/// Ends this life, so that no replica waits for it. The row stays for a minute, because the next owner of the slot must have later
/// ids.
pub(super) async fn leave(pool: &PgPool, replica: ReplicaId) -> Result<(), StoreError> {
    let leave = "UPDATE chatgate.replicas SET lease_until = now(), draining = true WHERE id = $1 AND lease_until > now()";
    pool.write(leave, &[(&replica.id, Type::INT8)]).await?;
    Ok(())
}
