//! The pieces of a stream, each made when its socket has taken the one before. Nothing is queued for a stream: it is a cursor, a
//! filter and a timer.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use adapter::{Answer, Code, Error, envelope};
use axum::body::{Body, Bytes};
use events::{EventFilter, Frames, InterestGuard, StreamPlace, WindowLimits, read_window};
use futures_util::stream;
use server::Peer;
use store::Position;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use crate::request::event_caller::EventCaller;
use crate::state::current::Runtime;
use crate::state::snapshot::Snapshot;

/// How often a stream shows that it lives: proxies give up after a minute as a rule.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// How often a caller is judged again who hears nothing, and how often a stream whose peer may have left shows that it lives: the
/// second write to one that has gone fails, and its place is free.
const JUDGED_EVERY: Duration = Duration::from_secs(1);

/// How much one piece holds: what a socket takes at once.
const PIECE: WindowLimits = WindowLimits {
    events: 64,
    bytes: 256 * 1024,
};

/// When readers come again, in milliseconds: after a broken connection, after a refusal that passes, and when the gateway
/// stops, spread so that ten thousand don't come at once.
const RETRY_MS: [u64; 2] = [1_000, 5_000];
const BUSY_RETRY_MS: [u64; 2] = [10_000, 30_000];
const DRAIN_RETRY_MS: [u64; 2] = [1_000, 15_000];

/// One stream.
pub(super) struct EventStream {
    pub(super) runtime: Arc<Runtime>,
    pub(super) caller: EventCaller,
    pub(super) peer: Peer,
    /// Whether the peer has closed its side, which many who leave do and some who stay.
    pub(super) may_have_left: bool,
    pub(super) filter: EventFilter,
    pub(super) news: watch::Receiver<Position>,
    /// Up to where the log was looked through.
    pub(super) at: Position,
    /// The cursor that the reader has.
    pub(super) shown: Position,
    /// Whether a reader has to know that events are gone.
    pub(super) shows_reset: bool,
    pub(super) beats_at: Instant,
    pub(super) ends_at: Instant,
    /// Drawn for this stream.
    pub(super) chance: u64,
    pub(super) has_begun: bool,
    pub(super) _interest: InterestGuard,
    pub(super) _place: StreamPlace,
}

/// A piece of a stream, and the stream if it goes on.
type Piece = (Frames, Option<Box<EventStream>>);

impl EventStream {
    pub(super) fn into_body(self: Box<Self>) -> Body {
        let pieces = stream::unfold(Some(self), |open| async move {
            let (frames, open) = open?.next().await;
            Some((Ok::<_, Infallible>(Bytes::from(frames.into_text())), open))
        });
        Body::from_stream(pieces)
    }

    /// Waits for the next piece.
    async fn next(mut self: Box<Self>) -> Piece {
        loop {
            let snapshot = self.runtime.snapshot();
            let Ok(events) = snapshot.events() else {
                return bye("access");
            };
            if events.places.is_ending() {
                let mut frames = Frames::default();
                frames.push_retry(between(DRAIN_RETRY_MS, self.chance));
                frames.push_notice("bye", r#"{"why":"drain"}"#);
                return (frames, None);
            }
            let now = Instant::now();
            if now >= self.ends_at {
                return bye("life");
            }
            if let Err(error) = self.caller.judge(&snapshot).await {
                return self.ended_by(&error);
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
                () = events.places.ended() => {}
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

    /// The beginning, at once, so that the reader knows that it is connected and from where to resume.
    fn first(&mut self, now: Instant) -> Frames {
        self.has_begun = true;
        self.beats_at = now + HEARTBEAT;
        // The first look is at what came before.
        self.news.mark_changed();
        let mut frames = Frames::default();
        frames.push_retry(between(RETRY_MS, self.chance));
        frames.push_comment(Some(self.at));
        frames
    }

    /// Reads what is new; nothing if there is nothing for this reader, or the log can't be read now.
    async fn read(&mut self, snapshot: &Snapshot) -> Option<Frames> {
        let events = snapshot.events().ok()?;
        self.news.mark_unchanged();
        let may_hear =
            |event: &store::Event| self.caller.may_see(event) && self.filter.passes(event);
        let window = match read_window(&events.reader, self.at, PIECE, may_hear).await {
            Ok(window) => window,
            Err(error) => {
                tracing::debug!(%error, "a stream waits for the log");
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

    /// The last piece of a stream whose caller may read no longer, or not now.
    fn ended_by(&self, error: &Error) -> Piece {
        if passes(error) {
            let answer = Answer {
                request_id: "",
                operation: Some(self.caller.request().operation()),
                outcome: Err(error),
            };
            return (busy(error, &answer, self.chance), None);
        }
        bye(match error.code() {
            Code::ExpiredToken | Code::IncorrectToken => "token",
            _ => "access",
        })
    }
}

/// The last piece of a stream.
fn bye(why: &str) -> Piece {
    let mut frames = Frames::default();
    frames.push_notice("bye", &format!("{{\"why\":\"{why}\"}}"));
    (frames, None)
}

/// A number between two, by chance.
fn between([least, most]: [u64; 2], chance: u64) -> u64 {
    least + chance % (most - least + 1)
}

/// A time that is by chance up to a fifth shorter or longer, so that streams that began together don't end together.
pub(super) fn spread(time: Duration, chance: u64) -> Duration {
    let percent = u32::try_from(80 + chance % 41).unwrap_or(100);
    time * percent / 100
}

/// Returns whether a refusal passes by itself.
pub(super) fn passes(error: &Error) -> bool {
    matches!(error.code().status(), 429 | 503)
}

pub(super) fn busy(error: &Error, answer: &Answer<'_>, chance: u64) -> Frames {
    let mut frames = Frames::default();
    let wait_ms = u64::from(error.retry_after_s().unwrap_or(0)) * 1000;
    frames.push_retry(between(BUSY_RETRY_MS, chance).max(wait_ms));
    frames.push_notice("busy", &envelope(answer));
    frames
}
