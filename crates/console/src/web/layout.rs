//! The layout that all pages share, and functions that answer with pages.

use askama::Template;
use axum::response::Response;
use http::{HeaderValue, StatusCode, header};
use store::Role;

use crate::audit::notes::RefusalCode;
use crate::problem::{Problem, answer};
use crate::web::assets;

/// The address of the overview, and the prefix of all other pages.
pub(crate) const HOME: &str = "/console/";

/// The values of the frame around a page.
pub(crate) struct PageLayout {
    pub(crate) title: String,
    /// The item of the navigation bar that the page belongs to.
    pub(crate) place: &'static str,
    pub(crate) user: Option<LayoutUser>,
    /// The notice above the page, if a change has not reached all replicas.
    pub(crate) notice: Option<String>,
    /// The edition of the assets. It changes with them, so that browsers fetch the new ones.
    pub(crate) edition: &'static str,
    /// The items of the navigation bar.
    pub(crate) links: &'static [NavLink],
}

/// The signed-in person, as the frame shows them.
pub(crate) struct LayoutUser {
    pub(crate) name: String,
    pub(crate) role: Role,
    /// The token that every form of the session carries.
    pub(crate) token: String,
}

/// An item of the navigation bar.
pub(crate) struct NavLink {
    pub(crate) path: &'static str,
    pub(crate) name: &'static str,
    pub(crate) place: &'static str,
}

const LINKS: [NavLink; 7] = [
    NavLink::new(HOME, "Overview", "overview"),
    NavLink::new("/console/health", "Health", "health"),
    NavLink::new("/console/accesses", "Accesses", "accesses"),
    NavLink::new("/console/webhooks", "Webhooks", "webhooks"),
    NavLink::new("/console/journal", "Journal", "journal"),
    NavLink::new("/console/explain", "Explain", "explain"),
    NavLink::new("/console/status", "Status", "status"),
];

impl NavLink {
    const fn new(path: &'static str, name: &'static str, place: &'static str) -> NavLink {
        NavLink { path, name, place }
    }
}

impl PageLayout {
    /// Makes the layout of a page that requires a session.
    pub(crate) fn of(
        user: LayoutUser,
        place: &'static str,
        title: impl Into<String>,
    ) -> PageLayout {
        PageLayout {
            user: Some(user),
            place,
            links: &LINKS,
            ..PageLayout::outside(title)
        }
    }

    /// Makes the layout of a page that is shown without a session.
    pub(crate) fn outside(title: impl Into<String>) -> PageLayout {
        PageLayout {
            title: title.into(),
            place: "",
            user: None,
            notice: None,
            edition: assets::edition(),
            links: &[],
        }
    }

    /// Returns whether the user may change things.
    pub(crate) fn may_change(&self) -> bool {
        let user = self.user.as_ref();
        user.is_some_and(|user| user.role == Role::Operator)
    }

    /// Returns the token that the session's forms carry.
    pub(crate) fn token(&self) -> &str {
        self.user.as_ref().map_or("", |user| &user.token)
    }
}

#[derive(Template)]
#[template(path = "refused.html")]
struct RefusedPage<'a> {
    layout: PageLayout,
    detail: &'a str,
}

/// Answers with a page, or with a fragment of a page.
pub(crate) fn html(status: StatusCode, page: &impl Template) -> Response {
    match page.render() {
        Ok(text) => answer(status, "text/html; charset=utf-8", text),
        Err(error) => {
            tracing::error!(%error, "a page could not be rendered");
            let text = "The page could not be rendered.".to_owned();
            answer(StatusCode::INTERNAL_SERVER_ERROR, "text/plain", text)
        }
    }
}

/// Answers with the page for an error.
pub(crate) fn refused(problem: &Problem) -> Response {
    let title = problem.status().canonical_reason().unwrap_or("Error");
    // The error page does not show the signed-in user, but it has the same links.
    let layout = PageLayout {
        links: &LINKS,
        ..PageLayout::outside(title)
    };
    let detail = problem.detail();
    let mut response = html(problem.status(), &RefusedPage { layout, detail });
    let code = RefusalCode(problem.code());
    response.extensions_mut().insert(code);
    response
}

/// Redirects the browser to another page.
pub(crate) fn see_other(path: &str) -> Response {
    let mut response = answer(StatusCode::SEE_OTHER, "text/plain", String::new());
    let path = HeaderValue::try_from(path).unwrap_or(HeaderValue::from_static(HOME));
    response.headers_mut().insert(header::LOCATION, path);
    response
}
