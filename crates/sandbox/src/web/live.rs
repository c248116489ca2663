//! Server-sent events that keep a page up to date. Their data is the HTML that the page would show.

use std::sync::Arc;
use std::time::Duration;

use adapter::Error;
use bytes::Bytes;
use futures_util::stream;
use http::request::Parts;
use http::{Response, StatusCode};
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;
use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio::time::{Interval, MissedTickBehavior, interval, timeout};

use super::rows::Chat;
use super::views::{MessageView, PlatformList, rendered};
use crate::answer::{Body, plain, response};
use crate::app_state::AppState;

/// Minimum interval between two queries for a page, so that a page never causes more than ten queries a second.
const POLL_INTERVAL: Duration = Duration::from_millis(100);

/// Interval of the keep-alives on an idle stream, which detect a page that has disconnected.
const SIGN_OF_LIFE: Duration = Duration::from_secs(15);

/// Returns the id of the last message that a page has: the browser's Last-Event-ID after a broken stream, or else the page's own
/// number.
pub(super) fn after(head: &Parts) -> i64 {
    let again = head.headers.get("last-event-id");
    let again = again.and_then(|id| id.to_str().ok()?.parse().ok());
    let first = || {
        let query = head.uri.query()?;
        query.strip_prefix("after=")?.parse().ok()
    };
    again.or_else(first).unwrap_or(0)
}

/// Streams the messages of a chat that follow the message `after`.
pub(super) fn messages(
    state: &Arc<AppState>,
    (chat, is_visitor): (Chat, bool),
    after: i64,
    stopped: watch::Receiver<()>,
) -> Result<Response<Body>, Error> {
    stream_of(
        state,
        stopped,
        WatchTarget::Messages {
            chat,
            is_visitor,
            after,
        },
    )
}

/// Streams the operator's list whenever it changes.
pub(super) fn chats(
    state: &Arc<AppState>,
    stopped: watch::Receiver<()>,
) -> Result<Response<Body>, Error> {
    stream_of(state, stopped, WatchTarget::Chats(String::new()))
}

/// The content of a page, and the part of it that the page already has.
enum WatchTarget {
    Messages {
        chat: Chat,
        is_visitor: bool,
        after: i64,
    },
    Chats(String),
}

impl WatchTarget {
    /// Returns the events that bring the page up to date; empty if it is up to date.
    async fn events(&mut self, state: &AppState) -> Result<String, Error> {
        let mut events = String::new();
        match self {
            WatchTarget::Messages {
                chat,
                is_visitor,
                after,
            } => {
                for shown in state.chats.shown(chat, *after).await? {
                    let message = MessageView {
                        shown: &shown,
                        is_visitor: *is_visitor,
                    };
                    let html = rendered(&message)?;
                    *after = shown.id;
                    push_event(&mut events, Some(shown.id), &html);
                }
            }
            WatchTarget::Chats(known) => {
                let platforms = state.chats.by_platform().await?;
                let html = rendered(&PlatformList {
                    platforms: &platforms,
                })?;
                if *known != html {
                    push_event(&mut events, None, &html);
                    *known = html;
                }
            }
        }
        Ok(events)
    }
}

/// The state of a stream between two events.
struct SseWatcher {
    state: Arc<AppState>,
    target: WatchTarget,
    news: watch::Receiver<()>,
    stopped: watch::Receiver<()>,
    pace: Interval,
    _permit: OwnedSemaphorePermit,
}

fn stream_of(
    state: &Arc<AppState>,
    stopped: watch::Receiver<()>,
    target: WatchTarget,
) -> Result<Response<Body>, Error> {
    let Ok(permit) = Arc::clone(&state.watchers).try_acquire_owned() else {
        return Ok(plain(
            StatusCode::SERVICE_UNAVAILABLE,
            "Too many pages are open.\n",
        ));
    };
    let mut news = state.chats.news();
    // The first query finds the messages that have arrived since the page was rendered.
    news.mark_changed();
    let mut pace = interval(POLL_INTERVAL);
    pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let watcher = SseWatcher {
        state: Arc::clone(state),
        target,
        news,
        stopped,
        pace,
        _permit: permit,
    };
    let pieces = stream::unfold(watcher, |mut watcher| async {
        let piece = watcher.next().await?;
        Some((Ok(Frame::data(Bytes::from(piece))), watcher))
    });
    let body = StreamBody::new(pieces).boxed_unsync();
    Ok(response(StatusCode::OK, "text/event-stream", body))
}

impl SseWatcher {
    /// Returns the next piece of the stream. Returns `None` if the sandbox stops or its database fails.
    async fn next(&mut self) -> Option<String> {
        loop {
            let changed = tokio::select! {
                _ = self.stopped.changed() => return None,
                changed = timeout(SIGN_OF_LIFE, self.news.changed()) => changed,
            };
            if changed.is_err() {
                return Some(":\n\n".to_owned());
            }
            // All changes during this pause are covered by one query.
            self.pace.tick().await;
            self.news.mark_unchanged();
            match self.target.events(&self.state).await {
                Ok(events) if events.is_empty() => {}
                Ok(events) => return Some(events),
                Err(error) => {
                    tracing::error!(cause = error.cause(), "a page of the sandbox broke off");
                    return None;
                }
            }
        }
    }
}

/// Appends an event. Any kind of line end would end a line of the stream, so each line of the text becomes a separate line.
fn push_event(events: &mut String, id: Option<i64>, html: &str) {
    if let Some(id) = id {
        events.push_str(&format!("id: {id}\n"));
    }
    for line in html.replace("\r\n", "\n").split(['\n', '\r']) {
        events.push_str("data: ");
        events.push_str(line);
        events.push('\n');
    }
    events.push('\n');
}
