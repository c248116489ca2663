//! The steps of a call in the order of the pipeline, from the check of the address to the upstream.

mod count;
mod poll;

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::Arc;

use adapter::{Code, Delivery, Effect, Error, Request, Response};
use shared::SharedCounts;
use store::{Access, Accesses, SecretHasher, StoreError};

use crate::allowlist::Networks;
use crate::answer_budget::{AnswerBudget, AnswerLimits, HeldAnswer};
use crate::authenticator::{Authenticator, PresentedCredentials};
use crate::body_budget::{BodyBudget, BodyLimits};
use crate::boxed::boxed;
use crate::cache::{CacheConfig, ReadCache};
use crate::cache_status::CacheStatus;
use crate::call::{AuthContext, CallOptions, Caller, Forwarded};
use crate::channels;
use crate::concurrency::ConcurrencyLimit;
use crate::daily::DailyLimits;
use crate::decision::Decision;
use crate::limit_check::LimitCheck;
use crate::observer::{CallObserver, report};
use crate::per_core::workers;
use crate::rate_limit::RateLimits;
use crate::rules;
use crate::shared_addresses::SharedAddresses;
use crate::shared_concurrency::SharedConcurrency;
use crate::shared_limits::SharedLimits;
use crate::throttle::{LoginThrottle, ThrottleLimits};
use crate::upstream::{Upstream, UpstreamConfig, UpstreamOutcome, UpstreamRequest, UpstreamTiming};

/// The way out under one configuration.
pub struct Forwarder {
    config: ForwardConfig,
    pub(crate) authenticator: Arc<Authenticator>,
    pub(crate) limits: Arc<RateLimits>,
    /// The limits that are counted together with other processes, as long as the server of shared counts is reachable.
    pub(crate) shared: Option<Arc<SharedLimits>>,
    pub(crate) shared_addresses: Option<Arc<SharedAddresses>>,
    pub(crate) daily: Arc<DailyLimits>,
    pub(crate) concurrency: Arc<ConcurrencyLimit>,
    pub(crate) shared_concurrency: Option<Arc<SharedConcurrency>>,
    bodies: BodyBudget,
    answers: Arc<AnswerBudget>,
    pub(crate) cache: ReadCache,
    upstream: Arc<Upstream>,
    observer: Option<Arc<dyn CallObserver>>,
}

/// The configuration of the way out.
#[derive(Clone, Debug)]
pub struct ForwardConfig {
    /// Networks that may call at all.
    pub networks: Networks,
    /// Calls per minute from one address, before authentication.
    pub per_address_per_minute: NonZeroU32,
    /// Limits on the number of wrong secrets that are checked.
    pub guesses: ThrottleLimits,
    /// Limits on the memory for bodies that have arrived in part.
    pub bodies: BodyLimits,
    /// Limits on the memory for answers.
    pub answers: AnswerLimits,
    /// Settings of the cache of reads.
    pub cache: CacheConfig,
    /// The upstream and the settings of its connection.
    pub upstream: UpstreamConfig,
}

impl Forwarder {
    /// Takes the configuration, the hasher of random secrets, a random key of this process, the daily counts, and the counts that
    /// processes share.
    ///
    /// # Errors
    /// A sentence, when the upstream's roots can't be read.
    pub fn new(
        config: ForwardConfig,
        hasher: Arc<SecretHasher>,
        process_key: &[u8],
        daily: Arc<DailyLimits>,
        counts: Option<&Arc<SharedCounts>>,
    ) -> Result<Forwarder, String> {
        let share = daily.share();
        let shared = counts.map(|counts| SharedLimits::start(counts, &share));
        let per_address = config.per_address_per_minute;
        let limits = RateLimits::new(per_address, [&share.unless_shared(counts), &share]);
        let shared_addresses = counts.map(|counts| {
            SharedAddresses::start((counts, &share), per_address, limits.addresses())
        });
        let throttle = LoginThrottle::new(config.guesses, process_key, &share, counts);
        let authenticator = Authenticator::new(hasher, process_key, workers(), throttle);
        Ok(Forwarder {
            authenticator: Arc::new(authenticator),
            limits: Arc::new(limits),
            shared,
            shared_addresses,
            daily,
            concurrency: Arc::new(ConcurrencyLimit::new(share)),
            shared_concurrency: counts
                .map(|counts| Arc::new(SharedConcurrency::new(counts, process_key))),
            bodies: BodyBudget::new(config.bodies),
            answers: Arc::new(AnswerBudget::new(config.answers)),
            cache: ReadCache::new(config.cache.clone(), counts),
            upstream: Arc::new(Upstream::new(config.upstream.clone())?),
            observer: None,
            config,
        })
    }

    /// Returns the same way out under another configuration. Counts, permits, verified secrets and cached reads stay if their
    /// settings are unchanged. A changed limit starts full, and cached reads of another account are dropped.
    ///
    /// # Errors
    /// A sentence, when the upstream's roots can't be read.
    pub fn reconfigured(&self, config: ForwardConfig) -> Result<Forwarder, String> {
        let old = &self.config;
        let authenticator = if config.guesses == old.guesses {
            Arc::clone(&self.authenticator)
        } else {
            Arc::new(self.authenticator.reconfigured(config.guesses))
        };
        let per_address = config.per_address_per_minute;
        let (limits, shared_addresses) = if per_address == old.per_address_per_minute {
            (Arc::clone(&self.limits), self.shared_addresses.clone())
        } else {
            let limits = Arc::new(self.limits.reconfigured(per_address));
            let shared = self.shared_addresses.as_ref();
            let shared = shared.map(|shared| shared.reconfigured(per_address, limits.addresses()));
            (limits, shared)
        };
        let cache = if config.upstream.is_account_of(&old.upstream) {
            self.cache.reconfigured(config.cache.clone())
        } else {
            self.cache.empty_copy(config.cache.clone())
        };
        Ok(Forwarder {
            authenticator,
            limits,
            shared: self.shared.clone(),
            shared_addresses,
            daily: Arc::clone(&self.daily),
            concurrency: Arc::clone(&self.concurrency),
            shared_concurrency: self.shared_concurrency.clone(),
            bodies: self.bodies.reconfigured(config.bodies),
            answers: Arc::new(self.answers.reconfigured(config.answers)),
            cache,
            upstream: self.upstream.reconfigured(&config.upstream)?,
            observer: None,
            config,
        })
    }

    /// Checks an address before a byte of the body is read or a password is hashed. The result may be IP_NOT_ALLOWED, RATE_LIMITED
    /// or OVERLOADED.
    #[must_use]
    pub fn admit(&self, address: IpAddr) -> LimitCheck {
        if let Err(error) = self.judge_address(address) {
            return LimitCheck::uncounted(error);
        }
        let checked = self.limits.check_address(address);
        if let (Some(shared), Ok(())) = (&self.shared_addresses, &checked.result) {
            shared.note(address);
        }
        checked
    }

    /// Checks an address against the deployment's networks only, and counts nothing.
    ///
    /// # Errors
    /// IP_NOT_ALLOWED.
    pub fn judge_address(&self, address: IpAddr) -> Result<(), Error> {
        self.decide_deployment(address).into_result().map(drop)
    }

    /// Returns the decision of the deployment's networks about an address.
    pub(crate) fn decide_deployment(&self, address: IpAddr) -> Decision {
        let verdict = self.config.networks.judge(address);
        Decision::of_networks("deployment networks", verdict, false)
    }

    /// Finds the access that the credentials prove, whatever it may do.
    ///
    /// # Errors
    /// TOO_MANY_FAILURES, the credential code of these credentials, OVERLOADED.
    pub async fn authenticate(
        &self,
        accesses: &Accesses,
        credentials: PresentedCredentials<'_>,
        caller: Caller<'_>,
    ) -> Result<Arc<Access>, Error> {
        let proven = self
            .authenticator
            .authenticate(accesses, credentials, caller);
        proven.await
    }

    /// Waits for the verification of a token, and counts a wrong one for the caller's address.
    ///
    /// # Errors
    /// The error of the verification, or TOO_MANY_FAILURES for one wrong token too many.
    pub async fn authenticate_token<T>(
        &self,
        caller: Caller<'_>,
        verification: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        let verified = self.authenticator.verify_token(caller, verification);
        verified.await
    }

    /// Checks a proven access's state, its networks, the way in and credentials in the URL, in that order. Returns the rejection of
    /// networks that only report.
    ///
    /// # Errors
    /// ACCESS_DISABLED, IP_NOT_ALLOWED, OPERATION_NOT_ALLOWED.
    pub fn authorize(
        &self,
        access: &Access,
        context: AuthContext,
    ) -> Result<Option<String>, Error> {
        rules::authorize(access, context)
    }

    /// Checks whether the access may make this well-formed call.
    ///
    /// # Errors
    /// OPERATION_NOT_ALLOWED.
    pub fn authorize_call(&self, access: &Access, request: &Request) -> Result<(), Error> {
        rules::authorize_call(access, request)
    }

    /// Gets the answer: a read from the cache with one flight per key, every other call from the upstream.
    pub async fn forward(
        &self,
        access: &Arc<Access>,
        request: Arc<Request>,
        options: CallOptions,
    ) -> Forwarded {
        match request.operation().effect {
            Effect::Read => self.read(access, request, options).await,
            Effect::Consume => match self.answers.check(&access.name) {
                Ok(()) => self.relay(access, &request, &options).await,
                Err(error) => Forwarded::refused(error),
            },
            Effect::Watch => Forwarded::refused(
                Error::refused(Code::InternalError).because("only the gateway answers this method"),
            ),
            Effect::Send => {
                let sent = self.relay(access, &request, &options).await;
                if sent.outcome.as_ref().err().and_then(Error::delivery) != Some(Delivery::NotSent)
                {
                    self.cache.forget_channel(&request);
                }
                sent
            }
        }
    }

    /// Holds an answer for its caller until it is sent completely. An answer with `must_deliver` (the outcome of a send, or messages
    /// whose unread mark is gone) always has room.
    ///
    /// # Errors
    /// OVERLOADED.
    pub fn hold(
        &self,
        access: &Access,
        response: &Arc<Response>,
        must_deliver: bool,
    ) -> Result<Option<HeldAnswer>, Error> {
        self.answers.hold(&access.name, response, must_deliver)
    }

    /// Gives back the reserved daily calls, and the calls that this process holds of shared limits. Later calls are rejected.
    ///
    /// # Errors
    /// The store is not writable. Then the reserved calls count as made.
    pub async fn close(&self) -> Result<(), StoreError> {
        if let Some(shared) = &self.shared {
            shared.release();
        }
        self.daily.close().await
    }

    async fn read(
        &self,
        access: &Arc<Access>,
        request: Arc<Request>,
        CallOptions {
            no_cache,
            deadline,
            trace,
            permit,
        }: CallOptions,
    ) -> Forwarded {
        // Called only if the answer is not cached.
        let fetched = Arc::clone(&request);
        let fetch = || {
            let (upstream, access) = (Arc::clone(&self.upstream), Arc::clone(access));
            let answers = Arc::clone(&self.answers);
            let observer = self.observer.clone();
            // Boxed, so that a cached read does not carry this state.
            boxed(|| async move {
                let _under_way = permit;
                if let Err(error) = answers.check(&access.name) {
                    return UpstreamOutcome {
                        result: Err(error),
                        timing: UpstreamTiming::default(),
                    };
                }
                let (request, trace) = (&*fetched, trace.as_deref());
                let call = UpstreamRequest { request, trace };
                let mut outcome = upstream.call(&access.name, call, deadline).await;
                if let Ok(response) = &outcome.result {
                    report(observer.as_deref(), &fetched, response).await;
                }
                // Filtered before it is cached, because the cached answer belongs to this access as it is now.
                let permit = |full| channels::only_permitted(&access, fetched.operation(), full);
                outcome.result = outcome.result.and_then(permit);
                outcome
            })
        };
        self.cache.read(access, request, no_cache, fetch).await
    }

    async fn relay(&self, access: &Access, request: &Request, options: &CallOptions) -> Forwarded {
        let trace = options.trace.as_deref();
        let call = UpstreamRequest { request, trace };
        let calling = self.upstream.call(&access.name, call, options.deadline);
        let outcome = calling.await;
        if let Ok(response) = &outcome.result {
            report(self.observer.as_deref(), request, response).await;
        }
        Forwarded {
            outcome: outcome.result.map(Arc::new),
            cache: Some(CacheStatus::Effect),
            timing: Some(outcome.timing),
        }
    }
}
