//! The values that all connections of a listener share.

use std::sync::Arc;

use hyper_util::server::graceful::Watcher;

use crate::policy::{ConnectionPolicy, Shutdown};

/// The cause of an early end of a connection. It is used for the log only.
pub(crate) type Cause = Box<dyn std::error::Error + Send + Sync>;

/// The service of a connection, and the policy that was current when the connection was accepted.
pub(crate) struct ConnectionContext<D> {
    pub(crate) dispatch: D,
    pub(crate) policy: Arc<ConnectionPolicy>,
}

/// The handles with which a connection ends in time when the listener shuts down.
pub(crate) struct ShutdownHandles {
    /// Finishes the request under way. The listener waits until the watcher is dropped.
    pub(crate) watcher: Watcher,
    pub(crate) shutdown: Shutdown,
}
