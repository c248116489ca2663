//! Whose tokens are good: our own signing keys, and the keys of outside issuers, fetched and kept.

use std::collections::HashSet;
use std::sync::Arc;

use adapter::Error;
use adapter_jwt::{
    Claims, Issuer, JWKS_BYTES_MAX, Keyring, Scope, Subject, TokenFault, VerifyingKey, verify,
};
use arc_swap::ArcSwap;
use console::{Failed, KeyRow};
use forward::client::{Client, get_document};
use secrecy::{ExposeSecret, SecretString};
use store::Store;
use tokio::sync::Mutex;
use uuid::Uuid;

use crate::config::{IssuerConfig, JwksSource};
use crate::signing_keys::{SigningKeys, drop_keys};

/// Least seconds between two fetches of one issuer's keys, so that tokens with invented key ids cause no storm.
const REFETCH_PAUSE_S: i64 = 10;

/// Keys and issuers of one gateway.
pub(crate) struct Tokens {
    issuer: String,
    audience: String,
    life_s: u32,
    own: ArcSwap<SigningKeys>,
    /// Held from before our keys change until the change is in, so that none gets lost.
    changing: Mutex<()>,
    keyring: ArcSwap<Keyring>,
    outside: Vec<Outside>,
    client: Client,
}

struct Outside {
    config: IssuerConfig,
    /// Held while its keys are asked for.
    times: Mutex<Times>,
}

/// Seconds since 1970.
struct Times {
    /// When its keys were last asked for.
    tried: i64,
    /// When they last came.
    fetched: i64,
}

impl Tokens {
    /// Takes our keys and the outside issuers.
    ///
    /// # Errors
    /// A sentence when two issuers have the same name: whose keys would count?
    pub(crate) fn new(
        public_url: &str,
        life_s: u32,
        keys: SigningKeys,
        (outside, client): (Vec<IssuerConfig>, Client),
    ) -> Result<Tokens, String> {
        let mut names: HashSet<&str> = HashSet::from([public_url]);
        if let Some(twice) = outside.iter().find(|config| !names.insert(&config.issuer)) {
            return Err(format!(
                "jwt.issuers: the issuer {} is named twice, or is the gateway itself",
                twice.issuer
            ));
        }
        let audience = format!("{public_url}/api/jwt/");
        let own = Issuer {
            iss: public_url.to_owned(),
            audience: vec![audience.clone()],
            access_claim: "sub".to_owned(),
            keys: keys.verifying(),
            own: true,
        };
        let others = outside.iter().map(|config| Issuer {
            iss: config.issuer.clone(),
            audience: config.audience.clone(),
            access_claim: config.claim.clone(),
            keys: Vec::new(),
            own: false,
        });
        let keyring = Keyring {
            issuers: std::iter::once(own).chain(others).collect(),
        };
        let outside = outside
            .into_iter()
            .map(|config| Outside {
                config,
                times: Mutex::new(Times {
                    tried: i64::MIN,
                    fetched: i64::MIN,
                }),
            })
            .collect();
        let issuer = public_url.to_owned();
        Ok(Tokens {
            issuer,
            audience,
            life_s,
            own: ArcSwap::from_pointee(keys),
            changing: Mutex::new(()),
            keyring: ArcSwap::from_pointee(keyring),
            outside,
            client,
        })
    }

    /// The subject of a good token. A key that is not known is asked for once, and the token looked at again.
    ///
    /// # Errors
    /// EXPIRED_TOKEN, INCORRECT_TOKEN.
    pub(crate) async fn verify(
        self: &Arc<Tokens>,
        token: &SecretString,
        now: i64,
    ) -> Result<Subject, Error> {
        let token = token.expose_secret();
        match verify(token, &self.keyring.load(), now) {
            Err(TokenFault::UnknownKey { issuer }) => {
                // A task of its own: a caller who goes away must not take the fetch along, of which others live.
                let tokens = Arc::clone(self);
                let fetching =
                    tokio::spawn(async move { tokens.fetch_unknown(&issuer, now).await });
                let _ = fetching.await;
                verify(token, &self.keyring.load(), now).map_err(Error::from)
            }
            verified => verified.map_err(Error::from),
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
            JwksSource::Url(url) => get_document(&self.client, url.clone(), JWKS_BYTES_MAX).await?,
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
            exp: now + i64::from(self.life_s),
            iat: now,
            jti: Uuid::now_v7().to_string(),
            scope: scope.to_string(),
        };
        let own = self.own.load();
        let key = own
            .signing()
            .ok_or_else(|| internal("there is no signing key"))?;
        key.sign(&claims).map_err(|error| internal(error.text()))
    }

    /// How long a token lives, in seconds.
    pub(crate) fn life_s(&self) -> u32 {
        self.life_s
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
        let _changing = self.changing.lock().await;
        let keys = self.own.load().rotated(store, now).await?;
        let rows = keys.rows();
        self.publish(keys);
        Ok(rows)
    }

    /// Forgets our keys whose last token is over. Call it every few seconds.
    pub(crate) async fn forget(&self, store: &Store, now: i64) {
        let _changing = self.changing.lock().await;
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
