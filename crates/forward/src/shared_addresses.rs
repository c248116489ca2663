//! The limit per address that all processes count together, without a request on the path of any call. Each process admits by its
//! own count, adds its admitted calls to the shared count, and takes the shared count over.
//!
//! Together the processes exceed the limit by the calls that the others admit between two exchanges. The excess is subtracted from
//! later calls. So an address far below its limit waits for its exchange, as long as the calls that all processes may hold back for
//! it are less than a quarter of the free calls.

use std::collections::HashMap;
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use foldhash::fast::RandomState;
use governor::clock::{Clock, DefaultClock};
use parking_lot::Mutex;
use shared::{CountKind, CountLimit, CountsUnavailable, SharedCounts, ValkeyKey};
use store::counted_address;

use crate::per_core::PerCore;
use crate::rate_limit::KeyLimiter;
use crate::share::Share;

/// Pause between two exchanges.
const EXCHANGE_PAUSE: Duration = Duration::from_millis(100);

/// Longest pause between two exchanges of an address with calls. After a pause this long without calls, the first call is exchanged
/// immediately.
const ADDRESS_PAUSE_MAX: Duration = Duration::from_secs(1);

/// The period of the limit.
const MINUTE: Duration = Duration::from_secs(60);

/// Maximum number of addresses that a thread notes between two exchanges; calls of other addresses are counted only by this
/// process. Also the maximum number of addresses held back; others are exchanged each time.
const PENDING_MAX: usize = 50_000;

/// The exchange of counts for one limit.
pub(crate) struct SharedAddresses {
    counts: Arc<SharedCounts>,
    limit: CountLimit,
    limiter: Weak<KeyLimiter<IpAddr, DefaultClock>>,
    share: Share,
    /// The calls admitted since the last exchange.
    admitted: PerCore<Mutex<ByAddress<u32>>>,
}

type ByAddress<T> = HashMap<IpAddr, T, RandomState>;

/// The calls held back for addresses that were exchanged recently.
#[derive(Default)]
struct HeldBack(ByAddress<HeldCalls>);

/// The calls held back for one address.
struct HeldCalls {
    calls: u32,
    exchanged: Instant,
}

impl SharedAddresses {
    /// Exchanges the counts of this limiter as long as both are in use. `share` contains the number of processes.
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

    /// Starts the same exchange for another limit, which starts full.
    pub(crate) fn reconfigured(
        &self,
        per_minute: NonZeroU32,
        limiter: &Arc<KeyLimiter<IpAddr, DefaultClock>>,
    ) -> Arc<SharedAddresses> {
        SharedAddresses::start((&self.counts, &self.share), per_minute, limiter)
    }

    /// Notes an admitted call.
    pub(crate) fn note(&self, address: IpAddr) {
        if !self.counts.is_up() {
            return;
        }
        let mut admitted = self.admitted.local().lock();
        if admitted.len() < PENDING_MAX {
            *admitted.entry(counted_address(address)).or_insert(0) += 1;
        }
    }

    async fn exchange(&self, held: &mut HeldBack) {
        let mut admitted = ByAddress::<u32>::default();
        for part in self.admitted.iter() {
            let part = std::mem::take(&mut *part.lock());
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
            // While the server does not answer, each process admits its share.
            let _ = self.add(&due).await;
        }
    }

    /// Takes over the shared count of an address, whether this process has admitted calls of it or not.
    ///
    /// # Errors
    /// The server does not answer in time.
    pub(crate) async fn take_over(&self, address: IpAddr) -> Result<(), CountsUnavailable> {
        self.add(&[(counted_address(address), 0)]).await
    }

    async fn add(&self, admitted: &[(IpAddr, u32)]) -> Result<(), CountsUnavailable> {
        let keyed = admitted
            .iter()
            .map(|(address, calls)| (self.key(*address), *calls));
        let keyed: Vec<_> = keyed.collect();
        let missing = self.counts.add(self.limit, &keyed).await?;
        if let Some(limiter) = self.limiter.upgrade() {
            for ((address, _), missing) in admitted.iter().zip(missing) {
                limiter.raise_full_at(address, missing);
            }
        }
        Ok(())
    }

    fn key(&self, address: IpAddr) -> ValkeyKey {
        // Another limit has another count, which starts full.
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

/// Returns how many calls an address may make at the same time after the next one, as far as this process knows.
fn free<C: Clock + Clone>(limiter: &KeyLimiter<IpAddr, C>, address: &IpAddr) -> u32 {
    match limiter.peek_key(address).1 {
        Ok(looked) => looked.remaining_burst_capacity(),
        Err(_) => 0,
    }
}

impl HeldBack {
    /// Returns the calls to add now, from the admitted calls and those held back. The rest stays held back.
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
                    if self.0.len() < PENDING_MAX {
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
