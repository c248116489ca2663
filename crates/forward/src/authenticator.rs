//! From credentials to an access: one check of secrets for all ways in.

use std::sync::Arc;

use adapter::{Code, Error};
use secrecy::SecretString;
use shared::CallWait;
use store::{Access, Accesses, SecretHasher, verify_chosen};

use crate::call::Caller;
use crate::hashing::{Grant, HashRequest, Hashing};
use crate::throttle::{LoginThrottle, PresentedName, ThrottleKey, ThrottleLimits};
use crate::verified::{self, VerifiedKey, VerifiedSecrets};

/// What a caller says to prove who they are.
#[derive(Clone, Copy, Debug)]
pub enum PresentedCredentials<'a> {
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
        /// Who issued the token, and what for.
        issued: Issued<'a>,
    },
}

/// Who issued a verified token, and what it says of the access for which it was issued.
#[derive(Clone, Copy, Debug)]
pub enum Issued<'a> {
    /// We did, for the access with this client id as it was then.
    Here {
        /// The client id.
        client_id: &'a str,
        /// The access's `token_generation`.
        generation: i64,
    },
    /// An outside issuer did, at this time if it says so; seconds since 1970, UTC.
    Elsewhere(Option<i64>),
}

impl Issued<'_> {
    /// Whether the token was issued for this access, and after its tokens were ended the last time.
    fn holds_for(self, access: &Access) -> Result<(), Error> {
        let wrong = |cause| Err(Error::refused(Code::IncorrectToken).because(cause));
        match (self, access.tokens_since) {
            (Issued::Here { client_id, .. }, _) if client_id != access.client_id => {
                wrong("the token was issued for another access")
            }
            (Issued::Here { generation, .. }, _) if generation != access.token_generation => {
                wrong("the access's tokens have been ended since")
            }
            (Issued::Elsewhere(None), Some(_)) => {
                wrong("the access's tokens have been ended once, and this one has no iat")
            }
            (Issued::Elsewhere(Some(issued_at)), Some(since)) if issued_at <= since => {
                wrong("the access's tokens have been ended since")
            }
            _ => Ok(()),
        }
    }
}

/// Checks secrets, as many wrong ones as [`LoginThrottle`] lets through. What a check costs hangs on the form of the presented
/// secret alone.
pub struct Authenticator {
    hasher: Arc<SecretHasher>,
    hashing: Arc<Hashing>,
    verified: VerifiedSecrets,
    throttle: Arc<LoginThrottle>,
}

/// A secret that is not known to be right, and what it is to be checked against.
struct SecretCheck<'a> {
    throttle_key: ThrottleKey,
    access: Option<&'a Arc<Access>>,
    /// Whose hashes say what checking a chosen password costs: for a name that does not exist those of another.
    model: Option<&'a Arc<Access>>,
    presented: &'a SecretString,
    /// Under this key it will be known, should it be right.
    key: VerifiedKey,
    wait: &'a CallWait,
}

impl Authenticator {
    /// Takes the hasher of random secrets, a random key of this process, how many passwords may be hashed at once, and
    /// the count of guesses.
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

    /// The same check under other limits on guesses, which start full. Secrets that are known to be right stay so.
    #[must_use]
    pub(crate) fn renewed(&self, limits: ThrottleLimits) -> Authenticator {
        Authenticator {
            hasher: Arc::clone(&self.hasher),
            hashing: Arc::clone(&self.hashing),
            verified: self.verified.clone(),
            throttle: Arc::new(self.throttle.renewed(limits)),
        }
    }

    /// The access that the credentials prove.
    ///
    /// # Errors
    /// TOO_MANY_FAILURES; INCORRECT_USER_PASSWORD or INCORRECT_TOKEN, the same for an unknown name and a wrong secret;
    /// OVERLOADED when too many passwords wait to be hashed.
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
        // Who has shown this very secret a while ago does not guess: an owner who calls stays in, whoever else guesses.
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
            // In a box: it is the rare path, and its state is the largest.
            if !Box::pin(self.verify(&check)).await? {
                return Err(wrong_secret(access));
            }
            self.verified.keep(key);
            self.hashing.proven(key);
            if check.throttle_key.is_inside() {
                self.hashing.remember(check.throttle_key.address());
            }
        }
        let defect = || Error::refused(Code::InternalError).because("nobody was verified");
        access.cloned().ok_or_else(defect)
    }

    /// Has a token verified, and counts it for its address if it is wrong. One that is right gets in whatever its neighbours
    /// have shown: nobody comes upon a signature by guessing, and how many are checked from one address the limit of calls
    /// before authentication bounds. An expired one was right once.
    ///
    /// # Errors
    /// What the verification says, and TOO_MANY_FAILURES in place of INCORRECT_TOKEN for one wrong token too many.
    pub(crate) async fn verify_token<T>(
        &self,
        caller: Caller<'_>,
        verification: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        let verified = verification.await;
        if verified.as_ref().err().map(Error::code) == Some(Code::IncorrectToken) {
            self.throttle.count_token_with_others(caller).await?;
        }
        verified
    }

    /// The count of guesses.
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
            .reserve_with_others(check.throttle_key, check.wait)
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
        throttle
            .check_with_others(&check.throttle_key, wait)
            .await?;
        let (address, is_inside) = (check.throttle_key.address(), check.throttle_key.is_inside());
        let request = HashRequest {
            // As with the budgets, a name that does not exist has an inside as well.
            rank: self.hashing.rank(address, is_inside),
            address,
            key: check.key,
        };
        let grant = self.hashing.permit(request).await;
        // Of an owner's first calls, all at once, the others have waited while one proved the password.
        if self.verified.holds(check.key) {
            return Ok(true);
        }
        let Some(Grant::Permit(permit)) = grant else {
            return Err(Error::refused(Code::Overloaded)
                .because("too many passwords to hash")
                .retry_after(1));
        };
        let reserving = throttle.reserve_with_others(check.throttle_key, wait);
        let reservation = reserving.await?;
        let hashes = verified::chosen(check.model.map(Arc::as_ref)).map(str::to_owned);
        let (presented, is_known) = (check.presented.clone(), check.access.is_some());
        let hashed = self.hashing.run(permit, move || {
            // The place lives as long as the work, which a caller that goes away does not stop.
            let mut right = false;
            for phc in hashes.iter().filter(|phc| !phc.is_empty()) {
                right |= verify_chosen(&presented, phc);
            }
            // The hashes that an unknown name is checked against are another's.
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

/// A token that names nobody.
pub(crate) fn no_such_access() -> Error {
    Error::refused(Code::IncorrectToken).because("no such access")
}

/// A secret that proves nothing, for an access that is there or not: only the log knows which.
pub(crate) fn wrong_secret(access: Option<&Arc<Access>>) -> Error {
    let cause = access.map_or("unknown name", |_| "wrong secret");
    Error::refused(Code::IncorrectUserPassword).because(cause)
}
