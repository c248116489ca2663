//! The cache of successful reads in memory. Concurrent reads with the same key share one upstream call (a flight).

mod epochs;

use std::future::Future;
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use adapter::{Code, Error, OPERATION_COUNT, Operation, Request, Response};
use moka::Expiry;
use moka::future::Cache;
use shared::SharedCounts;
use store::Access;
use tokio::task::JoinHandle;

use crate::cache_status::CacheStatus;
use crate::call::Forwarded;
use crate::upstream::{UpstreamOutcome, UpstreamTiming};
use epochs::ChannelEpochs;

/// The weight of an entry in addition to its answer, in bytes: key, request and bookkeeping.
const ENTRY_OVERHEAD_BYTES: usize = 512;

/// The lifetimes of cached answers and the size of the cache.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CacheConfig {
    /// The lifetime of answers to each operation, by its number. Zero disables caching.
    pub lifetimes: [Duration; OPERATION_COUNT],
    /// The maximum size of all entries together, in bytes.
    pub bytes: u64,
}

/// The key of an answer: one access, one request, and the epoch of its channel, which each send changes.
#[derive(Clone)]
struct CacheKey {
    access: Arc<Access>,
    request: Arc<Request>,
    epoch: u64,
}

impl CacheKey {
    /// Returns the compared parts. A changed access starts without cached answers, and so does an access that was created again
    /// under an old name.
    fn parts(&self) -> (&str, i64, &Request, u64) {
        let Access { name, version, .. } = &*self.access;
        (name, *version, &self.request, self.epoch)
    }
}

impl PartialEq for CacheKey {
    fn eq(&self, other: &CacheKey) -> bool {
        self.parts() == other.parts()
    }
}

impl Eq for CacheKey {}

impl Hash for CacheKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.parts().hash(state);
    }
}

#[derive(Clone)]
struct CacheEntry {
    response: Arc<Response>,
    ttl: Duration,
    until: Instant,
}

struct PerEntry;

impl Expiry<CacheKey, CacheEntry> for PerEntry {
    fn expire_after_create(
        &self,
        _key: &CacheKey,
        entry: &CacheEntry,
        _now: Instant,
    ) -> Option<Duration> {
        Some(entry.ttl)
    }

    fn expire_after_update(
        &self,
        _: &CacheKey,
        entry: &CacheEntry,
        _: Instant,
        _: Option<Duration>,
    ) -> Option<Duration> {
        Some(entry.ttl)
    }
}

/// The cache of one gateway.
pub(crate) struct ReadCache {
    config: CacheConfig,
    entries: Cache<CacheKey, CacheEntry, foldhash::quality::RandomState>,
    /// The epochs of channels. A send changes the epoch in the key, which makes every older read of its channel unreachable. A read
    /// that was in progress when the send ended is cached under the old epoch, where no lookup finds it.
    epochs: Arc<ChannelEpochs>,
}

impl ReadCache {
    /// Creates an empty cache. If processes share counts, it is notified of the sends of the others.
    pub(crate) fn new(config: CacheConfig, counts: Option<&Arc<SharedCounts>>) -> ReadCache {
        ReadCache::empty(config, ChannelEpochs::new(counts))
    }

    /// Returns the same cache with other settings and its entries. It is empty if the size has changed.
    pub(crate) fn reconfigured(&self, config: CacheConfig) -> ReadCache {
        if config.bytes != self.config.bytes {
            return self.empty_copy(config);
        }
        ReadCache {
            config,
            entries: self.entries.clone(),
            epochs: Arc::clone(&self.epochs),
        }
    }

    /// Returns an empty cache that still notices sends that began before it.
    pub(crate) fn empty_copy(&self, config: CacheConfig) -> ReadCache {
        ReadCache::empty(config, Arc::clone(&self.epochs))
    }

    fn empty(config: CacheConfig, epochs: Arc<ChannelEpochs>) -> ReadCache {
        let weight = |key: &CacheKey, entry: &CacheEntry| {
            let values: usize = key.request.pairs().map(|(_, value)| value.len()).sum();
            u32::try_from(ENTRY_OVERHEAD_BYTES + values + entry.response.bytes())
                .unwrap_or(u32::MAX)
        };
        ReadCache {
            entries: Cache::builder()
                .max_capacity(config.bytes)
                .weigher(weight)
                .expire_after(PerEntry)
                .build_with_hasher(foldhash::quality::RandomState::default()),
            epochs,
            config,
        }
    }

    /// Answers a read from memory, with an identical call in progress, or by `fetch`. A caller that disconnects does not stop a
    /// `fetch` that has begun, because other callers may wait for it.
    pub(crate) async fn read<F>(
        &self,
        access: &Arc<Access>,
        request: Arc<Request>,
        no_cache: bool,
        fetch: impl FnOnce() -> F,
    ) -> Forwarded
    where
        F: Future<Output = UpstreamOutcome> + Send + 'static,
    {
        let Some(ttl) = self.lifetime(access, request.operation()) else {
            let called = fetch().await;
            let outcome = called.result.map(Arc::new);
            return forwarded(outcome, CacheStatus::Bypass, Some(called.timing));
        };
        let epoch = self.epochs.of(&request);
        let key = CacheKey {
            access: Arc::clone(access),
            request,
            epoch,
        };
        if no_cache {
            return Box::pin(self.refresh(key, ttl, fetch())).await;
        }
        if let Some(entry) = self.entries.get(&key).await {
            let remaining = entry.until.saturating_duration_since(Instant::now());
            return forwarded(
                Ok(entry.response),
                CacheStatus::Hit(remaining.as_secs()),
                None,
            );
        }
        self.fetch_once(key, ttl, fetch()).land(ttl).await
    }

    /// Makes every cached read of this request's channel unreachable, for every access.
    pub(crate) fn forget_channel(&self, request: &Request) {
        self.epochs.bump(request);
    }

    /// Starts a flight, or joins the flight in progress.
    fn fetch_once(
        &self,
        key: CacheKey,
        ttl: Duration,
        fetch: impl Future<Output = UpstreamOutcome> + Send + 'static,
    ) -> ReadFlight {
        let leads = Arc::<AtomicBool>::default();
        let (entries, begun) = (self.entries.clone(), Arc::clone(&leads));
        let task = tokio::spawn(async move {
            let mut took = None;
            let entry = entries
                .try_get_with(key, async {
                    begun.store(true, Ordering::Relaxed);
                    let called = fetch.await;
                    took = Some(called.timing);
                    called.result.map(|response| CacheEntry::new(response, ttl))
                })
                .await;
            (entry, took)
        });
        ReadFlight { task, leads }
    }

    async fn refresh(
        &self,
        key: CacheKey,
        ttl: Duration,
        fetch: impl Future<Output = UpstreamOutcome> + Send + 'static,
    ) -> Forwarded {
        let UpstreamOutcome { result, timing } = fetch.await;
        match result {
            Ok(response) => {
                let entry = CacheEntry::new(response, ttl);
                self.entries.insert(key, entry.clone()).await;
                forwarded(
                    Ok(entry.response),
                    CacheStatus::Refreshed(ttl.as_secs()),
                    Some(timing),
                )
            }
            Err(error) => forwarded(Err(error), CacheStatus::Miss, Some(timing)),
        }
    }

    /// Returns how long a successful answer is cached: the access's setting, or else the deployment's. `None` if it is not cached.
    pub(crate) fn lifetime(&self, access: &Access, operation: &Operation) -> Option<Duration> {
        let usual = self.config.lifetimes[operation.number()];
        let life = access.cache.lifetime(operation, usual);
        Some(life).filter(|life| !life.is_zero())
    }
}

/// The entry or the error at the end of a flight, and the durations if the caller led it.
type FlightEnd = (Result<CacheEntry, Arc<Error>>, Option<UpstreamTiming>);

/// A caller's part in a flight: the caller leads the flight or waits for its end.
struct ReadFlight {
    task: JoinHandle<FlightEnd>,
    /// True once the caller's own fetch has begun, so that other callers may wait for it.
    leads: Arc<AtomicBool>,
}

impl ReadFlight {
    /// Waits for the end of the flight.
    async fn land(mut self, ttl: Duration) -> Forwarded {
        match (&mut self.task).await {
            Ok((Ok(entry), Some(took))) => forwarded(
                Ok(entry.response),
                CacheStatus::Stored(ttl.as_secs()),
                Some(took),
            ),
            Ok((Ok(entry), None)) => forwarded(
                Ok(entry.response),
                CacheStatus::Collapsed(ttl.as_secs()),
                None,
            ),
            Ok((Err(error), took)) => forwarded(Err(Error::clone(&error)), CacheStatus::Miss, took),
            Err(_) => {
                let error = Error::refused(Code::InternalError)
                    .because("a read panicked")
                    .with_delivery(None);
                forwarded(Err(error), CacheStatus::Miss, None)
            }
        }
    }
}

impl Drop for ReadFlight {
    /// Ends the wait of a caller that disconnects, and thereby releases its permit. A flight that the caller leads continues.
    fn drop(&mut self) {
        if !self.leads.load(Ordering::Relaxed) {
            self.task.abort();
        }
    }
}

impl CacheEntry {
    fn new(response: Response, ttl: Duration) -> CacheEntry {
        CacheEntry {
            response: Arc::new(response),
            ttl,
            until: Instant::now() + ttl,
        }
    }
}

fn forwarded(
    outcome: Result<Arc<Response>, Error>,
    cache: CacheStatus,
    timing: Option<UpstreamTiming>,
) -> Forwarded {
    Forwarded {
        outcome,
        cache: Some(cache),
        timing,
    }
}

#[cfg(test)]
mod tests;
