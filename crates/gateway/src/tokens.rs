//! Whose tokens are good: our own signing keys, and the keys of outside issuers, fetched and kept.

use std::collections::HashSet;
use std::sync::Arc;

use adapter::Error;
use adapter_jwt::{
    Algorithm, Claims, Issuer, JWKS_BYTES_MAX, Keyring, Scope, Subject, TokenFault, VerifyingKey,
    verify,
};
use arc_swap::ArcSwap;
use console::{Failed, KeyRow};
use forward::client::{self, Client, ClientConfig, get_document};
use secrecy::{ExposeSecret, SecretString};
use store::Store;
use tokio::sync::Mutex;
use uuid::Uuid;

use crate::config::{Config, IssuerConfig, JwksSource};
use crate::known_tokens::KnownTokens;
use crate::signing_keys::{SigningKeys, drop_keys};

/// Least seconds between two fetches of one issuer's keys, so that tokens with invented key ids cause no storm.
const REFETCH_PAUSE_S: i64 = 10;

/// Keys and issuers under one configuration. Whoever changes our keys sees to it that nobody else does at the same time.
pub(crate) struct Tokens {
    issuer: String,
    audience: String,
    signing: (Algorithm, u32),
    own: Arc<ArcSwap<SigningKeys>>,
    keyring: ArcSwap<Keyring>,
    known: KnownTokens,
    outside: Vec<Outside>,
    /// Fetches keys, where an issuer has a URL for them.
    client: Option<Client>,
}

/// What of it is configured.
pub(crate) struct TokensConfig {
    public_url: String,
    /// What ours are signed with, and how long they live, in seconds.
    signing: (Algorithm, u32),
    issuers: Vec<IssuerConfig>,
    /// Fetches the issuers' keys.
    /// Fetches keys, where an issuer has a URL for them.
    client: Option<Client>,
}

struct Outside {
    config: IssuerConfig,
    /// Held while its keys are asked for.
    times: Mutex<Times>,
}

/// Seconds since 1970.
#[derive(Clone, Copy)]
struct Times {
    /// When its keys were last asked for.
    tried: i64,
    /// When they last came.
    fetched: i64,
}

impl Times {
    const NEVER: Times = Times {
        tried: i64::MIN,
        fetched: i64::MIN,
    };
}

impl TokensConfig {
    /// Takes the section of the configuration and the gateway's own name.
    ///
    /// # Errors
    /// A sentence when two issuers have the same name: whose keys would count? Or when the roots can't be read.
    pub(crate) fn new(config: &Config, public_url: &str) -> Result<TokensConfig, String> {
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
        Ok(Tokens::with(config, own, |_| (Vec::new(), Times::NEVER)))
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
        kept: impl Fn(&IssuerConfig) -> (Vec<VerifyingKey>, Times),
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
                keys: own.load().verifying(),
                own: true,
            }],
        };
        let mut outside = Vec::with_capacity(issuers.len());
        for config in issuers {
            let (keys, times) = kept(&config);
            keyring.issuers.push(Issuer {
                iss: config.issuer.clone(),
                audience: config.audience.clone(),
                access_claim: config.claim.clone(),
                keys,
                own: false,
            });
            outside.push(Outside {
                config,
                times: Mutex::new(times),
            });
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

    /// What is known of an issuer that is described like this: nothing while its keys are being asked for.
    fn kept(&self, config: &IssuerConfig) -> (Vec<VerifyingKey>, Times) {
        let known = self.outside.iter().find(|known| known.config == *config);
        let Some(times) = known.and_then(|known| known.times.try_lock().ok()) else {
            return (Vec::new(), Times::NEVER);
        };
        let keyring = self.keyring.load();
        let issuer = keyring
            .issuers
            .iter()
            .find(|issuer| issuer.iss == config.issuer);
        let keys = issuer.map_or(Vec::new(), |issuer| issuer.keys.clone());
        // A file costs nothing to read, and may be why somebody asked for a reload.
        let fetched = match config.jwks {
            JwksSource::Url(_) => times.fetched,
            JwksSource::File(_) => i64::MIN,
        };
        (keys, Times { fetched, ..*times })
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
                let tokens = Arc::clone(self);
                let fetching =
                    tokio::spawn(async move { tokens.fetch_unknown(&issuer, now).await });
                let _ = fetching.await;
                let subject = verify(token, &self.keyring.load(), now)?;
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

    /// Fetches the keys of every outside issuer that have grown stale. Call it every few seconds.
    pub(crate) async fn refresh(&self, now: i64) {
        for outside in &self.outside {
            let fresh_s = i64::try_from(outside.config.refresh.as_secs()).unwrap_or(i64::MAX);
            let mut times = outside.times.lock().await;
            if now.saturating_sub(times.fetched) >= fresh_s {
                self.fetch(outside, &mut times, now).await;
            }
        }
    }

    async fn fetch_unknown(&self, issuer: &str, now: i64) {
        let known = self
            .outside
            .iter()
            .find(|outside| outside.config.issuer == issuer);
        if let Some(outside) = known {
            // Who comes while another fetches waits for that fetch, and then finds that it is too early for one of their own.
            let mut times = outside.times.lock().await;
            self.fetch(outside, &mut times, now).await;
        }
    }

    async fn fetch(&self, outside: &Outside, times: &mut Times, now: i64) {
        if now.saturating_sub(times.tried) < REFETCH_PAUSE_S {
            return;
        }
        times.tried = now;
        match self.read_keys(&outside.config).await {
            Ok(keys) => {
                self.replace(&outside.config.issuer, &keys);
                times.fetched = now;
            }
            // The last good keys stay: an issuer that is away for a minute must not lock its callers out.
            Err(error) => {
                tracing::warn!(issuer = outside.config.issuer, %error, "keys were not fetched");
            }
        }
    }

    async fn read_keys(&self, config: &IssuerConfig) -> Result<Vec<VerifyingKey>, String> {
        let document = match &config.jwks {
            JwksSource::Url(url) => {
                let client = self.client.as_ref().ok_or("there is no client")?;
                get_document(client, url.clone(), JWKS_BYTES_MAX).await?
            }
            JwksSource::File(path) => tokio::fs::read_to_string(path)
                .await
                .map_err(|error| error.to_string())?,
        };
        adapter_jwt::parse_jwks(&document, &config.algorithms).map_err(|error| error.to_string())
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
    pub(crate) async fn rotate(&self, store: &Store, now: i64) -> Result<Vec<KeyRow>, Failed> {
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
    pub(crate) async fn revoke(&self, store: &Store, now: i64) -> Result<Vec<KeyRow>, Failed> {
        let (keys, over) = self.own.load().revoked(store, now).await?;
        let rows = keys.rows();
        self.publish(keys);
        drop_keys(store, &over).await.map_err(Failed::Broken)?;
        Ok(rows)
    }

    /// Forgets our keys whose last token is over. Call it every few seconds.
    pub(crate) async fn forget(&self, store: &Store, now: i64) {
        let (left, over) = self.own.load().parted(now);
        if over.is_empty() {
            return;
        }
        self.publish(left);
        // What stays on the disk is forgotten at the next start.
        if let Err(error) = drop_keys(store, &over).await {
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
