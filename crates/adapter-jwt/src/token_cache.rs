//! A cache of verified tokens. It exists because checking a signature costs as much as the rest of a call, and because callers
//! present the same token until it expires.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::{Arc, Weak};

use moka::sync::Cache;
use siphasher::sip128::{Hasher128, SipHasher13};

use crate::token::{Keyring, Subject};

/// Maximum number of tokens in the cache: one for each of 100,000 accesses, about 300 bytes each.
const TOKENS_MAX: u64 = 100_000;

/// A hash with a key of this process, so that callers cannot make two tokens collide and the token itself is not stored.
type TokenHash = u128;

/// A verified token. It is valid as long as the keyring that verified it is current.
#[derive(Clone)]
struct VerifiedToken {
    /// Reserves the address of the keyring but not its keys, because tokens stay in the cache long after the keys have been
    /// replaced.
    keyring: Weak<Keyring>,
    subject: Arc<Subject>,
}

/// The cache. It contains only valid tokens, because otherwise anybody could fill it.
pub struct TokenCache {
    /// Computes 128 bits in one pass. A second pass of 64 bits took a fiftieth of a forward.
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
    /// Returns the subject of a token that exactly this keyring has verified and that has not expired since.
    #[must_use]
    pub fn subject(&self, token: &str, keyring: &Arc<Keyring>, now: i64) -> Option<Arc<Subject>> {
        let known = self.valid.get(&self.hash(token))?;
        let is_current = known.keyring.as_ptr() == Arc::as_ptr(keyring);
        let holds = is_current && now < known.subject.valid_until;
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
    fn a_cached_token_is_used_until_it_expires_or_the_keyring_changes() {
        let (known, keyring) = (TokenCache::default(), Arc::new(Keyring::default()));
        let subject = Arc::new(Subject {
            access: "one".to_owned(),
            scope: Scope::all(),
            valid_until: 100,
            origin: TokenOrigin::Outside { issued_at: None },
        });
        assert_eq!(known.subject("a.b.c", &keyring, 99), None);
        known.keep("a.b.c", &keyring, subject.clone());
        assert_eq!(known.subject("a.b.c", &keyring, 99), Some(subject.clone()));
        assert_eq!(known.subject("a.b.c", &keyring, 100), None);
        assert_eq!(known.subject("a.b.d", &keyring, 99), None);
        let other = Arc::new(Keyring::default());
        assert_eq!(known.subject("a.b.c", &other, 99), None);
        // The cache does not keep a replaced keyring alive.
        let replaced = Arc::downgrade(&keyring);
        drop(keyring);
        assert!(replaced.upgrade().is_none());
    }
}
