//! The data of a call that the pipeline passes on, and the result of the call.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use adapter::{Error, Response, Way};
use shared::CallWait;

use crate::cache_status::CacheStatus;
use crate::concurrency::ConcurrencyPermit;
use crate::trace::AttemptLog;
use crate::upstream::UpstreamTiming;

/// The pipeline's knowledge about a call in addition to the request itself.
#[derive(Clone, Copy, Debug)]
pub struct AuthContext {
    /// The resolved address of the caller.
    pub address: IpAddr,
    /// The way in that the call took.
    pub way: Way,
    /// The current time; seconds since 1970, UTC.
    pub now: i64,
    /// True if the secret was in the URL, where logs and proxies see it.
    pub secret_in_url: bool,
}

/// The caller before any credentials are known.
#[derive(Clone, Copy, Debug)]
pub struct Caller<'a> {
    /// The resolved address.
    pub address: IpAddr,
    /// The time that the call has waited for shared counts.
    pub wait: &'a CallWait,
}

/// Options that the caller sets for a call.
pub struct CallOptions {
    /// True if the answer must not come from memory.
    pub no_cache: bool,
    /// The time by which the caller has to have an answer, whatever it is.
    pub deadline: Instant,
    /// The log of the attempts, if the call is traced.
    pub trace: Option<Arc<AttemptLog>>,
    /// The permit that counts the call among the access's concurrent calls. A read that is to be cached continues without its
    /// caller once it asks the upstream, and so does its permit. Boxed, so that calls without a permit carry no room for it.
    pub permit: Option<Box<ConcurrencyPermit>>,
}

/// The result of a call, and the facts about it for the log and the headers.
#[derive(Debug)]
pub struct Forwarded {
    /// The answer or the error.
    pub outcome: Result<Arc<Response>, Error>,
    /// The role of the cache; `None` if the call was rejected here.
    pub cache: Option<CacheStatus>,
    /// The durations, if this call asked the upstream.
    pub timing: Option<UpstreamTiming>,
}

impl Forwarded {
    /// Creates the result of a call that is rejected before the cache or the upstream is asked.
    pub(crate) fn refused(error: Error) -> Forwarded {
        Forwarded {
            outcome: Err(error),
            cache: None,
            timing: None,
        }
    }
}
