//! What keeps a page up to date: server-sent events whose data is the very HTML that the page would show.

use std::sync::Arc;
use std::time::Duration;

use adapter::Error;
use askama::Template;
use bytes::Bytes;
use futures_util::stream;
use http::request::Parts;
use http::{Response, StatusCode};
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;
use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio::time::{Interval, MissedTickBehavior, interval, timeout};

use super::rows::Chat;
use super::unwritten;
use super::views::{Message, Platforms};
use crate::Desk;
use crate::answer::{Body, plain, response};

/// The shortest time between two looks: however much happens, a page costs the database ten looks a second.
const LOOK_INTERVAL: Duration = Duration::from_millis(100);

/// How often something is written when nothing happens, so that a page that is gone is noticed.
const SIGN_OF_LIFE: Duration = Duration::from_secs(15);

/// The last message that a page has: what a stream that broke off says, or else what the page says.
pub(super) fn after(head: &Parts) -> i64 {
    let again = head.headers.get("last-event-id");
    let again = again.and_then(|id| id.to_str().ok()?.parse().ok());
    let first = || {
        let query = head.uri.query()?;
        query.strip_prefix("after=")?.parse().ok()
    };
    again.or_else(first).unwrap_or(0)
}

/// The messages of a chat that come after this one.
pub(super) fn messages(
    desk: &Arc<Desk>,
    (chat, is_visitor): (Chat, bool),
    after: i64,
    stopped: watch::Receiver<()>,
) -> Result<Response<Body>, Error> {
    stream_of(
        desk,
        stopped,
        Look::Messages {
            chat,
            is_visitor,
            after,
        },
    )
}

/// The operator's list whenever it has changed.
pub(super) fn chats(
    desk: &Arc<Desk>,
    stopped: watch::Receiver<()>,
) -> Result<Response<Body>, Error> {
    stream_of(desk, stopped, Look::Chats(String::new()))
}

/// What is looked at, and what the page has of it.
enum Look {
    Messages {
        chat: Chat,
        is_visitor: bool,
        after: i64,
    },
    Chats(String),
}

impl Look {
    /// The events that bring the page up to date; empty when it is.
    async fn events(&mut self, desk: &Desk) -> Result<String, Error> {
        let mut events = String::new();
        match self {
            Look::Messages {
                chat,
                is_visitor,
                after,
            } => {
                for shown in desk.chats.shown(chat, *after).await? {
                    let message = Message {
                        shown: &shown,
                        is_visitor: *is_visitor,
                    };
                    let html = message.render().map_err(|error| unwritten(&error))?;
                    *after = shown.id;
                    push_event(&mut events, Some(shown.id), &html);
                }
            }
            Look::Chats(known) => {
                let platforms = desk.chats.by_platform().await?;
                let platforms = Platforms {
                    platforms: &platforms,
                };
                let html = platforms.render().map_err(|error| unwritten(&error))?;
                if *known != html {
                    push_event(&mut events, None, &html);
                    *known = html;
                }
            }
        }
        Ok(events)
    }
}

/// One stream between two pieces.
struct Onlooker {
    desk: Arc<Desk>,
    look: Look,
    news: watch::Receiver<()>,
    stopped: watch::Receiver<()>,
    pace: Interval,
    _place: OwnedSemaphorePermit,
}

fn stream_of(
    desk: &Arc<Desk>,
    stopped: watch::Receiver<()>,
    look: Look,
) -> Result<Response<Body>, Error> {
    let Ok(place) = Arc::clone(&desk.onlookers).try_acquire_owned() else {
        return Ok(plain(
            StatusCode::SERVICE_UNAVAILABLE,
            "Too many pages are open.\n",
        ));
    };
    let mut news = desk.chats.news();
    // The first look is at what has come since the page was made.
    news.mark_changed();
    let mut pace = interval(LOOK_INTERVAL);
    pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let onlooker = Onlooker {
        desk: Arc::clone(desk),
        look,
        news,
        stopped,
        pace,
        _place: place,
    };
    let pieces = stream::unfold(onlooker, |mut onlooker| async {
        let piece = onlooker.next().await?;
        Some((Ok(Frame::data(Bytes::from(piece))), onlooker))
    });
    let body = StreamBody::new(pieces).boxed_unsync();
    Ok(response(StatusCode::OK, "text/event-stream", body))
}

impl Onlooker {
    /// The next piece; none when the sandbox stops or its database fails.
    async fn next(&mut self) -> Option<String> {
        loop {
            let changed = tokio::select! {
                _ = self.stopped.changed() => return None,
                changed = timeout(SIGN_OF_LIFE, self.news.changed()) => changed,
            };
            if changed.is_err() {
                return Some(":\n\n".to_owned());
            }
            // However much happens meanwhile is looked at once.
            self.pace.tick().await;
            self.news.mark_unchanged();
            match self.look.events(&self.desk).await {
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

/// One event. A line end of any kind ends a line of the stream, so that each line of the text is one.
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
