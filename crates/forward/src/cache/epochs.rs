//! How many sends each channel has seen, of this process and of those that say so.

use std::hash::{BuildHasher, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use adapter::Request;
use foldhash::quality::RandomState;
use shared::{SharedCounts, WakeUp};
use siphasher::sip::SipHasher13;

/// Counters that a send bumps; channels share them by hash. More only means fewer needless misses.
const EPOCHS: u16 = 1024;

/// The counters.
pub(super) struct ChannelEpochs {
    counts: Box<[AtomicU64]>,
    hasher: ChannelHasher,
}

/// Which channel has which counter.
enum ChannelHasher {
    /// By a hash of this process.
    Own(RandomState),
    /// By one that all processes have, which say to each other what they bump.
    Shared(SipHasher13, Arc<SharedCounts>),
}

impl ChannelEpochs {
    /// Counters of one process, or of one of several that wake each other up.
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
            let hearing = Arc::downgrade(&epochs);
            counts.on_wake(move |wake_up| {
                if let Some(epochs) = hearing.upgrade() {
                    epochs.hear(&wake_up);
                }
            });
        }
        epochs
    }

    /// The present epoch of this request's channel.
    pub(super) fn of(&self, request: &Request) -> u64 {
        self.count(self.slot(request))
            .map_or(0, |count| count.load(Ordering::Acquire))
    }

    /// Begins the next one, here and elsewhere.
    pub(super) fn bump(&self, request: &Request) {
        let slot = self.slot(request);
        self.bump_slot(slot);
        if let ChannelHasher::Shared(_, counts) = &self.hasher {
            counts.wake_others(slot);
        }
    }

    fn hear(&self, wake_up: &WakeUp) {
        match wake_up {
            WakeUp::All => (0..EPOCHS).for_each(|slot| self.bump_slot(slot)),
            WakeUp::Some(slots) => slots.iter().for_each(|slot| self.bump_slot(*slot)),
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
                // Byte by byte, since programs of two versions have to agree.
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
