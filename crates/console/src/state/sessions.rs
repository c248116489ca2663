//! Sessions of the pages. A single process stores them only in memory, so that a restart signs everybody out. Replicas store them
//! in their shared store.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use secrecy::{ExposeSecret, SecretString};
use store::{
    AdminKey, SecretHasher, SharedSession, Store, StoreError, StoredSecret, new_random_secret,
};

/// Seconds after which an unused session ends.
const IDLE_S: i64 = 30 * 60;

/// Seconds after which every session ends: one working day.
const LIFE_S: i64 = 12 * 3600;

/// Minimum interval, in seconds, between two writes of a shared session's last use.
const USE_SAVED_S: i64 = 60;

/// Maximum number of sessions at the same time. Beyond it, opening a session ends the least recently used one.
const SESSIONS_MAX: usize = 1000;

/// One session.
#[derive(Clone)]
pub(crate) struct Session {
    /// The key that opened the session. The session ends when this key is rotated or deleted.
    pub(crate) key: AdminKey,
    /// The token that every form of the session has to carry.
    pub(crate) token: String,
    began: i64,
    used: i64,
}

/// All sessions, by the keyed hash of their ids: in the store if replicas share one, else in memory.
pub(crate) struct Sessions {
    hasher: Arc<SecretHasher>,
    store: Arc<Store>,
    all: Mutex<HashMap<String, Session>>,
}

impl Sessions {
    pub(crate) fn new(store: Arc<Store>, hasher: Arc<SecretHasher>) -> Sessions {
        let all = Mutex::default();
        Sessions { hasher, store, all }
    }

    /// Opens a session and returns its id. The id is always new; an id that the browser already had is not reused.
    ///
    /// # Errors
    /// Returns an error if the system has no random bytes or the store can't be written.
    pub(crate) async fn open(&self, key: AdminKey, now: i64) -> Result<SecretString, StoreError> {
        let made = (new_random_secret(), new_random_secret());
        let (Ok(id), Ok(token)) = made else {
            return Err(StoreError::new("the system returns no random bytes"));
        };
        let session = Session {
            key,
            token: token.expose_secret().to_owned(),
            began: now,
            used: now,
        };
        let Some(shared) = self.store.shared_sessions() else {
            self.keep(&id, session);
            return Ok(id);
        };
        shared.clear((now - IDLE_S, now - LIFE_S)).await?;
        let put = shared.put(&self.hash(&id), &session.shared()).await;
        put.map(|()| id)
    }

    fn keep(&self, id: &SecretString, session: Session) {
        let mut all = self.all.lock();
        all.retain(|_, other| other.is_live(session.began));
        if all.len() >= SESSIONS_MAX {
            let oldest = all.iter().min_by_key(|(_, session)| session.used);
            if let Some(oldest) = oldest.map(|(hash, _)| hash.clone()) {
                all.remove(&oldest);
            }
        }
        all.insert(self.hash(id), session);
    }

    /// Finds the session with this id, if it has not expired and its key is one of these. `is_use` resets the idle time.
    ///
    /// # Errors
    /// Returns an error if the store can't be read, because it is then unknown whether the session exists.
    pub(crate) async fn find(
        &self,
        id: &SecretString,
        keys: &[AdminKey],
        now: i64,
        is_use: bool,
    ) -> Result<Option<Session>, StoreError> {
        let hash = self.hash(id);
        let Some(shared) = self.store.shared_sessions() else {
            return Ok(self.find_kept(&hash, keys, now, is_use));
        };
        let Some(found) = shared.find(&hash).await? else {
            return Ok(None);
        };
        let found = Session::of_shared(found, keys).filter(|session| session.is_live(now));
        let written = match &found {
            None => shared.drop(&hash).await,
            Some(session) if is_use && now - session.used >= USE_SAVED_S => {
                shared.mark_used(&hash, now).await
            }
            Some(_) => Ok(()),
        };
        if let Err(error) = written {
            tracing::warn!(%error, "console sessions can't be stored");
        }
        Ok(found)
    }

    fn find_kept(&self, hash: &str, keys: &[AdminKey], now: i64, is_use: bool) -> Option<Session> {
        let mut all = self.all.lock();
        let session = all.get_mut(hash)?;
        // A rotated key has another hash, and a deleted key is not among the keys.
        if !session.is_live(now) || !keys.contains(&session.key) {
            all.remove(hash);
            return None;
        }
        if is_use {
            session.used = now;
        }
        Some(session.clone())
    }

    /// Ends the session with this id.
    pub(crate) async fn close(&self, id: &SecretString) {
        let hash = self.hash(id);
        self.all.lock().remove(&hash);
        if let Some(shared) = self.store.shared_sessions() {
            log_failure(&shared.drop(&hash).await);
        }
    }

    /// Ends every session of the key with this name.
    pub(crate) async fn close_all_of(&self, name: &str) {
        self.all
            .lock()
            .retain(|_, session| session.key.name != name);
        if let Some(shared) = self.store.shared_sessions() {
            log_failure(&shared.drop_all_of(name).await);
        }
    }

    fn hash(&self, id: &SecretString) -> String {
        match self.hasher.keyed(id) {
            StoredSecret::Keyed(hash) | StoredSecret::Argon2id(hash) => hash,
        }
    }
}

/// Logs a failure to end a session. Such a session ends when it expires.
fn log_failure(ended: &Result<(), StoreError>) {
    if let Err(error) = ended {
        tracing::error!(%error, "a console session could not be ended");
    }
}

impl Session {
    fn shared(&self) -> SharedSession {
        SharedSession {
            key_name: self.key.name.clone(),
            key_hash: self.key.fingerprint().to_owned(),
            token: self.token.clone(),
            began: self.began,
            used: self.used,
        }
    }

    /// Returns the session if its key still exists. A rotated key has another hash, and a deleted key is not among the keys.
    fn of_shared(shared: SharedSession, keys: &[AdminKey]) -> Option<Session> {
        let mut keys = keys.iter();
        let key =
            keys.find(|key| key.name == shared.key_name && key.fingerprint() == shared.key_hash)?;
        Some(Session {
            key: key.clone(),
            token: shared.token,
            began: shared.began,
            used: shared.used,
        })
    }

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

    async fn sessions(hasher: &Arc<SecretHasher>) -> Sessions {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("chatgate.db"))
            .await
            .unwrap();
        Sessions::new(Arc::new(store), Arc::clone(hasher))
    }

    fn key(hasher: &SecretHasher, name: &str, secret: &str) -> AdminKey {
        let hash = hasher.keyed(&SecretString::from(secret));
        AdminKey::new(name, Role::Operator, NOW, hash)
    }

    #[tokio::test]
    async fn a_session_expires_when_idle_and_at_its_maximum_age() {
        let hasher = Arc::new(SecretHasher::new(&[7; 32]));
        let keys = [key(&hasher, "first", "a")];
        let sessions = sessions(&hasher).await;
        let lives = async |id: &SecretString, now, is_use| {
            sessions
                .find(id, &keys, now, is_use)
                .await
                .unwrap()
                .is_some()
        };
        let id = sessions.open(keys[0].clone(), NOW).await.unwrap();
        assert!(
            lives(&id, NOW + IDLE_S - 1, false).await,
            "looking is no use"
        );
        assert!(!lives(&id, NOW + IDLE_S, false).await);
        assert!(
            !lives(&id, NOW, true).await,
            "what has ended does not come back"
        );

        let id = sessions.open(keys[0].clone(), NOW).await.unwrap();
        let mut now = NOW;
        while now + IDLE_S - 1 < NOW + LIFE_S {
            now += IDLE_S - 1;
            assert!(lives(&id, now, true).await, "{}", now - NOW);
        }
        assert!(
            !lives(&id, NOW + LIFE_S, true).await,
            "use does not prolong its life"
        );
    }

    #[tokio::test]
    async fn a_session_ends_with_its_key_and_when_all_sessions_of_a_name_close() {
        let hasher = Arc::new(SecretHasher::new(&[7; 32]));
        let old = key(&hasher, "first", "a");
        let other = key(&hasher, "other", "c");
        let keys = [old.clone(), other.clone()];
        let sessions = sessions(&hasher).await;
        let id = sessions.open(old.clone(), NOW).await.unwrap();
        let find = async |id: &SecretString, keys: &[AdminKey]| {
            sessions.find(id, keys, NOW, true).await.unwrap().is_some()
        };
        assert!(find(&id, &keys).await);
        assert!(!find(&id, &[key(&hasher, "first", "rotated")]).await);
        assert!(!find(&id, &keys).await, "nor when the old one comes back");

        let mut ids = Vec::new();
        for key in [&old, &old, &other] {
            ids.push(sessions.open(key.clone(), NOW).await.unwrap());
        }
        assert_ne!(ids[0].expose_secret(), ids[1].expose_secret());
        sessions.close_all_of("first").await;
        let mut live = Vec::new();
        for id in &ids {
            live.push(find(id, &keys).await);
        }
        assert_eq!(live, [false, false, true]);
    }

    #[tokio::test]
    async fn a_full_session_list_evicts_the_least_recently_used_session() {
        let hasher = Arc::new(SecretHasher::new(&[7; 32]));
        let keys = [key(&hasher, "first", "a")];
        let sessions = sessions(&hasher).await;
        let first = sessions.open(keys[0].clone(), NOW).await.unwrap();
        let second = sessions.open(keys[0].clone(), NOW).await.unwrap();
        sessions.find(&first, &keys, NOW + 1, true).await.unwrap();
        for _ in 0..SESSIONS_MAX - 1 {
            sessions.open(keys[0].clone(), NOW + 1).await.unwrap();
        }
        assert!(
            sessions
                .find(&second, &keys, NOW + 1, true)
                .await
                .unwrap()
                .is_none()
        );
        assert_eq!(sessions.all.lock().len(), SESSIONS_MAX);
    }
}
