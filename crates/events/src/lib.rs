//! Pushes new messages. Shared polls of the channels that have listeners, and the observed answers to callers' own calls, become
//! events of one durable log. Streams, `getevents` and webhooks read the log at their own pace.
//!
//! [`Events`] is the interface for the gateway. An event is in the log before any reader gets it (`recorder.rs`). A pure function
//! decides which rows are new (`diff.rs`). The upstream is not polled while nobody listens (`watcher.rs`).

mod caught;
mod config;
mod counts;
mod days;
mod diff;
mod filter;
mod find_order;
mod frame;
mod history;
mod hub;
mod id;
mod interests;
mod json;
mod list;
mod notice;
mod observation_queue;
mod observe;
mod observed_call;
mod orders;
mod poll;
mod poll_interval;
mod polled_chat;
mod reader;
mod recorder;
mod row;
mod run;
mod service;
mod stream_limiter;
mod upstream;
mod visibility;
mod watcher;
mod window;

#[cfg(test)]
mod tests;

pub use config::{EventDepth, EventsConfig};
pub use counts::EventsStatus;
pub use diff::{ListKind, ListOrder, RowChange, diff};
pub use filter::EventFilter;
pub use frame::Frames;
pub use hub::EventHub;
pub use interests::{InterestGuard, Interests};
pub use json::{Payload, json};
pub use list::{ListFlags, list};
pub use reader::{EventReader, PAGE_BYTES};
pub use row::{ListedRow, listed_rows};
pub use service::Events;
pub use stream_limiter::{StreamLimiter, StreamLimits, StreamPermit};
pub use upstream::{PollAnswer, PolledUpstream};
pub use visibility::may_see_event;
pub use window::{EventWindow, WindowLimits, read_window};
