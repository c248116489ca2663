//! Server-sent events for pages that stay open.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use axum::response::sse::{Event, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::{StreamExt, stream};
use http::{HeaderMap, HeaderValue, StatusCode, header};

use crate::problem::Problem;
use crate::state::Console;
use crate::web::visitor::Visitor;

/// Maximum wait for an event before a keep-alive is sent. It is also the maximum time that an ended session continues to receive
/// events.
pub(crate) const WAIT_MAX: Duration = Duration::from_secs(1);

/// The next events, after a wait of at most [`WAIT_MAX`]; empty if only a keep-alive is due.
type NextEvents<'a> = Pin<Box<dyn Future<Output = Vec<Event>> + Send + 'a>>;

pub(crate) fn event(name: &str, text: &str) -> Event {
    Event::default().event(name).data(text)
}

fn keep_alive() -> Event {
    Event::default().comment("")
}

/// Streams events until the session ends or the gateway stops. Then the event `bye` makes the page stop reconnecting.
pub(crate) async fn stream<S: Send + 'static>(
    console: Arc<Console>,
    headers: HeaderMap,
    state: S,
    next: for<'a> fn(&'a Console, &'a mut S) -> NextEvents<'a>,
) -> Result<Response, Problem> {
    let visitor = Visitor::find(&console, &headers, false).await?;
    let visitor = visitor.ok_or_else(Problem::unauthorized)?;
    let page = console.open_pages.open(visitor.role(), visitor.name());
    let page = page.ok_or_else(|| {
        let text = "Too many pages are open, with this key or in total.";
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, "busy", text)
    })?;
    // Send a first event immediately, so that the browser knows that it is connected.
    let first = stream::once(async { vec![keep_alive()] });
    let open = Some((console, headers, state, page));
    let rest = stream::unfold(open, move |open| async move {
        let (console, headers, mut state, page) = open?;
        let mut events = next(&console, &mut state).await;
        if !goes_on(&console, &headers).await {
            return Some((vec![event("bye", "bye")], None));
        }
        if events.is_empty() {
            events.push(keep_alive());
        }
        Some((events, Some((console, headers, state, page))))
    });
    let events = first.chain(rest).flat_map(stream::iter);
    let mut response = Sse::new(events.map(Ok::<_, Infallible>)).into_response();
    let no_store = HeaderValue::from_static("no-store");
    response
        .headers_mut()
        .insert(header::CACHE_CONTROL, no_store);
    Ok(response)
}

/// Returns whether the stream continues. If the store can't be read, the stream continues, because the session may still exist.
async fn goes_on(console: &Console, headers: &HeaderMap) -> bool {
    let visitor = Visitor::find(console, headers, false).await;
    console.gateway.not_ready() != Some("draining") && !matches!(visitor, Ok(None))
}
