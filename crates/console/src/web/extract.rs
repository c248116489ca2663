//! What handlers of pages take as arguments. A page takes a [`Visitor`], a form of a session is a [`SessionForm`], and a form
//! that changes things is an [`OperatorForm`]: a handler runs only for requests that may have it.

use std::convert::Infallible;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{FromRequest, FromRequestParts};
use http::request::Parts;
use http::{HeaderMap, Request, StatusCode, header};

use crate::access::manage::ChangeTarget;
use crate::problem::Problem;
use crate::spread;
use crate::state::Console;
use crate::web::fields::Fields;
use crate::web::page_error::PageError;
use crate::web::visitor::Visitor;

/// The field of every form that proves that it was ours.
const TOKEN: &str = "token";

/// A form of a signed-in visitor.
pub(crate) struct SessionForm {
    pub(crate) visitor: Visitor,
    pub(crate) fields: Fields,
}

/// A form of a visitor who may change things.
pub(crate) struct OperatorForm {
    pub(crate) visitor: Visitor,
    /// The name of their key.
    pub(crate) actor: String,
    pub(crate) fields: Fields,
}

impl OperatorForm {
    /// Returns the change of an access that the form asks for.
    pub(crate) fn target<'a>(&'a self, name: &'a str, expected: Option<i64>) -> ChangeTarget<'a> {
        ChangeTarget::new(&self.actor, name, expected)
    }
}

/// A visitor without a session is asked to sign in, and comes back to this page.
impl FromRequestParts<Arc<Console>> for Visitor {
    type Rejection = PageError;

    async fn from_request_parts(
        parts: &mut Parts,
        console: &Arc<Console>,
    ) -> Result<Visitor, PageError> {
        // A browser opens the events of a live page again by itself, whether anybody looks at it or not.
        let mut accepts = parts.headers.get_all(header::ACCEPT).iter();
        let is_use = accepts.all(|accept| accept != "text/event-stream");
        let visitor = Visitor::find(console, &parts.headers, is_use).await?;
        let mut visitor = visitor.ok_or_else(|| PageError::sign_in(parts))?;
        let fields = Fields::read(parts.uri.query().unwrap_or_default().as_bytes());
        visitor.notice = spread::notice(fields.get(spread::FIELD));
        Ok(visitor)
    }
}

/// The query.
impl<S: Sync> FromRequestParts<S> for Fields {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Fields, Infallible> {
        Ok(Fields::read(
            parts.uri.query().unwrap_or_default().as_bytes(),
        ))
    }
}

/// A form that another site had the browser send is refused before a field of it is read.
impl FromRequest<Arc<Console>> for SessionForm {
    type Rejection = PageError;

    async fn from_request(
        request: Request<Body>,
        console: &Arc<Console>,
    ) -> Result<SessionForm, PageError> {
        let (head, body) = request.into_parts();
        check_origin(&head.headers)?;
        let visitor = Visitor::find(console, &head.headers, true).await?;
        let visitor = visitor.ok_or_else(|| PageError::sign_in(&head))?;
        let fields = Fields::of_body(body).await?;
        let token = fields.all(TOKEN).next().unwrap_or_default();
        if !constant_time_eq(token.as_bytes(), visitor.token().as_bytes()) {
            let text = "The form does not belong to this session. Open the page again.";
            return Err(Problem::new(StatusCode::FORBIDDEN, "token", text).into());
        }
        Ok(SessionForm { visitor, fields })
    }
}

impl FromRequest<Arc<Console>> for OperatorForm {
    type Rejection = PageError;

    async fn from_request(
        request: Request<Body>,
        console: &Arc<Console>,
    ) -> Result<OperatorForm, PageError> {
        let SessionForm { visitor, fields } = SessionForm::from_request(request, console).await?;
        let actor = visitor.operator()?.to_owned();
        Ok(OperatorForm {
            visitor,
            actor,
            fields,
        })
    }
}

/// Refuses a form that a browser says comes from elsewhere. Other programs say nothing, and have no cookie to be misused.
pub(crate) fn check_origin(headers: &HeaderMap) -> Result<(), Problem> {
    let text = |name| headers.get(name).map(|value| value.to_str().unwrap_or("?"));
    let site = text(header::HeaderName::from_static("sec-fetch-site"));
    let host = text(header::HOST);
    let is_ours = |origin: &str| {
        let authority = origin.split_once("://").map(|(_, authority)| authority);
        authority.is_some() && authority == host
    };
    let is_near = site.is_none_or(|site| matches!(site, "same-origin" | "none"));
    if is_near && text(header::ORIGIN).is_none_or(is_ours) {
        return Ok(());
    }
    let text = "The form was sent from another site.";
    Err(Problem::new(StatusCode::FORBIDDEN, "origin", text))
}

/// Compares two texts in a time that depends on their lengths alone. Tokens are of one length and new with each session.
fn constant_time_eq(one: &[u8], other: &[u8]) -> bool {
    aws_lc_rs::constant_time::verify_slices_are_equal(one, other).is_ok()
}
