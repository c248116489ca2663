//! `/oauth/token`: OAuth 2.0 client credentials (RFC 6749, 4.4). Authorizes like any call, then signs.

use std::sync::Arc;

use adapter::{Code, Error, Reply, Way, Wire};
use adapter_jwt::{OauthError, granted_scope, read_token_request, refuse_token_head, token_reply};
use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use forward::{AuthContext, PresentedCredentials};
use http::Method;
use http::request::Parts;
use server::Peer;

use crate::request::pipeline::admit;
use crate::request::record::Story;
use crate::request::reply::respond;
use crate::request::validate;
use crate::state::snapshot::Snapshot;

/// Where it stands.
pub(crate) const PATH: &str = "/oauth/token";

/// Largest token request, in bytes: a client id and a secret at their bounds, percent-encoded, and a scope.
const TOKEN_REQUEST_BYTES_MAX: usize = 16 * 1024;

/// Answers one request for a token.
pub(crate) async fn answer(
    snapshot: Arc<Snapshot>,
    caller: Peer,
    request: http::Request<Body>,
) -> Response {
    let (head, body) = request.into_parts();
    let mut story = Story::begin(&snapshot, (Some(Way::Jwt), PATH), caller, &head);
    story.allow = "POST";
    let issued = issue(&snapshot, &mut story, (&head, body)).await;
    if issued.is_err() {
        story.tell_walk(&head.headers, snapshot.trust());
    }
    let (reply, error) = match issued {
        Ok(reply) => (reply, None),
        Err(Refusal::Gateway(error)) => (OauthError::from(&error).reply(), Some(error)),
        Err(Refusal::Oauth(error)) => {
            let code = if error.status == 401 {
                Code::IncorrectUserPassword
            } else {
                Code::MalformedRequest
            };
            (
                error.reply(),
                Some(
                    Error::refused(code).because(format!("{}: {}", error.error, error.description)),
                ),
            )
        }
    };
    story.tell_reply(reply.status, error.as_ref());
    respond(&mut story, reply, error.as_ref())
}

/// Why there is no token, in either vocabulary.
enum Refusal {
    Gateway(Error),
    Oauth(OauthError),
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Refusal {
        Refusal::Gateway(error)
    }
}

impl From<OauthError> for Refusal {
    fn from(error: OauthError) -> Refusal {
        Refusal::Oauth(error)
    }
}

async fn issue(
    snapshot: &Snapshot,
    story: &mut Story,
    (head, body): (&Parts, Body),
) -> Result<Reply, Refusal> {
    admit(snapshot, story, head)?;
    if head.method != Method::POST {
        return Err(Error::refused(Code::HttpMethodNotAllowed).into());
    }
    let (query, headers) = (head.uri.query().unwrap_or_default(), &head.headers);
    let (nothing, read) = (Bytes::new(), |body| Wire {
        query,
        headers,
        body,
    });
    if validate::waits_to_go_on(head, &body) {
        refuse_token_head(&read(&nothing))?;
    }
    let deadline = story.deadline(snapshot.limits.request_timeout);
    let body = validate::read_body(body, TOKEN_REQUEST_BYTES_MAX, deadline).await?;
    let request = read_token_request(&read(&body))?;
    let context = AuthContext {
        address: story.client_address(),
        way: Way::Jwt,
        now: Snapshot::now(),
        secret_in_url: false,
    };
    let claim = PresentedCredentials::Client {
        client_id: &request.client_id,
        secret: &request.client_secret,
    };
    let accesses = snapshot.store.accesses();
    let access = snapshot
        .forwarder
        .authenticate(&accesses, claim, context.address)
        .await?;
    story.access = Some(access.name.clone());
    story.would_refuse = snapshot.forwarder.judge(&access, context)?;
    snapshot.note_use(&access, context);
    let allowed = |method: &str| access.methods.iter().any(|allowed| allowed == method);
    let scope = granted_scope(request.scope.as_deref(), allowed)?;
    let counted = snapshot.forwarder.count(&access, None).await;
    story.limited_by(counted.limit, counted.day, counted.would_refuse);
    counted.refused.map_or(Ok(()), Err)?;
    let token = snapshot.tokens.issue(&access, &scope, context.now)?;
    Ok(token_reply(&token, snapshot.tokens.life_s(), &scope))
}
