//! The epochs: the numbers of the changes of the data that replicas hold in memory, as the database has them.

use tokio_postgres::Row;
use tokio_postgres::types::Type;

use super::error::PgError;
use super::pool::PgPool;

/// The kinds of data that replicas hold in memory, each with its own epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum EpochOf {
    Accesses,
    AdminKeys,
    SigningKeys,
}

/// The epochs of the data that replicas hold in memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct KnownEpochs {
    pub(super) accesses: i64,
    pub(super) admin_keys: i64,
    pub(super) signing_keys: i64,
}

impl KnownEpochs {
    /// Returns the later of both epochs for each kind of data.
    pub(super) fn max(self, other: KnownEpochs) -> KnownEpochs {
        KnownEpochs {
            accesses: self.accesses.max(other.accesses),
            admin_keys: self.admin_keys.max(other.admin_keys),
            signing_keys: self.signing_keys.max(other.signing_keys),
        }
    }
}

impl EpochOf {
    pub(super) fn name(self) -> &'static str {
        match self {
            EpochOf::Accesses => "accesses",
            EpochOf::AdminKeys => "admin_keys",
            EpochOf::SigningKeys => "signing_keys",
        }
    }
}

/// Selects the epochs that [`epochs_of`] reads.
pub(super) const OF_EPOCHS: &str =
    "(SELECT epoch FROM chatgate.epochs WHERE what = 'accesses') AS accesses,
    (SELECT epoch FROM chatgate.epochs WHERE what = 'admin_keys') AS admin_keys,
    (SELECT epoch FROM chatgate.epochs WHERE what = 'signing_keys') AS signing_keys";

/// Reads the epochs of a row with the columns of [`OF_EPOCHS`].
pub(super) fn epochs_of(row: &Row) -> Result<KnownEpochs, PgError> {
    Ok(KnownEpochs {
        accesses: row.try_get("accesses")?,
        admin_keys: row.try_get("admin_keys")?,
        signing_keys: row.try_get("signing_keys")?,
    })
}

/// Reads one epoch.
pub(super) async fn read_epoch(pool: &PgPool, of: EpochOf) -> Result<i64, PgError> {
    let epoch = "SELECT epoch FROM chatgate.epochs WHERE what = $1";
    let rows = pool.read(epoch, &[(&of.name(), Type::TEXT)]).await?;
    let row = rows
        .first()
        .ok_or_else(|| PgError::new("the epoch is missing"))?;
    Ok(row.try_get("epoch")?)
}
