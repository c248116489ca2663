//! Issues and verifies tokens: tokens that our own keys signed, and tokens of outside issuers, whose keys are fetched.

mod config;
mod issuers;
mod signing_keys;
mod verification;

use std::sync::Arc;
use std::time::Instant;

use adapter::Error;
use adapter_jwt::{
    AccessNames, Claims, Issuer, Keyring, Scope, ScopeRule, TokenCache, VerifyingKey,
};
use arc_swap::ArcSwap;
use client::Client;
use console::{KeyRow, OperationError};
use store::Store;
use tokio::time::timeout_at;
use uuid::Uuid;

use crate::config::IssuerConfig;
use crate::tokens::config::Signing;
use crate::tokens::issuers::OutsideIssuer;
use crate::tokens::signing_keys::{SigningKeys, delete_keys};

pub(crate) use config::TokensConfig;

/// The keys and issuers of one configuration. Only one caller at a time may change our keys.
pub(crate) struct Tokens {
    issuer: String,
    audience: String,
    signing: Signing,
    own: Arc<ArcSwap<SigningKeys>>,
    keyring: ArcSwap<Keyring>,
    cache: TokenCache,
    outside: Vec<OutsideIssuer>,
    /// The client that fetches the keys of issuers that publish them at a URL.
    client: Option<Client>,
}

impl Tokens {
    /// Starts with the keys in the store, and without keys of outside issuers.
    ///
    /// # Errors
    /// When our keys can't be read or generated.
    pub(crate) async fn open(
        config: TokensConfig,
        store: &Store,
        now: i64,
    ) -> Result<Tokens, String> {
        let keys = SigningKeys::open(store, config.signing.algorithm, now).await?;
        let own = Arc::new(ArcSwap::from_pointee(keys));
        Ok(Tokens::with(config, own, |_| None))
    }

    /// Passes the keys on to another configuration. An issuer with unchanged settings keeps its keys.
    ///
    /// # Errors
    /// When a new key is needed and can't be generated.
    pub(crate) async fn reconfigured(
        &self,
        config: TokensConfig,
        store: &Store,
        now: i64,
    ) -> Result<Tokens, String> {
        let algorithm = config.signing.algorithm;
        let own = if algorithm == self.signing.algorithm {
            Arc::clone(&self.own)
        } else {
            let keys = SigningKeys::open(store, algorithm, now).await?;
            Arc::new(ArcSwap::from_pointee(keys))
        };
        Ok(Tokens::with(config, own, |issuer| self.kept(issuer)))
    }

    fn with(
        config: TokensConfig,
        own: Arc<ArcSwap<SigningKeys>>,
        kept: impl Fn(&IssuerConfig) -> Option<(Vec<VerifyingKey>, OutsideIssuer)>,
    ) -> Tokens {
        let TokensConfig {
            public_url,
            signing,
            issuers,
            client,
        } = config;
        let audience = format!("{public_url}/api/jwt/");
        let mut keyring = Keyring {
            issuers: vec![Issuer {
                iss: public_url.clone(),
                audience: vec![audience.clone()],
                access_claim: "sub".to_owned(),
                accesses: AccessNames::all(),
                scopes: ScopeRule::default(),
                keys: own.load().verifying(),
                own: true,
            }],
        };
        let mut outside = Vec::with_capacity(issuers.len());
        for config in issuers {
            let kept = kept(&config);
            let (keys, known) =
                kept.unwrap_or_else(|| (Vec::new(), OutsideIssuer::new(config.clone())));
            keyring.issuers.push(Issuer {
                iss: config.issuer.clone(),
                audience: config.audience.clone(),
                access_claim: config.claim.clone(),
                accesses: config.accesses.clone(),
                scopes: config.scopes.clone(),
                keys,
                own: false,
            });
            outside.push(known);
        }
        Tokens {
            issuer: public_url,
            audience,
            signing,
            own,
            keyring: ArcSwap::from_pointee(keyring),
            cache: TokenCache::default(),
            outside,
            client,
        }
    }

    /// Returns the keys of the issuer with these settings, and their state.
    fn kept(&self, config: &IssuerConfig) -> Option<(Vec<VerifyingKey>, OutsideIssuer)> {
        let known = self.outside.iter().find(|known| known.config == *config)?;
        // The state is copied before the keys. If a fetch ends in between, the keys are newer than their state, never older.
        let renewed = known.reconfigured();
        let keyring = self.keyring.load();
        let issuer = keyring
            .issuers
            .iter()
            .find(|issuer| issuer.iss == config.issuer);
        let keys = issuer.map_or(Vec::new(), |issuer| issuer.keys.clone());
        Some((keys, renewed))
    }

    /// Starts to fetch the stale keys of outside issuers, each in its own task, so that an issuer that does not answer delays no
    /// other. Call it every few seconds.
    pub(crate) fn refresh(self: &Arc<Tokens>, now: i64) {
        for (at, outside) in self.outside.iter().enumerate() {
            if outside.is_stale(now) && outside.fetching.try_lock().is_ok() {
                let tokens = Arc::clone(self);
                tokio::spawn(async move {
                    if let Some(outside) = tokens.outside.get(at) {
                        // If another task has started to fetch since the check, its fetch is sufficient.
                        tokens.fetch(outside, now, Instant::now()).await;
                    }
                });
            }
        }
    }

    /// Returns the status of the outside issuers for operators.
    pub(crate) fn issuers(&self) -> Vec<serde_json::Value> {
        self.outside.iter().map(OutsideIssuer::status).collect()
    }

    /// Returns the names of the outside issuers, each with the time of the last fetch of its keys, in seconds since 1970, UTC.
    pub(crate) fn fetched(&self) -> impl Iterator<Item = (&str, Option<i64>)> {
        let outside = self.outside.iter();
        outside.map(|outside| (outside.config.issuer.as_str(), outside.fetched()))
    }

    fn outside(&self, issuer: &str) -> Option<&OutsideIssuer> {
        self.outside
            .iter()
            .find(|outside| outside.config.issuer == issuer)
    }

    /// Fetches the keys of an issuer. Returns whether the last fetch was successful. A second caller waits for the running fetch
    /// until the deadline, and then finds that it is too early for another fetch. `now` is in seconds since 1970, UTC.
    async fn fetch(&self, outside: &OutsideIssuer, now: i64, deadline: Instant) -> bool {
        let asked = Instant::now();
        let Ok(_fetching) = timeout_at(deadline.into(), outside.fetching.lock()).await else {
            return false;
        };
        let now = || now.saturating_add_unsigned(asked.elapsed().as_secs());
        if let Some(set) = outside.fetch(self.client.as_ref(), now).await {
            self.replace(&outside.config.issuer, &set.keys);
        }
        outside.has_current_keys()
    }

    fn replace(&self, name: &str, keys: &[VerifyingKey]) {
        self.keyring.rcu(|keyring| {
            let mut keyring = Keyring::clone(keyring);
            for issuer in keyring
                .issuers
                .iter_mut()
                .filter(|issuer| issuer.iss == name)
            {
                issuer.keys = keys.to_vec();
            }
            keyring
        });
    }

    /// Signs a token for an access.
    ///
    /// # Errors
    /// INTERNAL_ERROR when there is no key or it can't sign.
    pub(crate) fn issue(
        &self,
        access: &store::Access,
        scope: &Scope,
        now: i64,
    ) -> Result<String, Error> {
        let claims = Claims {
            iss: self.issuer.clone(),
            aud: self.audience.clone(),
            sub: access.name.clone(),
            client_id: access.client_id.clone(),
            exp: now + i64::from(self.token_life_s()),
            iat: now,
            jti: Uuid::now_v7().to_string(),
            scope: scope.to_string(),
            token_generation: access.token_generation,
        };
        let own = self.own.load();
        let key = own
            .signing()
            .ok_or_else(|| internal("there is no signing key"))?;
        key.sign(&claims).map_err(|error| internal(error.text()))
    }

    /// Returns the lifetime of a token, in seconds.
    pub(crate) fn token_life_s(&self) -> u32 {
        self.signing.life_s
    }

    /// Returns the JWKS document of our own keys.
    pub(crate) fn jwks(&self) -> String {
        self.own.load().jwks()
    }

    /// Returns the rows of our own keys for operators.
    pub(crate) fn rows(&self) -> Vec<KeyRow> {
        self.own.load().rows()
    }

    /// Returns whether one of our keys does not sign yet, because a replica may not know it.
    pub(crate) fn has_waiting_key(&self) -> bool {
        self.own.load().has_waiting()
    }

    /// Replaces our keys with the keys in the store. Returns whether this program can read all of them.
    ///
    /// # Errors
    /// When the store can't be read. Then the current keys stay.
    pub(crate) async fn reread(&self, store: &Store) -> Result<bool, String> {
        let keys = self.own.load().reread(store).await?;
        let reads_all = !keys.has_unreadable();
        self.publish(keys);
        Ok(reads_all)
    }

    /// Generates a new key. It signs all later tokens; if replicas share the store, it does so as soon as all of them know it. Do
    /// not drop the future before its end, because disk and memory would then differ.
    ///
    /// # Errors
    /// When there are too many keys, or the new key can't be generated or stored.
    pub(crate) async fn rotate(&self, store: &Store, now: i64) -> Result<(), OperationError> {
        let keys = self.own.load().rotated(store, now).await?;
        self.publish(keys);
        Ok(())
    }

    /// Generates a new key and removes all others, which invalidates every token that they signed. Do not drop the future before
    /// its end.
    ///
    /// # Errors
    /// When the new key can't be generated or stored; then nothing has changed. When the old keys can't be deleted from the store;
    /// then they return at the next start.
    pub(crate) async fn revoke(&self, store: &Store, now: i64) -> Result<(), OperationError> {
        let (keys, revoked) = self.own.load().revoked(store, now).await?;
        self.publish(keys);
        let deleted = delete_keys(store, &revoked).await;
        deleted.map_err(OperationError::Store)
    }

    /// Removes our keys whose last token has expired. Call it every few seconds.
    pub(crate) async fn prune_expired_keys(&self, store: &Store, now: i64) {
        let (valid, expired) = self.own.load().split_expired(now);
        if expired.is_empty() {
            return;
        }
        self.publish(valid);
        // Keys that remain on the disk are removed at the next start.
        if let Err(error) = delete_keys(store, &expired).await {
            tracing::warn!(%error, "old signing keys could not be deleted from the store");
        }
    }

    /// Publishes keys for verification before they sign, so that the key of each of our tokens is always known.
    fn publish(&self, keys: SigningKeys) {
        self.replace(&self.issuer, &keys.verifying());
        self.own.store(Arc::new(keys));
    }
}

fn internal(cause: &'static str) -> Error {
    Error::refused(adapter::Code::InternalError).because(cause)
}

#[cfg(test)]
mod tests {
    use adapter_jwt::Algorithm;

    use super::*;

    fn config(life_s: u32) -> TokensConfig {
        TokensConfig {
            public_url: "http://127.0.0.1".to_owned(),
            signing: Signing {
                algorithm: Algorithm::EdDsa,
                life_s,
            },
            issuers: Vec::new(),
            client: None,
        }
    }

    #[tokio::test]
    async fn tokens_survive_a_key_rotation_and_a_reload_with_a_shorter_lifetime() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("chatgate.db"))
            .await
            .unwrap();
        let tokens = Tokens::open(config(86_400), &store, 1000).await.unwrap();
        tokens.rotate(&store, 1500).await.unwrap();
        let access = store::Access::new("shop", "shop", "cga_shop");
        let token = tokens.issue(&access, &Scope::all(), 2000).unwrap().into();
        tokens.rotate(&store, 2000).await.unwrap();

        let last = 2000 + 86_400 - 1;
        let reloaded = tokens.reconfigured(config(60), &store, 3000).await.unwrap();
        reloaded.prune_expired_keys(&store, last).await;
        let restarted = Tokens::open(config(60), &store, last).await.unwrap();
        for tokens in [reloaded, restarted].map(Arc::new) {
            let verifying = tokens.verify(&token, last, Instant::now());
            let subject = verifying.await.unwrap_or_else(|error| panic!("{error:?}"));
            assert_eq!(subject.access, "shop");
        }
        assert_eq!(store.keys("tokens/").await.unwrap().len(), 2);
    }
}
