//! Authenticates a caller by its credentials, and checks whether its access may call.

use std::pin::pin;
use std::sync::Arc;
use std::time::Instant;

use adapter::{Code, Credentials, Error, Request};
use adapter_jwt::{Scope, Subject, TokenOrigin};
use forward::{AuthContext, Caller, Issued, PresentedCredentials};
use secrecy::SecretString;
use store::Access;

use crate::request::progress::RequestProgress;
use crate::state::snapshot::Snapshot;

/// The credentials that a caller presents.
#[derive(Clone, Copy)]
pub(crate) enum Proof<'a> {
    Secret(PresentedCredentials<'a>),
    /// A token. Its issuer's keys may be fetched until the deadline.
    Token {
        token: &'a SecretString,
        deadline: Instant,
    },
}

impl<'a> Proof<'a> {
    /// Returns the proof in the credentials. The keys of a token's issuer may be fetched until the deadline.
    pub(crate) fn of(credentials: &'a Credentials, deadline: Instant) -> Proof<'a> {
        match credentials {
            Credentials::Password { user, password } => {
                Proof::Secret(PresentedCredentials::User { user, password })
            }
            Credentials::Token(token) => Proof::Token { token, deadline },
        }
    }
}

/// Returns the access that the proof belongs to, after checking that it may use this way in from this address.
pub(crate) async fn authorize(
    snapshot: &Snapshot,
    progress: &mut RequestProgress,
    proof: Proof<'_>,
    auth: AuthContext,
) -> Result<(Arc<Access>, Option<Scope>), Error> {
    snapshot.check_fresh()?;
    let AuthContext { address, now, .. } = auth;
    let (accesses, forwarder) = (snapshot.store.accesses(), &snapshot.forwarder);
    let wait = &progress.wait;
    let caller = Caller { address, wait };
    let (access, scope) = match proof {
        Proof::Secret(claim) => (
            forwarder.authenticate(&accesses, claim, caller).await?,
            None,
        ),
        Proof::Token { token, deadline } => {
            // Pinned here, because otherwise it would be copied into each future that awaits it.
            let proven = pin!(async {
                let subject = snapshot.tokens.verify(token, now, deadline).await?;
                let proving = forwarder.authenticate(&accesses, proven_by(&subject), caller);
                Ok((proving.await?, Some(subject.scope.clone())))
            });
            forwarder.authenticate_token(caller, proven).await?
        }
    };
    // From here on a rejection is recorded with the name of the access.
    progress.access = Some(Arc::clone(&access));
    progress.would_refuse = forwarder.authorize(&access, auth)?;
    snapshot.note_use(&access, auth);
    Ok((access, scope))
}

/// Returns the credentials that a valid token proves.
fn proven_by(subject: &Subject) -> PresentedCredentials<'_> {
    let issued = match &subject.origin {
        TokenOrigin::Own {
            client_id,
            generation,
        } => Issued::Here {
            client_id,
            generation: *generation,
        },
        TokenOrigin::Outside { issued_at } => Issued::Elsewhere(*issued_at),
    };
    PresentedCredentials::Proven {
        access: &subject.access,
        issued,
    }
}

/// Rejects a call that is beyond the scope of a token.
pub(crate) fn check_scope(scope: Option<&Scope>, request: &Request) -> Result<(), Error> {
    if scope.is_some_and(|scope| !scope.allows(request.operation().method)) {
        return Err(Error::refused(Code::OperationNotAllowed).because("beyond the token's scope"));
    }
    Ok(())
}
