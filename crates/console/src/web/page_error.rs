//! The reasons why a handler has no page to answer with.

use axum::response::{IntoResponse, Response};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use store::{ChangeError, StoreError};
use url::{Url, form_urlencoded};

use crate::problem::{Problem, answer};
use crate::web::layout::{refused, see_other};

/// The address of the page that asks for a key.
pub(crate) const SIGN_IN: &str = "/console/sign-in";

/// The parameter that makes the sign-in page report that a session has ended.
pub(crate) const ENDED: &str = "ended";

/// The header that requests of htmx carry.
const HX_REQUEST: HeaderName = HeaderName::from_static("hx-request");

/// The header with the address of the page from which htmx sends a request.
const HX_CURRENT_URL: HeaderName = HeaderName::from_static("hx-current-url");

/// The header that makes htmx open another page instead of inserting the answer into the open page.
const HX_REDIRECT: HeaderName = HeaderName::from_static("hx-redirect");

/// The reason why there is no page.
pub(crate) enum PageError {
    /// The visitor is not signed in.
    SignIn {
        /// The address of the sign-in page, with its query.
        address: String,
        /// True if htmx sent the request. htmx would insert the sign-in page into the open page.
        is_htmx: bool,
    },
    /// Any other error.
    Problem(Problem),
}

/// The result of a page's handler.
pub(crate) type PageResult = Result<Response, PageError>;

impl PageError {
    /// Makes the redirect to the sign-in page for a visitor without a session. After signing in, a visitor who requested a page
    /// gets that page. A visitor who sent a form gets the page that contained the form, and the sign-in page reports that nothing
    /// was changed.
    pub(crate) fn sign_in(head: &Parts) -> PageError {
        let is_htmx = head.headers.contains_key(HX_REQUEST);
        let has_ended = is_htmx || !matches!(head.method, Method::GET | Method::HEAD);
        let next = if has_ended {
            page_before(&head.headers)
        } else {
            head.uri.path_and_query().map(ToString::to_string)
        };
        let mut query = form_urlencoded::Serializer::new(String::new());
        if has_ended {
            query.append_pair(ENDED, "1");
        }
        if let Some(next) = next {
            query.append_pair("next", &next);
        }
        PageError::SignIn {
            address: format!("{SIGN_IN}?{}", query.finish()),
            is_htmx,
        }
    }
}

/// Returns path and query of the page from which a request was sent. The host is omitted, because the headers may name any site.
fn page_before(headers: &HeaderMap) -> Option<String> {
    let url = headers
        .get(HX_CURRENT_URL)
        .or_else(|| headers.get(header::REFERER))?;
    let url = Url::parse(url.to_str().ok()?).ok()?;
    let query = url.query().map_or_else(String::new, |q| format!("?{q}"));
    Some(format!("{}{query}", url.path()))
}

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
            PageError::SignIn {
                address,
                is_htmx: false,
            } => see_other(&address),
            PageError::SignIn { address, .. } => {
                let mut response = answer(StatusCode::OK, "text/plain", String::new());
                let address = HeaderValue::try_from(address);
                let address = address.unwrap_or(HeaderValue::from_static(SIGN_IN));
                response.headers_mut().insert(HX_REDIRECT, address);
                response
            }
            PageError::Problem(problem) => refused(&problem),
        }
    }
}
