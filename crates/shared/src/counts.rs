//! Asks for shared counts, and knows whether somebody is there to answer.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::task::JoinHandle;

use crate::keeper;
use crate::keys::{CountKeys, ValkeyKey};
use crate::later::GiveBack;
use crate::limit::{CountLimit, CountLook, TakenCells, Wish};
use crate::options::ValkeyOptions;
use crate::scripts::SCRIPTS;
use crate::state::{Away, CountsState};

/// Whether the counts are shared, for operators.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SharedStatus {
    /// Whether the server answers.
    pub is_up: bool,
    /// How often it was asked.
    pub asked: u64,
    /// How often it did not answer, or in time.
    pub failed: u64,
}

/// The counts that the replicas of a deployment share.
pub struct SharedCounts {
    state: Arc<CountsState>,
    tasks: [JoinHandle<()>; 2],
}

impl SharedCounts {
    /// Looks for the server, once before it returns and then until [`SharedCounts::close`].
    pub async fn start(options: ValkeyOptions, keys: CountKeys) -> SharedCounts {
        let state = Arc::new(CountsState::new(options, keys));
        keeper::look(&state).await;
        let tasks = [
            tokio::spawn(keeper::keep(Arc::clone(&state))),
            tokio::spawn(keeper::give_back(Arc::clone(&state))),
        ];
        SharedCounts { state, tasks }
    }

    /// Whether counts are shared now.
    #[must_use]
    pub fn is_up(&self) -> bool {
        self.state.is_up()
    }

    /// How it is, for operators.
    #[must_use]
    pub fn status(&self) -> SharedStatus {
        SharedStatus {
            is_up: self.is_up(),
            asked: self.state.asked.load(Ordering::Relaxed),
            failed: self.state.failed.load(Ordering::Relaxed),
        }
    }

    /// Makes the names of counts.
    #[must_use]
    pub fn keys(&self) -> &CountKeys {
        &self.state.keys
    }

    /// How long an answer is waited for at most.
    #[must_use]
    pub fn timeout(&self) -> Duration {
        self.state.options.timeout
    }

    /// Takes of a count.
    ///
    /// # Errors
    /// When nobody answers in time.
    pub async fn take(
        &self,
        key: &ValkeyKey,
        limit: CountLimit,
        wish: Wish,
    ) -> Result<TakenCells, Away> {
        let mut asks = SCRIPTS.take.key(&key.0);
        asks.arg(limit.interval_us).arg(limit.burst.get());
        asks.arg((wish.needed, wish.wanted, wish.replicas));
        let (cells, wait_us, left): (u32, i64, u32) = self.state.invoke(&asks).await?;
        Ok(TakenCells {
            cells,
            wait: micros(wait_us),
            left,
        })
    }

    /// Looks at a count, and takes nothing.
    ///
    /// # Errors
    /// When nobody answers in time.
    pub async fn look(&self, key: &ValkeyKey, limit: CountLimit) -> Result<CountLook, Away> {
        let mut asks = SCRIPTS.look.key(&key.0);
        asks.arg(limit.interval_us).arg(limit.burst.get());
        let (left, wait_us): (u32, i64) = self.state.invoke(&asks).await?;
        Ok(CountLook {
            left,
            wait: micros(wait_us),
        })
    }

    /// Gives back what was taken, in a moment and without waiting.
    pub fn give_back(&self, key: &ValkeyKey, limit: CountLimit, cells: u32) {
        let key = key.clone();
        self.state.gifts.push(GiveBack { key, limit, cells });
    }

    /// Sends what is still to be given back, and asks nothing any more.
    pub async fn close(&self) {
        for task in &self.tasks {
            task.abort();
        }
        keeper::send_gifts(&self.state).await;
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

fn micros(us: i64) -> Duration {
    Duration::from_micros(u64::try_from(us).unwrap_or(0))
}

#[cfg(test)]
mod tests;
