//! Answers `getevents`: returns the events after a cursor, and waits for the first event if there are none.

use std::pin::pin;
use std::time::{Duration, Instant};

use adapter::{Code, Error, Request, Response};
use events::{EventFilter, ListFlags, StreamLimiter, WindowLimits, read_window};
use server::Peer;
use store::{Position, StoreError};
use tokio::time::sleep_until;

use crate::request::event_caller::EventCaller;
use crate::state::snapshot::Snapshot;

/// Number of events in an answer if the caller names no number.
const EVENTS: u16 = 100;

/// Maximum number of row bytes in one answer. The caller asks again for further events. This is much less than an access may hold
/// in memory.
const ROWS_BYTES: usize = 1024 * 1024;

/// Time that a wait leaves for the answer. If a call has little time, its wait leaves one part in `ANSWERED_PART` of that time
/// instead.
const ANSWERED_WITHIN: Duration = Duration::from_secs(3);
const ANSWERED_PART: u32 = 4;

/// Maximum time by which a cursor may be ahead of everything known here. Other replicas and their clocks are ahead by less.
const AHEAD_MAX_MS: i64 = 60_000;

/// Answers a call that has been counted. The gateway stores nothing about the call: the same cursor gets the same answer again.
///
/// # Errors
/// RATE_LIMITED and OVERLOADED when there is no place to wait; INCORRECT_PARAM for an invalid cursor; and every error that a new
/// call of this caller would get.
pub(crate) async fn answer(
    snapshot: &Snapshot,
    mut caller: EventCaller,
    peer: &Peer,
    deadline: Instant,
) -> Result<Response, Error> {
    let events = snapshot.events()?;
    events.interests.touch(&caller.access().client_id);
    // Subscribes before the log is read, so that events that arrive in between are noticed.
    let mut news = events.hub.subscribe();
    let newest = events.hub.newest();
    let cursor = caller.request().value("cursor");
    let is_reset_news = cursor != Some("earliest");
    let parse = |cursor| parse_cursor(snapshot, cursor, newest);
    let Some(mut after) = cursor.map(parse).transpose()? else {
        return result(&events::list(&[], newest, ListFlags::default()));
    };
    let wait = Duration::from_secs(number(caller.request(), "wait", 0).into());
    let _permit = match wait.is_zero() {
        true => None,
        false => {
            let client_id = &caller.access().client_id;
            Some(StreamLimiter::acquire(
                &events.streams,
                client_id,
                events.config().streams,
            )?)
        }
    };
    let now = Instant::now();
    let remaining = deadline.saturating_duration_since(now);
    let until = now + wait.min(remaining - ANSWERED_WITHIN.min(remaining / ANSWERED_PART));
    let filter = EventFilter::of(caller.request());
    let limits = WindowLimits {
        events: number(caller.request(), "limit", EVENTS).into(),
        bytes: ROWS_BYTES,
    };
    let mut leaving = pin!(peer.closes_or_sends());
    let mut may_have_left = false;
    loop {
        news.mark_unchanged();
        // Judged by the current snapshot, because the configuration may be reloaded during the wait.
        let in_force = snapshot.current();
        caller
            .judge(in_force.as_deref().unwrap_or(snapshot))
            .await?;
        let may_hear = |event: &store::Event| caller.may_see(event) && filter.passes(event);
        let window = read_window(&events.reader, after, limits, may_hear).await;
        let window = window.map_err(|error| unreadable(&error))?;
        let is_reset = window.reset.is_some() && is_reset_news;
        let is_over = may_have_left || Instant::now() >= until || events.streams.is_ending();
        if !window.events.is_empty() || window.more || is_reset || is_over {
            let flags = ListFlags {
                more: window.more,
                reset: is_reset,
            };
            return result(&events::list(&window.events, window.read_to, flags));
        }
        after = window.read_to;
        tokio::select! {
            _ = news.changed() => {}
            () = sleep_until(until.into()) => {}
            () = events.streams.ended() => {}
            // A caller that has only closed its side gets a normal answer and asks again.
            () = &mut leaving => may_have_left = true,
        }
    }
}

/// Parses a cursor from a caller.
///
/// # Errors
/// INCORRECT_PARAM for an invalid cursor, and for a cursor in the future, because its reader would get nothing until then.
pub(crate) fn parse_cursor(
    snapshot: &Snapshot,
    cursor: &str,
    newest: Position,
) -> Result<Position, Error> {
    let known_ms = (snapshot.auth_now() * 1000).max(newest.time_ms());
    let position = match cursor {
        "now" => Some(newest),
        "earliest" => Some(Position::ZERO),
        cursor => cursor.parse().ok(),
    };
    position
        .filter(|position| position.time_ms() <= known_ms + AHEAD_MAX_MS)
        .ok_or_else(|| Error::incorrect("The cursor is not from this gateway."))
}

/// Returns the error for a log that can't be read.
fn unreadable(error: &StoreError) -> Error {
    Error::refused(Code::Overloaded)
        .because(error.to_string())
        .retry_after(1)
}

/// Returns the value of a numeric parameter, which was checked when the call was decoded.
fn number(request: &Request, name: &str, default: u16) -> u16 {
    request
        .value(name)
        .and_then(|value| value.parse().ok())
        .unwrap_or(default)
}

fn result(text: &str) -> Result<Response, Error> {
    let unlike_json =
        || Error::refused(Code::InternalError).because("the events are not valid JSON");
    Response::of(text).ok_or_else(unlike_json)
}
