//! Verifies tokens, including tokens whose key is unknown.

use std::sync::Arc;
use std::time::Instant;

use adapter::Error;
use adapter_jwt::{Subject, TokenFault, verify};
use secrecy::{ExposeSecret, SecretString};
use tokio::time::timeout_at;

use crate::tokens::Tokens;
use crate::tokens::issuers::REFETCH_PAUSE_S;

impl Tokens {
    /// Returns the subject of a valid token. If the key is unknown, fetches the issuer's keys once, until the deadline, and checks
    /// the token again.
    ///
    /// # Errors
    /// EXPIRED_TOKEN; INCORRECT_TOKEN; OVERLOADED when the token can't be judged because its issuer's keys can't be fetched.
    pub(crate) async fn verify(
        self: &Arc<Tokens>,
        token: &SecretString,
        now: i64,
        deadline: Instant,
    ) -> Result<Arc<Subject>, Error> {
        let token = token.expose_secret();
        let keyring = self.keyring.load_full();
        if let Some(subject) = self.cache.subject(token, &keyring, now) {
            return Ok(subject);
        }
        match verify(token, &keyring, now) {
            Err(TokenFault::UnknownKey { issuer }) => {
                self.verify_by_fresh_keys(token, issuer, (now, deadline))
                    .await
            }
            Ok(subject) => {
                let subject = Arc::new(subject);
                self.cache.keep(token, &keyring, Arc::clone(&subject));
                Ok(subject)
            }
            Err(fault) => Err(fault.into()),
        }
    }

    /// Fetches the issuer's keys, until the deadline at the latest, and judges the token again. If the fetch fails, the token's key
    /// may be newer than the known keys; then the token is not wrong, but can't be judged now. Forged tokens also get this far.
    /// They prove nothing, cost no signature check, and are bounded by the limit on calls from one address.
    async fn verify_by_fresh_keys(
        self: &Arc<Tokens>,
        token: &str,
        issuer: String,
        (now, deadline): (i64, Instant),
    ) -> Result<Arc<Subject>, Error> {
        // In a task, because a caller that disconnects must not cancel a fetch that others wait for.
        let tokens = Arc::clone(self);
        let fetching = tokio::spawn(async move {
            match tokens.outside(&issuer) {
                Some(outside) => tokens.fetch(outside, now, deadline).await,
                None => true,
            }
        });
        let fetching = timeout_at(deadline.into(), fetching).await;
        let have_come = matches!(fetching, Ok(Ok(true)));
        match verify(token, &self.keyring.load(), now) {
            Err(TokenFault::UnknownKey { .. }) if !have_come => {
                Err(Error::refused(adapter::Code::Overloaded)
                    .because("the keys of the issuer can't be fetched")
                    .retry_after(REFETCH_PAUSE_S))
            }
            judged => Ok(Arc::new(judged?)),
        }
    }
}
