//! The console for people: pages that the server renders, behind a session. They ask and change what the admin API does,
//! by the same functions.

mod access_draft;
mod access_form;
mod access_page;
mod accesses;
mod assets;
mod attempts;
mod availability;
mod changes;
mod charts;
mod csv;
mod door;
mod events;
mod explain;
mod fields;
mod figures;
mod history;
mod journal;
mod limits;
mod live;
mod open_pages;
mod overview;
mod page;
mod preview;
mod row_page;
mod sample;
mod session;
mod sign_in;
mod status;
mod tail;
mod text;
mod visitor;

use std::sync::Arc;

use axum::Router;
use axum::middleware::map_response;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use http::{HeaderName, HeaderValue, header};

use crate::Console;

pub(crate) use attempts::Attempts;
pub(crate) use live::{Live, run};
pub(crate) use open_pages::OpenPages;
pub(crate) use session::Sessions;
pub(crate) use visitor::signed_in;

/// Where the pages are.
pub(crate) const HOME: &str = "/console/";

/// Nothing from outside, nothing inline, in no frame.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; \
     form-action 'self'; frame-ancestors 'none'; base-uri 'none'";

/// Every page.
pub(crate) fn router() -> Router<Arc<Console>> {
    Router::new()
        .route("/", get(home))
        .route("/console", get(home))
        .route("/console/", get(overview::page))
        .route("/console/events", get(overview::events))
        .route("/console/assets/{name}", get(assets::asset))
        .route("/console/sign-in", get(sign_in::page).post(sign_in::enter))
        .route("/console/sign-out", post(sign_in::leave))
        .route(
            "/console/sign-out-everywhere",
            post(sign_in::leave_everywhere),
        )
        .route(
            "/console/accesses",
            get(accesses::list).post(accesses::create),
        )
        .route("/console/accesses/new", get(accesses::blank))
        .route(
            "/console/accesses/{name}",
            get(access_page::page).post(access_page::change),
        )
        .route(
            "/console/accesses/{name}/preview",
            post(access_page::preview),
        )
        .route("/console/accesses/{name}/state", post(access_page::switch))
        .route("/console/accesses/{name}/rotate", post(access_page::rotate))
        .route(
            "/console/accesses/{name}/revoke-tokens",
            post(access_page::revoke_tokens),
        )
        .route(
            "/console/accesses/{name}/delete",
            get(access_page::ask).post(access_page::delete),
        )
        .route("/console/accesses/{name}/sample", get(sample::fragment))
        .route("/console/journal", get(journal::page))
        .route("/console/journal/rows/{id}", get(row_page::page))
        .route("/console/journal/events", get(tail::events))
        .route("/console/journal.ndjson", get(journal::ndjson))
        .route("/console/journal.csv", get(journal::csv))
        .route("/console/explain", get(explain::page))
        .route("/console/status", get(status::page))
        .route("/console/status/reload", post(status::reload))
        .route("/console/status/rotate", post(status::rotate))
        .route("/console/{*rest}", get(page::nothing_here))
        .method_not_allowed_fallback(page::not_so)
        .layer(map_response(protect))
}

async fn home() -> Response {
    page::see_other(HOME).into_response()
}

/// What every answer carries.
async fn protect(mut response: Response) -> Response {
    let headers = response.headers_mut();
    let lines = [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "same-origin"),
        (
            HeaderName::from_static("cross-origin-opener-policy"),
            "same-origin",
        ),
        (
            HeaderName::from_static("cross-origin-resource-policy"),
            "same-origin",
        ),
    ];
    for (name, value) in lines {
        headers.insert(name, HeaderValue::from_static(value));
    }
    // Only assets, whose addresses change with them, may be kept.
    if !headers.contains_key(header::CACHE_CONTROL) {
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
    response
}
