//! Produces the pieces of a stream, each after the socket has taken the previous one. Nothing is queued for a stream: it consists
//! of a cursor, a filter and a timer.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use adapter::{Answer, Code, Error, envelope};
use axum::body::{Body, Bytes};
use events::{EventFilter, Frames, InterestGuard, StreamPermit, WindowLimits, read_window};
use futures_util::stream;
use server::Peer;
use store::Position;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use crate::request::event_caller::EventCaller;
use crate::state::current::Runtime;
use crate::state::snapshot::Snapshot;

/// Interval of a stream's heartbeats. Proxies usually time out after a minute.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// How often an idle stream's caller is judged again, and the heartbeat interval of a stream whose peer may have disconnected. The
/// second write to a disconnected peer fails, which frees the stream's place.
const JUDGED_EVERY: Duration = Duration::from_secs(1);

/// Maximum size of one piece: about as much as a socket takes in one write.
const PIECE: WindowLimits = WindowLimits {
    events: 64,
    bytes: 256 * 1024,
};

/// Times after which readers reconnect, in milliseconds: after a broken connection, after a temporary rejection, and at the
/// shutdown of the gateway. They are spread so that ten thousand readers do not reconnect at the same moment.
const RETRY_MS: [u64; 2] = [1_000, 5_000];
const BUSY_RETRY_MS: [u64; 2] = [10_000, 30_000];
const DRAIN_RETRY_MS: [u64; 2] = [1_000, 15_000];

/// One stream.
pub(super) struct EventStream {
    pub(super) runtime: Arc<Runtime>,
    pub(super) caller: EventCaller,
    pub(super) peer: Peer,
    /// True if the peer has closed its side. Many peers that disconnect do so, but also some that stay.
    pub(super) may_have_left: bool,
    pub(super) filter: EventFilter,
    pub(super) news: watch::Receiver<Position>,
    /// The position up to which the log has been searched.
    pub(super) at: Position,
    /// The cursor that the reader has received.
    pub(super) shown: Position,
    /// True if the reader has to be told that events are missing.
    pub(super) shows_reset: bool,
    pub(super) beats_at: Instant,
    pub(super) ends_at: Instant,
    /// A random number that was drawn for this stream.
    pub(super) chance: u64,
    pub(super) has_begun: bool,
    pub(super) _interest: InterestGuard,
    pub(super) _permit: StreamPermit,
}

/// A piece of a stream, and the stream itself if it continues.
type StreamPiece = (Frames, Option<Box<EventStream>>);

impl EventStream {
    pub(super) fn into_body(self: Box<Self>) -> Body {
        let pieces = stream::unfold(Some(self), |open| async move {
            let (frames, open) = open?.next().await;
            Some((Ok::<_, Infallible>(Bytes::from(frames.into_text())), open))
        });
        Body::from_stream(pieces)
    }

    /// Waits for the next piece.
    async fn next(mut self: Box<Self>) -> StreamPiece {
        loop {
            let snapshot = self.runtime.snapshot();
            let Ok(events) = snapshot.events() else {
                return closing_piece("access");
            };
            if events.streams.is_ending() {
                let mut frames = Frames::default();
                frames.push_retry(random_between(DRAIN_RETRY_MS, self.chance));
                frames.push_notice("bye", r#"{"why":"drain"}"#);
                return (frames, None);
            }
            let now = Instant::now();
            if now >= self.ends_at {
                return closing_piece("life");
            }
            if let Err(error) = self.caller.judge(&snapshot).await {
                return self.end_piece(&error);
            }
            if !self.has_begun {
                return (self.first(now), Some(self));
            }
            let has_news =
                self.news.has_changed().unwrap_or(false) || self.at < *self.news.borrow();
            if has_news && let Some(frames) = Box::pin(self.read(&snapshot)).await {
                self.beats_at = Instant::now() + self.heartbeat();
                return (frames, Some(self));
            }
            if now >= self.beats_at {
                self.beats_at = now + self.heartbeat();
                let moved = (self.at != self.shown).then_some(self.at);
                self.shown = self.at;
                let mut frames = Frames::default();
                frames.push_comment(moved);
                return (frames, Some(self));
            }
            let until = (now + JUDGED_EVERY).min(self.beats_at).min(self.ends_at);
            tokio::select! {
                _ = self.news.changed() => {}
                () = sleep_until(until) => {}
                () = events.streams.ended() => {}
                () = self.peer.closes_or_sends(), if !self.may_have_left => {
                    self.may_have_left = true;
                    self.beats_at = Instant::now();
                }
            }
        }
    }

    fn heartbeat(&self) -> Duration {
        if self.may_have_left {
            JUDGED_EVERY
        } else {
            HEARTBEAT
        }
    }

    /// Returns the first piece. It is sent immediately, so that the reader knows that it is connected and from where to resume.
    fn first(&mut self, now: Instant) -> Frames {
        self.has_begun = true;
        self.beats_at = now + HEARTBEAT;
        // The first read has to return events that came before the stream began.
        self.news.mark_changed();
        let mut frames = Frames::default();
        frames.push_retry(random_between(RETRY_MS, self.chance));
        frames.push_comment(Some(self.at));
        frames
    }

    /// Reads new events. Returns `None` if there are none for this reader, or if the log can't be read now.
    async fn read(&mut self, snapshot: &Snapshot) -> Option<Frames> {
        let events = snapshot.events().ok()?;
        self.news.mark_unchanged();
        let may_hear =
            |event: &store::Event| self.caller.may_see(event) && self.filter.passes(event);
        let window = match read_window(&events.reader, self.at, PIECE, may_hear).await {
            Ok(window) => window,
            Err(error) => {
                tracing::debug!(%error, "an event stream can't read the log of events and tries again");
                self.news.mark_changed();
                tokio::time::sleep(JUDGED_EVERY).await;
                return None;
            }
        };
        let mut frames = Frames::default();
        if let Some(oldest) = window.reset.filter(|_| self.shows_reset) {
            frames.push_notice("reset", &format!("{{\"oldest\":\"{oldest}\"}}"));
        }
        self.shows_reset = true;
        for event in &window.events {
            frames.push_event(event);
            self.shown = event.position;
        }
        self.at = window.read_to;
        if window.more {
            self.news.mark_changed();
        }
        (frames.bytes() > 0).then_some(frames)
    }

    /// Returns the last piece of a stream whose caller may no longer read, or can't at the moment.
    fn end_piece(&self, error: &Error) -> StreamPiece {
        if is_temporary(error) {
            let answer = Answer {
                request_id: "",
                operation: Some(self.caller.request().operation()),
                outcome: Err(error),
            };
            return (busy_piece(error, &answer, self.chance), None);
        }
        closing_piece(match error.code() {
            Code::ExpiredToken | Code::IncorrectToken => "token",
            _ => "access",
        })
    }
}

/// Returns the last piece of a stream.
fn closing_piece(why: &str) -> StreamPiece {
    let mut frames = Frames::default();
    frames.push_notice("bye", &format!("{{\"why\":\"{why}\"}}"));
    (frames, None)
}

/// Returns a number from a range, chosen by `chance`.
fn random_between([least, most]: [u64; 2], chance: u64) -> u64 {
    least + chance % (most - least + 1)
}

/// Returns the time, shortened or lengthened by up to a fifth according to `chance`. Streams that began together therefore end at
/// different times.
pub(super) fn jittered(time: Duration, chance: u64) -> Duration {
    let percent = u32::try_from(80 + chance % 41).unwrap_or(100);
    time * percent / 100
}

/// Returns whether the error is temporary.
pub(super) fn is_temporary(error: &Error) -> bool {
    matches!(error.code().status(), 429 | 503)
}

pub(super) fn busy_piece(error: &Error, answer: &Answer<'_>, chance: u64) -> Frames {
    let mut frames = Frames::default();
    let wait_ms = u64::from(error.retry_after_s().unwrap_or(0)) * 1000;
    frames.push_retry(random_between(BUSY_RETRY_MS, chance).max(wait_ms));
    frames.push_notice("busy", &envelope(answer));
    frames
}
