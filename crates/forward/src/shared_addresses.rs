//! The limit per address, counted by all processes together and without a question on any call's way: each process admits by its own
//! count, adds what it has admitted to the shared one, and takes over what is there.
//!
//! Together they admit more than the limit by what the others admit between two exchanges, and take it back from what comes next. So an
//! address whose limit is far away waits for its exchange, as long as what all processes may hold back of it is a quarter of what is free.

use std::collections::HashMap;
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use foldhash::fast::RandomState;
use governor::clock::{Clock, DefaultClock};
use shared::{Away, CountKind, CountLimit, SharedCounts, ValkeyKey};

use crate::per_core::PerCore;
use crate::rate_limit::{KeyLimiter, counted_as};
use crate::share::Share;

/// Pause between two exchanges.
const EXCHANGE_PAUSE: Duration = Duration::from_millis(100);

/// Longest pause between two exchanges of an address that calls. One that has not called for so long is exchanged with its first call.
const ADDRESS_PAUSE_MAX: Duration = Duration::from_secs(1);

/// The time that the limit is about.
const MINUTE: Duration = Duration::from_secs(60);

/// Most addresses that a thread notes between two exchanges; calls of others are counted by this process alone. Most that are held back
/// as well; others are exchanged each time.
const NOTED_MAX: usize = 50_000;

/// The exchange of one limit.
pub(crate) struct SharedAddresses {
    counts: Arc<SharedCounts>,
    limit: CountLimit,
    limiter: Weak<KeyLimiter<IpAddr, DefaultClock>>,
    share: Share,
    /// What was admitted since the last exchange.
    admitted: PerCore<Mutex<ByAddress<u32>>>,
}

type ByAddress<T> = HashMap<IpAddr, T, RandomState>;

/// What is held back of addresses that were exchanged a moment ago.
#[derive(Default)]
struct HeldBack(ByAddress<HeldCalls>);

/// Of one address.
struct HeldCalls {
    calls: u32,
    exchanged: Instant,
}

impl SharedAddresses {
    /// Exchanges what this limiter counts, as long as somebody holds both; `share` says how many processes do.
    pub(crate) fn start(
        (counts, share): (&Arc<SharedCounts>, &Share),
        per_minute: NonZeroU32,
        limiter: &Arc<KeyLimiter<IpAddr, DefaultClock>>,
    ) -> Arc<SharedAddresses> {
        let addresses = Arc::new(SharedAddresses {
            counts: Arc::clone(counts),
            limit: CountLimit::per(per_minute, MINUTE),
            limiter: Arc::downgrade(limiter),
            share: share.clone(),
            admitted: PerCore::new(Mutex::default),
        });
        let used = Arc::downgrade(&addresses);
        tokio::spawn(async move {
            let mut held = HeldBack::default();
            while let Some(addresses) = used.upgrade() {
                addresses.exchange(&mut held).await;
                drop(addresses);
                tokio::time::sleep(EXCHANGE_PAUSE).await;
            }
        });
        addresses
    }

    /// The same for another limit, which starts full.
    pub(crate) fn renewed(
        &self,
        per_minute: NonZeroU32,
        limiter: &Arc<KeyLimiter<IpAddr, DefaultClock>>,
    ) -> Arc<SharedAddresses> {
        SharedAddresses::start((&self.counts, &self.share), per_minute, limiter)
    }

    /// Notes a call that was admitted.
    pub(crate) fn note(&self, address: IpAddr) {
        if !self.counts.is_up() {
            return;
        }
        let mut admitted = self
            .admitted
            .local()
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if admitted.len() < NOTED_MAX {
            *admitted.entry(counted_as(address)).or_insert(0) += 1;
        }
    }

    async fn exchange(&self, held: &mut HeldBack) {
        let mut admitted = ByAddress::<u32>::default();
        for part in self.admitted.iter() {
            let part = std::mem::take(&mut *part.lock().unwrap_or_else(PoisonError::into_inner));
            for (address, calls) in part {
                *admitted.entry(address).or_insert(0) += calls;
            }
        }
        let Some(limiter) = self.limiter.upgrade() else {
            return;
        };
        let free = |address: &IpAddr| free(&limiter, address);
        let due = held.due(Instant::now(), admitted, self.share.replicas(), free);
        if !due.is_empty() {
            // While nobody answers, each process has its share.
            let _ = self.add(&due).await;
        }
    }

    /// Takes over what all have counted of an address, admitted here or not.
    ///
    /// # Errors
    /// When nobody answers in time.
    pub(crate) async fn take_over(&self, address: IpAddr) -> Result<(), Away> {
        self.add(&[(counted_as(address), 0)]).await
    }

    async fn add(&self, admitted: &[(IpAddr, u32)]) -> Result<(), Away> {
        let keyed = admitted
            .iter()
            .map(|(address, calls)| (self.key(*address), *calls));
        let keyed: Vec<_> = keyed.collect();
        let missing = self.counts.add(self.limit, &keyed).await?;
        if let Some(limiter) = self.limiter.upgrade() {
            for ((address, _), missing) in admitted.iter().zip(missing) {
                limiter.fill_no_sooner(address, missing);
            }
        }
        Ok(())
    }

    fn key(&self, address: IpAddr) -> ValkeyKey {
        // Another limit is another count, which starts full.
        let burst = self.limit.burst.get().to_le_bytes();
        let key = |octets: &[u8]| {
            self.counts
                .keys()
                .key(CountKind::Address, &[octets, &burst])
        };
        match address {
            IpAddr::V4(v4) => key(&v4.octets()),
            IpAddr::V6(v6) => key(&v6.octets()),
        }
    }
}

/// How many calls an address may make at once after the next one, as far as this process knows.
fn free<C: Clock + Clone>(limiter: &KeyLimiter<IpAddr, C>, address: &IpAddr) -> u32 {
    match limiter.look_at(address).1 {
        Ok(looked) => looked.remaining_burst_capacity(),
        Err(_) => 0,
    }
}

impl HeldBack {
    /// What is to be added now, of what was admitted and of what is held back; the rest is held back.
    fn due(
        &mut self,
        now: Instant,
        admitted: ByAddress<u32>,
        replicas: u32,
        free: impl Fn(&IpAddr) -> u32,
    ) -> Vec<(IpAddr, u32)> {
        let mut due = Vec::new();
        for (address, calls) in admitted {
            match self.0.get_mut(&address) {
                Some(held) => held.calls = held.calls.saturating_add(calls),
                None => {
                    due.push((address, calls));
                    if self.0.len() < NOTED_MAX {
                        let (calls, exchanged) = (0, now);
                        self.0.insert(address, HeldCalls { calls, exchanged });
                    }
                }
            }
        }
        self.0.retain(|address, held| {
            let is_old = now.duration_since(held.exchanged) >= ADDRESS_PAUSE_MAX;
            let of_all = held.calls.saturating_mul(replicas).saturating_mul(4);
            if held.calls > 0 && (is_old || of_all >= free(address)) {
                due.push((*address, std::mem::take(&mut held.calls)));
                held.exchanged = now;
                return true;
            }
            held.calls > 0 || !is_old
        });
        due
    }
}

#[cfg(test)]
mod tests;
