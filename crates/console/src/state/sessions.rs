//! Sessions of the pages. They are kept in memory alone: a restart signs everybody out.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use secrecy::SecretString;
use store::{AdminKey, SecretHasher, StoredSecret, new_random_secret};

/// A session that nobody uses ends after so many seconds.
const IDLE_S: i64 = 30 * 60;

/// Every session ends after so many seconds: one working day.
const LIFE_S: i64 = 12 * 3600;

/// Most sessions at once; beyond that the one that was used longest ago ends.
const SESSIONS_MAX: usize = 1000;

/// One session.
#[derive(Clone)]
pub(crate) struct Session {
    /// The key that it was opened with. Without that very key there is no session.
    pub(crate) key: AdminKey,
    /// What every form has to carry.
    pub(crate) token: String,
    began: i64,
    used: i64,
}

/// All sessions, by the keyed hash of their ids.
#[derive(Default)]
pub(crate) struct Sessions(Mutex<HashMap<String, Session>>);

impl Sessions {
    /// Opens a session and gives its id, which is known to nobody before: whatever id the visitor came with is not taken.
    pub(crate) fn open(
        &self,
        hasher: &SecretHasher,
        key: AdminKey,
        now: i64,
    ) -> Result<SecretString, store::SecretError> {
        let (id, token) = (new_random_secret()?, new_random_secret()?);
        let session = Session {
            key,
            token: secrecy::ExposeSecret::expose_secret(&token).to_owned(),
            began: now,
            used: now,
        };
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|_, session| session.is_live(now));
        if all.len() >= SESSIONS_MAX {
            let oldest = all.iter().min_by_key(|(_, session)| session.used);
            if let Some(oldest) = oldest.map(|(hash, _)| hash.clone()) {
                all.remove(&oldest);
            }
        }
        all.insert(hash(hasher, &id), session);
        Ok(id)
    }

    /// The session with this id, if it lives and its key is one of these. `is_use` keeps it from idling.
    pub(crate) fn find(
        &self,
        hasher: &SecretHasher,
        id: &SecretString,
        (keys, now, is_use): (&[AdminKey], i64, bool),
    ) -> Option<Session> {
        let hash = hash(hasher, id);
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let session = all.get_mut(&hash)?;
        // A key that was rotated has another hash, one that was taken away is not there.
        if !session.is_live(now) || !keys.contains(&session.key) {
            all.remove(&hash);
            return None;
        }
        if is_use {
            session.used = now;
        }
        Some(session.clone())
    }

    /// Ends the session with this id.
    pub(crate) fn close(&self, hasher: &SecretHasher, id: &SecretString) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.remove(&hash(hasher, id));
    }

    /// Ends every session of the key with this name.
    pub(crate) fn close_all_of(&self, name: &str) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|_, session| session.key.name != name);
    }
}

impl Session {
    fn is_live(&self, now: i64) -> bool {
        // A clock that was set back makes no session live longer.
        (0..IDLE_S).contains(&(now - self.used)) && (0..LIFE_S).contains(&(now - self.began))
    }
}

fn hash(hasher: &SecretHasher, id: &SecretString) -> String {
    match hasher.keyed(id) {
        StoredSecret::Keyed(hash) | StoredSecret::Argon2id(hash) => hash,
    }
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;
    use store::Role;

    use super::*;

    const NOW: i64 = 1_700_000_000;

    fn key(hasher: &SecretHasher, name: &str, secret: &str) -> AdminKey {
        let hash = hasher.keyed(&SecretString::from(secret));
        AdminKey::new(name, Role::Operator, NOW, hash)
    }

    #[test]
    fn a_session_ends_when_it_idles_and_after_its_life() {
        let hasher = SecretHasher::new(&[7; 32]);
        let keys = [key(&hasher, "first", "a")];
        let sessions = Sessions::default();
        let lives = |id: &SecretString, now, is_use| {
            sessions.find(&hasher, id, (&keys, now, is_use)).is_some()
        };
        let id = sessions.open(&hasher, keys[0].clone(), NOW).unwrap();
        assert!(lives(&id, NOW + IDLE_S - 1, false), "looking is no use");
        assert!(!lives(&id, NOW + IDLE_S, false));
        assert!(!lives(&id, NOW, true), "what has ended does not come back");

        let id = sessions.open(&hasher, keys[0].clone(), NOW).unwrap();
        let mut now = NOW;
        while now + IDLE_S - 1 < NOW + LIFE_S {
            now += IDLE_S - 1;
            assert!(lives(&id, now, true), "{}", now - NOW);
        }
        assert!(
            !lives(&id, NOW + LIFE_S, true),
            "use does not prolong its life"
        );
    }

    #[test]
    fn a_session_ends_with_its_key_and_with_all_of_its_name() {
        let hasher = SecretHasher::new(&[7; 32]);
        let old = key(&hasher, "first", "a");
        let other = key(&hasher, "other", "c");
        let keys = [old.clone(), other.clone()];
        let sessions = Sessions::default();
        let id = sessions.open(&hasher, old.clone(), NOW).unwrap();
        let find = |id: &SecretString, keys: &[AdminKey]| {
            sessions.find(&hasher, id, (keys, NOW, true)).is_some()
        };
        assert!(find(&id, &keys));
        assert!(!find(&id, &[key(&hasher, "first", "rotated")]));
        assert!(!find(&id, &keys), "nor when the old one comes back");

        let ids: Vec<_> = [&old, &old, &other]
            .map(|key| sessions.open(&hasher, key.clone(), NOW).unwrap())
            .into();
        assert_ne!(ids[0].expose_secret(), ids[1].expose_secret());
        sessions.close_all_of("first");
        let live: Vec<_> = ids.iter().map(|id| find(id, &keys)).collect();
        assert_eq!(live, [false, false, true]);
    }

    #[test]
    fn sessions_are_bounded_and_the_longest_unused_goes_first() {
        let hasher = SecretHasher::new(&[7; 32]);
        let keys = [key(&hasher, "first", "a")];
        let sessions = Sessions::default();
        let first = sessions.open(&hasher, keys[0].clone(), NOW).unwrap();
        let second = sessions.open(&hasher, keys[0].clone(), NOW).unwrap();
        sessions.find(&hasher, &first, (&keys, NOW + 1, true));
        for _ in 0..SESSIONS_MAX - 1 {
            sessions.open(&hasher, keys[0].clone(), NOW + 1).unwrap();
        }
        assert!(
            sessions
                .find(&hasher, &second, (&keys, NOW + 1, true))
                .is_none()
        );
        assert_eq!(sessions.0.lock().unwrap().len(), SESSIONS_MAX);
    }
}
