//! What the connections of a listener share.

use std::sync::Arc;

use hyper_util::server::graceful::Watcher;

use crate::policy::{ConnectionPolicy, Stop};

/// Why a connection ended early: for the log alone.
pub(crate) type Cause = Box<dyn std::error::Error + Send + Sync>;

/// What a connection leads to, and how it is treated.
pub(crate) struct ConnectionContext<D> {
    pub(crate) dispatch: D,
    pub(crate) policy: Arc<ConnectionPolicy>,
}

/// When a connection has to end.
pub(crate) struct ShutdownHandles {
    /// Lets a request that is under way end.
    pub(crate) watcher: Watcher,
    /// Tells when the listener stops.
    pub(crate) stop: Stop,
}
