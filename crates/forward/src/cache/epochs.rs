//! Counts the sends to each channel, by this process and by other processes that report theirs.

use std::hash::{BuildHasher, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use adapter::Request;
use foldhash::quality::RandomState;
use shared::{Invalidation, SharedCounts};
use siphasher::sip::SipHasher13;

/// The number of counters. A send increments the counter of its channel; channels share counters by hash. More counters only reduce
/// needless misses.
const EPOCHS: u16 = 1024;

/// The counters of sends.
pub(super) struct ChannelEpochs {
    counts: Box<[AtomicU64]>,
    hasher: ChannelHasher,
}

/// The assignment of channels to counters.
enum ChannelHasher {
    /// A hash that only this process uses.
    Own(RandomState),
    /// A hash that all processes use. They tell each other which counters they increment.
    Shared(SipHasher13, Arc<SharedCounts>),
}

impl ChannelEpochs {
    /// Creates the counters of one process, or of one of several processes that notify each other.
    pub(super) fn new(counts: Option<&Arc<SharedCounts>>) -> Arc<ChannelEpochs> {
        let hasher = match counts {
            None => ChannelHasher::Own(RandomState::default()),
            Some(counts) => {
                let key = counts.keys().derived("channels");
                let mut half = [0; 16];
                half.copy_from_slice(&key[..16]);
                ChannelHasher::Shared(SipHasher13::new_with_key(&half), Arc::clone(counts))
            }
        };
        let epochs = Arc::new(ChannelEpochs {
            counts: (0..EPOCHS).map(|_| AtomicU64::new(0)).collect(),
            hasher,
        });
        if let Some(counts) = counts {
            let weak = Arc::downgrade(&epochs);
            counts.on_invalidation(move |invalidation| {
                if let Some(epochs) = weak.upgrade() {
                    epochs.apply(&invalidation);
                }
            });
        }
        epochs
    }

    /// Returns the current epoch of this request's channel.
    pub(super) fn of(&self, request: &Request) -> u64 {
        self.count(self.slot(request))
            .map_or(0, |count| count.load(Ordering::Acquire))
    }

    /// Begins the next epoch, here and in the other processes.
    pub(super) fn bump(&self, request: &Request) {
        let slot = self.slot(request);
        self.bump_slot(slot);
        if let ChannelHasher::Shared(_, counts) = &self.hasher {
            counts.invalidate_others(slot);
        }
    }

    fn apply(&self, invalidation: &Invalidation) {
        match invalidation {
            Invalidation::All => (0..EPOCHS).for_each(|slot| self.bump_slot(slot)),
            Invalidation::Some(slots) => slots.iter().for_each(|slot| self.bump_slot(*slot)),
        }
    }

    fn bump_slot(&self, slot: u16) {
        if let Some(count) = self.count(slot) {
            count.fetch_add(1, Ordering::AcqRel);
        }
    }

    fn count(&self, slot: u16) -> Option<&AtomicU64> {
        self.counts.get(usize::from(slot))
    }

    fn slot(&self, request: &Request) -> u16 {
        let (platform, id) = (request.value("platform"), request.value("platformid"));
        let hash = match &self.hasher {
            ChannelHasher::Own(own) => own.hash_one((platform, id)),
            ChannelHasher::Shared(keyed, _) => {
                // Hashed byte by byte, so that programs of two versions agree.
                let mut hasher = *keyed;
                hasher.write(platform.unwrap_or_default().as_bytes());
                hasher.write(&[0]);
                hasher.write(id.unwrap_or_default().as_bytes());
                hasher.finish()
            }
        };
        // The remainder is below EPOCHS, so it fits.
        u16::try_from(hash % u64::from(EPOCHS)).unwrap_or(0)
    }
}
