//! The upstream. A call waits for a permit, is made, and is repeated only if that can do no harm.

mod account;
mod adaptive_limit;
pub(crate) mod answer;
mod attempt;
mod breaker;
mod config;
mod endpoint;
mod exchange;
#[cfg(test)]
mod interleavings;
mod overload;
mod queue;
mod renewal;
mod retry;
mod retry_after;
mod status;
mod timing;

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::{Duration, Instant};

use adapter::{Code, Delivery, Effect, Error, Operation, Params, Request, Response};
use url::Url;

pub use account::UpstreamAccount;
pub use config::{UpstreamAuth, UpstreamConfig, UpstreamLimits};
pub use status::UpstreamStatus;
pub(crate) use timing::UpstreamOutcome;
pub use timing::UpstreamTiming;

use crate::limit_check::whole_seconds;
use account::{AccountSlot, Accounts};
use attempt::{Attempt, EndpointHealth, RetrySafety};
use endpoint::{ChosenEndpoint, EndpointChoice, UpstreamEndpoints};
use exchange::UpstreamClient;
pub(crate) use exchange::UpstreamRequest;
use queue::{AdmissionQueue, QueuePermit};
use retry::{RetryBudget, backoff};

/// The upstream of one gateway.
pub struct Upstream {
    client: UpstreamClient,
    config: UpstreamConfig,
    endpoints: UpstreamEndpoints,
    accounts: Arc<Accounts>,
    queue: Arc<AdmissionQueue>,
    budget: Arc<RetryBudget>,
    chance: RandomState,
}

impl Upstream {
    /// Creates the client. Opens no connection.
    ///
    /// # Errors
    /// A sentence, when the roots can't be read.
    pub fn new(config: UpstreamConfig) -> Result<Upstream, String> {
        let urls = std::iter::once(&config.url).chain(&config.fallback_urls);
        let urls: Vec<Url> = urls.cloned().collect();
        let (client, targets) = UpstreamClient::new(&config, &urls)?;
        let limits = &config.limits;
        Ok(Upstream {
            client,
            endpoints: UpstreamEndpoints::new(urls, targets, config.round_robin),
            accounts: Arc::new(Accounts::new(&config.account, config.next_account.as_ref())),
            queue: AdmissionQueue::new(limits.calls_max, limits.waiting_max),
            budget: Arc::default(),
            chance: RandomState::new(),
            config,
        })
    }

    /// Makes a call for an access, until the deadline at most. Waits for a permit, asks, and asks again only if no byte has left or
    /// the call has no effect.
    ///
    /// The outcome's error is the chat API's code in the upstream's answer, UPSTREAM_*, or OVERLOADED. A send's error has its
    /// delivery word.
    pub(crate) async fn call(
        self: &Arc<Self>,
        access: &str,
        call: UpstreamRequest<'_>,
        deadline: Instant,
    ) -> UpstreamOutcome {
        let began = Instant::now();
        // Nearly every call finds a free permit, and needs no timer and no second reading of the clock.
        let (permit, permitted_at) = match self.queue.try_acquire() {
            Some(permit) => (Ok(permit), began),
            None => (
                self.wait_for_permit(access, began, deadline).await,
                Instant::now(),
            ),
        };
        let mut timing = UpstreamTiming {
            queued: permitted_at - began,
            ..UpstreamTiming::default()
        };
        let result = match permit {
            Ok(permit) => {
                let times = (permitted_at, deadline);
                self.attempt_repeatedly(permit, call, times, &mut timing)
                    .await
            }
            Err(error) => Err(error.with_delivery(not_sent(call.request))),
        };
        UpstreamOutcome { result, timing }
    }

    async fn wait_for_permit(
        &self,
        access: &str,
        began: Instant,
        deadline: Instant,
    ) -> Result<QueuePermit, Error> {
        let overloaded = |cause| {
            let error = Error::refused(Code::Overloaded).because(cause);
            Err(error.retry_after(1))
        };
        let until = deadline.min(began + self.config.limits.wait_max);
        match tokio::time::timeout_at(until.into(), self.queue.acquire(access, began)).await {
            Ok(Ok(permit)) => Ok(permit),
            Ok(Err(queue::QueueFull)) => overloaded("the queue in front of the upstream is full"),
            Err(_) => overloaded("the call waited too long in the queue in front of the upstream"),
        }
    }

    async fn attempt_repeatedly(
        self: &Arc<Self>,
        mut permit: QueuePermit,
        call: UpstreamRequest<'_>,
        (permitted_at, deadline): (Instant, Instant),
        timing: &mut UpstreamTiming,
    ) -> Result<Response, Error> {
        let request = call.request;
        let Operation { effect, method, .. } = *request.operation();
        self.budget.deposit();
        let (mut last_error, mut last_endpoint) = (None, None);
        let mut now = permitted_at;
        loop {
            // A call with an effect is no probe. If the endpoint still failed, it would be unknown whether the call took effect.
            let may_probe = effect == Effect::Read;
            let EndpointChoice { chosen, to_probe } =
                self.endpoints.choose(last_endpoint, now, may_probe);
            if let Some(index) = to_probe {
                let upstream = Arc::clone(self);
                tokio::spawn(async move { upstream.probe(index).await });
            }
            let chosen = match chosen {
                Ok(chosen) => chosen,
                Err(wait) => {
                    return Err(last_error.unwrap_or_else(|| all_breakers_open(request, wait)));
                }
            };
            timing.attempts += 1;
            let index = chosen.index;
            last_endpoint = Some(index);
            let (attempt, ended) = self.attempt(chosen, call, (now, deadline)).await;
            timing.upstream = ended - permitted_at;
            if attempt.health != EndpointHealth::Unknown {
                let is_success = attempt.health == EndpointHealth::Success;
                permit.record_attempt(method, (now, ended), is_success);
            }
            if attempt.outcome.is_ok() {
                return attempt.outcome;
            }
            let has_other = self.endpoints.has_alternative(index);
            let remaining = deadline.saturating_duration_since(ended);
            let pause = self.pause((&attempt, has_other), effect, timing.attempts, remaining);
            match (attempt.outcome, pause) {
                (Err(error), Some(pause)) => {
                    last_error = Some(error);
                    permit.will_retry();
                    tokio::time::sleep(pause).await;
                    now = Instant::now();
                }
                (outcome, _) => return outcome,
            }
        }
    }

    /// Returns the pause before the next attempt after a failed one, or `None` if the call must not be repeated or has no time left
    /// for it. `has_other` is true if another endpoint is available.
    fn pause(
        &self,
        (failed, has_other): (&Attempt, bool),
        effect: Effect,
        attempts: u32,
        remaining: Duration,
    ) -> Option<Duration> {
        // Going to another endpoint after a refused connection adds no load, so it uses no budget.
        let switches_endpoint = failed.retry == RetrySafety::Safe && has_other;
        let has_endpoint = failed.wait.is_none() || has_other;
        if !failed.retry.allows(effect)
            || !has_endpoint
            || attempts >= self.config.limits.attempts_max
        {
            return None;
        }
        let pause = if switches_endpoint {
            Duration::ZERO
        } else {
            backoff(attempts, self.chance.hash_one((attempts, remaining)))
        };
        let may_retry = pause < remaining && (switches_endpoint || self.budget.withdraw());
        may_retry.then_some(pause)
    }

    /// Makes one attempt that begins now, reports its result to the endpoint's breaker, and returns it with the time of its end. An
    /// abandoned attempt reports nothing.
    async fn attempt(
        &self,
        ChosenEndpoint {
            endpoint, permit, ..
        }: ChosenEndpoint<'_>,
        call: UpstreamRequest<'_>,
        times: (Instant, Instant),
    ) -> (Attempt, Instant) {
        let (slot, account) = self.accounts.current();
        let exchange = self.client.exchange(endpoint, account, call, times);
        let attempt = exchange.await;
        let ended = Instant::now();
        let (host, health) = (endpoint.url.host_str(), attempt.health);
        match (attempt.wait, health) {
            (Some(wait), _) => {
                if permit.pause(ended, wait) {
                    tracing::warn!(
                        host,
                        ?wait,
                        "an endpoint of the upstream asked for a pause and gets no calls until it is over"
                    );
                }
            }
            (None, EndpointHealth::Success) => permit.success(ended),
            (None, EndpointHealth::Failure) => {
                if permit.failure(ended) {
                    tracing::warn!(
                        host,
                        "an endpoint of the upstream failed too often and gets no calls for a while"
                    );
                }
            }
            (None, EndpointHealth::Unknown) => drop(permit),
        }
        let code = attempt.outcome.as_ref().err().map(Error::code);
        if code == Some(Code::UpstreamRefusedCredentials) && self.accounts.refused(slot) {
            tracing::error!(
                "the upstream rejects the next account; the first account is used again"
            );
        }
        if let Some(trace) = call.trace {
            trace.ended(ended, code);
        }
        (attempt, ended)
    }

    /// Probes an endpoint whose breaker asks for it, unless another probe is running, with the one read that needs no parameters.
    async fn probe(&self, index: usize) {
        let times = self.now_and_deadline();
        if let (Some(chosen), Some(request)) =
            (self.endpoints.probe(index, times.0), probe_request())
        {
            let call = UpstreamRequest::untraced(&request);
            self.attempt(chosen, call, times).await;
        }
    }

    /// Closes connections that have been idle for too long. Has to be called every ten seconds.
    pub(crate) fn close_idle(&self) {
        self.client.close_idle();
    }

    /// Returns the current time, and the deadline of a call that the gateway itself makes.
    fn now_and_deadline(&self) -> (Instant, Instant) {
        let now = Instant::now();
        (now, now + self.config.limits.timeout)
    }

    /// Tries the next account with a read, unless there is none or it is in use, and uses it once the upstream accepts it. Has to
    /// be called every few seconds.
    pub(crate) async fn try_next_account(&self) {
        let (Some(account), Some(request)) = (self.accounts.next_to_test(), probe_request()) else {
            return;
        };
        // Only reads the breakers. A probe would have to report its result to a breaker, and turns are for callers.
        let Some(endpoint) = self.endpoints.healthy() else {
            tracing::info!("the next account is not tested while no endpoint is healthy");
            return;
        };
        let times = self.now_and_deadline();
        let call = UpstreamRequest::untraced(&request);
        let exchange = self.client.exchange(endpoint, account, call, times);
        let attempt = exchange.await;
        if let Some(wait) = attempt.wait {
            endpoint.breaker.pause(Instant::now(), wait);
        }
        match attempt.outcome {
            Ok(_) => {
                self.accounts.take_next();
                tracing::info!("the upstream accepts the next account, which is used from now on");
            }
            Err(error) => {
                let cause = error.cause().unwrap_or_default();
                tracing::warn!(cause, "the next account can't be used yet");
            }
        }
    }

    /// Returns the state of the endpoints and the account in use, for operators.
    #[must_use]
    pub(crate) fn status(&self) -> UpstreamStatus {
        let occupancy = self.queue.occupancy();
        UpstreamStatus {
            endpoints: self
                .endpoints
                .iter()
                .map(|endpoint| (endpoint.url.to_string(), endpoint.breaker.is_open()))
                .collect(),
            uses_next_account: self.accounts.current().0 == AccountSlot::Next,
            limit: occupancy.limit,
            under_way: occupancy.in_use,
            waiting: occupancy.waiting,
        }
    }
}

/// Returns a read without parameters.
fn probe_request() -> Option<Request> {
    let operation = Operation::named("getchatchannels")?;
    Request::of(operation, &mut Params::default()).ok()
}

fn not_sent(request: &Request) -> Option<Delivery> {
    (request.operation().effect == Effect::Send).then_some(Delivery::NotSent)
}

/// The error when every endpoint's breaker is open.
fn all_breakers_open(request: &Request, wait: Duration) -> Error {
    let seconds = whole_seconds(wait);
    Error::refused(Code::UpstreamUnavailable)
        .because("breaker open")
        .with_delivery(not_sent(request))
        .retry_after(seconds)
}
