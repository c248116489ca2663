//! The keys that sign our tokens. The newest key signs; each older key verifies until the last token that it signed has expired.

use std::sync::Arc;

use adapter_jwt::{Algorithm, SKEW_S, SigningKey, VerifyingKey};
use console::{KeyRow, OperationError};
use store::{Store, StoredKey};

use crate::config::TOKEN_LIFE_MAX_S;

/// The prefix of the purpose of every signing key in the store. The name of the algorithm follows it.
const PURPOSE_START: &str = "tokens/";

/// Maximum number of keys. With a rotation each hour, every key verifies for a day next to its successors. Verifiers read the
/// published set often, and 32 RSA keys take 14 KiB.
const KEYS_MAX: usize = 32;

/// One key with its id in the store and the time of its generation, in seconds since 1970.
struct StoredSigningKey {
    id: i64,
    created_at: i64,
    /// The time from which the key signs; `None` while a replica may not know the key.
    signs_from: Option<i64>,
    key: Arc<SigningKey>,
}

/// All keys at one moment. The value never changes.
#[derive(Clone)]
pub(crate) struct SigningKeys {
    algorithm: Algorithm,
    /// The keys, oldest first. The last one signs, as soon as all replicas know it.
    keys: Vec<Arc<StoredSigningKey>>,
    /// The ids in the store of keys that this program can't read.
    unreadable: Vec<i64>,
}

impl SigningKeys {
    /// Reads the keys that are still valid and deletes the others. Generates a key if there is none, or if the configured algorithm
    /// has changed. Such a change is a normal rotation: tokens of the old algorithm stay valid.
    ///
    /// # Errors
    /// When the store can't be read or written, or no key in it can be read.
    pub(crate) async fn open(
        store: &Store,
        algorithm: Algorithm,
        now: i64,
    ) -> Result<SigningKeys, String> {
        let all = SigningKeys::read(store, algorithm, &[]).await?;
        let last = all.keys.last().map(|kept| kept.key.algorithm());
        let all = if last == Some(algorithm) {
            all
        } else {
            all.with_first(store, now).await?
        };
        if all.keys.is_empty() {
            return Err("no signing key in the store can be read".to_owned());
        }
        let (valid, expired) = all.split_expired(now);
        delete_keys(store, &expired).await?;
        Ok(valid)
    }

    /// Reads all keys in the store, and no others: a deleted key must not verify any longer because another key can't be read.
    ///
    /// # Errors
    /// When the store can't be read.
    async fn read(
        store: &Store,
        algorithm: Algorithm,
        known: &[Arc<StoredSigningKey>],
    ) -> Result<SigningKeys, String> {
        let stored = store.keys(PURPOSE_START).await;
        let (mut keys, mut unreadable) = (Vec::new(), Vec::new());
        for stored in stored.map_err(|error| error.to_string())? {
            match read(&stored).or_else(|error| known_key(known, &stored).ok_or(error)) {
                Ok(key) => keys.push(Arc::new(StoredSigningKey {
                    id: stored.id,
                    created_at: stored.created_at,
                    signs_from: stored.signs_from,
                    key,
                })),
                Err(error) => {
                    tracing::error!(
                        id = stored.id,
                        error,
                        "a signing key in the store can't be read: its tokens are rejected"
                    );
                    unreadable.push(stored.id);
                }
            }
        }
        Ok(SigningKeys {
            algorithm,
            keys,
            unreadable,
        })
    }

    /// Reads all keys in the store again. Keys in memory that are still in the store stay even if they can't be read from it any
    /// longer.
    ///
    /// # Errors
    /// When the store can't be read.
    pub(crate) async fn reread(&self, store: &Store) -> Result<SigningKeys, String> {
        SigningKeys::read(store, self.algorithm, &self.keys).await
    }

    /// Adds a new key, which signs from now on; if replicas share the store, it signs as soon as all of them know it. The key is on
    /// the disk when this returns.
    ///
    /// # Errors
    /// A conflict when too many keys still verify; a failure of the store or of the system.
    pub(crate) async fn rotated(
        &self,
        store: &Store,
        now: i64,
    ) -> Result<SigningKeys, OperationError> {
        let (valid, _) = self.split_expired(now);
        if valid.keys.len() >= KEYS_MAX {
            let why = format!(
                "{KEYS_MAX} keys are in use; rotate again after the oldest key has expired."
            );
            return Err(OperationError::Conflict(why));
        }
        self.with_another(store, now)
            .await
            .map_err(OperationError::Store)
    }

    /// Returns the new key alone, and the ids in the store of all other keys. The new key is on the disk when this returns.
    ///
    /// # Errors
    /// A failure of the store or of the system.
    pub(crate) async fn revoked(
        &self,
        store: &Store,
        now: i64,
    ) -> Result<(SigningKeys, Vec<i64>), OperationError> {
        let known = self.keys.iter().map(|kept| kept.id);
        let revoked = known.chain(self.unreadable.iter().copied()).collect();
        let mut keys = self
            .with_another(store, now)
            .await
            .map_err(OperationError::Store)?;
        keys.keys.drain(..self.keys.len());
        keys.unreadable.clear();
        Ok((keys, revoked))
    }

    /// Adds the first key of this algorithm. If several replicas do so at the same time, only one key is added.
    async fn with_first(&self, store: &Store, now: i64) -> Result<SigningKeys, String> {
        let material = generate(self.algorithm).await?;
        let purpose = self.purpose();
        let added = store.add_key_once(PURPOSE_START, (&purpose, &material), now);
        added.await.map_err(|error| error.to_string())?;
        SigningKeys::read(store, self.algorithm, &[]).await
    }

    fn purpose(&self) -> String {
        format!("{PURPOSE_START}{}", self.algorithm.name())
    }

    async fn with_another(&self, store: &Store, now: i64) -> Result<SigningKeys, String> {
        let material = generate(self.algorithm).await?;
        let key =
            SigningKey::from_pkcs8(self.algorithm, &material).map_err(|error| error.to_string())?;
        let id = store.add_key(&self.purpose(), &material, now).await;
        let id = id.map_err(|error| error.to_string())?;
        let mut all = self.clone();
        all.keys.push(Arc::new(StoredSigningKey {
            id,
            created_at: now,
            signs_from: store.signs_from(now),
            key: Arc::new(key),
        }));
        Ok(all)
    }

    /// Returns the keys that are still valid, and the ids in the store of the keys whose last token has expired.
    #[must_use]
    pub(crate) fn split_expired(&self, now: i64) -> (SigningKeys, Vec<i64>) {
        let counts = |at: &usize| self.verifies_until(*at).is_none_or(|until| now < until);
        let (valid, expired): (Vec<_>, Vec<_>) = (0..self.keys.len()).partition(counts);
        let mut counting = self.clone();
        counting.keys = valid.into_iter().map(|at| self.keys[at].clone()).collect();
        (
            counting,
            expired.into_iter().map(|at| self.keys[at].id).collect(),
        )
    }

    /// Returns the time at which the last token of this key has certainly expired, because its successor signed all later tokens. A
    /// token may have been signed under another configuration or by another replica, so the maximum lifetime counts. The clock skew
    /// that every token is granted also covers tokens that were signed while the successor was being written.
    fn verifies_until(&self, at: usize) -> Option<i64> {
        let successor = self.keys.get(at + 1)?;
        Some(successor.signs_from? + i64::from(TOKEN_LIFE_MAX_S) + i64::from(SKEW_S))
    }

    /// Returns the key that signs: the newest key that all replicas know, or the oldest key if there is no such key.
    pub(crate) fn signing(&self) -> Option<&SigningKey> {
        self.signing_at().map(|at| &*self.keys[at].key)
    }

    fn signing_at(&self) -> Option<usize> {
        let known = self.keys.iter().rposition(|kept| kept.signs_from.is_some());
        known.or_else(|| (!self.keys.is_empty()).then_some(0))
    }

    /// Returns whether the store has a key that this program can't read.
    pub(crate) fn has_unreadable(&self) -> bool {
        !self.unreadable.is_empty()
    }

    /// Returns whether there is a key that does not sign yet.
    pub(crate) fn has_waiting(&self) -> bool {
        self.keys.iter().any(|kept| kept.signs_from.is_none())
    }

    /// Returns the public half of each key.
    pub(crate) fn verifying(&self) -> Vec<VerifyingKey> {
        let keys = self.keys.iter();
        keys.map(|kept| kept.key.verifying_key()).collect()
    }

    /// Returns the JWKS document.
    pub(crate) fn jwks(&self) -> String {
        let keys: Vec<&SigningKey> = self.keys.iter().map(|kept| &*kept.key).collect();
        adapter_jwt::jwks(&keys)
    }

    /// Returns the rows for operators, the newest first.
    pub(crate) fn rows(&self) -> Vec<KeyRow> {
        let row = |(at, kept): (usize, &Arc<StoredSigningKey>)| KeyRow {
            kid: kept.key.kid().to_owned(),
            algorithm: kept.key.algorithm().name(),
            created_at: kept.created_at,
            signs: self.signing_at() == Some(at),
            verifies_until: self.verifies_until(at),
        };
        self.keys.iter().enumerate().map(row).rev().collect()
    }
}

/// Deletes keys from the store.
///
/// # Errors
/// When the store can't be written.
pub(crate) async fn delete_keys(store: &Store, ids: &[i64]) -> Result<(), String> {
    for id in ids {
        let dropped = store.drop_key(*id).await;
        dropped.map_err(|error| error.to_string())?;
    }
    Ok(())
}

async fn generate(algorithm: Algorithm) -> Result<Vec<u8>, String> {
    // Finding an RSA key takes some hundred milliseconds.
    let made = tokio::task::spawn_blocking(move || SigningKey::generate_pkcs8(algorithm)).await;
    let made = made.map_err(|error| error.to_string())?;
    made.map_err(|error| error.to_string())
}

fn read(stored: &StoredKey) -> Result<Arc<SigningKey>, String> {
    let material = stored.material.as_ref();
    let material = material.map_err(ToString::to_string)?;
    let name = stored
        .purpose
        .strip_prefix(PURPOSE_START)
        .unwrap_or_default();
    let key = name.parse::<Algorithm>();
    let key = key.and_then(|algorithm| SigningKey::from_pkcs8(algorithm, material));
    key.map(Arc::new).map_err(|error| error.to_string())
}

/// Returns the key with this number among known keys. The time of its generation distinguishes it from a key that got the same number
/// after a failover.
fn known_key(known: &[Arc<StoredSigningKey>], stored: &StoredKey) -> Option<Arc<SigningKey>> {
    let mut known = known.iter();
    let same = |known: &&Arc<StoredSigningKey>| {
        (known.id, known.created_at) == (stored.id, stored.created_at)
    };
    known.find(same).map(|known| Arc::clone(&known.key))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Time from the rotation of a key until its removal, in seconds.
    const VERIFIES_S: i64 = TOKEN_LIFE_MAX_S as i64 + SKEW_S as i64;

    async fn store() -> (tempfile::TempDir, Store) {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("chatgate.db"))
            .await
            .unwrap();
        (folder, store)
    }

    async fn open(store: &Store, algorithm: Algorithm, now: i64) -> SigningKeys {
        let opened = SigningKeys::open(store, algorithm, now).await;
        opened.unwrap_or_else(|error| panic!("{error}"))
    }

    fn kids(keys: &SigningKeys) -> Vec<String> {
        keys.rows().into_iter().map(|row| row.kid).collect()
    }

    #[tokio::test]
    async fn a_rotated_key_verifies_until_its_last_token_expires_and_is_then_deleted() {
        let (_folder, store) = store().await;
        let first = open(&store, Algorithm::EdDsa, 1000).await;
        let both = first.rotated(&store, 2000).await.unwrap();
        let until = 2000 + VERIFIES_S;
        assert_eq!(
            both.rows()
                .iter()
                .map(|row| row.verifies_until)
                .collect::<Vec<_>>(),
            [None, Some(until)]
        );
        assert_eq!(both.split_expired(until - 1).0.verifying().len(), 2);
        let (valid, expired) = both.split_expired(until);
        assert_eq!((valid.verifying().len(), expired.len()), (1, 1));
        assert_eq!(kids(&valid), kids(&both)[..1]);

        assert_eq!(
            kids(&open(&store, Algorithm::EdDsa, until - 1).await),
            kids(&both)
        );
        assert_eq!(
            kids(&open(&store, Algorithm::EdDsa, until).await),
            kids(&valid)
        );
        // The key is also deleted from the disk, so an earlier clock does not bring it back.
        assert_eq!(
            kids(&open(&store, Algorithm::EdDsa, 2000).await),
            kids(&valid)
        );
    }

    #[tokio::test]
    async fn a_changed_signing_algorithm_rotates_the_key() {
        let (_folder, store) = store().await;
        let first = open(&store, Algorithm::EdDsa, 1000).await;
        let second = open(&store, Algorithm::Rs256, 2000).await;
        let rows = second.rows();
        assert_eq!((rows[0].algorithm, rows[1].algorithm), ("RS256", "EdDSA"));
        assert_eq!(rows[1].kid, kids(&first)[0]);
        assert_eq!(
            kids(&open(&store, Algorithm::Rs256, 2001).await),
            kids(&second)
        );
    }

    #[tokio::test]
    async fn rotation_is_rejected_at_the_key_limit_until_an_old_key_expires() {
        let (_folder, store) = store().await;
        let mut keys = open(&store, Algorithm::EdDsa, 0).await;
        for now in 1..32 {
            keys = keys.rotated(&store, now).await.unwrap();
        }
        assert!(matches!(
            keys.rotated(&store, 32).await,
            Err(OperationError::Conflict(_))
        ));
        assert!(keys.rotated(&store, 1 + VERIFIES_S).await.is_ok());
    }

    /// Adds a key of an algorithm that this program does not know.
    async fn add_unreadable(store: &Store, now: i64) -> i64 {
        let added = store.add_key("tokens/Later", b"later", now).await;
        added.unwrap()
    }

    #[tokio::test]
    async fn a_deleted_key_is_dropped_although_another_key_cannot_be_read() {
        let (_folder, store) = store().await;
        let first = open(&store, Algorithm::EdDsa, 1000).await;
        let both = first.rotated(&store, 2000).await.unwrap();
        let unreadable = add_unreadable(&store, 3000).await;
        delete_keys(&store, &[both.keys[0].id]).await.unwrap();
        let reread = both.reread(&store).await.unwrap();
        assert_eq!(kids(&reread), kids(&both)[..1]);
        assert!(reread.has_unreadable() && !reread.has_waiting());
        assert_eq!(
            kids(&open(&store, Algorithm::EdDsa, 3000).await),
            kids(&reread)
        );
        // A revocation also removes the key that other versions may read.
        let (revoked, expired) = reread.revoked(&store, 4000).await.unwrap();
        assert_eq!(expired, [both.keys[1].id, unreadable]);
        delete_keys(&store, &expired).await.unwrap();
        let valid = revoked.reread(&store).await.unwrap();
        assert_eq!(
            (kids(&valid), valid.has_unreadable()),
            (kids(&revoked), false)
        );
    }

    #[tokio::test]
    async fn a_known_key_stays_even_if_it_cannot_be_read_again() {
        let (_folder, store) = store().await;
        let mut keys = open(&store, Algorithm::EdDsa, 1000).await;
        let unreadable = add_unreadable(&store, 1000).await;
        let known = &keys.keys[0];
        keys.keys = vec![Arc::new(StoredSigningKey {
            id: unreadable,
            created_at: 1000,
            signs_from: None,
            key: Arc::clone(&known.key),
        })];
        let reread = keys.reread(&store).await.unwrap();
        assert!(!reread.has_unreadable() && !reread.has_waiting());
        assert_eq!(reread.keys.len(), 2);
        // The same number may belong to another key after a failover.
        delete_keys(&store, &[unreadable]).await.unwrap();
        assert_eq!(add_unreadable(&store, 2000).await, unreadable);
        assert!(keys.reread(&store).await.unwrap().has_unreadable());
    }
}
