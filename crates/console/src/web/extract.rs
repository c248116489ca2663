//! The arguments of page handlers. A page takes a [`Visitor`], a form of a session is a [`SessionForm`], and a form that changes
//! things is an [`OperatorForm`]. A handler therefore runs only for requests with the required rights.

use std::convert::Infallible;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{FromRequest, FromRequestParts};
use http::request::Parts;
use http::{HeaderMap, Request, StatusCode, header};

use crate::access::manage::ChangeTarget;
use crate::problem::Problem;
use crate::propagation;
use crate::state::Console;
use crate::web::fields::Fields;
use crate::web::page_error::PageError;
use crate::web::visitor::Visitor;

/// The form field with the token that proves that one of our pages sent the form.
const TOKEN: &str = "token";

/// A form of a signed-in visitor.
pub(crate) struct SessionForm {
    pub(crate) visitor: Visitor,
    pub(crate) fields: Fields,
}

/// A form of a visitor who may change things.
pub(crate) struct OperatorForm {
    pub(crate) visitor: Visitor,
    /// The name of the visitor's key.
    pub(crate) actor: String,
    pub(crate) fields: Fields,
}

impl OperatorForm {
    /// Returns the target of the change that the form requests.
    pub(crate) fn target<'a>(&'a self, name: &'a str, expected: Option<i64>) -> ChangeTarget<'a> {
        ChangeTarget::new(&self.actor, name, expected)
    }
}

/// Redirects a visitor without a session to the sign-in page, which leads back to this page.
impl FromRequestParts<Arc<Console>> for Visitor {
    type Rejection = PageError;

    async fn from_request_parts(
        parts: &mut Parts,
        console: &Arc<Console>,
    ) -> Result<Visitor, PageError> {
        // A browser reconnects the event stream of a live page by itself, even if nobody looks at the page, so the stream is no use
        // of the session.
        let mut accepts = parts.headers.get_all(header::ACCEPT).iter();
        let is_use = accepts.all(|accept| accept != "text/event-stream");
        let visitor = Visitor::find(console, &parts.headers, is_use).await?;
        let mut visitor = visitor.ok_or_else(|| PageError::sign_in(parts))?;
        let fields = Fields::read(parts.uri.query().unwrap_or_default().as_bytes());
        visitor.notice = propagation::notice(fields.get(propagation::FIELD));
        Ok(visitor)
    }
}

/// Reads the query of the request.
impl<S: Sync> FromRequestParts<S> for Fields {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Fields, Infallible> {
        Ok(Fields::read(
            parts.uri.query().unwrap_or_default().as_bytes(),
        ))
    }
}

/// Reads a form. Rejects a form that another site made the browser send before any field is read.
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

/// Rejects a form if the browser reports that it comes from another site. Other programs report no origin, and have no cookie that
/// could be misused.
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

/// Compares two texts in a time that depends only on their lengths. All tokens have the same length, and each session has a new
/// one.
fn constant_time_eq(one: &[u8], other: &[u8]) -> bool {
    aws_lc_rs::constant_time::verify_slices_are_equal(one, other).is_ok()
}
