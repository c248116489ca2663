//! The idle connections to one upstream, which wait for the next request.

use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::connection::Connection;

/// Maximum number of idle connections to one target. More concurrent requests open new connections, which are closed afterwards.
const IDLE_CONNECTIONS_MAX: usize = 256;

/// The time after which an idle connection is closed. Together with the ten seconds between two checks it is less than the 60 s
/// after which common servers close idle connections.
const IDLE_TIME_MAX: Duration = Duration::from_secs(45);

/// The connections to one target.
pub(crate) struct Pool {
    connections: Mutex<Connections>,
    /// The time for which a connection takes new requests. It is limited so that the gateway follows an upstream that has moved.
    life: Duration,
}

#[derive(Default)]
struct Connections {
    /// Idle connections that serve one request at a time, ordered by their last use.
    idle: Vec<Connection>,
    /// The newest connection that several requests share.
    shared: Option<Connection>,
}

impl Pool {
    pub(crate) fn new(life: Duration) -> Pool {
        Pool {
            connections: Mutex::default(),
            life,
        }
    }

    /// Returns a connection for a request that begins now. The peer may have closed it unnoticed, because only [`Pool::close_idle`]
    /// checks idle connections.
    pub(crate) fn take(&self, now: Instant) -> Option<Connection> {
        let mut connections = self.connections.lock();
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

    /// Offers a new connection to other requests if several requests can share it.
    pub(crate) fn share(&self, connection: &Connection) {
        if let Some(shared) = connection.shared() {
            self.connections.lock().shared = Some(shared);
        }
    }

    /// Takes back a connection whose request has ended.
    pub(crate) fn put(&self, mut connection: Connection, now: Instant) {
        connection.used = now;
        let mut connections = self.connections.lock();
        if connection.shared().is_none() && connections.idle.len() < IDLE_CONNECTIONS_MAX {
            connections.idle.push(connection);
        } else if let Some(shared) = &mut connections.shared {
            shared.used = now;
        }
    }

    /// Closes connections that have been idle for too long. Has to be called every few seconds.
    pub(crate) fn close_idle(&self, now: Instant) {
        let mut connections = self.connections.lock();
        connections.idle.retain_mut(|connection| {
            connection.poll_idle();
            self.is_usable(connection, now)
        });
        if connections
            .shared
            .as_ref()
            .is_some_and(|shared| !self.is_usable(shared, now))
        {
            // Requests in progress have their own handles.
            connections.shared = None;
        }
    }

    fn is_usable(&self, connection: &Connection, now: Instant) -> bool {
        let idle = now.saturating_duration_since(connection.used);
        let age = now.saturating_duration_since(connection.made);
        !connection.is_closed() && idle < IDLE_TIME_MAX && age < self.life
    }
}
