//! Explains the outcome of a call without making it. Each rule is asked through the function that judges real calls, and each limit
//! is read without counting.

use std::net::IpAddr;
use std::time::Duration;

use adapter::{Code, Effect, Error, Operation, Way};
use shared::{CallWait, CountsUnavailable};
use store::{Access, Accesses};

use crate::authenticator::{no_such_access, wrong_secret};
use crate::call::AuthContext;
use crate::concurrency::{self, ConcurrencyLimit};
use crate::daily::{DAY_S, DayState, PER_DAY};
use crate::decision::Decision;
use crate::forwarder::Forwarder;
use crate::limit_check::LimitCheck;
use crate::limit_name::{PER_ACCESS, PER_ADDRESS, PER_DESTINATION};
use crate::remaining::Remaining;
use crate::rules;
use crate::share::CountedBy;
use crate::throttle::{Peek, PresentedName};

/// The period of limits per minute, in seconds.
const MINUTE_S: u32 = 60;

/// A call that is only explained.
#[derive(Clone, Copy, Debug)]
pub struct HypotheticalCall<'a> {
    /// The name of the access, whether it exists or not.
    pub access: &'a str,
    /// The name of the method.
    pub method: &'a str,
    /// The destination of a send, if it is known.
    pub destination: Option<&'a str>,
    /// The other facts about the call.
    pub context: AuthContext,
}

/// The explanation of one rule or limit.
#[derive(Debug)]
pub struct Explanation {
    /// The name of the rule or limit.
    pub rule: &'static str,
    /// The result, in words.
    pub says: String,
    /// The rejection that a call would get, or that would only be logged if the rule only reports.
    pub refusal: Option<Error>,
    /// True if the rule lets the call through anyway and only reports.
    pub reports_only: bool,
    /// The remaining calls; `None` if it is not a limit.
    pub remaining: Option<Remaining>,
}

/// The cache's decision about an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CacheDecision {
    /// Cached for this time, separately for each access, version of the access, and call.
    Kept(Duration),
    /// Not cached, for this reason.
    NotKept(&'static str),
}

impl Explanation {
    /// Returns the rejection if a call would get it.
    #[must_use]
    pub fn refuses(&self) -> Option<&Error> {
        self.refusal.as_ref().filter(|_| !self.reports_only)
    }

    /// Creates the explanation of a rule from its words or its error.
    #[must_use]
    pub fn known(rule: &'static str, outcome: Result<&str, Error>) -> Explanation {
        let says = match &outcome {
            Ok(words) => (*words).to_owned(),
            Err(error) => error.cause().unwrap_or(error.text()).to_owned(),
        };
        Explanation {
            rule,
            says,
            refusal: outcome.err(),
            reports_only: false,
            remaining: None,
        }
    }

    fn of_limit(
        rule: &'static str,
        remaining: Option<Remaining>,
        counted: Result<(), Error>,
        reports_only: bool,
    ) -> Explanation {
        let says = match (&remaining, &counted) {
            (None, Ok(())) => "none".to_owned(),
            (None, Err(error)) => error.cause().unwrap_or_default().to_owned(),
            (
                Some(Remaining {
                    most, remaining, ..
                }),
                counted,
            ) => {
                let wait_s = counted.as_ref().err().and_then(Error::retry_after_s);
                let wait = wait_s.map(|s| format!("; the next call in {s} s"));
                format!("{remaining} of {most} left{}", wait.unwrap_or_default())
            }
        };
        Explanation {
            rule,
            says,
            refusal: counted.err(),
            reports_only,
            remaining,
        }
    }

    /// Explains a limit per minute by the result for a call, with what remained before the call.
    fn of_rate(rule: &'static str, checked: LimitCheck, reports_only: bool) -> Explanation {
        let LimitCheck { state, result } = checked;
        let remaining = state.map(|state| Remaining {
            most: state.per_minute.into(),
            remaining: u64::from(state.remaining) + u64::from(result.is_ok()),
            window_s: Some(MINUTE_S),
        });
        Explanation::of_limit(rule, remaining, result, reports_only)
    }

    fn counted_by(mut self, who: CountedBy) -> Explanation {
        match (self.remaining, who) {
            (None, _) | (_, CountedBy::Unsaid) => {}
            (Some(_), CountedBy::All) => self.says.push_str("; counted by all replicas"),
            (Some(_), CountedBy::OneOfMany) => {
                self.says
                    .push_str("; this replica's share, while shared counts can't be reached");
            }
        }
        self
    }
}

impl From<Decision> for Explanation {
    fn from(decision: Decision) -> Explanation {
        let refusal = decision
            .refuses
            .map(|code| Error::refused(code).because(decision.to_string()));
        Explanation {
            rule: decision.rule,
            says: decision.says.to_string(),
            refusal,
            reports_only: decision.reports_only,
            remaining: None,
        }
    }
}

impl Forwarder {
    /// Explains the checks of [`Forwarder::admit`], in its order.
    pub async fn explain_address(&self, address: IpAddr) -> Vec<Explanation> {
        let counted_by = match &self.shared_addresses {
            None => CountedBy::Unsaid,
            Some(shared) => match shared.take_over(address).await {
                Ok(()) => CountedBy::All,
                Err(CountsUnavailable) => CountedBy::OneOfMany,
            },
        };
        let checked = self.limits.peek_address(address);
        vec![
            self.decide_deployment(address).into(),
            Explanation::of_rate(PER_ADDRESS.text, checked, false).counted_by(counted_by),
        ]
    }

    /// Explains the later checks in the pipeline's order. Assumes that the secret is right, the token is in scope, and the
    /// parameters are well-formed.
    pub async fn explain_call(
        &self,
        accesses: &Accesses,
        call: &HypotheticalCall<'_>,
    ) -> Vec<Explanation> {
        let AuthContext { address, way, .. } = call.context;
        let access = accesses.named(call.access);
        let throttle_key = self.authenticator.throttle().throttle_key(
            accesses,
            (access, PresentedName::User(call.access)),
            address,
        );
        let throttle = self.authenticator.throttle();
        let wait = CallWait::default();
        let budgets = throttle.peek_shared(&throttle_key, &wait).await;
        // A wrong token belongs to no name.
        let budgets = budgets
            .into_iter()
            .take(if way == Way::Jwt { 1 } else { 2 });
        let mut explanations: Vec<Explanation> = budgets
            .map(|budget| guessing(budget, way == Way::Jwt))
            .collect();
        let Some(access) = access else {
            let error = match way {
                Way::Jwt => no_such_access(),
                Way::Http | Way::Basic | Way::Soap => wrong_secret(None),
            };
            explanations.push(Explanation::known("access", Err(error)));
            return explanations;
        };
        explanations.push(Explanation::known("access", Ok("known")));
        let decisions = rules::decisions(access, call.context);
        explanations.extend(decisions.map(Explanation::from));
        let Some(operation) = Operation::named(call.method) else {
            let error = Error::refused(Code::IncorrectMethod);
            explanations.push(Explanation::known(rules::METHOD, Err(error)));
            return explanations;
        };
        explanations.push(rules::method(access, operation).into());
        explanations.extend(
            self.explain_limits(access, operation, call.destination)
                .await,
        );
        explanations
    }

    /// Returns whether an answer would be cached, and for how long.
    #[must_use]
    pub fn cache_decision(&self, access: &Access, operation: &Operation) -> CacheDecision {
        match self.cache.lifetime(access, operation) {
            Some(time) => CacheDecision::Kept(time),
            None if operation.effect != Effect::Read => {
                CacheDecision::NotKept("the method has an effect")
            }
            None if !access.cache.enabled => CacheDecision::NotKept("switched off for the access"),
            None => CacheDecision::NotKept("switched off for the method"),
        }
    }

    /// Explains the access's limits, in the order of [`Forwarder::forward`].
    async fn explain_limits(
        &self,
        access: &Access,
        operation: &Operation,
        destination: Option<&str>,
    ) -> impl Iterator<Item = Explanation> {
        let of_rate = |rule, (checked, counted_by)| {
            Explanation::of_rate(rule, checked, access.limits.report).counted_by(counted_by)
        };
        let per_access = of_rate(PER_ACCESS.text, self.peek_rate(access, None).await);
        let per_destination = match (access.limits.per_destination, destination) {
            _ if operation.effect != Effect::Send => None,
            (Some(_), None) => Some(Explanation::known(
                PER_DESTINATION.text,
                Ok("depends on the destination"),
            )),
            (_, destination) => {
                let peeked = self.peek_rate(access, Some(destination.unwrap_or_default()));
                Some(of_rate(PER_DESTINATION.text, peeked.await))
            }
        };
        // Calls that wait for events take no turn from other calls.
        let at_once = match operation.effect {
            Effect::Watch => None,
            Effect::Read | Effect::Consume | Effect::Send => {
                Some(self.explain_concurrency(access).await)
            }
        };
        let (remaining, free) = match self.daily.peek_decision(access) {
            None => (None, Ok(())),
            Some((day, free)) => (Some(remaining_of_day(day)), free),
        };
        let per_day = Explanation::of_limit(PER_DAY, remaining, free, access.limits.report);
        [Some(per_access), per_destination, at_once, Some(per_day)]
            .into_iter()
            .flatten()
    }

    /// Explains the concurrency limit.
    async fn explain_concurrency(&self, access: &Access) -> Explanation {
        let (peeked, counted_by) = self.peek_concurrency(access).await;
        let (remaining, free) = match peeked {
            None => (None, Ok(())),
            Some((remaining, free)) => (Some(remaining), free),
        };
        let at_once =
            Explanation::of_limit(concurrency::AT_ONCE, remaining, free, access.limits.report);
        at_once.counted_by(counted_by)
    }

    /// Returns the state of the concurrency limit, and who counts for it.
    async fn peek_concurrency(
        &self,
        access: &Access,
    ) -> (Option<(Remaining, Result<(), Error>)>, CountedBy) {
        let local = || ConcurrencyLimit::peek(&self.concurrency, access);
        match &self.shared_concurrency {
            None => (local(), CountedBy::Unsaid),
            Some(shared) => match concurrency::peek_shared(shared, access).await {
                Ok(peeked) => (peeked, CountedBy::All),
                Err(CountsUnavailable) => (local(), CountedBy::OneOfMany),
            },
        }
    }

    /// Returns the state of the limit of an access or of one destination, and who counts for it.
    async fn peek_rate(
        &self,
        access: &Access,
        destination: Option<&str>,
    ) -> (LimitCheck, CountedBy) {
        let local = || match destination {
            None => self.limits.peek_access(access),
            Some(destination) => self.limits.peek_destination(access, destination),
        };
        match &self.shared {
            None => (local(), CountedBy::Unsaid),
            Some(shared) => match shared.peek(access, destination).await {
                Ok(peeked) => (peeked, CountedBy::All),
                Err(CountsUnavailable) => (local(), CountedBy::OneOfMany),
            },
        }
    }
}

fn remaining_of_day(day: DayState) -> Remaining {
    Remaining {
        most: day.per_day.into(),
        remaining: day.remaining.into(),
        window_s: u32::try_from(DAY_S).ok(),
    }
}

/// Explains a budget of guesses. A recently right secret is not a guess, but the explanation does not know whether this secret was
/// right. A right token is not a guess either, and the token is assumed to be right.
fn guessing(budget: Peek, is_token: bool) -> Explanation {
    let mut explanation =
        Explanation::of_limit(budget.rule, Some(budget.remaining), budget.judged, is_token)
            .counted_by(budget.counted_by);
    if explanation.refusal.is_some() {
        explanation.says.push_str(if is_token {
            "; until then only a valid token is accepted"
        } else {
            "; until then only a recently verified secret is accepted"
        });
    }
    explanation
}
