//! The server that is written: which one it is, and whether others have what is written there. After a failover it is another one,
//! at a later time of its history; the one before may come back and take writes that nobody will ever see.

use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Mutex, PoisonError};

use tokio_postgres::Row;

use super::error::PgError;

/// What is read of a server, over every new connection and with every heartbeat. Each of its lives as a primary has a timeline, by
/// which the names of its log begin. `synchronous` is what a commit waits for as a rule.
pub(super) const OF_SERVER: &str = "(SELECT system_identifier FROM pg_control_system()) AS system,
    ('x' || left(pg_walfile_name(pg_current_wal_lsn()), 8))::bit(32)::bigint AS timeline,
    current_setting('synchronous_standby_names') <> '' AND synchronous NOT IN ('off', 'local') AS is_replicated,
    EXISTS (SELECT FROM pg_stat_get_wal_senders()) AS has_standby";

/// The server that is written, as all connections of a process have come to know it.
pub(super) struct Primary {
    /// Whether nothing is sent unless a standby has what is written about it.
    demands_standby: bool,
    /// The number of its data, which copies have as well; 0 before it is known.
    system: Mutex<i64>,
    timeline: AtomicI64,
    is_replicated: AtomicBool,
    has_standby: AtomicBool,
}

impl Primary {
    /// Nothing is known yet.
    pub(super) fn new(demands_standby: bool) -> Primary {
        Primary {
            demands_standby,
            system: Mutex::new(0),
            timeline: AtomicI64::new(0),
            is_replicated: AtomicBool::new(true),
            has_standby: AtomicBool::new(false),
        }
    }

    /// Notes what a server says of itself, and returns its timeline.
    ///
    /// # Errors
    /// When it is another one's data, or one that others have taken the place of.
    pub(super) fn observe(&self, row: &Row) -> Result<i64, PgError> {
        let (said, timeline): (i64, i64) = (row.try_get("system")?, row.try_get("timeline")?);
        let (is_replicated, has_standby): (bool, bool) =
            (row.try_get("is_replicated")?, row.try_get("has_standby")?);
        // The later timeline and the server that it is of come to be known together.
        let mut system = self.system.lock().unwrap_or_else(PoisonError::into_inner);
        let known = self.timeline();
        if *system != 0 && *system != said {
            return Err(PgError::no_connection(
                "this is another database than before; restart the gateway if it is meant",
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

    /// The latest timeline that was seen.
    pub(super) fn timeline(&self) -> i64 {
        self.timeline.load(Ordering::Acquire)
    }

    /// Whether a standby has what is written, or need not.
    pub(super) fn is_replicated(&self) -> bool {
        !self.demands_standby || self.is_replicated.load(Ordering::Relaxed)
    }

    /// Whether a standby may take its place that lacks what was acknowledged last.
    pub(super) fn may_forget(&self) -> bool {
        !self.demands_standby && self.has_standby.load(Ordering::Relaxed)
    }
}
