//! The epochs: the numbers of the changes of the data that replicas hold in memory, in the database and as applied here.

use std::sync::PoisonError;
use std::sync::atomic::Ordering;

use tokio::sync::watch;
use tokio_postgres::Row;
use tokio_postgres::types::Type;

use super::error::PgError;
use super::pool::PgPool;
use super::store::PostgresStore;
use crate::StoreError;

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

impl PostgresStore {
    /// Subscribes to the epoch of the signing keys, as this process learns it.
    pub(crate) fn signing_keys(&self) -> watch::Receiver<i64> {
        self.signing_keys.subscribe()
    }

    /// Records the epoch of the signing keys in the database.
    pub(super) fn note_signing_keys(&self, epoch: i64) {
        self.signing_keys.send_if_modified(|known| {
            let is_newer = epoch > *known;
            *known = epoch.max(*known);
            is_newer
        });
    }

    /// Records that this process signs and verifies by the keys of this epoch.
    pub(crate) fn signing_keys_in_force(&self, epoch: i64) {
        self.signing_keys_epoch.fetch_max(epoch, Ordering::AcqRel);
        self.signing_keys_tried(epoch);
    }

    /// Records that this process has tried to read the keys of this epoch.
    pub(crate) fn signing_keys_tried(&self, epoch: i64) {
        self.signing_keys_tried.fetch_max(epoch, Ordering::AcqRel);
        self.wake().notify_one();
    }

    /// Returns whether this process has tried to read the signing keys since this epoch.
    pub(super) fn has_tried_signing_keys(&self, epoch: i64) -> bool {
        self.signing_keys_tried.load(Ordering::Acquire) >= epoch
    }

    /// Returns the epochs that are in effect here.
    pub(super) async fn epochs_in_force(&self) -> KnownEpochs {
        KnownEpochs {
            accesses: *self.accesses_epoch().lock().await,
            admin_keys: *self.admin_keys_epoch().lock().await,
            signing_keys: self.signing_keys_epoch.load(Ordering::Acquire),
        }
    }

    /// Leaves a change to the next heartbeat that is stored but can't be read or applied here now. An error after the commit must
    /// not end the change as a failed one.
    pub(super) fn apply_later(&self, stored: KnownEpochs, error: &StoreError) {
        tracing::warn!(%error, "a change is stored, but this replica can't apply it yet");
        let mut unapplied = self
            .unapplied
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        *unapplied = unapplied.max(stored);
        drop(unapplied);
        self.wake().notify_one();
    }

    /// Returns the epochs of the changes that this process has stored, as far as it could not apply them at that time.
    pub(super) fn unapplied(&self) -> KnownEpochs {
        *self
            .unapplied
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}
