//! Secrets that were right a while ago: known by a keyed hash, and neither hashed again nor counted as guesses.

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use aws_lc_rs::hmac;
use moka::future::Cache;
use secrecy::{ExposeSecret, SecretString};
use store::{Access, RANDOM_SECRET_PREFIX, StoredSecret, unknown_name_hash};

/// How long a right secret stays known after it was last used. As long as guesses are counted: an owner who calls within
/// it is never asked whether there is still a place among them.
const VERIFIED_REST: Duration = Duration::from_secs(10 * 60);

/// Most right secrets kept; each is 32 bytes of HMAC.
const VERIFIED_ENTRIES_MAX: u64 = 10_000;

/// What stands in the key for a random secret that an access does not have; as long as a real one.
const NO_RANDOM_SECRET: &str = "...........................................";

/// A presented secret together with the stored one that it may match, so that a changed secret is a miss.
pub(crate) type VerifiedKey = [u8; 32];

/// Successes only: failures would let anybody fill it. Clones share what they hold.
#[derive(Clone)]
pub(crate) struct Verified {
    key: hmac::Key,
    /// Tells stored secrets apart; nobody outside knows its key.
    stored: RandomState,
    seen: Cache<VerifiedKey, ()>,
}

impl Verified {
    /// Takes a random key of this process.
    pub(crate) fn new(process_key: &[u8]) -> Verified {
        Verified {
            key: hmac::Key::new(hmac::HMAC_SHA256, process_key),
            stored: RandomState::new(),
            seen: Cache::builder()
                .max_capacity(VERIFIED_ENTRIES_MAX)
                .time_to_idle(VERIFIED_REST)
                .build(),
        }
    }

    /// The key of a secret presented for an access, or for none; costs the same for both.
    pub(crate) fn key(&self, access: Option<&Access>, presented: &SecretString) -> VerifiedKey {
        let stored = if is_random(presented) {
            random(access)
        } else {
            chosen(access)
        };
        // The stored ones go in as one keyed number: with a random secret that is 55 bytes, the most that one block takes.
        let mut context = hmac::Context::with_key(&self.key);
        context.update(&self.stored.hash_one(stored).to_le_bytes());
        context.update(presented.expose_secret().as_bytes());
        let mut key = [0; 32];
        key.copy_from_slice(context.sign().as_ref());
        key
    }

    /// Whether it was right a while ago.
    pub(crate) async fn holds(&self, key: &VerifiedKey) -> bool {
        self.seen.get(key).await.is_some()
    }

    /// Notes that it is right.
    pub(crate) async fn keep(&self, key: VerifiedKey) {
        self.seen.insert(key, ()).await;
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
