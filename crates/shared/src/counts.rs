//! Asks for shared counts, and knows whether somebody is there to answer.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use redis::ScriptInvocation;
use tokio::task::JoinHandle;

use crate::keeper;
use crate::keys::{CountKeys, ValkeyKey};
use crate::later::{BATCH_MAX, GiveBack};
use crate::limit::{CountLimit, CountLook, TakenCells, Wish};
use crate::options::ValkeyOptions;
use crate::scripts::SCRIPTS;
use crate::state::{Away, CountsState};
use crate::wait::CallWait;
use crate::wake::WakeUp;

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

    /// Whether the server of counts answers, and the questions to it since the start.
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

    /// From now on this is called for each message of other processes; it has to be quick. The first call counts.
    pub fn on_wake(&self, on_wake: impl Fn(WakeUp) + Send + Sync + 'static) {
        self.state.wake.hear_by(Box::new(on_wake));
    }

    /// Tells the other processes that the group of channels with this number has changed. Returns at once; the message may be lost.
    pub fn wake_others(&self, number: u16) {
        self.state.wake.say([number]);
        self.state.gifts.note();
    }

    /// How long an answer is waited for at most.
    #[must_use]
    pub fn timeout(&self) -> Duration {
        self.state.options.timeout
    }

    /// Takes up to `wish` calls from the count at `key`. All questions of one call share the timeout of its `wait`.
    ///
    /// # Errors
    /// When the server does not answer in time; the calls may be taken all the same.
    pub async fn take(
        &self,
        key: &ValkeyKey,
        limit: CountLimit,
        wish: Wish,
        wait: &CallWait,
    ) -> Result<TakenCells, Away> {
        let asks = take(key, limit, wish);
        self.state.invoke(&asks, wait).await.map(taken_cells)
    }

    /// Takes one of each of these counts; what it says of one has nothing to do with the others.
    ///
    /// # Errors
    /// When nobody answers in time. Some may be taken then.
    pub async fn take_one_of_each<const N: usize>(
        &self,
        counts: [(&ValkeyKey, CountLimit); N],
        wait: &CallWait,
    ) -> Result<[TakenCells; N], Away> {
        const ONE: Wish = Wish {
            needed: 1,
            wanted: 0,
            replicas: 1,
        };
        let takes = counts.map(|(key, limit)| take(key, limit, ONE));
        let taken = self.state.invoke_all(&takes, wait).await?;
        let taken: Vec<_> = taken.into_iter().map(taken_cells).collect();
        // There is an answer to each question.
        taken.try_into().map_err(|_| Away)
    }

    /// Looks at a count, and takes nothing.
    ///
    /// # Errors
    /// When nobody answers in time.
    pub async fn look(
        &self,
        key: &ValkeyKey,
        limit: CountLimit,
        wait: &CallWait,
    ) -> Result<CountLook, Away> {
        let mut asks = SCRIPTS.look.key(&key.0);
        asks.arg(limit.interval_us).arg(limit.burst.get());
        let (left, wait_us): (u32, i64) = self.state.invoke(&asks, wait).await?;
        Ok(CountLook {
            left,
            wait: micros(wait_us),
        })
    }

    /// Adds what was admitted already to counts of one limit, and returns for each the time until it is full again.
    ///
    /// # Errors
    /// When nobody answers in time. Some may be added then.
    pub async fn add(
        &self,
        limit: CountLimit,
        admitted: &[(ValkeyKey, u32)],
    ) -> Result<Vec<Duration>, Away> {
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

    /// Gives back what was taken, in a moment and without waiting.
    pub fn give_back(&self, key: &ValkeyKey, limit: CountLimit, cells: u32) {
        let key = key.clone();
        self.state.gifts.push(GiveBack::Cells { key, limit, cells });
    }

    /// Begins a call in flight under this id, if fewer than `most` are in flight, and returns whether it began. One that is not ended
    /// is over after a time.
    ///
    /// # Errors
    /// When nobody answers in time; it may have begun then.
    pub async fn begin_turn(
        &self,
        key: &ValkeyKey,
        most: NonZeroU32,
        (id, lasting): (&str, Duration),
        wait: &CallWait,
    ) -> Result<bool, Away> {
        let mut asks = SCRIPTS.turn.key(&key.0);
        let lasting = u64::try_from(lasting.as_millis()).unwrap_or(u64::MAX);
        asks.arg(most.get()).arg(lasting).arg(id);
        self.state.invoke(&asks, wait).await
    }

    /// How many turns are under way.
    ///
    /// # Errors
    /// When nobody answers in time.
    pub async fn turns(&self, key: &ValkeyKey) -> Result<u32, Away> {
        let (asks, wait) = (SCRIPTS.turns.key(&key.0), CallWait::default());
        self.state.invoke(&asks, &wait).await
    }

    /// Ends a turn, in a moment and without waiting.
    pub fn end_turn(&self, key: &ValkeyKey, id: &str) {
        let (key, id) = (key.clone(), id.to_owned());
        self.state.gifts.push(GiveBack::Turn { key, id });
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

fn take(key: &ValkeyKey, limit: CountLimit, wish: Wish) -> ScriptInvocation<'static> {
    let mut asks = SCRIPTS.take.key(&key.0);
    asks.arg(limit.interval_us).arg(limit.burst.get());
    asks.arg((wish.needed, wish.wanted, wish.replicas));
    asks
}

fn taken_cells((cells, wait_us, left): (u32, i64, u32)) -> TakenCells {
    TakenCells {
        cells,
        wait: micros(wait_us),
        left,
    }
}

fn micros(us: i64) -> Duration {
    Duration::from_micros(u64::try_from(us).unwrap_or(0))
}

#[cfg(test)]
mod tests;
