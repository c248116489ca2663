//! What the connections of a listener share.

use std::sync::Arc;

use hyper_util::server::graceful::Watcher;

use crate::policy::{ConnectionPolicy, Shutdown};

/// Why a connection ended early: for the log alone.
pub(crate) type Cause = Box<dyn std::error::Error + Send + Sync>;

/// The service of a connection, and the policy that was in force when it was accepted.
pub(crate) struct ConnectionContext<D> {
    pub(crate) dispatch: D,
    pub(crate) policy: Arc<ConnectionPolicy>,
}

/// What a connection needs to end in time when the listener shuts down.
pub(crate) struct ShutdownHandles {
    /// Finishes the request under way, and makes the listener wait for it.
    pub(crate) watcher: Watcher,
    pub(crate) shutdown: Shutdown,
}
