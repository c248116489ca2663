//! The connections to one upstream that wait for the next request.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::connection::Connection;

/// Idle connections kept to one target; more requests than this at once open new ones, which are closed afterwards.
const IDLE_CONNECTIONS_MAX: usize = 256;

/// How long an idle connection is kept: with the ten seconds between two looks under the 60 s after which common servers close
/// it.
const IDLE_TIME_MAX: Duration = Duration::from_secs(45);

/// The connections to one target.
pub(crate) struct Pool {
    connections: Mutex<Connections>,
    /// How long a connection is used for new requests, so that an upstream that has moved is followed.
    life: Duration,
}

#[derive(Default)]
struct Connections {
    /// Those of one request at a time; the last one was used last.
    idle: Vec<Connection>,
    /// The newest that several requests share.
    shared: Option<Connection>,
}

impl Pool {
    pub(crate) fn new(life: Duration) -> Pool {
        Pool {
            connections: Mutex::default(),
            life,
        }
    }

    /// A connection for a request that begins now. The peer may have ended it without it being known yet, as nobody looks at
    /// one that is idle but [`Pool::close_idle`].
    pub(crate) fn take(&self, now: Instant) -> Option<Connection> {
        let mut connections = self.lock();
        if let Some(shared) = &connections.shared {
            if self.is_usable(shared, now) {
                return shared.shared();
            }
            connections.shared = None;
        }
        while let Some(connection) = connections.idle.pop() {
            if self.is_usable(&connection, now) {
                return Some(connection);
            }
        }
        None
    }

    /// Lets others have a new connection that several requests share.
    pub(crate) fn share(&self, connection: &Connection) {
        if let Some(shared) = connection.shared() {
            self.lock().shared = Some(shared);
        }
    }

    /// Takes back a connection whose request has ended.
    pub(crate) fn put(&self, mut connection: Connection, now: Instant) {
        connection.used = now;
        let mut connections = self.lock();
        if connection.shared().is_none() && connections.idle.len() < IDLE_CONNECTIONS_MAX {
            connections.idle.push(connection);
        } else if let Some(shared) = &mut connections.shared {
            shared.used = now;
        }
    }

    /// Closes what has been idle for too long. Call it every few seconds.
    pub(crate) fn close_idle(&self, now: Instant) {
        let mut connections = self.lock();
        connections.idle.retain_mut(|connection| {
            connection.look();
            self.is_usable(connection, now)
        });
        if connections
            .shared
            .as_ref()
            .is_some_and(|shared| !self.is_usable(shared, now))
        {
            // Requests under way have handles of their own.
            connections.shared = None;
        }
    }

    fn is_usable(&self, connection: &Connection, now: Instant) -> bool {
        let idle = now.saturating_duration_since(connection.used);
        let age = now.saturating_duration_since(connection.made);
        !connection.is_closed() && idle < IDLE_TIME_MAX && age < self.life
    }

    /// A panic elsewhere leaves nothing half done in here.
    fn lock(&self) -> MutexGuard<'_, Connections> {
        self.connections
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}
