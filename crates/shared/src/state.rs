//! What calls and the tasks beside them have in common: the connection that is in use, and when it is left.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use arc_swap::ArcSwapOption;
use redis::{
    ErrorKind, FromRedisValue, Pipeline, RedisError, RedisResult, ScriptInvocation, ServerErrorKind,
};
use tokio::sync::Notify;

use crate::connection::ValkeyConnection;
use crate::failures::FailureWindow;
use crate::keys::CountKeys;
use crate::later::GiftQueue;
use crate::options::ValkeyOptions;

/// Nobody answers: count by other means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Away;

/// What calls and the tasks beside them have in common.
pub(crate) struct CountsState {
    pub(crate) options: ValkeyOptions,
    pub(crate) keys: CountKeys,
    current: ArcSwapOption<CurrentConnection>,
    pub(crate) lost: Notify,
    pub(crate) gifts: GiftQueue,
    pub(crate) asked: AtomicU64,
    pub(crate) failed: AtomicU64,
}

/// The connection that is in use.
struct CurrentConnection {
    connection: ValkeyConnection,
    failures: Mutex<FailureWindow>,
}

impl CountsState {
    /// Without a connection.
    pub(crate) fn new(options: ValkeyOptions, keys: CountKeys) -> CountsState {
        CountsState {
            options,
            keys,
            current: ArcSwapOption::empty(),
            lost: Notify::new(),
            gifts: GiftQueue::default(),
            asked: AtomicU64::new(0),
            failed: AtomicU64::new(0),
        }
    }

    /// Asks nothing any more.
    pub(crate) fn close(&self) {
        self.current.store(None);
    }

    /// Whether there is a connection.
    pub(crate) fn is_up(&self) -> bool {
        self.current.load().is_some()
    }

    /// Asks over this connection from now on.
    pub(crate) fn use_connection(&self, connection: ValkeyConnection) {
        let current = CurrentConnection {
            connection,
            failures: Mutex::default(),
        };
        self.current.store(Some(Arc::new(current)));
    }

    /// Runs a script.
    pub(crate) async fn invoke<T: FromRedisValue>(
        &self,
        asks: &ScriptInvocation<'_>,
    ) -> Result<T, Away> {
        self.ask(async |connection| asks.invoke_async(connection).await)
            .await
    }

    /// Sends a batch.
    pub(crate) async fn send(&self, batch: &Pipeline) -> Result<(), Away> {
        self.ask(async |connection| batch.query_async(connection).await)
            .await
    }

    /// Asks, and waits no longer than a call may.
    async fn ask<T>(
        &self,
        asking: impl AsyncFnOnce(&mut ValkeyConnection) -> RedisResult<T>,
    ) -> Result<T, Away> {
        let current = self.current.load_full().ok_or(Away)?;
        let mut connection = current.connection.clone();
        self.asked.fetch_add(1, Ordering::Relaxed);
        let answered = tokio::time::timeout(self.options.timeout, asking(&mut connection)).await;
        let error = match answered {
            Ok(Ok(answer)) => return Ok(answer),
            Ok(Err(error)) => Some(error),
            Err(_) => None,
        };
        self.note_failure(&current, error.as_ref());
        Err(Away)
    }

    /// Leaves the connection at once when it is of no more use, and otherwise when it fails again and again.
    fn note_failure(&self, current: &Arc<CurrentConnection>, error: Option<&RedisError>) {
        self.failed.fetch_add(1, Ordering::Relaxed);
        let mut failures = current
            .failures
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let fails_often = failures.note(Instant::now());
        if !fails_often && !error.is_some_and(is_useless) {
            return;
        }
        let said = error.map_or(
            "it does not answer in time".to_owned(),
            RedisError::to_string,
        );
        // Another call may have left it already, for one that is better.
        let left = self
            .current
            .compare_and_swap(&Some(Arc::clone(current)), None);
        if left.as_ref().is_some_and(|left| Arc::ptr_eq(left, current)) {
            tracing::warn!(
                error = said,
                limits = "share",
                "shared counts are away: this replica takes its share of each limit"
            );
            self.lost.notify_one();
        }
    }
}

/// Whether a connection is of no more use after this: it has ended, or its server can't be written. A client that keeps such a
/// connection, since the server answers, writes to a follower for ever.
fn is_useless(error: &RedisError) -> bool {
    let of_server = matches!(
        error.kind(),
        ErrorKind::Server(
            ServerErrorKind::ReadOnly
                | ServerErrorKind::BusyLoading
                | ServerErrorKind::ClusterDown
                | ServerErrorKind::MasterDown
        )
    );
    of_server || error.is_unrecoverable_error()
}
