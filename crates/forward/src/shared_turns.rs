//! Calls under way of all processes together: a turn is begun with the others, and ends when its call does, or after a time if nobody
//! is left to end it.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use shared::{Away, CallWait, CountKeys, CountKind, SharedCounts, ValkeyKey};
use store::Access;

/// Shortest time after which a turn is over that nobody ends.
const LEASE: Duration = Duration::from_secs(90);

/// Time that a call may take after the moment at which its caller has to have an answer: its outcome is still written down.
const AFTER_DEADLINE: Duration = Duration::from_secs(60);

/// The turns that this process begins.
pub(crate) struct SharedTurns {
    counts: Arc<SharedCounts>,
    process: String,
    next: AtomicU64,
}

/// One turn; ends when dropped.
pub(crate) struct SharedTurn {
    counts: Arc<SharedCounts>,
    key: ValkeyKey,
    id: String,
}

impl SharedTurns {
    /// The key is random and of this process.
    pub(crate) fn new(counts: &Arc<SharedCounts>, process_key: &[u8]) -> SharedTurns {
        let own = CountKeys::new(process_key).derived("turns");
        SharedTurns {
            counts: Arc::clone(counts),
            process: own[..8].iter().map(|byte| format!("{byte:02x}")).collect(),
            next: AtomicU64::new(0),
        }
    }

    /// Begins one for a call that ends by this time, unless so many are under way.
    pub(crate) async fn begin(
        &self,
        (access, most): (&Access, NonZeroU32),
        deadline: Instant,
        wait: &CallWait,
    ) -> Result<Option<SharedTurn>, Away> {
        let turn = SharedTurn {
            counts: Arc::clone(&self.counts),
            key: self.key(access),
            id: format!(
                "{}-{}",
                self.process,
                self.next.fetch_add(1, Ordering::Relaxed)
            ),
        };
        let lasting = deadline.saturating_duration_since(Instant::now()) + AFTER_DEADLINE;
        let lease = (&*turn.id, lasting.max(LEASE));
        let begins = self.counts.begin_turn(&turn.key, most, lease, wait);
        // One that may have begun without an answer is ended as well.
        Ok(begins.await?.then_some(turn))
    }

    /// How many are under way.
    pub(crate) async fn look(&self, access: &Access) -> Result<u32, Away> {
        self.counts.turns(&self.key(access)).await
    }

    fn key(&self, access: &Access) -> ValkeyKey {
        self.counts
            .keys()
            .key(CountKind::Turns, &[access.name.as_bytes()])
    }
}

impl Drop for SharedTurn {
    fn drop(&mut self) {
        self.counts.end_turn(&self.key, &self.id);
    }
}
