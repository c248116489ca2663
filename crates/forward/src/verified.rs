//! Secrets that were right a while ago: known by a keyed hash, and neither hashed again nor counted as guesses.

use std::hash::Hasher;
use std::time::Duration;

use aws_lc_rs::hmac;
use foldhash::quality::RandomState;
use moka::sync::Cache;
use secrecy::{ExposeSecret, SecretString};
use siphasher::sip128::{Hasher128, SipHasher24};
use store::{Access, RANDOM_SECRET_PREFIX, StoredSecret, unknown_name_hash};

/// How long a right secret stays known after it was last used. As long as guesses are counted: an owner who calls within
/// it is never asked whether there is still a place among them.
const VERIFIED_REST: Duration = Duration::from_secs(10 * 60);

/// Most right secrets kept, two of each of 100,000 accesses; each is 16 bytes of a keyed hash, some 200 in the cache. A chosen
/// password that is not among them costs each of its calls tens of milliseconds.
const VERIFIED_ENTRIES_MAX: u64 = 200_000;

/// How much of a stored hash's end goes into a key: of base64, 144 bits.
const HASH_END_BYTES: usize = 24;

/// What stands in the key for a random secret that an access does not have; as long as a real one.
const NO_RANDOM_SECRET: &str = "...........................................";

/// A presented secret together with the stored one that it may match, so that a changed secret is a miss.
pub(crate) type VerifiedKey = u128;

/// Bytes of the key of that hash.
const KEY_BYTES: usize = 16;

/// Successes only: failures would let anybody fill it. Clones share what they hold.
#[derive(Clone)]
pub(crate) struct VerifiedSecrets {
    /// SipHash-2-4 with 128 bits is a MAC for short texts whose key never leaves the process, at a tenth of HMAC-SHA256's
    /// instructions; every call that brings a secret is looked up by it.
    hash: SipHasher24,
    seen: Cache<VerifiedKey, (), RandomState>,
}

impl VerifiedSecrets {
    /// Takes a random key of this process.
    pub(crate) fn new(process_key: &[u8]) -> VerifiedSecrets {
        // A key of its own, since the process's has other uses.
        let derived = hmac::Key::new(hmac::HMAC_SHA256, process_key);
        let derived = hmac::sign(&derived, b"verified secrets");
        let mut key = [0; KEY_BYTES];
        key.copy_from_slice(&derived.as_ref()[..KEY_BYTES]);
        VerifiedSecrets {
            hash: SipHasher24::new_with_key(&key),
            seen: Cache::builder()
                .max_capacity(VERIFIED_ENTRIES_MAX)
                .time_to_idle(VERIFIED_REST)
                .build_with_hasher(RandomState::default()),
        }
    }

    /// The key of a secret presented for an access, or for none; costs the same for both.
    pub(crate) fn key(&self, access: Option<&Access>, presented: &SecretString) -> VerifiedKey {
        let stored = if is_random(presented) {
            random(access)
        } else {
            chosen(access)
        };
        let mut hash = self.hash;
        for text in stored {
            // The end of a hash tells it from all others; with its length, so that no two pairs of texts are one.
            let end = &text.as_bytes()[text.len().saturating_sub(HASH_END_BYTES)..];
            hash.write_u8(end.len() as u8);
            hash.write(end);
        }
        hash.write(presented.expose_secret().as_bytes());
        hash.finish128().as_u128()
    }

    /// Whether it was right a while ago.
    pub(crate) fn holds(&self, key: VerifiedKey) -> bool {
        self.seen.get(&key).is_some()
    }

    /// Notes that it is right.
    pub(crate) fn keep(&self, key: VerifiedKey) {
        self.seen.insert(key, ());
    }
}

/// Whether a secret has the form of the random ones that we make.
pub(crate) fn is_random(presented: &SecretString) -> bool {
    presented.expose_secret().starts_with(RANDOM_SECRET_PREFIX)
}

/// The PHC strings that a chosen password is checked against, at most two that live side by side, the rest empty; without an
/// access or a password one that nothing matches.
pub(crate) fn chosen(access: Option<&Access>) -> [&str; 2] {
    let mut stored = [unknown_name_hash(), ""];
    let hashes = access.into_iter().flat_map(Access::hashes);
    let chosen = hashes.filter_map(|secret| match secret {
        StoredSecret::Argon2id(phc) => Some(phc.as_str()),
        StoredSecret::Keyed(_) => None,
    });
    for (place, phc) in stored.iter_mut().zip(chosen) {
        *place = phc;
    }
    stored
}

/// The two random secrets that may live side by side.
fn random(access: Option<&Access>) -> [&str; 2] {
    let mut stored = [NO_RANDOM_SECRET; 2];
    let hashes = access.into_iter().flat_map(Access::hashes);
    let keyed = hashes.filter_map(|secret| match secret {
        StoredSecret::Keyed(text) => Some(text.as_str()),
        StoredSecret::Argon2id(_) => None,
    });
    for (place, text) in stored.iter_mut().zip(keyed) {
        *place = text;
    }
    stored
}
