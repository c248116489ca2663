//! The console for people: pages that the server renders, behind a session. They read and change the same data as the admin API,
//! through the same functions.

mod access;
mod assets;
mod changes;
mod charts;
mod cookie;
mod explain;
mod extract;
mod fallback;
mod fields;
mod health;
mod journal;
mod json;
mod layout;
mod limits;
mod overview;
pub(crate) mod page_error;
mod replicas;
mod sign_in;
mod sse;
mod status;
mod text;
mod time_window;
pub(crate) mod visitor;
mod webhooks;

use axum::middleware::map_response;
use axum::response::Response;
use axum::routing::{get, post};
use http::{HeaderName, HeaderValue, header};

use crate::route_kind::RouteKind::{Export, JournaledChange, Query, Session};
use crate::routes::Routes;
use access::{list, page, sample};
use journal::{row, tail};
use webhooks::questions;

/// The content security policy: no foreign resources, no inline scripts or styles, no framing.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; \
     form-action 'self'; frame-ancestors 'none'; base-uri 'none'";

/// Returns the routes of every page.
pub(crate) fn routes() -> Routes {
    let routes = Routes::default()
        .route("/", get(home))
        .route("/console", get(home))
        .route("/console/", get(overview::page))
        .route("/console/events", get(overview::events))
        .route("/console/assets/{name}", get(assets::asset))
        .merge(paths_of_sessions())
        .merge(paths_of_accesses())
        .route("/console/journal", get(journal::page::page))
        .route("/console/journal/rows/{id}", get(row::page))
        .route("/console/journal/events", get(tail::events))
        .route_as(
            Export,
            "/console/journal.ndjson",
            get(journal::page::ndjson),
        )
        .route_as(Export, "/console/journal.csv", get(journal::page::csv))
        .route("/console/health", get(health::page))
        .route("/console/explain", get(explain::page))
        .route("/console/replicas", get(replicas::page))
        .merge(paths_of_webhooks())
        .route("/console/status", get(status::page))
        .route("/console/status/reload", post(status::reload))
        .route("/console/status/rotate", post(status::rotate))
        .route("/console/{*rest}", get(fallback::not_found));
    let router = routes.router;
    Routes {
        router: router
            .method_not_allowed_fallback(fallback::method_not_allowed)
            .layer(map_response(protect)),
        ..routes
    }
}

fn paths_of_sessions() -> Routes {
    Routes::default()
        .route_as(
            Session,
            "/console/sign-in",
            get(sign_in::page).post(sign_in::sign_in),
        )
        .route_as(Session, "/console/sign-out", post(sign_in::sign_out))
        .route_as(
            Session,
            "/console/sign-out-everywhere",
            post(sign_in::sign_out_everywhere),
        )
}

fn paths_of_accesses() -> Routes {
    Routes::default()
        .route("/console/accesses/new", get(list::new))
        .route("/console/access-names", get(list::names))
        .route("/console/accesses/{name}/sample", get(sample::fragment))
        .route_as(
            Query,
            "/console/accesses/{name}/preview",
            post(page::preview),
        )
        .route_as(
            JournaledChange,
            "/console/accesses",
            get(list::list).post(list::create),
        )
        .route_as(
            JournaledChange,
            "/console/accesses/{name}",
            get(page::page).post(page::change),
        )
        .route_as(
            JournaledChange,
            "/console/accesses/{name}/state",
            post(page::set_state),
        )
        .route_as(
            JournaledChange,
            "/console/accesses/{name}/rotate",
            post(page::rotate),
        )
        .route_as(
            JournaledChange,
            "/console/accesses/{name}/revoke-tokens",
            post(page::revoke_tokens),
        )
        .route_as(
            JournaledChange,
            "/console/accesses/{name}/delete",
            get(page::confirm_deletion).post(page::delete),
        )
}

fn paths_of_webhooks() -> Routes {
    Routes::default()
        .route(
            "/console/webhooks",
            get(webhooks::list).post(webhooks::create),
        )
        .route(
            "/console/webhooks/{id}",
            get(webhooks::page).post(webhooks::change),
        )
        .route("/console/webhooks/{id}/act", post(webhooks::act))
        .route(
            "/console/webhooks/{id}/skip",
            get(questions::confirm_skip).post(questions::skip),
        )
        .route(
            "/console/webhooks/{id}/delete",
            get(questions::confirm_deletion).post(questions::delete),
        )
}

async fn home() -> Response {
    layout::see_other(layout::HOME)
}

/// Adds the headers that every answer of the console carries.
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
    // Only assets may be cached, because their addresses change with their content.
    if !headers.contains_key(header::CACHE_CONTROL) {
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
    response
}
