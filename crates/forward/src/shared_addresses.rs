//! The limit per address, counted by all processes together and without a question on any call's way: each process admits by its own
//! count, adds what it has admitted to the shared one, and takes over what others have.
//!
//! Together they admit more than the limit by what the others admit between two exchanges, and take it back from what comes next.

use std::collections::HashMap;
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use foldhash::fast::RandomState;
use governor::clock::DefaultClock;
use shared::{CountKind, CountLimit, SharedCounts, ValkeyKey};

use crate::per_core::PerCore;
use crate::rate_limit::{KeyLimiter, counted_as};

/// Pause between two exchanges.
const EXCHANGE_PAUSE: Duration = Duration::from_millis(100);

/// The time that the limit is about.
const MINUTE: Duration = Duration::from_secs(60);

/// Most addresses that a thread notes between two exchanges; calls of others are counted by this process alone.
const NOTED_MAX: usize = 50_000;

/// The exchange of one limit.
pub(crate) struct SharedAddresses {
    counts: Arc<SharedCounts>,
    limit: CountLimit,
    limiter: Weak<KeyLimiter<IpAddr, DefaultClock>>,
    /// What was admitted since the last exchange.
    admitted: PerCore<Mutex<HashMap<IpAddr, u32, RandomState>>>,
}

impl SharedAddresses {
    /// Exchanges what this limiter counts, as long as somebody holds both.
    pub(crate) fn start(
        counts: &Arc<SharedCounts>,
        per_minute: NonZeroU32,
        limiter: &Arc<KeyLimiter<IpAddr, DefaultClock>>,
    ) -> Arc<SharedAddresses> {
        let addresses = Arc::new(SharedAddresses {
            counts: Arc::clone(counts),
            limit: CountLimit::per(per_minute, MINUTE),
            limiter: Arc::downgrade(limiter),
            admitted: PerCore::new(Mutex::default),
        });
        let used = Arc::downgrade(&addresses);
        tokio::spawn(async move {
            while let Some(addresses) = used.upgrade() {
                addresses.exchange().await;
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
        SharedAddresses::start(&self.counts, per_minute, limiter)
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

    async fn exchange(&self) {
        let mut all = HashMap::<IpAddr, u32, RandomState>::default();
        for part in self.admitted.iter() {
            let part = std::mem::take(&mut *part.lock().unwrap_or_else(PoisonError::into_inner));
            for (address, calls) in part {
                *all.entry(address).or_insert(0) += calls;
            }
        }
        let Some(limiter) = self.limiter.upgrade().filter(|_| !all.is_empty()) else {
            return;
        };
        let key = |address: &IpAddr| match address {
            IpAddr::V4(v4) => self.key(&v4.octets()),
            IpAddr::V6(v6) => self.key(&v6.octets()),
        };
        let admitted: Vec<_> = all
            .iter()
            .map(|(address, calls)| (key(address), *calls))
            .collect();
        // While nobody answers, each process has its share.
        let Ok(missing) = self.counts.add(self.limit, &admitted).await else {
            return;
        };
        for (address, missing) in all.keys().zip(missing) {
            limiter.fill_no_sooner(address, missing);
        }
    }

    fn key(&self, address: &[u8]) -> ValkeyKey {
        let burst = self.limit.burst.get().to_le_bytes();
        self.counts
            .keys()
            .key(CountKind::Address, &[address, &burst])
    }
}
