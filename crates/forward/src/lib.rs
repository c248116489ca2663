//! The way out: who may, how often, from memory or from the upstream.
//!
//! The pipeline calls three verbs here. [`Forwarder::admit`] judges an address before anything is read,
//! [`Forwarder::prove`] and [`Forwarder::judge`] turn credentials into an access that may call, [`Forwarder::begin`] counts
//! the call, and [`Forwarder::forward`] gets the answer.

mod access;
pub mod allowlist;
mod answers;
mod boxed;
mod cache;
mod channels;
mod concurrency;
mod daily;
mod decision;
#[cfg(test)]
mod exact;
mod explain;
#[doc(hidden)]
pub mod fuzzing;
mod hashing;
mod per_core;
mod rate_limit;
mod remaining;
mod throttle;
mod upstream;
mod verified;

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Instant;

use adapter::{Delivery, Effect, Error, Operation, Request, Response, Way};
use store::{Access, Accesses, SecretHasher, StoreError};

pub use access::{Authenticator, Issued, PresentedCredentials};
pub use answers::{AnswerLimits, Held};
pub use boxed::boxed;
pub use cache::{CacheConfig, CacheStatus};
pub use concurrency::ConcurrencyPermit;
pub use daily::{DAY_S, DailyLimits, DayState, TimeOfDay};
pub use explain::{CacheDecision, Explanation, HypotheticalCall};
pub use per_core::{enter_worker, workers};
pub use rate_limit::{LimitState, RateLimits};
pub use remaining::Remaining;
pub use throttle::{LoginThrottle, MonotonicClock, ThrottleLimits};
pub use upstream::{
    Account, Upstream, UpstreamAuth, UpstreamConfig, UpstreamLimits, UpstreamStatus, UpstreamTiming,
};

use allowlist::Networks;
use answers::Answers;
use cache::ReadCache;
use concurrency::ConcurrencyLimit;
use decision::Decision;
use upstream::UpstreamOutcome;

/// Everything between the ways in and the upstream, under one configuration.
pub struct Forwarder {
    config: ForwardConfig,
    authenticator: Arc<Authenticator>,
    limits: Arc<RateLimits>,
    daily: Arc<DailyLimits>,
    concurrency: Arc<ConcurrencyLimit>,
    answers: Arc<Answers>,
    cache: ReadCache,
    upstream: Arc<Upstream>,
}

/// What of the way out is configured.
#[derive(Clone, Debug)]
pub struct ForwardConfig {
    /// Networks that may call at all.
    pub networks: Networks,
    /// Calls a minute from one address, before authentication.
    pub per_address_per_minute: NonZeroU32,
    /// How many wrong secrets are checked.
    pub guesses: ThrottleLimits,
    /// How much of answers is held.
    pub answers: AnswerLimits,
    /// How long reads are kept.
    pub cache: CacheConfig,
    /// Who is asked.
    pub upstream: UpstreamConfig,
}

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

/// How a caller wants a call to be made.
#[derive(Clone, Copy, Debug)]
pub struct CallOptions {
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
    /// What it took, when this call asked the upstream.
    pub timing: Option<UpstreamTiming>,
}

impl Forwarder {
    /// Takes the configuration, the hasher of random secrets, a random key of this process, and the counts of the day.
    ///
    /// # Errors
    /// A sentence, when the upstream's roots can't be read.
    pub fn new(
        config: ForwardConfig,
        hasher: Arc<SecretHasher>,
        process_key: &[u8],
        daily: Arc<DailyLimits>,
    ) -> Result<Forwarder, String> {
        let throttle = LoginThrottle::new(config.guesses, process_key);
        Ok(Forwarder {
            authenticator: Arc::new(Authenticator::new(hasher, process_key, workers(), throttle)),
            limits: Arc::new(RateLimits::new(config.per_address_per_minute)),
            daily,
            concurrency: Arc::default(),
            answers: Arc::new(Answers::new(config.answers)),
            cache: ReadCache::new(config.cache.clone()),
            upstream: Arc::new(Upstream::new(config.upstream.clone())?),
            config,
        })
    }

    /// The same way out under another configuration. Counts, places, known secrets and kept reads go on wherever what they
    /// were made under is the same: a changed limit starts full, and another account's reads are not this one's.
    ///
    /// # Errors
    /// A sentence, when the upstream's roots can't be read.
    pub fn renewed(&self, config: ForwardConfig) -> Result<Forwarder, String> {
        let old = &self.config;
        let authenticator = if config.guesses == old.guesses {
            Arc::clone(&self.authenticator)
        } else {
            Arc::new(self.authenticator.renewed(config.guesses))
        };
        let limits = if config.per_address_per_minute == old.per_address_per_minute {
            Arc::clone(&self.limits)
        } else {
            Arc::new(self.limits.renewed(config.per_address_per_minute))
        };
        let cache = if config.upstream.is_account_of(&old.upstream) {
            self.cache.renewed(config.cache.clone())
        } else {
            self.cache.emptied(config.cache.clone())
        };
        let upstream = self.upstream.renewed(&config.upstream)?;
        let answers = config.answers;
        Ok(Forwarder {
            config,
            authenticator,
            limits,
            daily: Arc::clone(&self.daily),
            concurrency: Arc::clone(&self.concurrency),
            answers: Arc::new(self.answers.renewed(answers)),
            cache,
            upstream,
        })
    }

    /// Judges an address before a byte of the body is read or a password is hashed; tells the state of its limit.
    ///
    /// # Errors
    /// IP_NOT_ALLOWED, RATE_LIMITED, OVERLOADED.
    pub fn admit(&self, address: IpAddr) -> (Option<LimitState>, Result<(), Error>) {
        match self.deployment(address).into_result() {
            Ok(_) => self.limits.check_address(address),
            Err(error) => (None, Err(error)),
        }
    }

    fn deployment(&self, address: IpAddr) -> Decision {
        Decision::of_networks(
            "deployment networks",
            self.config.networks.judge(address),
            false,
        )
    }

    /// Finds the access that credentials prove, whatever it may do.
    ///
    /// # Errors
    /// TOO_MANY_FAILURES, the credential code of the credentials, OVERLOADED.
    pub async fn prove(
        &self,
        accesses: &Accesses,
        credentials: PresentedCredentials<'_>,
        address: IpAddr,
    ) -> Result<Arc<Access>, Error> {
        self.authenticator
            .prove(accesses, credentials, address)
            .await
    }

    /// Judges a proven access's state, its networks and the way in, in that order. What networks would have said that
    /// only report comes back.
    ///
    /// # Errors
    /// ACCESS_DISABLED, IP_NOT_ALLOWED, OPERATION_NOT_ALLOWED.
    pub fn judge(&self, access: &Access, context: AuthContext) -> Result<Option<String>, Error> {
        access::admits(access, context)
    }

    /// Has a token verified, and counts it for the caller's address if it is wrong.
    ///
    /// # Errors
    /// What the verification says, and TOO_MANY_FAILURES for one wrong token too many.
    pub async fn vouch<T>(
        &self,
        address: IpAddr,
        verification: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        self.authenticator.vouch(address, verification).await
    }

    /// Judges whether the access may call this, the call being right in itself.
    ///
    /// # Errors
    /// OPERATION_NOT_ALLOWED.
    pub fn permit(&self, access: &Access, request: &Request) -> Result<(), Error> {
        access::permits(access, request)
    }

    /// Counts a call against the access's limits without asking cache or upstream; all that a HEAD request needs. The
    /// request is absent when a token is asked for.
    pub async fn count(&self, access: &Access, request: Option<&Request>) -> Counted {
        let counted = self.count_rates(access, request);
        self.count_day(access, counted).await
    }

    /// Counts a call that is to be forwarded and takes its permit, if calls at once are bounded: it is under way until the
    /// permit is dropped.
    pub async fn begin(
        &self,
        access: &Access,
        request: &Request,
    ) -> (Counted, Option<ConcurrencyPermit>) {
        let mut counted = self.count_rates(access, Some(request));
        let permit = match &counted.refused {
            Some(_) => None,
            None => counted.note(access, ConcurrencyLimit::take(&self.concurrency, access)),
        };
        // The limit per day comes last: what another limit refuses uses none of it up.
        (self.count_day(access, counted).await, permit.flatten())
    }

    /// Gets the answer: for a read from the cache with one flight per key, for everything else from the upstream.
    pub async fn forward(
        &self,
        access: &Arc<Access>,
        request: Arc<Request>,
        options: CallOptions,
    ) -> Forwarded {
        match request.operation().effect {
            Effect::Read => self.read(access, request, options).await,
            Effect::Consume => match self.answers.judge(&access.name) {
                Ok(()) => self.ask(access, &request, options.deadline).await,
                Err(error) => Forwarded {
                    outcome: Err(error),
                    cache: None,
                    timing: None,
                },
            },
            Effect::Send => {
                let sent = self.ask(access, &request, options.deadline).await;
                if sent.outcome.as_ref().err().and_then(Error::delivery) != Some(Delivery::NotSent)
                {
                    self.cache.forget_channel(&request);
                }
                sent
            }
        }
    }

    /// Holds an answer for its caller until all of it is taken; the outcome of a send has room in any case.
    ///
    /// # Errors
    /// OVERLOADED.
    pub fn hold(
        &self,
        access: &Access,
        response: &Arc<Response>,
        is_send: bool,
    ) -> Result<Option<Held>, Error> {
        self.answers.hold(&access.name, response, is_send)
    }

    fn count_rates(&self, access: &Access, request: Option<&Request>) -> Counted {
        let (limit, mut result) = self.limits.check_access(access);
        if let Some(request) = request.filter(|request| request.operation().effect == Effect::Send)
        {
            let destination = request.value("destination").unwrap_or_default();
            result = result.and_then(|()| self.limits.check_destination(access, destination));
        }
        let mut counted = Counted {
            limit,
            day: None,
            refused: None,
            would_refuse: None,
        };
        counted.note(access, result);
        counted
    }

    async fn count_day(&self, access: &Access, mut counted: Counted) -> Counted {
        if counted.refused.is_some() {
            counted.day = self.daily.look(access);
            return counted;
        }
        let (day, result) = self.daily.count(access).await;
        counted.day = day;
        counted.note(access, result);
        counted
    }

    /// Gives back what was set aside of the limits per day. Calls that come after it are told to come again.
    ///
    /// # Errors
    /// When the store can't be written; then what was set aside counts as made.
    pub async fn close(&self) -> Result<(), StoreError> {
        self.daily.close().await
    }

    /// Tries the account that is to replace the one in use, if there is one. Call it every few seconds.
    pub async fn try_next_account(&self) {
        self.upstream.try_next_account().await;
    }

    /// How the upstream is.
    #[must_use]
    pub fn upstream_status(&self) -> UpstreamStatus {
        self.upstream.status()
    }

    /// Forgets counts that no longer matter, so that memory follows the callers of the last minute, and closes idle
    /// connections to the upstream. Call it every ten seconds.
    pub fn sweep(&self) {
        self.limits.sweep();
        self.daily.sweep();
        self.authenticator.sweep();
        self.upstream.close_idle();
    }

    async fn read(
        &self,
        access: &Arc<Access>,
        request: Arc<Request>,
        CallOptions { no_cache, deadline }: CallOptions,
    ) -> Forwarded {
        // Made only when it is needed: a kept answer needs none.
        let wanted = Arc::clone(&request);
        let fetch = || {
            let (upstream, access) = (Arc::clone(&self.upstream), Arc::clone(access));
            let answers = Arc::clone(&self.answers);
            // In a box, as below.
            boxed(|| async move {
                if let Err(error) = answers.judge(&access.name) {
                    return UpstreamOutcome {
                        outcome: Err(error),
                        timing: UpstreamTiming::default(),
                    };
                }
                let mut called = upstream.call(&access.name, &wanted, deadline).await;
                // Before it is kept: what is kept belongs to this access as it is now.
                let visible = |response| channels::visible(&access, wanted.operation(), response);
                called.outcome = called.outcome.and_then(visible);
                called
            })
        };
        self.cache.read(access, request, no_cache, fetch).await
    }

    async fn ask(&self, access: &Access, request: &Request, deadline: Instant) -> Forwarded {
        // In a box, so that the calls that never come here don't carry its state along.
        let called = boxed(|| self.upstream.call(&access.name, request, deadline)).await;
        Forwarded {
            outcome: called.outcome.map(Arc::new),
            cache: Some(CacheStatus::Effect),
            timing: Some(called.timing),
        }
    }
}

/// The state of an access's limits after a call has been counted.
#[derive(Debug)]
pub struct Counted {
    /// The limit per minute; `None` when there is none.
    pub limit: Option<LimitState>,
    /// The limit per day; `None` when there is none.
    pub day: Option<DayState>,
    /// Why the call is refused, if it is.
    pub refused: Option<Error>,
    /// What a limit would have said, if it did not only report.
    pub would_refuse: Option<String>,
}

impl Counted {
    /// Notes what a limit says: a refusal, or for an access whose limits only report what it would have been.
    fn note<T>(&mut self, access: &Access, said: Result<T, Error>) -> Option<T> {
        match said {
            Ok(value) => return Some(value),
            Err(error) if access.limits.report => {
                self.would_refuse = error.cause().map(str::to_owned);
            }
            Err(error) => self.refused = Some(error),
        }
        None
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
