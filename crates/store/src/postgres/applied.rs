//! The epochs that this process has applied, and those that it could not apply yet.

use std::sync::atomic::Ordering;

use tokio::sync::watch;

use super::epochs::KnownEpochs;
use super::store::PostgresStore;
use crate::StoreError;

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
        self.signing_keys_read(epoch);
    }

    /// Records that this process verifies by no other keys than those of this epoch.
    pub(crate) fn signing_keys_read(&self, epoch: i64) {
        self.signing_keys_read.fetch_max(epoch, Ordering::AcqRel);
        self.wake().notify_one();
    }

    /// Returns whether this process verifies by no key that was deleted before this epoch.
    pub(super) fn has_read_signing_keys(&self, epoch: i64) -> bool {
        self.signing_keys_read.load(Ordering::Acquire) >= epoch
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
        let mut unapplied = self.unapplied.lock();
        *unapplied = unapplied.max(stored);
        drop(unapplied);
        self.wake().notify_one();
    }

    /// Returns the epochs of the changes that this process has stored, as far as it could not apply them at that time.
    pub(super) fn unapplied(&self) -> KnownEpochs {
        *self.unapplied.lock()
    }
}
