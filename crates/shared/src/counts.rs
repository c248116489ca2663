//! The shared counts: sends requests to the server and knows whether the server is reachable.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use redis::ScriptInvocation;
use tokio::task::JoinHandle;

use crate::invalidation::Invalidation;
use crate::keeper;
use crate::keys::{CountKeys, ValkeyKey};
use crate::limit::{CountLimit, CountPeek, TakeRequest, TakenCells};
use crate::options::ValkeyOptions;
use crate::refunds::{BATCH_MAX, Refund};
use crate::scripts::SCRIPTS;
use crate::state::{CountsState, CountsUnavailable};
use crate::wait::CallWait;

/// The state of the shared counts, for operators.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SharedStatus {
    /// True if the server answers.
    pub is_up: bool,
    /// The number of requests sent to the server.
    pub asked: u64,
    /// The number of requests that failed or were not answered in time.
    pub failed: u64,
}

/// The counts that the replicas of a deployment share.
pub struct SharedCounts {
    state: Arc<CountsState>,
    tasks: [JoinHandle<()>; 2],
}

impl SharedCounts {
    /// Tries once to connect to the server before it returns, and then reconnects in the background until [`SharedCounts::close`].
    pub async fn start(options: ValkeyOptions, keys: CountKeys) -> SharedCounts {
        let state = Arc::new(CountsState::new(options, keys));
        keeper::connect_once(&state).await;
        let tasks = [
            tokio::spawn(keeper::keep_connected(Arc::clone(&state))),
            tokio::spawn(keeper::send_refunds_periodically(Arc::clone(&state))),
        ];
        SharedCounts { state, tasks }
    }

    /// Returns whether counts are currently shared.
    #[must_use]
    pub fn is_up(&self) -> bool {
        self.state.is_up()
    }

    /// Returns whether the server answers, and the number of requests since the start.
    #[must_use]
    pub fn status(&self) -> SharedStatus {
        SharedStatus {
            is_up: self.is_up(),
            asked: self.state.asked.load(Ordering::Relaxed),
            failed: self.state.failed.load(Ordering::Relaxed),
        }
    }

    /// Returns the builder of keys.
    #[must_use]
    pub fn keys(&self) -> &CountKeys {
        &self.state.keys
    }

    /// Registers the function that is called for each message of other processes. The function has to be quick. Only the first
    /// registration takes effect.
    pub fn on_invalidation(&self, on_invalidation: impl Fn(Invalidation) + Send + Sync + 'static) {
        self.state
            .invalidations
            .set_handler(Box::new(on_invalidation));
    }

    /// Tells the other processes that the group of channels with this number has changed. Returns immediately; the message may be
    /// lost.
    pub fn invalidate_others(&self, number: u16) {
        self.state.invalidations.queue([number]);
        self.state.refunds.notify();
    }

    /// Returns the longest time that a call waits for an answer.
    #[must_use]
    pub fn timeout(&self) -> Duration {
        self.state.options.timeout
    }

    /// Takes calls from the count at `key` as `take_request` asks. All requests of one call share the timeout of its `wait`.
    ///
    /// # Errors
    /// The server does not answer in time. The calls may have been taken anyway.
    pub async fn take(
        &self,
        key: &ValkeyKey,
        limit: CountLimit,
        take_request: TakeRequest,
        wait: &CallWait,
    ) -> Result<TakenCells, CountsUnavailable> {
        let script = take(key, limit, take_request);
        self.state.invoke(&script, wait).await.map(taken_cells)
    }

    /// Takes one call from each of these counts. The results are independent of each other.
    ///
    /// # Errors
    /// The server does not answer in time. Some calls may have been taken anyway.
    pub async fn take_one_of_each<const N: usize>(
        &self,
        counts: [(&ValkeyKey, CountLimit); N],
        wait: &CallWait,
    ) -> Result<[TakenCells; N], CountsUnavailable> {
        const ONE: TakeRequest = TakeRequest {
            needed: 1,
            wanted: 0,
            replicas: 1,
        };
        let takes = counts.map(|(key, limit)| take(key, limit, ONE));
        let taken = self.state.invoke_all(&takes, wait).await?;
        let taken: Vec<_> = taken.into_iter().map(taken_cells).collect();
        // There is one answer for each request.
        taken.try_into().map_err(|_| CountsUnavailable)
    }

    /// Reads a count without taking calls.
    ///
    /// # Errors
    /// The server does not answer in time.
    pub async fn peek(
        &self,
        key: &ValkeyKey,
        limit: CountLimit,
        wait: &CallWait,
    ) -> Result<CountPeek, CountsUnavailable> {
        let mut script = SCRIPTS.peek.key(&key.0);
        script.arg(limit.interval_us).arg(limit.burst.get());
        let (remaining, wait_us): (u32, i64) = self.state.invoke(&script, wait).await?;
        Ok(CountPeek {
            remaining,
            wait: micros(wait_us),
        })
    }

    /// Adds calls that were already admitted to counts of one limit. Returns for each count the time until it is full again.
    ///
    /// # Errors
    /// The server does not answer in time. Some calls may have been added anyway.
    pub async fn add(
        &self,
        limit: CountLimit,
        admitted: &[(ValkeyKey, u32)],
    ) -> Result<Vec<Duration>, CountsUnavailable> {
        let mut missing = Vec::with_capacity(admitted.len());
        for part in admitted.chunks(BATCH_MAX) {
            let adds = part.iter().map(|(key, cells)| {
                let mut adds = SCRIPTS.add.key(&key.0);
                adds.arg(limit.interval_us).arg(*cells);
                adds
            });
            let (adds, wait) = (adds.collect::<Vec<_>>(), CallWait::default());
            let answered: Vec<i64> = self.state.invoke_all(&adds, &wait).await?;
            missing.extend(answered.into_iter().map(micros));
        }
        Ok(missing)
    }

    /// Gives taken calls back. Queues them and returns immediately.
    pub fn refund(&self, key: &ValkeyKey, limit: CountLimit, cells: u32) {
        let key = key.clone();
        self.state.refunds.push(Refund::Cells { key, limit, cells });
    }

    /// Begins a lease with this id if fewer than `most` leases are in progress, and returns whether it began. A lease that is never
    /// ended expires after `lifetime`.
    ///
    /// # Errors
    /// The server does not answer in time. The lease may have begun anyway.
    pub async fn begin_lease(
        &self,
        key: &ValkeyKey,
        most: NonZeroU32,
        (id, lifetime): (&str, Duration),
        wait: &CallWait,
    ) -> Result<bool, CountsUnavailable> {
        let mut script = SCRIPTS.begin_lease.key(&key.0);
        let lifetime = u64::try_from(lifetime.as_millis()).unwrap_or(u64::MAX);
        script.arg(most.get()).arg(lifetime).arg(id);
        self.state.invoke(&script, wait).await
    }

    /// Returns the number of leases in progress.
    ///
    /// # Errors
    /// The server does not answer in time.
    pub async fn leases(&self, key: &ValkeyKey) -> Result<u32, CountsUnavailable> {
        let (script, wait) = (SCRIPTS.count_leases.key(&key.0), CallWait::default());
        self.state.invoke(&script, &wait).await
    }

    /// Ends a lease. Queues the request and returns immediately.
    pub fn end_lease(&self, key: &ValkeyKey, id: &str) {
        let (key, id) = (key.clone(), id.to_owned());
        self.state.refunds.push(Refund::Lease { key, id });
    }

    /// Sends the queued entries, and then sends no further requests.
    pub async fn close(&self) {
        for task in &self.tasks {
            task.abort();
        }
        keeper::send_refunds(&self.state).await;
        self.state.close();
    }
}

impl Drop for SharedCounts {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

fn take(
    key: &ValkeyKey,
    limit: CountLimit,
    take_request: TakeRequest,
) -> ScriptInvocation<'static> {
    let mut script = SCRIPTS.take.key(&key.0);
    script.arg(limit.interval_us).arg(limit.burst.get());
    script.arg((
        take_request.needed,
        take_request.wanted,
        take_request.replicas,
    ));
    script
}

fn taken_cells((cells, wait_us, remaining): (u32, i64, u32)) -> TakenCells {
    TakenCells {
        cells,
        wait: micros(wait_us),
        remaining,
    }
}

fn micros(us: i64) -> Duration {
    Duration::from_micros(u64::try_from(us).unwrap_or(0))
}

#[cfg(test)]
mod tests;
