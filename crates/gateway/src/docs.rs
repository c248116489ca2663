//! The documentation pages: the ways in, operations, codes, samples and the OpenAPI document, under the current configuration.
//!
//! The pages are rendered from what the gateway itself uses: the operation table, the codes, the adapters and the programs that
//! `chatgate sample` prints. The OpenAPI document is rendered here (`openapi_page`) and not by a viewer in the browser: known
//! viewers are larger than all of these pages together, and they write styles into the page, which the policy forbids. The only
//! script is the few lines that copy a sample.

pub(crate) mod openapi;
mod openapi_page;
mod pages;
mod samples_page;

use std::borrow::Cow;

use adapter::{Code, Error};
use askama::Template;
use axum::response::Response;
use http::header::{self, HeaderValue};
use http::request::Parts;

use crate::paths::DOCS;
use crate::request::record::AccessRecord;
use crate::request::reply;
use crate::state::snapshot::Snapshot;

/// No script, no inline style, and nothing from elsewhere.
const POLICY: &str = "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; \
    frame-ancestors 'none'";

/// The same, but for our own script.
const WITH_SCRIPT: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; form-action 'self'; \
    base-uri 'none'; frame-ancestors 'none'";

const HTML: &str = "text/html; charset=utf-8";

/// A page: its media type, its text, and its content security policy.
pub(crate) struct Page {
    kind: &'static str,
    text: Cow<'static, str>,
    policy: &'static str,
}

/// Renders the page at this path.
///
/// # Errors
/// NOT_FOUND if there is no page.
pub(crate) fn page(snapshot: &Snapshot, head: &Parts) -> Result<Page, Error> {
    let path = head.uri.path();
    match path.strip_prefix(DOCS.path).unwrap_or_default() {
        "" => html(&pages::Ways::new(snapshot)),
        "operations" => html(&pages::Operations::new(snapshot)),
        "codes" => html(&pages::Codes::new(snapshot)),
        "samples" => Ok(Page {
            policy: WITH_SCRIPT,
            ..html(&samples_page::Samples::new(snapshot, head.uri.query()))?
        }),
        "openapi" => html(&openapi_page::OpenApi::new(&openapi::document(snapshot))),
        "openapi.json" => Ok(Page::of(
            "application/json",
            openapi::document(snapshot).to_string(),
        )),
        "docs.css" => Ok(Page::of(
            "text/css; charset=utf-8",
            include_str!("../assets/docs.css"),
        )),
        "docs.js" => Ok(Page::of(
            "text/javascript; charset=utf-8",
            include_str!("../assets/docs.js"),
        )),
        "icon.svg" => Ok(Page::of(
            "image/svg+xml",
            include_str!("../assets/icon.svg"),
        )),
        _ => Err(Error::refused(Code::NotFound)),
    }
}

fn html(page: &impl Template) -> Result<Page, Error> {
    let text = page.render();
    let text = text.map_err(|e| Error::refused(Code::InternalError).because(e.to_string()))?;
    Ok(Page::of(HTML, text))
}

impl Page {
    fn of(kind: &'static str, text: impl Into<Cow<'static, str>>) -> Page {
        Page {
            kind,
            text: text.into(),
            policy: POLICY,
        }
    }
}

/// Answers with a page.
pub(crate) fn respond(record: &mut AccessRecord, page: Page) -> Response {
    let headers = [
        (header::CONTENT_SECURITY_POLICY, page.policy),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::REFERRER_POLICY, "no-referrer"),
    ];
    let mut response = reply::document(record, page.kind, page.text.into_owned());
    for (name, value) in headers {
        let value = HeaderValue::from_static(value);
        response.headers_mut().insert(name, value);
    }
    response
}
