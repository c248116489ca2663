//! Answers `/oauth/token`: OAuth 2.0 client credentials (RFC 6749, 4.4). A token request is authorized like a call, and then a
//! token is signed.

use adapter::{Answer, Code, Error, Operation, Reply, Response as Success, Way};
use adapter_jwt::{OauthError, granted_scope, read_token_request, refuse_token_head, token_reply};
use axum::body::Body;
use axum::body::Bytes;
use axum::http::Method;
use axum::response::Response;
use forward::{AuthContext, PresentedCredentials};

use telemetry::CallStep;

use crate::request::cross_site;
use crate::request::pipeline::admit;
use crate::request::proof::{Proof, authorize};
use crate::request::record::AccessRecord;
use crate::request::reply::{options, respond};
use crate::request::validate;
use crate::state::snapshot::Snapshot;

/// Maximum size of a token request, in bytes: a client id and a secret of maximum length, percent-encoded, and a scope.
const TOKEN_REQUEST_BYTES_MAX: usize = 16 * 1024;

/// Answers one request for a token, or the question of a browser whether its script may make one.
pub(crate) async fn answer(snapshot: &Snapshot, mut record: AccessRecord, body: Body) -> Response {
    let admitted = admit(snapshot, &mut record);
    if admitted.is_ok() && record.context.head.method == Method::OPTIONS {
        return options(&mut record);
    }
    let issued = match admitted {
        Ok(()) => issue(snapshot, &mut record, body).await,
        Err(error) => Err(error.into()),
    };
    let (reply, error) = match issued {
        Ok(reply) => (reply, None),
        Err(TokenRefusal::Gateway(error)) => (OauthError::from(&error).reply(), Some(error)),
        Err(TokenRefusal::Oauth(error)) => {
            let code = match error.status {
                401 => Code::IncorrectUserPassword,
                _ => Code::MalformedRequest,
            };
            let cause = format!("{}: {}", error.error, error.description);
            (error.reply(), Some(Error::refused(code).because(cause)))
        }
    };
    let success = Success::empty();
    let id = record.context.id.clone();
    let answer = Answer {
        request_id: id.shown(),
        operation: None,
        outcome: error.as_ref().map_or(Ok(&success), Err),
    };
    respond(&mut record, reply, &answer, None)
}

/// The reason why no token is issued, in the gateway's or in OAuth's terms.
enum TokenRefusal {
    Gateway(Error),
    Oauth(OauthError),
}

impl From<Error> for TokenRefusal {
    fn from(error: Error) -> TokenRefusal {
        TokenRefusal::Gateway(error)
    }
}

impl From<OauthError> for TokenRefusal {
    fn from(error: OauthError) -> TokenRefusal {
        TokenRefusal::Oauth(error)
    }
}

async fn issue(
    snapshot: &Snapshot,
    record: &mut AccessRecord,
    body: Body,
) -> Result<Reply, TokenRefusal> {
    let AccessRecord {
        context, progress, ..
    } = record;
    progress.enter(CallStep::Decode, context);
    if context.head.method != Method::POST {
        return Err(Error::refused(Code::HttpMethodNotAllowed).into());
    }
    cross_site::check(context, &snapshot.public_url)?;
    if validate::head_comes_first(&context.head, &body) {
        let refused = refuse_token_head(&context.wire(&Bytes::new()));
        refused.inspect_err(|_| progress.closes_connection = true)?;
    }
    let deadline = context.deadline(snapshot.limits.request_timeout);
    let begin = || snapshot.forwarder.begin_body(context.client_address());
    let reading = validate::read_body(body, TOKEN_REQUEST_BYTES_MAX, deadline, begin);
    let body = reading
        .await
        .inspect_err(|_| progress.closes_connection = true)?;
    let request = read_token_request(&context.wire(&body))?;
    let proof = Proof::Secret(PresentedCredentials::Client {
        client_id: &request.client_id,
        secret: &request.client_secret,
    });
    let auth = AuthContext {
        address: context.client_address(),
        way: Way::Jwt,
        now: snapshot.auth_now(),
        secret_in_url: false,
    };
    progress.enter(CallStep::Authorize, context);
    let (access, _) = authorize(snapshot, progress, proof, auth).await?;
    let is_allowed = |method: &str| {
        Operation::named(method).is_some_and(|operation| snapshot.offers(operation))
            && access.methods.iter().any(|allowed| allowed == method)
    };
    let scope = granted_scope(request.scope.as_deref(), is_allowed)?;
    let counting = snapshot.forwarder.count(&access, None, &progress.wait);
    let counted = counting.await;
    progress.apply_limits(counted)?;
    let token = snapshot.tokens.issue(&access, &scope, auth.now)?;
    Ok(token_reply(&token, snapshot.tokens.token_life_s(), &scope))
}
