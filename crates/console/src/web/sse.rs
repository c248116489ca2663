//! Server-sent events: what is said to pages that stay open.

use std::convert::Infallible;
use std::fmt::Write as _;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::response::Response;
use futures_util::stream;
use http::{HeaderMap, StatusCode};

use crate::problem::{Problem, answer};
use crate::state::Console;
use crate::web::visitor::Visitor;

/// So often a page is told that we are still here; and so long a session that has ended may go on listening.
pub(crate) const WAIT_MAX: Duration = Duration::from_secs(1);

/// What is said next, waited for at most [`WAIT_MAX`]; empty for nothing.
type NextEvents<'a> = Pin<Box<dyn Future<Output = String> + Send + 'a>>;

/// One event. A text over several lines is several data lines.
pub(crate) fn event(name: &str, id: Option<&str>, text: &str) -> String {
    let mut written = format!("event: {name}\n");
    if let Some(id) = id {
        // Writing into a String can't fail.
        let _ = writeln!(written, "id: {id}");
    }
    for line in text.split(['\n', '\r']).filter(|line| !line.is_empty()) {
        let _ = writeln!(written, "data: {line}");
    }
    written.push('\n');
    written
}

/// A stream of events, until its session ends or the gateway stops: then the event `bye` tells the page not to come back.
pub(crate) fn stream<S: Send + 'static>(
    console: Arc<Console>,
    headers: HeaderMap,
    state: S,
    next: for<'a> fn(&'a Console, &'a mut S) -> NextEvents<'a>,
) -> Result<Response, Problem> {
    let visitor = Visitor::find(&console, &headers, false).ok_or_else(Problem::unauthorized)?;
    let place = console.open_pages.open(visitor.role(), visitor.name());
    let place = place.ok_or_else(|| {
        let text = "Too many pages are open with this key, or with all together.";
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, "busy", text)
    })?;
    // The first event comes at once, so that the browser knows that it is connected.
    let begin = Some((console, headers, state, place, true));
    let events = stream::unfold(begin, move |open| async move {
        let (console, headers, mut state, place, is_first) = open?;
        if is_first {
            let said = Ok::<_, Infallible>(":\n\n".to_owned());
            return Some((said, Some((console, headers, state, place, false))));
        }
        let said = next(&console, &mut state).await;
        if !goes_on(&console, &headers) {
            return Some((Ok(event("bye", None, "bye")), None));
        }
        let said = if said.is_empty() {
            ":\n\n".to_owned()
        } else {
            said
        };
        Some((Ok(said), Some((console, headers, state, place, false))))
    });
    Ok(answer(
        StatusCode::OK,
        "text/event-stream",
        Body::from_stream(events),
    ))
}

fn goes_on(console: &Console, headers: &HeaderMap) -> bool {
    console.gateway.not_ready() != Some("draining")
        && Visitor::find(console, headers, false).is_some()
}
