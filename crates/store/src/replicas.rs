//! The processes that share a store, and what they know of its changes. Over a file there is one, and nothing to say about it.

use std::time::{Duration, Instant};

use serde::Serialize;
use tokio::sync::watch;

use crate::store::Engine;
use crate::{Store, StoreError, TableMisfit};

/// How far a change has come.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Spread {
    /// Replicas in which it is in force.
    pub replicas: usize,
    /// Replicas that are alive.
    pub of: usize,
    /// Those that have not said yet that they have it, by name.
    pub pending: Vec<String>,
}

/// How long those are waited for that do not say that they have a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SpreadWait {
    /// As long as an acknowledgement may wait.
    Acknowledgement,
    /// Until their leases are over: from then on they are none of the live replicas.
    Leases,
}

/// A replica as the others see it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ReplicaRow {
    /// Its number, which no other life of a process has.
    pub id: i64,
    /// Whether it is the one that answers.
    pub is_own: bool,
    /// What people call it.
    pub name: String,
    /// The version of its program.
    pub version: String,
    /// The digest of its configuration, in hexadecimal.
    pub config: String,
    /// Whether it is about to end.
    pub draining: bool,
    /// When it started; seconds since 1970, UTC.
    pub started_at: i64,
    /// How long it still counts as alive, in milliseconds; negative when it does not.
    pub lease_ms: i64,
    /// The number of the last change of accesses that is in force there.
    pub accesses: i64,
    /// The same of the keys of operators.
    pub admin_keys: i64,
    /// The same of the keys that sign tokens.
    pub signing_keys: i64,
    /// How many changes are not in force there yet.
    pub behind: i64,
}

impl ReplicaRow {
    /// Its state in a word: `live`; `draining`, when it is about to end; `cut_off`, when its lease is over and it has not said that
    /// it ends; `gone`.
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

/// What a replica knows of all of them without asking, by its last heartbeat.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplicaCensus {
    /// How many are alive and not about to end, this one included.
    pub live: u32,
    /// How many different configurations they have.
    pub configurations: u32,
    /// How long it is since the database has last answered: what is in force here may be as old as that.
    pub silent: Duration,
    /// Whether the others may take this one for gone.
    pub is_cut_off: bool,
    /// Whether this one is about to end.
    pub is_draining: bool,
    /// How far the database's clock is ahead of this machine's, in seconds.
    pub clock_ahead_s: i64,
}

impl Store {
    /// What this process knows of the replicas without asking; nothing where it has the store for itself.
    #[must_use]
    pub fn census(&self) -> Option<ReplicaCensus> {
        let Engine::Postgres(postgres) = self.engine() else {
            return None;
        };
        let lease = postgres.lease();
        Some(ReplicaCensus {
            live: lease.replicas(),
            configurations: lease.configurations(),
            silent: lease.age(),
            is_cut_off: !lease.is_good(Instant::now()),
            is_draining: postgres.is_draining(),
            clock_ahead_s: lease.ahead_s(),
        })
    }

    /// Waits until the changes that are in force here are in force in every live replica, and returns how far they have come
    /// when the time for it is over; nothing where one process has the store for itself.
    ///
    /// # Errors
    /// When the store can't be read.
    pub async fn spread(&self, wait: SpreadWait) -> Result<Option<Spread>, StoreError> {
        match self.engine() {
            Engine::Sqlite(_) => Ok(None),
            Engine::Postgres(postgres) => postgres.spread(wait).await.map(Some),
        }
    }

    /// All replicas that have been seen in the last minutes, the oldest first; nothing where one process has the store for
    /// itself.
    ///
    /// # Errors
    /// When the store can't be read.
    pub async fn replicas(&self) -> Result<Option<Vec<ReplicaRow>>, StoreError> {
        match self.engine() {
            Engine::Sqlite(_) => Ok(None),
            Engine::Postgres(postgres) => postgres.replicas().await.map(Some),
        }
    }

    /// This process has another configuration from now on, with this digest: where it differs from others', somebody should know.
    pub fn configured(&self, digest: &[u8]) {
        match self.engine() {
            Engine::Sqlite(_) => {}
            Engine::Postgres(postgres) => postgres.configured(digest),
        }
    }

    /// Says to the others that this process is about to end: it counts no longer among those that share what is divided. They
    /// still wait for it to take over changes, since it may still admit calls.
    pub async fn drain(&self) {
        match self.engine() {
            Engine::Sqlite(_) => {}
            Engine::Postgres(postgres) => postgres.drain().await,
        }
    }

    /// This process admits nothing any more, and nothing of a caller is under way: nobody waits for it from now on. What it has
    /// in memory it may still write.
    pub async fn leave(&self) {
        match self.engine() {
            Engine::Sqlite(_) => {}
            Engine::Postgres(postgres) => postgres.leave().await,
        }
    }

    /// How far the clock by which all judge accesses and tokens is ahead of this machine's, in seconds: that of a shared store.
    #[must_use]
    pub fn clock_ahead_s(&self) -> i64 {
        match self.engine() {
            Engine::Sqlite(_) => 0,
            Engine::Postgres(postgres) => postgres.lease().ahead_s(),
        }
    }

    /// How many replicas are alive, this one included.
    #[must_use]
    pub fn replica_count(&self) -> u32 {
        match self.engine() {
            Engine::Sqlite(_) => 1,
            Engine::Postgres(postgres) => postgres.lease().replicas(),
        }
    }

    /// How long nothing has been heard of a store that others change: what is in memory may be as old as that. Nothing where one
    /// process has the store for itself.
    #[must_use]
    pub fn unheard_for(&self) -> Option<Duration> {
        match self.engine() {
            Engine::Sqlite(_) => None,
            Engine::Postgres(postgres) => Some(postgres.lease().age()),
        }
    }

    /// Whether nobody can have taken this process for gone.
    #[must_use]
    pub fn has_lease(&self) -> bool {
        match self.engine() {
            Engine::Sqlite(_) => true,
            Engine::Postgres(postgres) => postgres.lease().is_good(Instant::now()),
        }
    }

    /// Why the tables do not fit this program any more; another version has changed them.
    #[must_use]
    pub fn table_misfit(&self) -> Option<TableMisfit> {
        match self.engine() {
            Engine::Sqlite(_) => None,
            Engine::Postgres(postgres) => postgres.tables.misfit(),
        }
    }

    /// Whether a standby has what is written, or need not by the configuration.
    #[must_use]
    pub fn is_replicated(&self) -> bool {
        match self.engine() {
            Engine::Sqlite(_) => true,
            Engine::Postgres(postgres) => postgres.is_replicated(),
        }
    }

    /// Numbers of the changes of signing keys, as they come; nothing where one process has the store for itself. Who has read the
    /// keys after one says so by [`Store::signing_keys_in_force`].
    #[must_use]
    pub fn signing_key_changes(&self) -> Option<watch::Receiver<i64>> {
        match self.engine() {
            Engine::Sqlite(_) => None,
            Engine::Postgres(postgres) => Some(postgres.signing_keys()),
        }
    }

    /// This process signs and verifies by the keys as they were after this change.
    pub fn signing_keys_in_force(&self, change: i64) {
        match self.engine() {
            Engine::Sqlite(_) => {}
            Engine::Postgres(postgres) => postgres.signing_keys_in_force(change),
        }
    }
}
