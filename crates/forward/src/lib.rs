//! The way out: who may, how often, from memory or from the upstream.
//!
//! The pipeline calls three verbs here. [`Forwarder::admit`] judges an address before anything is read,
//! [`Forwarder::authorize`] turns credentials into an access that may do what is asked, [`Forwarder::forward`] gets the answer.
//! This is the only crate that knows reqwest.

mod access;
pub mod allowlist;
mod cache;
pub mod call;
pub mod client;
mod guesses;
mod rate_limit;
mod upstream;
mod verified;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use adapter::{Code, Delivery, Effect, Error, Operation, Request, Response, Way};
use store::{Access, Accesses};

pub use access::{Checker, Claim};
pub use cache::{CacheConfig, CacheStatus};
pub use guesses::{Elapsed, GuessLimits, Guesses};
pub use rate_limit::{LimitState, RateLimits};
pub use upstream::{Upstream, UpstreamAuth, UpstreamConfig};

use allowlist::{Networks, Verdict};
use cache::ReadCache;

/// Everything between the ways in and the upstream.
pub struct Forwarder {
    networks: Networks,
    checker: Checker,
    limits: RateLimits,
    cache: ReadCache,
    upstream: Arc<Upstream>,
}

/// What the pipeline knows of a call besides the request itself.
#[derive(Clone, Copy, Debug)]
pub struct Circumstances {
    /// The resolved address of the caller.
    pub address: IpAddr,
    /// The way in that it took.
    pub way: Way,
    /// Seconds since 1970, UTC.
    pub now: i64,
}

/// How a caller wants a call to be made.
#[derive(Clone, Copy, Debug)]
pub struct Wishes {
    /// No answer from memory.
    pub no_cache: bool,
    /// When the caller has to have an answer, whatever it is.
    pub deadline: Instant,
}

/// The end of a call and what the log and the headers tell of it.
#[derive(Debug)]
pub struct Forwarded {
    /// How it ended.
    pub outcome: Result<Arc<Response>, Error>,
    /// What the cache had to do with it; `None` when it was refused here.
    pub cache: Option<CacheStatus>,
    /// The access's limit after this call; `None` when it has none.
    pub limit: Option<LimitState>,
    /// How long the upstream took, when this call asked it.
    pub upstream_time: Option<Duration>,
}

impl Forwarder {
    /// Puts the parts together.
    #[must_use]
    pub fn new(
        networks: Networks,
        checker: Checker,
        limits: RateLimits,
        out: (CacheConfig, Upstream),
    ) -> Forwarder {
        let (cache, upstream) = out;
        Forwarder {
            networks,
            checker,
            limits,
            cache: ReadCache::new(cache),
            upstream: Arc::new(upstream),
        }
    }

    /// Judges an address before a byte of the body is read or a password is hashed; tells the state of its limit.
    ///
    /// # Errors
    /// IP_NOT_ALLOWED, RATE_LIMITED, OVERLOADED.
    pub fn admit(&self, address: IpAddr) -> (Option<LimitState>, Result<(), Error>) {
        match self.networks.judge(address) {
            Verdict::Allowed(_) => self.limits.check_address(address),
            refused => {
                let cause = format!("deployment networks: {refused}");
                (None, Err(Error::refused(Code::IpNotAllowed).because(cause)))
            }
        }
    }

    /// Finds the access that a claim proves, then judges its state, its networks and the way in, in that order.
    ///
    /// # Errors
    /// TOO_MANY_FAILURES, the credential code of the claim, OVERLOADED, ACCESS_DISABLED, IP_NOT_ALLOWED, OPERATION_NOT_ALLOWED.
    pub async fn authorize(
        &self,
        accesses: &Accesses,
        claim: Claim<'_>,
        circumstances: Circumstances,
    ) -> Result<Arc<Access>, Error> {
        let address = circumstances.address;
        let access = self.checker.prove(accesses, claim, address).await?;
        access::admits(&access, circumstances)?;
        Ok(access)
    }

    /// Lets a token be verified, unless too many wrong ones have come from the caller's address.
    ///
    /// # Errors
    /// TOO_MANY_FAILURES, and what the verification says.
    pub async fn vouch<T>(
        &self,
        address: IpAddr,
        verification: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        self.checker.vouch(address, verification).await
    }

    /// Judges whether the access may call this, the call being right in itself.
    ///
    /// # Errors
    /// OPERATION_NOT_ALLOWED.
    pub fn permit(&self, access: &Access, request: &Request) -> Result<(), Error> {
        access::permits(access, request)
    }

    /// Counts the call against the access's limit without asking cache or upstream; all that a HEAD request needs.
    ///
    /// # Errors
    /// RATE_LIMITED, with the limit's state beside it.
    pub fn count(&self, access: &Access) -> (Option<LimitState>, Result<(), Error>) {
        self.limits.check_access(access)
    }

    /// Gets the answer: limits, then for a read the cache with one flight per key, for everything else the upstream.
    pub async fn forward(
        &self,
        access: &Arc<Access>,
        request: Arc<Request>,
        wishes: Wishes,
    ) -> Forwarded {
        let (limit, counted) = self.limits.check_access(access);
        if let Err(error) = counted {
            return Forwarded {
                outcome: Err(error),
                cache: None,
                limit,
                upstream_time: None,
            };
        }
        let operation = request.operation();
        let mut forwarded = match operation.effect {
            Effect::Read => self.read(access, request, wishes).await,
            Effect::Consume => self.ask(&request, wishes.deadline).await,
            Effect::Send => {
                let sent = self.ask(&request, wishes.deadline).await;
                if sent.outcome.as_ref().err().and_then(Error::delivery) != Some(Delivery::NotSent)
                {
                    self.cache.forget_channel(&request);
                }
                sent
            }
        };
        forwarded.limit = limit;
        forwarded
    }

    /// Forgets counts that no longer matter, so that memory follows the callers of the last minute. Call it every few
    /// seconds.
    pub fn sweep(&self) {
        self.limits.sweep();
        self.checker.sweep();
    }

    async fn read(
        &self,
        access: &Arc<Access>,
        request: Arc<Request>,
        Wishes { no_cache, deadline }: Wishes,
    ) -> Forwarded {
        let upstream = Arc::clone(&self.upstream);
        let fetched = Arc::clone(&request);
        let fetch = async move { upstream.call(&fetched, deadline).await };
        self.cache
            .read(&access.name, request, no_cache, fetch)
            .await
    }

    async fn ask(&self, request: &Request, deadline: Instant) -> Forwarded {
        let began = Instant::now();
        let outcome = self.upstream.call(request, deadline).await.map(Arc::new);
        Forwarded {
            outcome,
            cache: Some(CacheStatus::Effect),
            limit: None,
            upstream_time: Some(began.elapsed()),
        }
    }
}

/// Whether an access may call this method at all, whatever the values.
#[must_use]
pub fn may_call(access: &Access, operation: &Operation) -> bool {
    access
        .methods
        .iter()
        .any(|method| method == operation.method)
}
