//! A cache of verified tokens: checking a signature costs as much as the rest of a call, and callers present the same token
//! until it expires.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::{Arc, Weak};

use moka::sync::Cache;
use siphasher::sip128::{Hasher128, SipHasher13};

use crate::token::{Keyring, Subject};

/// Most tokens in the cache, one of each of 100,000 accesses; some 300 bytes each.
const TOKENS_MAX: u64 = 100_000;

/// A hash with a key of this process: nobody outside can make two tokens collide, and the token itself is not stored.
type TokenHash = u128;

/// A verified token; it counts as long as the keyring that verified it is current.
#[derive(Clone)]
struct VerifiedToken {
    /// Keeps its place and not its keys: tokens stay here long after keys have been replaced.
    keyring: Weak<Keyring>,
    subject: Arc<Subject>,
}

/// Valid tokens only: with others anybody could fill the cache.
pub struct TokenCache {
    /// Of 128 bits at once: a second one of 64 bits was a fiftieth of a forward.
    hasher: SipHasher13,
    valid: Cache<TokenHash, VerifiedToken, foldhash::quality::RandomState>,
}

impl Default for TokenCache {
    fn default() -> TokenCache {
        let chance = RandomState::new();
        let cache = Cache::builder().max_capacity(TOKENS_MAX);
        TokenCache {
            hasher: SipHasher13::new_with_keys(chance.hash_one(0), chance.hash_one(1)),
            valid: cache.build_with_hasher(Default::default()),
        }
    }
}

impl TokenCache {
    /// Returns the subject of a token that this very keyring has verified and that has not expired since.
    #[must_use]
    pub fn subject(&self, token: &str, keyring: &Arc<Keyring>, now: i64) -> Option<Arc<Subject>> {
        let known = self.valid.get(&self.hash(token))?;
        let is_current = known.keyring.as_ptr() == Arc::as_ptr(keyring);
        let holds = is_current && now < known.subject.good_before;
        holds.then_some(known.subject)
    }

    /// Stores a token that this keyring has verified.
    pub fn keep(&self, token: &str, keyring: &Arc<Keyring>, subject: Arc<Subject>) {
        let keyring = Arc::downgrade(keyring);
        let known = VerifiedToken { keyring, subject };
        self.valid.insert(self.hash(token), known);
    }

    fn hash(&self, token: &str) -> TokenHash {
        let mut hasher = self.hasher;
        hasher.write(token.as_bytes());
        hasher.finish128().as_u128()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Scope, TokenOrigin};

    #[test]
    fn a_token_is_known_until_it_ends_or_the_keys_change() {
        let (known, keyring) = (TokenCache::default(), Arc::new(Keyring::default()));
        let subject = Arc::new(Subject {
            access: "one".to_owned(),
            scope: Scope::all(),
            good_before: 100,
            origin: TokenOrigin::Outside { issued_at: None },
        });
        assert_eq!(known.subject("a.b.c", &keyring, 99), None);
        known.keep("a.b.c", &keyring, subject.clone());
        assert_eq!(known.subject("a.b.c", &keyring, 99), Some(subject.clone()));
        assert_eq!(known.subject("a.b.c", &keyring, 100), None);
        assert_eq!(known.subject("a.b.d", &keyring, 99), None);
        let other = Arc::new(Keyring::default());
        assert_eq!(known.subject("a.b.c", &other, 99), None);
        // What is replaced is not kept for it.
        let replaced = Arc::downgrade(&keyring);
        drop(keyring);
        assert!(replaced.upgrade().is_none());
    }
}
