//! Whose tokens are good: our own signing keys, and the keys of outside issuers, fetched and kept.

mod cache;
mod issuers;
mod signing_keys;

use std::collections::HashSet;
use std::sync::Arc;

use adapter::Error;
use adapter_jwt::{
    AccessNames, Algorithm, Claims, Issuer, Keyring, Scope, ScopeRule, Subject, TokenFault,
    VerifyingKey, verify,
};
use arc_swap::ArcSwap;
use client::{Client, ClientConfig};
use console::{KeyRow, OperationError};
use secrecy::{ExposeSecret, SecretString};
use store::Store;
use uuid::Uuid;

use crate::config::{Config, IssuerConfig, JwksSource};
use crate::tokens::cache::KnownTokens;
use crate::tokens::issuers::{OutsideIssuer, REFETCH_PAUSE_S};
use crate::tokens::signing_keys::{SigningKeys, delete_keys};

/// Keys and issuers under one configuration. Whoever changes our keys sees to it that nobody else does at the same time.
pub(crate) struct Tokens {
    issuer: String,
    audience: String,
    signing: (Algorithm, u32),
    own: Arc<ArcSwap<SigningKeys>>,
    keyring: ArcSwap<Keyring>,
    known: KnownTokens,
    outside: Vec<OutsideIssuer>,
    /// Fetches keys, where an issuer has a URL for them.
    client: Option<Client>,
}

/// What of it is configured.
pub(crate) struct TokensConfig {
    public_url: String,
    /// What ours are signed with, and how long they live, in seconds.
    signing: (Algorithm, u32),
    issuers: Vec<IssuerConfig>,
    /// Fetches keys, where an issuer has a URL for them.
    client: Option<Client>,
}

impl TokensConfig {
    /// Takes the section of the configuration and the gateway's own name.
    ///
    /// # Errors
    /// A sentence when two issuers have the same name: whose keys would count? Or when the roots can't be read.
    pub(crate) fn new(config: &Config, public_url: &str) -> Result<TokensConfig, String> {
        for warning in config.warnings() {
            tracing::warn!("{warning}");
        }
        let issuers = config.jwt.issuers.clone();
        let mut names: HashSet<&str> = HashSet::from([public_url]);
        if let Some(twice) = issuers.iter().find(|config| !names.insert(&config.issuer)) {
            return Err(format!(
                "jwt.issuers: the issuer {} is named twice, or is the gateway itself",
                twice.issuer
            ));
        }
        let made = ClientConfig {
            roots: config.upstream_limits.roots.clone(),
            identity: None,
            connect_timeout: config.upstream_limits.connect_timeout,
            timeout: config.upstream_limits.timeout,
        };
        Ok(TokensConfig {
            public_url: public_url.to_owned(),
            signing: (config.jwt.algorithm, config.jwt.token_life_s),
            client: issuers
                .iter()
                .any(|issuer| matches!(issuer.jwks, JwksSource::Url(_)))
                .then(|| client::build(&made))
                .transpose()?,
            issuers,
        })
    }
}

impl Tokens {
    /// Begins with the keys of the store and none of the outside issuers'.
    ///
    /// # Errors
    /// When our keys can't be read or made.
    pub(crate) async fn open(
        config: TokensConfig,
        store: &Store,
        now: i64,
    ) -> Result<Tokens, String> {
        let (algorithm, life_s) = config.signing;
        let keys = SigningKeys::open(store, algorithm, life_s, now).await?;
        let own = Arc::new(ArcSwap::from_pointee(keys));
        Ok(Tokens::with(config, own, |_| None))
    }

    /// The same keys under another configuration. An issuer that is described as before keeps the keys that it had.
    ///
    /// # Errors
    /// When a new key has to be made and can't be.
    pub(crate) async fn renewed(
        &self,
        config: TokensConfig,
        store: &Store,
        now: i64,
    ) -> Result<Tokens, String> {
        let own = if config.signing == self.signing {
            Arc::clone(&self.own)
        } else {
            let (algorithm, life_s) = config.signing;
            let keys = SigningKeys::open(store, algorithm, life_s, now).await?;
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
            known: KnownTokens::default(),
            outside,
            client,
        }
    }

    /// What is known of an issuer that is described like this, and its keys.
    fn kept(&self, config: &IssuerConfig) -> Option<(Vec<VerifyingKey>, OutsideIssuer)> {
        let known = self.outside.iter().find(|known| known.config == *config)?;
        let keyring = self.keyring.load();
        let issuer = keyring
            .issuers
            .iter()
            .find(|issuer| issuer.iss == config.issuer);
        let keys = issuer.map_or(Vec::new(), |issuer| issuer.keys.clone());
        Some((keys, known.renewed()))
    }

    /// The subject of a good token. A key that is not known is asked for once, and the token looked at again.
    ///
    /// # Errors
    /// EXPIRED_TOKEN, INCORRECT_TOKEN.
    pub(crate) async fn verify(
        self: &Arc<Tokens>,
        token: &SecretString,
        now: i64,
    ) -> Result<Arc<Subject>, Error> {
        let token = token.expose_secret();
        let keyring = self.keyring.load_full();
        if let Some(subject) = self.known.subject(token, &keyring, now) {
            return Ok(subject);
        }
        match verify(token, &keyring, now) {
            Err(TokenFault::UnknownKey { issuer }) => {
                // A task of its own: a caller who goes away must not take the fetch along, of which others live.
                let (tokens, asked) = (Arc::clone(self), issuer.clone());
                let fetching = tokio::spawn(async move {
                    if let Some(outside) = tokens.outside(&asked) {
                        tokens.fetch(outside, now).await;
                    }
                });
                let _ = fetching.await;
                let judged = verify(token, &self.keyring.load(), now);
                let subject = judged.map_err(|fault| self.refusal(fault))?;
                Ok(Arc::new(subject))
            }
            Ok(subject) => {
                let subject = Arc::new(subject);
                self.known.keep(token, keyring, Arc::clone(&subject));
                Ok(subject)
            }
            Err(fault) => Err(fault.into()),
        }
    }

    /// A token that nobody can judge, since the keys of its issuer have never come, is no guess.
    fn refusal(&self, fault: TokenFault) -> Error {
        let is_known = match &fault {
            TokenFault::UnknownKey { issuer } => self.outside(issuer),
            TokenFault::Expired | TokenFault::Invalid(_) => None,
        };
        if is_known.is_some_and(OutsideIssuer::was_never_fetched) {
            return Error::refused(adapter::Code::Overloaded)
                .because("the keys of the issuer could never be fetched")
                .retry_after(REFETCH_PAUSE_S);
        }
        fault.into()
    }

    /// Fetches the keys of every outside issuer that have grown stale. Call it every few seconds.
    pub(crate) async fn refresh(&self, now: i64) {
        for outside in self.outside.iter().filter(|outside| outside.is_stale(now)) {
            self.fetch(outside, now).await;
        }
    }

    /// The outside issuers as operators see them.
    pub(crate) fn issuers(&self) -> Vec<serde_json::Value> {
        self.outside.iter().map(OutsideIssuer::status).collect()
    }

    fn outside(&self, issuer: &str) -> Option<&OutsideIssuer> {
        self.outside
            .iter()
            .find(|outside| outside.config.issuer == issuer)
    }

    /// Who comes while another fetches waits for that fetch, and then finds that it is too early for one of their own.
    async fn fetch(&self, outside: &OutsideIssuer, now: i64) {
        let _fetching = outside.fetching.lock().await;
        if let Some(set) = outside.fetch(self.client.as_ref(), now).await {
            self.replace(&outside.config.issuer, &set.keys);
        }
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
    /// INTERNAL_ERROR when the key does not sign.
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
            exp: now + i64::from(self.life_s()),
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

    /// How long a token lives, in seconds.
    pub(crate) fn life_s(&self) -> u32 {
        self.signing.1
    }

    /// The JWKS document of our own keys.
    pub(crate) fn jwks(&self) -> String {
        self.own.load().jwks()
    }

    /// Our own keys as operators see them.
    pub(crate) fn rows(&self) -> Vec<KeyRow> {
        self.own.load().rows()
    }

    /// Makes a new key, which signs everything from now on. Let it come to its end: between disk and memory it may not
    /// be left.
    ///
    /// # Errors
    /// When there are too many, or the new one can't be made or kept.
    pub(crate) async fn rotate(
        &self,
        store: &Store,
        now: i64,
    ) -> Result<Vec<KeyRow>, OperationError> {
        let keys = self.own.load().rotated(store, now).await?;
        let rows = keys.rows();
        self.publish(keys);
        Ok(rows)
    }

    /// Makes a new key and forgets all others, and with them every token that they signed. Let it come to its end.
    ///
    /// # Errors
    /// When the new key can't be made or kept; then nothing has changed. When the old ones can't be taken out of the store;
    /// then they verify nothing any more until the next start.
    pub(crate) async fn revoke(
        &self,
        store: &Store,
        now: i64,
    ) -> Result<Vec<KeyRow>, OperationError> {
        let (keys, over) = self.own.load().revoked(store, now).await?;
        let rows = keys.rows();
        self.publish(keys);
        delete_keys(store, &over)
            .await
            .map_err(OperationError::Broken)?;
        Ok(rows)
    }

    /// Removes our keys whose last token has expired. Call it every few seconds.
    pub(crate) async fn prune_expired_keys(&self, store: &Store, now: i64) {
        let (left, expired) = self.own.load().split_expired(now);
        if expired.is_empty() {
            return;
        }
        self.publish(left);
        // What stays on the disk is removed at the next start.
        if let Err(error) = delete_keys(store, &expired).await {
            tracing::warn!(%error, "old signing keys stay in the store");
        }
    }

    /// A key verifies before it signs: no token of ours may meet a keyring that does not know its key.
    fn publish(&self, keys: SigningKeys) {
        self.replace(&self.issuer, &keys.verifying());
        self.own.store(Arc::new(keys));
    }
}

fn internal(cause: &'static str) -> Error {
    Error::refused(adapter::Code::InternalError).because(cause)
}
