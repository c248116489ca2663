//! The way out: decides who may call and how often, and gets the answer from memory or from the upstream.
//!
//! [`Forwarder`] has a function for each step of the pipeline: `admit` checks an address before anything is read, `authenticate`
//! finds the access that credentials prove, `authorize` and `authorize_call` check what it may do, `acquire` counts the call
//! against its limits, and `forward` gets the answer.

pub mod allowlist;
mod answer_budget;
mod authenticator;
mod body_budget;
mod boxed;
mod cache;
mod cache_status;
mod call;
mod channels;
mod concurrency;
mod counted_call;
mod daily;
mod decision;
mod explain;
mod forwarder;
#[doc(hidden)]
pub mod fuzzing;
mod gcra;
mod grants;
mod hashing;
mod limit_check;
mod limit_name;
mod observer;
mod per_core;
mod rate_limit;
mod remaining;
mod rules;
mod share;
mod shared_addresses;
mod shared_concurrency;
mod shared_guesses;
mod shared_limits;
mod throttle;
mod trace;
mod upstream;
mod verified;

pub use answer_budget::{AnswerLimits, HeldAnswer};
pub use authenticator::{Authenticator, Issued, PresentedCredentials};
pub use body_budget::{BodyLimits, PartialBody};
pub use boxed::boxed;
pub use cache::CacheConfig;
pub use cache_status::CacheStatus;
pub use call::{AuthContext, CallOptions, Caller, Forwarded};
pub use concurrency::ConcurrencyPermit;
pub use counted_call::CountedCall;
pub use daily::{DAY_S, DailyLimits, DayState, TimeOfDay};
pub use explain::{CacheDecision, Explanation, HypotheticalCall};
pub use forwarder::{ForwardConfig, Forwarder};
pub use limit_check::{LimitCheck, LimitState};
pub use observer::{CallObserver, KeptSignal};
pub use per_core::{enter_worker, workers};
pub use rate_limit::RateLimits;
pub use remaining::Remaining;
pub use rules::{METHOD, may_call, may_use};
pub use share::Share;
pub use throttle::{LoginThrottle, MonotonicClock, ThrottleLimits};
pub use trace::{AttemptLog, TraceParent, TracedAttempt};
pub use upstream::{
    Upstream, UpstreamAccount, UpstreamAuth, UpstreamConfig, UpstreamLimits, UpstreamStatus,
    UpstreamTiming,
};
