//! Sessions of the pages. They are kept in memory alone: a restart signs everybody out.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use secrecy::{ExposeSecret, SecretString};
use store::{AdminKey, SecretError, SecretHasher, StoredSecret, new_random_secret};

/// Seconds after which an unused session ends.
const IDLE_S: i64 = 30 * 60;

/// Seconds after which every session ends: one working day.
const LIFE_S: i64 = 12 * 3600;

/// Most sessions at once; beyond that the one that was used longest ago ends.
const SESSIONS_MAX: usize = 1000;

/// One session.
#[derive(Clone)]
pub(crate) struct Session {
    /// The key that opened it. The session ends with this very key.
    pub(crate) key: AdminKey,
    /// The token that every form has to carry.
    pub(crate) token: String,
    began: i64,
    used: i64,
}

/// All sessions, by the keyed hash of their ids.
pub(crate) struct Sessions {
    hasher: Arc<SecretHasher>,
    all: Mutex<HashMap<String, Session>>,
}

impl Sessions {
    pub(crate) fn new(hasher: Arc<SecretHasher>) -> Sessions {
        let all = Mutex::default();
        Sessions { hasher, all }
    }

    /// Opens a session and returns its id. The id is always new: one that the browser came with is not taken.
    pub(crate) fn open(&self, key: AdminKey, now: i64) -> Result<SecretString, SecretError> {
        let (id, token) = (new_random_secret()?, new_random_secret()?);
        let session = Session {
            key,
            token: token.expose_secret().to_owned(),
            began: now,
            used: now,
        };
        let mut all = self.lock();
        all.retain(|_, session| session.is_live(now));
        if all.len() >= SESSIONS_MAX {
            let oldest = all.iter().min_by_key(|(_, session)| session.used);
            if let Some(oldest) = oldest.map(|(hash, _)| hash.clone()) {
                all.remove(&oldest);
            }
        }
        all.insert(self.hash(&id), session);
        Ok(id)
    }

    /// Finds the session with this id, if it lives and its key is one of these. `is_use` keeps it from idling.
    pub(crate) fn find(
        &self,
        id: &SecretString,
        keys: &[AdminKey],
        now: i64,
        is_use: bool,
    ) -> Option<Session> {
        let hash = self.hash(id);
        let mut all = self.lock();
        let session = all.get_mut(&hash)?;
        // A rotated key has another hash, a deleted one is not among the keys.
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
    pub(crate) fn close(&self, id: &SecretString) {
        self.lock().remove(&self.hash(id));
    }

    /// Ends every session of the key with this name.
    pub(crate) fn close_all_of(&self, name: &str) {
        self.lock().retain(|_, session| session.key.name != name);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Session>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn hash(&self, id: &SecretString) -> String {
        match self.hasher.keyed(id) {
            StoredSecret::Keyed(hash) | StoredSecret::Argon2id(hash) => hash,
        }
    }
}

impl Session {
    fn is_live(&self, now: i64) -> bool {
        // A clock that was set back ends the session.
        (0..IDLE_S).contains(&(now - self.used)) && (0..LIFE_S).contains(&(now - self.began))
    }
}

#[cfg(test)]
mod tests {
    use store::Role;

    use super::*;

    const NOW: i64 = 1_700_000_000;

    fn key(hasher: &SecretHasher, name: &str, secret: &str) -> AdminKey {
        let hash = hasher.keyed(&SecretString::from(secret));
        AdminKey::new(name, Role::Operator, NOW, hash)
    }

    #[test]
    fn a_session_ends_when_it_idles_and_after_its_life() {
        let hasher = Arc::new(SecretHasher::new(&[7; 32]));
        let keys = [key(&hasher, "first", "a")];
        let sessions = Sessions::new(Arc::clone(&hasher));
        let lives =
            |id: &SecretString, now, is_use| sessions.find(id, &keys, now, is_use).is_some();
        let id = sessions.open(keys[0].clone(), NOW).unwrap();
        assert!(lives(&id, NOW + IDLE_S - 1, false), "looking is no use");
        assert!(!lives(&id, NOW + IDLE_S, false));
        assert!(!lives(&id, NOW, true), "what has ended does not come back");

        let id = sessions.open(keys[0].clone(), NOW).unwrap();
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
        let hasher = Arc::new(SecretHasher::new(&[7; 32]));
        let old = key(&hasher, "first", "a");
        let other = key(&hasher, "other", "c");
        let keys = [old.clone(), other.clone()];
        let sessions = Sessions::new(Arc::clone(&hasher));
        let id = sessions.open(old.clone(), NOW).unwrap();
        let find =
            |id: &SecretString, keys: &[AdminKey]| sessions.find(id, keys, NOW, true).is_some();
        assert!(find(&id, &keys));
        assert!(!find(&id, &[key(&hasher, "first", "rotated")]));
        assert!(!find(&id, &keys), "nor when the old one comes back");

        let ids: Vec<_> = [&old, &old, &other]
            .map(|key| sessions.open(key.clone(), NOW).unwrap())
            .into();
        assert_ne!(ids[0].expose_secret(), ids[1].expose_secret());
        sessions.close_all_of("first");
        let live: Vec<_> = ids.iter().map(|id| find(id, &keys)).collect();
        assert_eq!(live, [false, false, true]);
    }

    #[test]
    fn sessions_are_bounded_and_the_longest_unused_goes_first() {
        let hasher = Arc::new(SecretHasher::new(&[7; 32]));
        let keys = [key(&hasher, "first", "a")];
        let sessions = Sessions::new(Arc::clone(&hasher));
        let first = sessions.open(keys[0].clone(), NOW).unwrap();
        let second = sessions.open(keys[0].clone(), NOW).unwrap();
        sessions.find(&first, &keys, NOW + 1, true);
        for _ in 0..SESSIONS_MAX - 1 {
            sessions.open(keys[0].clone(), NOW + 1).unwrap();
        }
        assert!(sessions.find(&second, &keys, NOW + 1, true).is_none());
        assert_eq!(sessions.all.lock().unwrap().len(), SESSIONS_MAX);
    }
}
