//! Why a handler has no page to answer with.

use axum::response::{IntoResponse, Response};
use store::{ChangeError, StoreError};
use url::form_urlencoded;

use crate::problem::Problem;
use crate::web::layout::{refused, see_other};

/// The address of the page that asks for a key.
pub(crate) const SIGN_IN: &str = "/console/sign-in";

/// Why there is no page.
pub(crate) enum PageError {
    /// Nobody is signed in. After signing in the browser comes back to this address.
    SignIn(Option<String>),
    /// Anything else.
    Problem(Problem),
}

/// What a handler of a page returns.
pub(crate) type PageResult = Result<Response, PageError>;

impl From<Problem> for PageError {
    fn from(problem: Problem) -> PageError {
        PageError::Problem(problem)
    }
}

impl From<ChangeError> for PageError {
    fn from(error: ChangeError) -> PageError {
        PageError::Problem(error.into())
    }
}

impl From<StoreError> for PageError {
    fn from(error: StoreError) -> PageError {
        PageError::Problem(error.into())
    }
}

impl IntoResponse for PageError {
    fn into_response(self) -> Response {
        match self {
            PageError::SignIn(None) => see_other(SIGN_IN),
            PageError::SignIn(Some(next)) => {
                let next: String = form_urlencoded::byte_serialize(next.as_bytes()).collect();
                see_other(&format!("{SIGN_IN}?next={next}"))
            }
            PageError::Problem(problem) => refused(&problem),
        }
    }
}
