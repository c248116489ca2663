//! What the pipeline says of a call, and how the call ended.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use adapter::{Error, Response, Way};
use shared::CallWait;

use crate::cache_status::CacheStatus;
use crate::concurrency::ConcurrencyPermit;
use crate::trace::AttemptLog;
use crate::upstream::UpstreamTiming;

/// What the pipeline knows of a call besides the request itself.
#[derive(Clone, Copy, Debug)]
pub struct AuthContext {
    /// The resolved address of the caller.
    pub address: IpAddr,
    /// The way in that it took.
    pub way: Way,
    /// Seconds since 1970, UTC.
    pub now: i64,
    /// Whether the secret stood in the URL, where logs and proxies on the way see it.
    pub secret_in_url: bool,
}

/// Who calls, as far as it is known before any credentials are.
#[derive(Clone, Copy, Debug)]
pub struct Caller<'a> {
    /// The resolved address.
    pub address: IpAddr,
    /// What the call has waited for counts that replicas share.
    pub wait: &'a CallWait,
}

/// How a caller wants a call to be made.
pub struct CallOptions {
    /// No answer from memory.
    pub no_cache: bool,
    /// When the caller has to have an answer, whatever it is.
    pub deadline: Instant,
    /// Where its attempts are noted, if the call is traced.
    pub trace: Option<Arc<AttemptLog>>,
    /// What counts it among the access's calls at once. A read that is to be kept goes on without its caller, and so does this. In a
    /// box, so that calls without one carry no room for it.
    pub permit: Option<Box<ConcurrencyPermit>>,
}

/// The end of a call and what the log and the headers tell of it.
#[derive(Debug)]
pub struct Forwarded {
    /// How it ended.
    pub outcome: Result<Arc<Response>, Error>,
    /// What the cache had to do with it; `None` when it was refused here.
    pub cache: Option<CacheStatus>,
    /// What it took, when this call asked the upstream.
    pub timing: Option<UpstreamTiming>,
}

impl Forwarded {
    /// The end of a call that is refused before a cache or the upstream is asked.
    pub(crate) fn refused(error: Error) -> Forwarded {
        Forwarded {
            outcome: Err(error),
            cache: None,
            timing: None,
        }
    }
}
