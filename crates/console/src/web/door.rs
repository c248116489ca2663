//! The door of the pages: what a handler takes as an argument has been let in. A page takes a [`Visitor`]; a form is
//! [`Sent`] by one, or is an [`Order`] of one who may change things.

use std::convert::Infallible;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{FromRequest, FromRequestParts, State};
use http::request::Parts;
use http::{Request, StatusCode};

use super::fields::Fields;
use super::visitor::{Refusal, Visitor, from_here, same};
use crate::Console;
use crate::problem::Problem;

/// The field of every form that proves that it was ours.
const TOKEN: &str = "token";

/// What every page asks and changes.
pub(super) type Shared = State<Arc<Console>>;

/// A form of somebody who is signed in.
pub(super) struct Sent {
    pub(super) visitor: Visitor,
    pub(super) fields: Fields,
}

/// A form of somebody who may change things.
pub(super) struct Order {
    pub(super) visitor: Visitor,
    /// The name of their key.
    pub(super) actor: String,
    pub(super) fields: Fields,
}

/// Whoever is not signed in may be, and comes back to this page.
impl FromRequestParts<Arc<Console>> for Visitor {
    type Rejection = Refusal;

    async fn from_request_parts(
        parts: &mut Parts,
        console: &Arc<Console>,
    ) -> Result<Visitor, Refusal> {
        let next = || Some(parts.uri.path_and_query()?.as_str().to_owned());
        Visitor::found(console, &parts.headers, true).ok_or_else(|| Refusal::SignIn(next()))
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

/// What another site has them send is refused, before a field of it is looked at.
impl FromRequest<Arc<Console>> for Sent {
    type Rejection = Refusal;

    async fn from_request(request: Request<Body>, console: &Arc<Console>) -> Result<Sent, Refusal> {
        let (head, body) = request.into_parts();
        from_here(&head.headers)?;
        let visitor = Visitor::found(console, &head.headers, true).ok_or(Refusal::SignIn(None))?;
        let fields = Fields::of_body(body).await?;
        // Of one length always, so that comparing them tells nothing of use in the time it takes; it is new with each session.
        let token = fields.all(TOKEN).next().unwrap_or_default();
        if !same(token.as_bytes(), visitor.token().as_bytes()) {
            let text = "The form is not one of this session. Open the page again.";
            return Err(Problem::new(StatusCode::FORBIDDEN, "token", text).into());
        }
        Ok(Sent { visitor, fields })
    }
}

impl FromRequest<Arc<Console>> for Order {
    type Rejection = Refusal;

    async fn from_request(
        request: Request<Body>,
        console: &Arc<Console>,
    ) -> Result<Order, Refusal> {
        let Sent { visitor, fields } = Sent::from_request(request, console).await?;
        let actor = visitor.operator()?.to_owned();
        Ok(Order {
            visitor,
            actor,
            fields,
        })
    }
}
