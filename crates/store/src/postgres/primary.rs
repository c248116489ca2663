//! The state of the primary: which server it is, and whether a standby has the data written to it. After a failover another server
//! is the primary, on a later timeline. The former primary may come back and accept writes that will never be seen.

use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

use parking_lot::Mutex;
use tokio_postgres::Row;

use super::error::PgError;

/// Selects the state of a server, over every new connection and with every heartbeat. Each promotion to primary begins a timeline,
/// whose number begins the names of the log files. `synchronous` is the usual setting of `synchronous_commit`.
pub(super) const OF_SERVER: &str = "(SELECT system_identifier FROM pg_control_system()) AS system,
    ('x' || left(pg_walfile_name(pg_current_wal_lsn()), 8))::bit(32)::bigint AS timeline,
    current_setting('synchronous_standby_names') <> '' AND synchronous NOT IN ('off', 'local') AS is_replicated,
    EXISTS (SELECT FROM pg_stat_get_wal_senders()) AS has_standby";

/// The primary as all connections of a process know it.
pub(super) struct Primary {
    /// True if nothing may be sent unless a standby has the data written about it.
    demands_standby: bool,
    /// The system identifier of the data, which its copies share; 0 before it is known.
    system: Mutex<i64>,
    timeline: AtomicI64,
    is_replicated: AtomicBool,
    has_standby: AtomicBool,
}

impl Primary {
    /// Makes the state of an unknown server.
    pub(super) fn new(demands_standby: bool) -> Primary {
        Primary {
            demands_standby,
            system: Mutex::new(0),
            timeline: AtomicI64::new(0),
            is_replicated: AtomicBool::new(true),
            has_standby: AtomicBool::new(false),
        }
    }

    /// Records the state that a server reports. Returns its timeline.
    ///
    /// # Errors
    /// When the server has the data of another database, or is a former primary.
    pub(super) fn observe(&self, row: &Row) -> Result<i64, PgError> {
        let (said, timeline): (i64, i64) = (row.try_get("system")?, row.try_get("timeline")?);
        let (is_replicated, has_standby): (bool, bool) =
            (row.try_get("is_replicated")?, row.try_get("has_standby")?);
        // The lock makes the system identifier and its timeline change together.
        let mut system = self.system.lock();
        let known = self.timeline();
        if *system != 0 && *system != said {
            return Err(PgError::no_connection(
                "this is another database than before; restart the gateway if you mean to use it",
            ));
        }
        if timeline < known {
            return Err(PgError::former_primary(timeline, known));
        }
        *system = said;
        self.timeline.store(timeline, Ordering::Release);
        self.is_replicated.store(is_replicated, Ordering::Relaxed);
        self.has_standby.store(has_standby, Ordering::Relaxed);
        Ok(timeline)
    }

    /// Returns the latest observed timeline.
    pub(super) fn timeline(&self) -> i64 {
        self.timeline.load(Ordering::Acquire)
    }

    /// Returns whether a standby has the written data, or does not need to have it.
    pub(super) fn is_replicated(&self) -> bool {
        !self.demands_standby || self.is_replicated.load(Ordering::Relaxed)
    }

    /// Returns whether a standby that lacks the last acknowledged data may become the primary.
    pub(super) fn may_forget(&self) -> bool {
        !self.demands_standby && self.has_standby.load(Ordering::Relaxed)
    }
}
