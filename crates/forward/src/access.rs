//! From a claim to an access: one check of secrets for all ways in, then what the access may.

use std::sync::Arc;
use std::time::Duration;

use adapter::{Code, Error, Request};
use aws_lc_rs::hmac;
use moka::future::Cache;
use secrecy::{ExposeSecret, SecretString};
use store::{
    Access, Accesses, RANDOM_SECRET_PREFIX, SecretHasher, StoredSecret, unknown_name_hash,
    verify_chosen,
};
use tokio::sync::Semaphore;

use crate::Circumstances;
use crate::allowlist::{self, Verdict};

/// How long a password that was right stays known: argon2id once a minute and caller is cheap, once a call is not.
const VERIFIED_TTL: Duration = Duration::from_secs(60);

/// Most verified passwords kept; each is 32 bytes of HMAC.
const VERIFIED_ENTRIES_MAX: u64 = 10_000;

/// How long a call waits for its turn at hashing before it is told to come again.
const HASHING_WAIT_MAX: Duration = Duration::from_secs(2);

/// What a caller says to prove who they are.
#[derive(Clone, Copy, Debug)]
pub enum Claim<'a> {
    /// A user name and its password.
    User {
        /// The user name.
        user: &'a str,
        /// The secret.
        password: &'a SecretString,
    },
    /// A client id and its secret, at the token endpoint.
    Client {
        /// The client id.
        client_id: &'a str,
        /// The secret.
        secret: &'a SecretString,
    },
    /// The access that a verified token names.
    Proven {
        /// Its name.
        access: &'a str,
    },
}

/// Checks secrets. What a check costs hangs on the form of the presented secret alone.
pub struct Checker {
    hasher: SecretHasher,
    hashing: Arc<Semaphore>,
    /// Successes only: failures would let anybody fill it. The key includes the stored hash, so that a changed password
    /// is a miss.
    verified: Cache<[u8; 32], ()>,
    verified_key: hmac::Key,
}

impl Checker {
    /// Takes the hasher of random secrets, a random key of this process, and how many passwords may be hashed at once.
    #[must_use]
    pub fn new(hasher: SecretHasher, process_key: &[u8], hashing_at_once: usize) -> Checker {
        Checker {
            hasher,
            hashing: Arc::new(Semaphore::new(hashing_at_once)),
            verified: Cache::builder()
                .max_capacity(VERIFIED_ENTRIES_MAX)
                .time_to_live(VERIFIED_TTL)
                .build(),
            verified_key: hmac::Key::new(hmac::HMAC_SHA256, process_key),
        }
    }

    /// The access that the claim proves.
    ///
    /// # Errors
    /// INCORRECT_USER_PASSWORD or INCORRECT_TOKEN, the same for an unknown name and a wrong secret; OVERLOADED when
    /// too many passwords wait to be hashed.
    pub async fn prove(&self, accesses: &Accesses, claim: Claim<'_>) -> Result<Arc<Access>, Error> {
        let (access, secret) = match claim {
            Claim::User { user, password } => (accesses.of_user(user), password),
            Claim::Client { client_id, secret } => (accesses.of_client(client_id), secret),
            Claim::Proven { access } => {
                let found = accesses.named(access).cloned();
                return found
                    .ok_or_else(|| Error::refused(Code::IncorrectToken).because("no such access"));
            }
        };
        let right = if secret.expose_secret().starts_with(RANDOM_SECRET_PREFIX) {
            self.hasher
                .verify(secret, access.map_or(&[], |access| &access.secrets))
        } else {
            self.verify_chosen(access, secret).await?
        };
        match access {
            Some(access) if right => Ok(Arc::clone(access)),
            Some(_) => Err(Error::refused(Code::IncorrectUserPassword).because("wrong secret")),
            None => Err(Error::refused(Code::IncorrectUserPassword).because("unknown name")),
        }
    }

    async fn verify_chosen(
        &self,
        access: Option<&Arc<Access>>,
        presented: &SecretString,
    ) -> Result<bool, Error> {
        let stored = access.and_then(|access| {
            access.secrets.iter().find_map(|secret| match secret {
                StoredSecret::Argon2id(phc) => Some(phc.as_str()),
                StoredSecret::Keyed(_) => None,
            })
        });
        let phc = stored.unwrap_or(unknown_name_hash());
        let key = self.verified_key(phc, presented);
        if self.verified.get(&key).await.is_some() {
            return Ok(true);
        }
        let waiting =
            tokio::time::timeout(HASHING_WAIT_MAX, Arc::clone(&self.hashing).acquire_owned());
        let Ok(Ok(permit)) = waiting.await else {
            return Err(Error::refused(Code::Overloaded)
                .because("too many passwords to hash")
                .retry_after(1));
        };
        let (phc, presented) = (phc.to_owned(), presented.clone());
        let hashed = tokio::task::spawn_blocking(move || {
            // The permit lives as long as the work, which a caller that goes away does not stop.
            let _permit = permit;
            verify_chosen(&presented, &phc)
        });
        let right = hashed
            .await
            .map_err(|_| Error::refused(Code::InternalError).because("hashing panicked"))?;
        if right {
            self.verified.insert(key, ()).await;
        }
        Ok(right)
    }

    fn verified_key(&self, phc: &str, presented: &SecretString) -> [u8; 32] {
        let mut context = hmac::Context::with_key(&self.verified_key);
        context.update(phc.as_bytes());
        context.update(&[0]);
        context.update(presented.expose_secret().as_bytes());
        let mut key = [0; 32];
        key.copy_from_slice(context.sign().as_ref());
        key
    }
}

/// Judges state, networks and way in, in the contract's order.
pub(crate) fn admits(access: &Access, circumstances: Circumstances) -> Result<(), Error> {
    if !access.is_live(circumstances.now) {
        let cause = if access.active {
            "outside its time"
        } else {
            "suspended"
        };
        return Err(Error::refused(Code::AccessDisabled).because(cause));
    }
    match allowlist::judge(&access.allow, &access.deny, circumstances.address) {
        Verdict::Allowed(_) => {}
        refused => {
            return Err(Error::refused(Code::IpNotAllowed)
                .because(format!("networks of the access: {refused}")));
        }
    }
    if !access
        .ways
        .iter()
        .any(|way| way == circumstances.way.name())
    {
        return Err(Error::refused(Code::OperationNotAllowed).because("way in not allowed"));
    }
    Ok(())
}

/// Judges method, platform and channel.
pub(crate) fn permits(access: &Access, request: &Request) -> Result<(), Error> {
    let refuse = |cause| Err(Error::refused(Code::OperationNotAllowed).because(cause));
    if !crate::may_call(access, request.operation()) {
        return refuse("method not allowed");
    }
    let Some(platform) = request.value("platform") else {
        return Ok(());
    };
    if access
        .platforms
        .as_ref()
        .is_some_and(|allowed| !allowed.iter().any(|name| name == platform))
    {
        return refuse("platform not allowed");
    }
    let platformid = request.value("platformid").unwrap_or_default();
    let listed = |channels: &Vec<store::Channel>| {
        channels
            .iter()
            .any(|channel| channel.platform == platform && channel.platformid == platformid)
    };
    if access
        .channels
        .as_ref()
        .is_some_and(|channels| !listed(channels))
    {
        return refuse("channel not allowed");
    }
    Ok(())
}
