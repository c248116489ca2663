//! The concurrent calls of all processes together. A lease begins in the shared count and ends with its call, or expires if no
//! process ends it.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use shared::{CallWait, CountKeys, CountKind, CountsUnavailable, SharedCounts, ValkeyKey};
use store::Access;

/// Shortest time after which an unended lease expires.
const LIFETIME_MIN: Duration = Duration::from_secs(90);

/// The time that a call may take after its caller's deadline, because its outcome is still recorded.
const AFTER_DEADLINE: Duration = Duration::from_secs(60);

/// The leases that this process begins.
pub(crate) struct SharedConcurrency {
    counts: Arc<SharedCounts>,
    process: String,
    next: AtomicU64,
}

/// The lease of one call. It ends when dropped.
pub(crate) struct ConcurrencyLease {
    counts: Arc<SharedCounts>,
    key: ValkeyKey,
    id: String,
}

impl SharedConcurrency {
    /// Takes a random key of this process.
    pub(crate) fn new(counts: &Arc<SharedCounts>, process_key: &[u8]) -> SharedConcurrency {
        let own = CountKeys::new(process_key).derived("leases");
        SharedConcurrency {
            counts: Arc::clone(counts),
            process: own[..8].iter().map(|byte| format!("{byte:02x}")).collect(),
            next: AtomicU64::new(0),
        }
    }

    /// Begins a lease for a call with this deadline, unless the maximum number of leases is in progress.
    pub(crate) async fn begin(
        &self,
        (access, most): (&Access, NonZeroU32),
        deadline: Instant,
        wait: &CallWait,
    ) -> Result<Option<ConcurrencyLease>, CountsUnavailable> {
        let lease = ConcurrencyLease {
            counts: Arc::clone(&self.counts),
            key: self.key(access),
            id: format!(
                "{}-{}",
                self.process,
                self.next.fetch_add(1, Ordering::Relaxed)
            ),
        };
        let lifetime = deadline.saturating_duration_since(Instant::now()) + AFTER_DEADLINE;
        let named = (&*lease.id, lifetime.max(LIFETIME_MIN));
        let begins = self.counts.begin_lease(&lease.key, most, named, wait);
        // After an error the lease may have begun anyway, so dropping it ends it as well.
        Ok(begins.await?.then_some(lease))
    }

    /// Returns the number of leases in progress.
    pub(crate) async fn count(&self, access: &Access) -> Result<u32, CountsUnavailable> {
        self.counts.leases(&self.key(access)).await
    }

    fn key(&self, access: &Access) -> ValkeyKey {
        self.counts
            .keys()
            .key(CountKind::Leases, &[access.name.as_bytes()])
    }
}

impl Drop for ConcurrencyLease {
    fn drop(&mut self) {
        self.counts.end_lease(&self.key, &self.id);
    }
}
