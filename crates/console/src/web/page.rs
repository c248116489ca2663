//! What all pages share: the frame around them, and how they are answered.

use askama::Template;
use axum::response::Response;
use http::{HeaderValue, StatusCode, header};
use store::Role;

use super::assets;
use super::visitor::{Refusal, Visitor};
use crate::operator_rows::RefusalCode;
use crate::problem::{Problem, answer};

/// The frame around a page.
pub(super) struct Shell {
    pub(super) title: String,
    /// Which of the pages in the bar it belongs to.
    pub(super) place: &'static str,
    /// Who is signed in.
    pub(super) visitor: Option<Signed>,
    /// Changes with the assets, so that browsers fetch new ones.
    pub(super) edition: &'static str,
    /// The pages in the bar.
    pub(super) places: &'static [Named],
}

/// Who is signed in, for the frame.
pub(super) struct Signed {
    pub(super) name: String,
    pub(super) role: &'static str,
    pub(super) token: String,
}

/// A page in the bar: address, name, place.
type Named = (&'static str, &'static str, &'static str);

const PLACES: [Named; 5] = [
    ("/console/", "Overview", "overview"),
    ("/console/accesses", "Accesses", "accesses"),
    ("/console/journal", "Journal", "journal"),
    ("/console/explain", "Explain", "explain"),
    ("/console/status", "Status", "status"),
];

impl Shell {
    /// For a page of somebody who is signed in.
    pub(super) fn of(visitor: &Visitor, place: &'static str, title: impl Into<String>) -> Shell {
        Shell {
            visitor: Some(Signed {
                name: visitor.name().to_owned(),
                role: visitor.role().name(),
                token: visitor.token().to_owned(),
            }),
            place,
            places: &PLACES,
            ..Shell::outside(title)
        }
    }

    /// For a page that anybody sees.
    pub(super) fn outside(title: impl Into<String>) -> Shell {
        Shell {
            title: title.into(),
            place: "",
            visitor: None,
            edition: assets::edition(),
            places: &[],
        }
    }

    /// Whether the visitor may change things.
    pub(super) fn may_change(&self) -> bool {
        self.visitor
            .as_ref()
            .is_some_and(|visitor| visitor.role == Role::Operator.name())
    }

    /// What forms carry.
    pub(super) fn token(&self) -> &str {
        self.visitor.as_ref().map_or("", |visitor| &visitor.token)
    }
}

#[derive(Template)]
#[template(path = "refused.html")]
struct Refused<'a> {
    shell: Shell,
    detail: &'a str,
}

/// A page, or a piece of one.
pub(super) fn html(status: StatusCode, page: &impl Template) -> Response {
    match page.render() {
        Ok(text) => answer(status, "text/html; charset=utf-8", text),
        Err(error) => {
            tracing::error!(%error, "a page could not be written");
            let text = "The page could not be written.".to_owned();
            answer(StatusCode::INTERNAL_SERVER_ERROR, "text/plain", text)
        }
    }
}

/// A refusal, as a page.
pub(super) fn refused(problem: &Problem) -> Response {
    let title = problem.status().canonical_reason().unwrap_or("Error");
    // Nothing is said of who is signed in, if anybody is; the ways on are the same.
    let shell = Shell {
        places: &PLACES,
        ..Shell::outside(title)
    };
    let detail = problem.detail();
    let mut response = html(problem.status(), &Refused { shell, detail });
    let code = RefusalCode(problem.code());
    response.extensions_mut().insert(code);
    response
}

/// Sends the browser to another page.
pub(super) fn see_other(path: &str) -> Response {
    let mut response = answer(StatusCode::SEE_OTHER, "text/plain", String::new());
    let path = HeaderValue::try_from(path).unwrap_or(HeaderValue::from_static(super::HOME));
    response.headers_mut().insert(header::LOCATION, path);
    response
}

/// For every other path below the console's.
pub(super) async fn nothing_here(_visitor: Visitor) -> Result<Response, Refusal> {
    Err(Problem::not_found().into())
}

/// For a page that is asked for as only a form is sent, or the other way round.
pub(super) async fn not_so(_visitor: Visitor) -> Result<Response, Refusal> {
    Err(Problem::method_not_allowed().into())
}
