//! The replicas, which are the processes that share a store, and their progress in applying changes. A file has only one process,
//! so that most methods then return nothing.

use std::time::{Duration, Instant};

use serde::Serialize;
use tokio::sync::watch;

use crate::store::Engine;
use crate::{Store, StoreError, TableMisfit};

/// The progress of a change through the replicas.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Propagation {
    /// Number of replicas that have applied the change.
    pub replicas: usize,
    /// Number of live replicas.
    pub of: usize,
    /// Names of the replicas that have not reported the change yet.
    pub pending: Vec<String>,
}

/// The maximum wait for replicas that have not reported a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PropagationWait {
    /// The maximum wait for an acknowledgement.
    Acknowledgement,
    /// Until the leases of these replicas are over, because then they are not live replicas any more.
    Leases,
}

/// A replica as other replicas see it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ReplicaRow {
    /// The number of this run of the process; no other run has the same number.
    pub id: i64,
    /// True for the replica that returns the list.
    pub is_own: bool,
    /// The name for people.
    pub name: String,
    /// The version of the program.
    pub version: String,
    /// The digest of the configuration, in hexadecimal.
    pub config: String,
    /// True if the replica is shutting down.
    pub draining: bool,
    /// The start time; seconds since 1970, UTC.
    pub started_at: i64,
    /// Remaining time of the lease, in milliseconds; negative if the lease is over.
    pub lease_ms: i64,
    /// The number of the last change of accesses that the replica has applied.
    pub accesses: i64,
    /// The number of the last change of operators' keys that the replica has applied.
    pub admin_keys: i64,
    /// The number of the last change of token-signing keys that the replica has applied.
    pub signing_keys: i64,
    /// Number of changes that the replica has not applied yet.
    pub behind: i64,
}

impl ReplicaRow {
    /// Returns the state in a word: `live`; `draining` if the replica is shutting down; `cut_off` if its lease is over and it has
    /// not announced a shutdown; `gone` if its lease is over after it announced one.
    #[must_use]
    pub fn state(&self) -> &'static str {
        match (self.lease_ms > 0, self.draining) {
            (true, false) => "live",
            (true, true) => "draining",
            (false, false) => "cut_off",
            (false, true) => "gone",
        }
    }
}

/// The knowledge of a replica about all replicas, from its last heartbeat.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplicaCensus {
    /// Number of live replicas that are not shutting down, including this one.
    pub live: u32,
    /// Number of different configurations of these replicas.
    pub configurations: u32,
    /// The age of the data that this replica applies: it may lack changes that are younger than this.
    pub stale: Duration,
    /// True if the other replicas may regard this one as gone, or its data is older than a lease.
    pub is_cut_off: bool,
    /// True if this replica is shutting down.
    pub is_draining: bool,
    /// Difference between the database's clock and this machine's clock, in seconds; positive if the database's clock is ahead.
    pub clock_ahead_s: i64,
}

impl Store {
    /// Returns the knowledge of this process about the replicas, without a query; `None` if one process has the store to itself.
    #[must_use]
    pub fn census(&self) -> Option<ReplicaCensus> {
        let Engine::Postgres(postgres) = self.engine() else {
            return None;
        };
        let lease = postgres.lease();
        Some(ReplicaCensus {
            live: lease.replicas(),
            configurations: lease.configurations(),
            stale: lease.age(),
            is_cut_off: !lease.is_valid(Instant::now()),
            is_draining: postgres.is_draining(),
            clock_ahead_s: lease.ahead_s(),
        })
    }

    /// Waits until every live replica has applied the changes that this process has applied. Returns the progress when the replicas
    /// are done or the wait is over; `None` if one process has the store to itself.
    ///
    /// # Errors
    /// When the store can't be read.
    pub async fn await_propagation(
        &self,
        wait: PropagationWait,
    ) -> Result<Option<Propagation>, StoreError> {
        match self.engine() {
            Engine::Sqlite(_) => Ok(None),
            Engine::Postgres(postgres) => postgres.await_propagation(wait).await.map(Some),
        }
    }

    /// Returns all replicas of the last minutes, oldest first; `None` if one process has the store to itself.
    ///
    /// # Errors
    /// When the store can't be read.
    pub async fn replicas(&self) -> Result<Option<Vec<ReplicaRow>>, StoreError> {
        match self.engine() {
            Engine::Sqlite(_) => Ok(None),
            Engine::Postgres(postgres) => postgres.replicas().await.map(Some),
        }
    }

    /// Announces the digest of this process's new configuration, so that a difference between replicas can be reported.
    pub fn configured(&self, digest: &[u8]) {
        match self.engine() {
            Engine::Sqlite(_) => {}
            Engine::Postgres(postgres) => postgres.configured(digest),
        }
    }

    /// Announces to the other replicas that this process is shutting down. It no longer counts when quantities are divided among
    /// replicas. The others still wait for it to apply changes, because it may still admit calls.
    pub async fn drain(&self) {
        match self.engine() {
            Engine::Sqlite(_) => {}
            Engine::Postgres(postgres) => postgres.drain().await,
        }
    }

    /// Announces that this process admits no calls any more and has none in progress, so that no replica waits for it. It may still
    /// write the data that it has in memory.
    pub async fn leave(&self) {
        match self.engine() {
            Engine::Sqlite(_) => {}
            Engine::Postgres(postgres) => postgres.leave().await,
        }
    }

    /// Returns the difference between the clock by which all replicas judge accesses and tokens, which is the clock of a shared
    /// store, and this machine's clock, in seconds; positive if the shared clock is ahead.
    #[must_use]
    pub fn clock_ahead_s(&self) -> i64 {
        match self.engine() {
            Engine::Sqlite(_) => 0,
            Engine::Postgres(postgres) => postgres.lease().ahead_s(),
        }
    }

    /// Converts a time of this machine's clock to the clock that [`Store::clock_ahead_s`] describes. Both are in milliseconds since
    /// 1970, UTC.
    #[must_use]
    pub fn judged_ms(&self, own_ms: i64) -> i64 {
        match self.engine() {
            Engine::Sqlite(_) => own_ms,
            Engine::Postgres(postgres) => postgres.lease().database_ms(own_ms),
        }
    }

    /// Returns the number of live replicas, including this one.
    #[must_use]
    pub fn replica_count(&self) -> u32 {
        match self.engine() {
            Engine::Sqlite(_) => 1,
            Engine::Postgres(postgres) => postgres.lease().replicas(),
        }
    }

    /// Returns the age of the data in memory, if other processes change the store: it may lack changes that are younger than this.
    /// `None` if one process has the store to itself.
    #[must_use]
    pub fn stale_for(&self) -> Option<Duration> {
        match self.engine() {
            Engine::Sqlite(_) => None,
            Engine::Postgres(postgres) => Some(postgres.lease().age()),
        }
    }

    /// Returns whether no other replica can regard this process as gone, and its data is no older than a lease. Sends require this.
    #[must_use]
    pub fn has_lease(&self) -> bool {
        match self.engine() {
            Engine::Sqlite(_) => true,
            Engine::Postgres(postgres) => postgres.lease().is_valid(Instant::now()),
        }
    }

    /// Returns the reason why the tables do not fit this program any more, after another version has changed them.
    #[must_use]
    pub fn table_misfit(&self) -> Option<TableMisfit> {
        match self.engine() {
            Engine::Sqlite(_) => None,
            Engine::Postgres(postgres) => postgres.tables.misfit(),
        }
    }

    /// Returns whether written data is on a standby, or the configuration does not require one.
    #[must_use]
    pub fn is_replicated(&self) -> bool {
        match self.engine() {
            Engine::Sqlite(_) => true,
            Engine::Postgres(postgres) => postgres.is_replicated(),
        }
    }

    /// Returns a receiver for the numbers of changes of signing keys; `None` if one process has the store to itself. A process that
    /// has read the keys after a change reports this with [`Store::signing_keys_in_force`].
    #[must_use]
    pub fn signing_key_changes(&self) -> Option<watch::Receiver<i64>> {
        match self.engine() {
            Engine::Sqlite(_) => None,
            Engine::Postgres(postgres) => Some(postgres.signing_keys()),
        }
    }

    /// Reports that this process has read the keys as of this change and verifies with no others, but could not open all of them. Its
    /// data then counts as current, although it lacks those keys.
    pub fn signing_keys_unread(&self, change: i64) {
        match self.engine() {
            Engine::Sqlite(_) => {}
            Engine::Postgres(postgres) => postgres.signing_keys_read(change),
        }
    }

    /// Reports that this process signs and verifies with the keys as of this change.
    pub fn signing_keys_in_force(&self, change: i64) {
        match self.engine() {
            Engine::Sqlite(_) => {}
            Engine::Postgres(postgres) => postgres.signing_keys_in_force(change),
        }
    }
}
