//! The documentation pages: the ways in, operations, codes, events, samples and the OpenAPI document, under the current
//! configuration.
//!
//! The pages are rendered from the sources that the gateway itself uses: the operation table, the codes, the adapters and the
//! programs that `chatgate sample` prints. The OpenAPI document is rendered here (`openapi_page`) and not by a viewer in the
//! browser, because the known viewers are larger than all of these pages together, and they write styles into the page, which the
//! policy forbids. The only script is a few lines that copy a sample.

mod events_page;
mod interface;
mod openapi;
mod openapi_page;
mod pages;
mod samples_page;

use std::borrow::Cow;

use askama::Template;

pub use interface::PublicInterface;
pub use openapi::document;

/// The path prefix of all pages.
pub const PATH: &str = "/docs/";

/// The policy without scripts: no script, no inline style, and nothing from other sites.
const POLICY: &str = "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; \
    frame-ancestors 'none'";

/// The same policy, but with our own script.
const WITH_SCRIPT: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; form-action 'self'; \
    base-uri 'none'; frame-ancestors 'none'";

const HTML: &str = "text/html; charset=utf-8";

/// A page.
pub struct Page {
    /// Its media type.
    pub content_type: &'static str,
    /// Its text.
    pub text: Cow<'static, str>,
    /// Its content security policy.
    pub policy: &'static str,
}

/// Renders the page at this path, with the choices in this query. Returns `None` if the page does not exist.
///
/// # Errors
/// Returns the cause if the page can't be rendered.
pub fn page(
    interface: &PublicInterface<'_>,
    path: &str,
    query: Option<&str>,
) -> Result<Option<Page>, String> {
    let page = match path.strip_prefix(PATH).unwrap_or_default() {
        "" => html(&pages::Ways::new(interface))?,
        "operations" => html(&pages::Operations::new(interface))?,
        "codes" => html(&pages::Codes::new(interface))?,
        "events" if interface.has_events => html(&events_page::EventsPage::new(interface))?,
        "samples" => Page {
            policy: WITH_SCRIPT,
            ..html(&samples_page::Samples::new(interface, query))?
        },
        "openapi" => html(&openapi_page::OpenApi::new(&document(interface)))?,
        "openapi.json" => Page::of("application/json", document(interface).to_string()),
        "docs.css" => Page::of(
            "text/css; charset=utf-8",
            include_str!("../assets/docs.css"),
        ),
        "docs.js" => Page::of(
            "text/javascript; charset=utf-8",
            include_str!("../assets/docs.js"),
        ),
        "icon.svg" => Page::of("image/svg+xml", include_str!("../assets/icon.svg")),
        _ => return Ok(None),
    };
    Ok(Some(page))
}

fn html(page: &impl Template) -> Result<Page, String> {
    let text = page.render().map_err(|error| error.to_string())?;
    Ok(Page::of(HTML, text))
}

impl Page {
    fn of(content_type: &'static str, text: impl Into<Cow<'static, str>>) -> Page {
        Page {
            content_type,
            text: text.into(),
            policy: POLICY,
        }
    }
}
