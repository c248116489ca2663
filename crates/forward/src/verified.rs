//! Remembers recently right secrets by a keyed hash. They are neither hashed again nor counted as guesses.

use std::hash::Hasher;
use std::time::Duration;

use aws_lc_rs::hmac;
use foldhash::quality::RandomState;
use moka::sync::Cache;
use secrecy::{ExposeSecret, SecretString};
use siphasher::sip128::{Hasher128, SipHasher24};
use store::{Access, RANDOM_SECRET_PREFIX, StoredSecret, unknown_name_hash};

/// The time for which a right secret is remembered after its last use. Guesses are counted for the same time, so that an owner who
/// keeps calling never needs a reservation.
const VERIFIED_REST: Duration = Duration::from_secs(10 * 60);

/// Maximum number of remembered secrets, two for each of 100,000 accesses. Each takes 16 bytes of a keyed hash, about 200 in the
/// cache. A chosen password that is not remembered costs each of its calls tens of milliseconds.
const VERIFIED_ENTRIES_MAX: u64 = 200_000;

/// Length of the end of a stored hash that goes into a key: 24 base64 characters, 144 bits.
const HASH_END_BYTES: usize = 24;

/// Stands in the key for a random secret that an access does not have. It is as long as a real one.
const NO_RANDOM_SECRET: &str = "...........................................";

/// The hash of a presented secret together with the stored secrets that it may match, so that a changed secret is a miss.
pub(crate) type VerifiedKey = u128;

/// Length of the key of that hash, in bytes.
const KEY_BYTES: usize = 16;

/// The remembered right secrets. Wrong ones are not stored, because anybody could fill the cache with them. Clones share their
/// content.
#[derive(Clone)]
pub(crate) struct VerifiedSecrets {
    /// SipHash-2-4 with 128 bits is a MAC for short texts whose key never leaves the process. It takes a tenth of HMAC-SHA256's
    /// instructions, and every call with a secret needs it.
    hash: SipHasher24,
    seen: Cache<VerifiedKey, (), RandomState>,
}

impl VerifiedSecrets {
    /// Takes a random key of this process.
    pub(crate) fn new(process_key: &[u8]) -> VerifiedSecrets {
        // A separate key, because the process's key has other uses.
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

    /// Returns the key of a secret presented for an access or for an unknown name. Costs the same for both.
    pub(crate) fn key(&self, access: Option<&Access>, presented: &SecretString) -> VerifiedKey {
        let stored = if is_random(presented) {
            random(access)
        } else {
            chosen(access)
        };
        let mut hash = self.hash;
        for text in stored {
            // The end of a hash identifies it. The length comes first, so that no two pairs of texts give the same key.
            let end = &text.as_bytes()[text.len().saturating_sub(HASH_END_BYTES)..];
            hash.write_u8(end.len() as u8);
            hash.write(end);
        }
        hash.write(presented.expose_secret().as_bytes());
        hash.finish128().as_u128()
    }

    /// Returns whether the secret was right recently.
    pub(crate) fn holds(&self, key: VerifiedKey) -> bool {
        self.seen.get(&key).is_some()
    }

    /// Remembers that the secret is right.
    pub(crate) fn keep(&self, key: VerifiedKey) {
        self.seen.insert(key, ());
    }
}

/// Returns whether a secret has the form of the random ones that we generate.
pub(crate) fn is_random(presented: &SecretString) -> bool {
    presented.expose_secret().starts_with(RANDOM_SECRET_PREFIX)
}

/// Returns the PHC strings to check a chosen password against: at most two, the rest empty. Without an access or a password,
/// returns a hash that nothing matches.
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

/// Returns the two random secrets that may be valid at the same time.
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
