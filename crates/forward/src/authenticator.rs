//! Turns credentials into an access. All ways in check secrets here.

use std::sync::Arc;

use adapter::{Code, Error};
use secrecy::SecretString;
use shared::CallWait;
use store::{Access, Accesses, SecretHasher, verify_chosen};

use crate::call::Caller;
use crate::hashing::{HashRequest, HashWaitResult, Hashing};
use crate::throttle::{LoginThrottle, PresentedName, ThrottleKey, ThrottleLimits};
use crate::verified::{self, VerifiedKey, VerifiedSecrets};

/// The credentials that a caller presents.
#[derive(Clone, Copy, Debug)]
pub enum PresentedCredentials<'a> {
    /// A user name and its password.
    User {
        /// The user name.
        user: &'a str,
        /// The password.
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
        /// The name of the access.
        access: &'a str,
        /// The issuer of the token and its statements about the access.
        issued: Issued<'a>,
    },
}

/// The issuer of a verified token, and the token's statements about its access.
#[derive(Clone, Copy, Debug)]
pub enum Issued<'a> {
    /// The token was issued by this gateway for the access that had this client id at that time.
    Here {
        /// The client id.
        client_id: &'a str,
        /// The `token_generation` of the access.
        generation: i64,
    },
    /// The token was issued by an outside issuer, at this time if the token contains it; seconds since 1970, UTC.
    Elsewhere(Option<i64>),
}

impl Issued<'_> {
    /// Checks that the token was issued for this access, and after the access's tokens were last revoked.
    fn holds_for(self, access: &Access) -> Result<(), Error> {
        let wrong = |cause| Err(Error::refused(Code::IncorrectToken).because(cause));
        match (self, access.tokens_since) {
            (Issued::Here { client_id, .. }, _) if client_id != access.client_id => {
                wrong("the token was issued for another access")
            }
            (Issued::Here { generation, .. }, _) if generation != access.token_generation => {
                wrong("the access's tokens were revoked after the token was issued")
            }
            (Issued::Elsewhere(None), Some(_)) => {
                wrong("the access's tokens were revoked once, and the token has no iat")
            }
            (Issued::Elsewhere(Some(issued_at)), Some(since)) if issued_at <= since => {
                wrong("the access's tokens were revoked after the token was issued")
            }
            _ => Ok(()),
        }
    }
}

/// Checks secrets. [`LoginThrottle`] limits the number of wrong ones. The cost of a check depends only on the form of the presented
/// secret.
pub struct Authenticator {
    hasher: Arc<SecretHasher>,
    hashing: Arc<Hashing>,
    verified: VerifiedSecrets,
    throttle: Arc<LoginThrottle>,
}

/// A presented secret that is not known to be right yet, and the data to check it against.
struct SecretCheck<'a> {
    throttle_key: ThrottleKey,
    access: Option<&'a Arc<Access>>,
    /// The access whose hashes determine the cost of checking a chosen password. For an unknown name this is another access.
    model: Option<&'a Arc<Access>>,
    presented: &'a SecretString,
    /// The key under which the secret is remembered if it is right.
    key: VerifiedKey,
    wait: &'a CallWait,
}

impl Authenticator {
    /// Takes the hasher of random secrets, a random key of this process, the number of passwords hashed at the same time, and the
    /// count of guesses.
    #[must_use]
    pub fn new(
        hasher: Arc<SecretHasher>,
        process_key: &[u8],
        hashing_at_once: usize,
        throttle: LoginThrottle,
    ) -> Authenticator {
        Authenticator {
            hasher,
            hashing: Arc::new(Hashing::new(hashing_at_once)),
            verified: VerifiedSecrets::new(process_key),
            throttle: Arc::new(throttle),
        }
    }

    /// Returns an authenticator with other limits on guesses, which start full. Secrets known to be right stay known.
    #[must_use]
    pub(crate) fn reconfigured(&self, limits: ThrottleLimits) -> Authenticator {
        Authenticator {
            hasher: Arc::clone(&self.hasher),
            hashing: Arc::clone(&self.hashing),
            verified: self.verified.clone(),
            throttle: Arc::new(self.throttle.reconfigured(limits)),
        }
    }

    /// Returns the access that the credentials prove.
    ///
    /// # Errors
    /// TOO_MANY_FAILURES; INCORRECT_USER_PASSWORD or INCORRECT_TOKEN, the same for an unknown name and a wrong secret; OVERLOADED
    /// when too many passwords wait for hashing.
    pub async fn authenticate(
        &self,
        accesses: &Accesses,
        credentials: PresentedCredentials<'_>,
        caller: Caller<'_>,
    ) -> Result<Arc<Access>, Error> {
        let (name, access, presented) = match credentials {
            PresentedCredentials::User { user, password } => {
                (PresentedName::User(user), accesses.of_user(user), password)
            }
            PresentedCredentials::Client { client_id, secret } => {
                let name = PresentedName::Client(client_id);
                (name, accesses.of_client(client_id), secret)
            }
            PresentedCredentials::Proven { access, issued } => {
                let access = accesses.named(access).ok_or_else(no_such_access)?;
                return issued.holds_for(access).map(|()| Arc::clone(access));
            }
        };
        let key = self.verified.key(access.map(Arc::as_ref), presented);
        // A caller that recently presented the same right secret does not guess. So an owner who keeps calling stays in, even while
        // others guess.
        if !self.verified.holds(key) {
            let check = SecretCheck {
                throttle_key: self
                    .throttle
                    .throttle_key(accesses, (access, name), caller.address),
                access,
                model: access.or(self.throttle.borrowed(accesses, name)),
                presented,
                key,
                wait: caller.wait,
            };
            // Boxed, because this path is rare and has the largest state.
            if !Box::pin(self.verify(&check)).await? {
                return Err(wrong_secret(access));
            }
            self.verified.keep(key);
            self.hashing.release_proven(key);
            if check.throttle_key.is_inside() {
                self.hashing.remember(check.throttle_key.address());
            }
        }
        let defect = || Error::refused(Code::InternalError).because("no access was verified");
        access.cloned().ok_or_else(defect)
    }

    /// Waits for the verification of a token, and counts a wrong token for its address. A right token always gets in, whatever its
    /// neighbours have presented: signatures can't be guessed, and the limit of calls before authentication bounds the number of
    /// checks from one address. An expired token is not counted, because it was right once.
    ///
    /// # Errors
    /// The error of the verification; TOO_MANY_FAILURES instead of INCORRECT_TOKEN for one wrong token too many.
    pub(crate) async fn verify_token<T>(
        &self,
        caller: Caller<'_>,
        verification: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        let verified = verification.await;
        if verified.as_ref().err().map(Error::code) == Some(Code::IncorrectToken) {
            self.throttle.count_token_shared(caller).await?;
        }
        verified
    }

    /// Returns the count of guesses.
    pub(crate) fn throttle(&self) -> &LoginThrottle {
        &self.throttle
    }

    /// Forgets guesses that no longer matter.
    pub fn sweep(&self) {
        self.throttle.sweep();
    }

    async fn verify(&self, check: &SecretCheck<'_>) -> Result<bool, Error> {
        if !verified::is_random(check.presented) {
            return self.verify_password(check).await;
        }
        let reservation = self
            .throttle
            .reserve_shared(check.throttle_key, check.wait)
            .await?;
        let stored = check.access.into_iter().flat_map(|access| access.hashes());
        let right = self.hasher.verify(check.presented, stored);
        if !right {
            reservation.was_wrong();
        }
        Ok(right)
    }

    async fn verify_password(&self, check: &SecretCheck<'_>) -> Result<bool, Error> {
        let (throttle, wait) = (&self.throttle, check.wait);
        throttle.check_shared(&check.throttle_key, wait).await?;
        let (address, is_inside) = (check.throttle_key.address(), check.throttle_key.is_inside());
        let request = HashRequest {
            // An unknown name borrows the networks of an access, so that it can be inside as well.
            rank: self.hashing.rank(address, is_inside),
            address,
            key: check.key,
        };
        let grant = self.hashing.permit(request).await;
        // If an owner makes many first calls at the same time, one proves the password while the others wait.
        if self.verified.holds(check.key) {
            return Ok(true);
        }
        let Some(HashWaitResult::Permit(permit)) = grant else {
            return Err(Error::refused(Code::Overloaded)
                .because("too many passwords to hash")
                .retry_after(1));
        };
        let reserving = throttle.reserve_shared(check.throttle_key, wait);
        let reservation = reserving.await?;
        let hashes = verified::chosen(check.model.map(Arc::as_ref)).map(str::to_owned);
        let (presented, is_known) = (check.presented.clone(), check.access.is_some());
        let hashed = self.hashing.run(permit, move || {
            // The reservation lives as long as the work, which continues even if the caller disconnects.
            let mut right = false;
            for phc in hashes.iter().filter(|phc| !phc.is_empty()) {
                right |= verify_chosen(&presented, phc);
            }
            // An unknown name is checked against the hashes of another access, so a match does not count.
            right &= is_known;
            if !right {
                reservation.was_wrong();
            }
            right
        });
        let panicked = || Error::refused(Code::InternalError).because("hashing panicked");
        hashed.await.ok_or_else(panicked)
    }
}

/// The error for a token that names no access.
pub(crate) fn no_such_access() -> Error {
    Error::refused(Code::IncorrectToken).because("no such access")
}

/// The error for a wrong secret or an unknown name. Only the log shows which it was.
pub(crate) fn wrong_secret(access: Option<&Arc<Access>>) -> Error {
    let cause = access.map_or("unknown name", |_| "wrong secret");
    Error::refused(Code::IncorrectUserPassword).because(cause)
}
