//! The state that calls and the background tasks share: the connection in use, and the rules by which it is abandoned.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use arc_swap::ArcSwapOption;
use futures_util::future::try_join_all;
use parking_lot::Mutex;
use redis::{FromRedisValue, RedisError, RedisResult, ScriptInvocation};
use tokio::sync::Notify;

use crate::connection::ValkeyConnection;
use crate::failures::FailureWindow;
use crate::invalidation::{Invalidation, InvalidationChannel};
use crate::keys::CountKeys;
use crate::options::ValkeyOptions;
use crate::refunds::RefundQueue;
use crate::wait::CallWait;

/// The error for a server that does not answer. The caller then counts by other means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CountsUnavailable;

/// The state that calls and the background tasks share.
pub(crate) struct CountsState {
    pub(crate) options: ValkeyOptions,
    pub(crate) keys: CountKeys,
    current: ArcSwapOption<CurrentConnection>,
    pub(crate) lost: Notify,
    pub(crate) refunds: RefundQueue,
    pub(crate) invalidations: Arc<InvalidationChannel>,
    pub(crate) asked: AtomicU64,
    pub(crate) failed: AtomicU64,
}

/// The connection that is in use.
struct CurrentConnection {
    connection: ValkeyConnection,
    failures: Mutex<FailureWindow>,
}

impl CountsState {
    /// Creates the state without a connection.
    pub(crate) fn new(options: ValkeyOptions, keys: CountKeys) -> CountsState {
        CountsState {
            invalidations: Arc::new(InvalidationChannel::new(keys.channel())),
            options,
            keys,
            current: ArcSwapOption::empty(),
            lost: Notify::new(),
            refunds: RefundQueue::default(),
            asked: AtomicU64::new(0),
            failed: AtomicU64::new(0),
        }
    }

    /// Drops the connection, so that no further requests are sent.
    pub(crate) fn close(&self) {
        self.current.store(None);
    }

    /// Returns whether there is a connection.
    pub(crate) fn is_up(&self) -> bool {
        self.current.load().is_some()
    }

    /// Uses this connection for all requests from now on.
    pub(crate) fn use_connection(&self, connection: ValkeyConnection) {
        let current = CurrentConnection {
            connection,
            failures: Mutex::default(),
        };
        self.current.store(Some(Arc::new(current)));
        // Messages that other processes published before this connection are lost. Messages that this process could not publish are
        // sent now.
        self.invalidations.deliver(Invalidation::All);
        self.refunds.notify();
    }

    /// Checks the connection in use with a PING, so that an ended connection is dropped before a call uses it.
    pub(crate) async fn drop_if_ended(&self) {
        let (ping, wait) = (redis::cmd("PING"), CallWait::default());
        let pinged = self.ask(&wait, async |connection| {
            ping.query_async::<()>(connection).await
        });
        // `ask` has already recorded a failure.
        let _ = pinged.await;
    }

    /// Publishes the changed numbers to the other processes. After a failure the numbers are published again later.
    pub(crate) async fn publish_changes(&self) {
        let numbers = self.invalidations.take();
        if numbers.is_empty() {
            return;
        }
        let message = self.invalidations.message(&numbers);
        let wait = CallWait::default();
        let published = self.ask(&wait, async |connection| {
            message.query_async::<()>(connection).await
        });
        if published.await.is_err() {
            self.invalidations.queue(numbers);
            if self.is_up() {
                self.refunds.notify();
            }
        }
    }

    /// Runs a script.
    pub(crate) async fn invoke<T: FromRedisValue>(
        &self,
        script: &ScriptInvocation<'_>,
        wait: &CallWait,
    ) -> Result<T, CountsUnavailable> {
        self.ask(wait, async |connection| {
            script.invoke_async(connection).await
        })
        .await
    }

    /// Runs each script as a separate command, all concurrently. A pipeline is not possible, because in a cluster the keys are on
    /// different nodes.
    pub(crate) async fn invoke_all<T: FromRedisValue>(
        &self,
        scripts: &[ScriptInvocation<'_>],
        wait: &CallWait,
    ) -> Result<Vec<T>, CountsUnavailable> {
        self.ask(wait, async |connection| {
            let each = scripts.iter().map(|script| {
                let mut connection = connection.clone();
                async move { script.invoke_async(&mut connection).await }
            });
            try_join_all(each).await
        })
        .await
    }

    /// Sends a request and waits no longer than the call may.
    async fn ask<T>(
        &self,
        wait: &CallWait,
        request: impl AsyncFnOnce(&mut ValkeyConnection) -> RedisResult<T>,
    ) -> Result<T, CountsUnavailable> {
        let current = self.current.load_full().ok_or(CountsUnavailable)?;
        let mut connection = current.connection.clone();
        self.asked.fetch_add(1, Ordering::Relaxed);
        let had_full_timeout = wait.is_new();
        let answer = request(&mut connection);
        let error = match wait.at_most(self.options.timeout, answer).await {
            Some(Ok(answer)) => return Ok(answer),
            Some(Err(error)) => Some(error),
            // The server might have answered in time if the call had not waited before, so this is not counted as a failure.
            None if !had_full_timeout => return Err(CountsUnavailable),
            None => None,
        };
        self.note_failure(&current, error.as_ref());
        Err(CountsUnavailable)
    }

    /// Drops the connection immediately if it is useless, and otherwise after several failures in a short time.
    fn note_failure(&self, current: &Arc<CurrentConnection>, error: Option<&RedisError>) {
        self.failed.fetch_add(1, Ordering::Relaxed);
        let mut failures = current.failures.lock();
        let fails_often = failures.note(Instant::now());
        if !fails_often && !error.is_some_and(is_unusable) {
            return;
        }
        let error = error.map_or(
            "it does not answer in time".to_owned(),
            RedisError::to_string,
        );
        // Another call may have dropped it already, and a better connection may be in use.
        let previous = self
            .current
            .compare_and_swap(&Some(Arc::clone(current)), None);
        if previous
            .as_ref()
            .is_some_and(|previous| Arc::ptr_eq(previous, current))
        {
            tracing::warn!(
                error,
                limits = "share",
                "shared counts can't be reached: this replica enforces its own share of each limit"
            );
            self.lost.notify_one();
        }
    }
}

/// Error codes of a server that is not writable now, or not writable by this user.
const CANT_WRITE: [&str; 10] = [
    "READONLY",
    "LOADING",
    "CLUSTERDOWN",
    "MASTERDOWN",
    "NOREPLICAS",
    "MISCONF",
    "OOM",
    "BUSY",
    "NOAUTH",
    "NOPERM",
];

/// Returns whether the error makes the connection useless: the connection has ended, or its server is not writable. A client that
/// kept such a connection because the server still answers would try to write to a follower forever.
fn is_unusable(error: &RedisError) -> bool {
    let cant_write = error.code().is_some_and(|code| CANT_WRITE.contains(&code));
    cant_write || error.is_unrecoverable_error()
}

#[cfg(test)]
mod tests;
