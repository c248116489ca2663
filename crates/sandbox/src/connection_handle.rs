//! A handle with which a request can cut its own connection.

use std::future::pending;
use std::sync::Arc;

use tokio::sync::Notify;

/// The handle of a request's connection.
#[derive(Clone, Default)]
pub(crate) struct ConnectionHandle(Arc<Notify>);

impl ConnectionHandle {
    /// Cuts the connection with a TCP reset. Bytes already written still reach the client. Never returns.
    pub(crate) async fn reset<T>(&self) -> T {
        self.0.notify_one();
        pending().await
    }

    /// Waits until a request cuts the connection.
    pub(crate) async fn cut(&self) {
        self.0.notified().await;
    }
}
