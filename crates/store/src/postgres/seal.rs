//! Seals the keys in a shared database, so that neither its administrators nor its backups can read a key.

use std::sync::Arc;

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::rand;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;

use crate::StoreError;

/// Number of bytes of a sealing key.
pub const SEAL_BYTES: usize = 32;

/// The sealing keys: the newest key seals, and all of them open. `Debug` shows none of them.
#[derive(Clone)]
pub struct SealKeys(Arc<[LessSafeKey]>);

impl std::fmt::Debug for SealKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SealKeys(…)")
    }
}

impl SealKeys {
    /// Reads the current key and the earlier ones: base64, separated by blanks.
    ///
    /// # Errors
    /// A sentence, when there is no key, or one is not base64 of [`SEAL_BYTES`].
    pub fn parse(newest_first: &str) -> Result<SealKeys, String> {
        let keys = newest_first.split_whitespace();
        let keys: Result<Vec<_>, _> = keys.map(|key| BASE64_STANDARD.decode(key)).collect();
        SealKeys::new(&keys.map_err(|_| "it is not base64")?)
    }

    /// Takes the current key and the earlier ones.
    ///
    /// # Errors
    /// A sentence, when there is no key, or one does not have [`SEAL_BYTES`].
    pub fn new(newest_first: &[Vec<u8>]) -> Result<SealKeys, String> {
        if newest_first.is_empty() {
            return Err("it has no key".to_owned());
        }
        let keys = newest_first.iter().map(|key| {
            let key = UnboundKey::new(&AES_256_GCM, key);
            key.map(LessSafeKey::new)
                .map_err(|_| format!("a key must have {SEAL_BYTES} bytes"))
        });
        keys.collect::<Result<_, _>>().map(SealKeys)
    }

    /// Seals key material for one purpose in one deployment. It opens nowhere else.
    pub(super) fn seal(
        &self,
        context: &SealContext<'_>,
        key: &[u8],
    ) -> Result<Vec<u8>, StoreError> {
        let broken = |_| StoreError::new("a key can't be sealed");
        let newest = self
            .0
            .first()
            .ok_or_else(|| StoreError::new("the store has no seal key"))?;
        let mut nonce = [0; NONCE_LEN];
        rand::fill(&mut nonce).map_err(broken)?;
        let mut sealed = key.to_vec();
        newest
            .seal_in_place_append_tag(
                Nonce::assume_unique_for_key(nonce),
                context.aad(),
                &mut sealed,
            )
            .map_err(broken)?;
        Ok([&nonce[..], &sealed].concat())
    }

    /// Opens key material that [`SealKeys::seal`] has sealed.
    pub(super) fn open(
        &self,
        context: &SealContext<'_>,
        sealed: &[u8],
    ) -> Result<Vec<u8>, StoreError> {
        let (nonce, sealed) = sealed.split_at_checked(NONCE_LEN).unwrap_or_default();
        for key in &*self.0 {
            let Ok(nonce) = Nonce::try_assume_unique_for_key(nonce) else {
                break;
            };
            let mut opened = sealed.to_vec();
            if let Ok(key) = key.open_in_place(nonce, context.aad(), &mut opened) {
                return Ok(key.to_vec());
            }
        }
        Err(StoreError::new(
            "a key of the database does not open with store.seal: it was sealed by another key, or changed",
        ))
    }
}

/// The purpose and the deployment that a sealed key is bound to.
pub(super) struct SealContext<'c> {
    pub(super) deployment: &'c str,
    pub(super) purpose: &'c str,
}

impl SealContext<'_> {
    fn aad(&self) -> Aad<Vec<u8>> {
        Aad::from(format!("{}\0{}", self.deployment, self.purpose).into_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sealed_key_opens_only_for_its_purpose_and_deployment() {
        let (old, new) = (vec![1; SEAL_BYTES], vec![2; SEAL_BYTES]);
        let at = |deployment, purpose| SealContext {
            deployment,
            purpose,
        };
        let before = SealKeys::new(std::slice::from_ref(&old)).unwrap();
        let sealed = before.seal(&at("d", "secrets"), b"the key").unwrap();
        assert!(!sealed.windows(7).any(|part| part == b"the key"));
        let both = SealKeys::new(&[new.clone(), old]).unwrap();
        assert_eq!(both.open(&at("d", "secrets"), &sealed).unwrap(), b"the key");
        for context in [at("e", "secrets"), at("d", "journal")] {
            assert!(both.open(&context, &sealed).is_err());
        }
        let mut changed = sealed.clone();
        changed[NONCE_LEN] ^= 1;
        assert!(both.open(&at("d", "secrets"), &changed).is_err());
        assert!(both.open(&at("d", "secrets"), &[]).is_err());
        let after = SealKeys::new(&[new]).unwrap();
        assert!(after.open(&at("d", "secrets"), &sealed).is_err());
        let resealed = both.seal(&at("d", "secrets"), b"the key").unwrap();
        assert_eq!(
            after.open(&at("d", "secrets"), &resealed).unwrap(),
            b"the key"
        );
        assert!(SealKeys::new(&[]).is_err() && SealKeys::new(&[vec![1; 31]]).is_err());
    }
}
