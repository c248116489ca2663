//! Tokens that were good a moment ago: a signature costs as much to check as the rest of a call, and callers show the same
//! token until it ends.

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

use adapter_jwt::{Keyring, Subject};
use moka::sync::Cache;

/// Most tokens known at once; some 300 bytes each.
const TOKENS_MAX: u64 = 10_000;

/// Two hashes with keys of this process, 128 bits in all: nobody outside can make two tokens share them, and the token
/// itself is not kept.
type Key = (u64, u64);

/// A token is known for as long as the keys are that judged it.
#[derive(Clone)]
struct Known {
    keyring: Arc<Keyring>,
    subject: Arc<Subject>,
}

/// Good ones only: bad ones would let anybody fill it.
pub(crate) struct KnownTokens {
    hashers: [RandomState; 2],
    good: Cache<Key, Known>,
}

impl Default for KnownTokens {
    fn default() -> KnownTokens {
        KnownTokens {
            hashers: [RandomState::new(), RandomState::new()],
            good: Cache::new(TOKENS_MAX),
        }
    }
}

impl KnownTokens {
    /// The subject of a token that was good by these very keys and has not ended since.
    pub(crate) fn subject(
        &self,
        token: &str,
        keyring: &Arc<Keyring>,
        now: i64,
    ) -> Option<Arc<Subject>> {
        let known = self.good.get(&self.key(token))?;
        let holds = Arc::ptr_eq(&known.keyring, keyring) && now < known.subject.good_before;
        holds.then_some(known.subject)
    }

    /// Keeps a token that is good by these keys.
    pub(crate) fn keep(&self, token: &str, keyring: Arc<Keyring>, subject: Arc<Subject>) {
        let known = Known { keyring, subject };
        self.good.insert(self.key(token), known);
    }

    fn key(&self, token: &str) -> Key {
        let [first, second] = &self.hashers;
        (first.hash_one(token), second.hash_one(token))
    }
}

#[cfg(test)]
mod tests {
    use adapter_jwt::{Scope, TokenOrigin};

    use super::*;

    #[test]
    fn a_token_is_known_until_it_ends_or_the_keys_change() {
        let (known, keyring) = (KnownTokens::default(), Arc::new(Keyring::default()));
        let subject = Arc::new(Subject {
            access: "one".to_owned(),
            scope: Scope::all(),
            good_before: 100,
            origin: TokenOrigin::Outside { issued_at: None },
        });
        assert_eq!(known.subject("a.b.c", &keyring, 99), None);
        known.keep("a.b.c", Arc::clone(&keyring), subject.clone());
        assert_eq!(known.subject("a.b.c", &keyring, 99), Some(subject.clone()));
        assert_eq!(known.subject("a.b.c", &keyring, 100), None);
        assert_eq!(known.subject("a.b.d", &keyring, 99), None);
        let other = Arc::new(Keyring::default());
        assert_eq!(known.subject("a.b.c", &other, 99), None);
    }
}
