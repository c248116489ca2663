//! What would become of a call and why, without making it: every rule is asked by the function that judges real calls,
//! and every limit is looked at without being counted.

use std::net::IpAddr;
use std::time::Duration;

use adapter::{Code, Effect, Error, Operation, Way};
use shared::{Away, CallWait};
use store::{Access, Accesses};

use crate::authenticator::{no_such_access, wrong_secret};
use crate::call::AuthContext;
use crate::concurrency::{self, ConcurrencyLimit};
use crate::daily::{DAY_S, DayState, PER_DAY};
use crate::decision::Decision;
use crate::forwarder::Forwarder;
use crate::rate_limit::LimitState;
use crate::rate_limit::{PER_ACCESS, PER_ADDRESS, PER_DESTINATION};
use crate::remaining::Remaining;
use crate::rules;
use crate::share::CountedBy;
use crate::throttle::{Peek, PresentedName};

/// The time that limits per minute are about, in seconds.
const MINUTE_S: u32 = 60;

/// A call that nobody makes.
#[derive(Clone, Copy, Debug)]
pub struct HypotheticalCall<'a> {
    /// The name of the access, proven or not.
    pub access: &'a str,
    /// The method.
    pub method: &'a str,
    /// To whom it would send, if that is known.
    pub destination: Option<&'a str>,
    /// What else is known of it.
    pub context: AuthContext,
}

/// What one rule or limit says.
#[derive(Debug)]
pub struct Explanation {
    /// The rule, or the limit.
    pub rule: &'static str,
    /// What it says, in words.
    pub says: String,
    /// The refusal that a call would get, or that the log would tell if the rule only reports.
    pub refusal: Option<Error>,
    /// Whether it lets through all the same, and only tells.
    pub reports_only: bool,
    /// How much is left; absent for what is no limit.
    pub left: Option<Remaining>,
}

/// What a limit per minute says, if there is one.
type LookedAt = Option<(LimitState, Result<(), Error>)>;

/// Where an answer would be kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CacheDecision {
    /// For so long, apart for each access, version of it, and call.
    Kept(Duration),
    /// Not at all, for this reason.
    NotKept(&'static str),
}

impl Explanation {
    /// The refusal, if it is one that a call would get.
    #[must_use]
    pub fn refuses(&self) -> Option<&Error> {
        self.refusal.as_ref().filter(|_| !self.reports_only)
    }

    /// A rule that refuses with an error of its own, or has something to say.
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
            left: None,
        }
    }

    fn of_limit(
        rule: &'static str,
        left: Option<Remaining>,
        counted: Result<(), Error>,
        reports_only: bool,
    ) -> Explanation {
        let says = match (&left, &counted) {
            (None, Ok(())) => "none".to_owned(),
            (None, Err(error)) => error.cause().unwrap_or_default().to_owned(),
            (Some(Remaining { most, left, .. }), counted) => {
                let wait_s = counted.as_ref().err().and_then(Error::retry_after_s);
                let wait = wait_s.map(|s| format!("; the next one in {s} s"));
                format!("{left} of {most} left{}", wait.unwrap_or_default())
            }
        };
        Explanation {
            rule,
            says,
            refusal: counted.err(),
            reports_only,
            left,
        }
    }

    fn counted_by(mut self, who: CountedBy) -> Explanation {
        match (self.left, who) {
            (None, _) | (_, CountedBy::Unsaid) => {}
            (Some(_), CountedBy::All) => self.says.push_str("; counted by all replicas"),
            (Some(_), CountedBy::OneOfMany) => {
                self.says
                    .push_str("; this replica's share, while shared counts are away");
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
            left: None,
        }
    }
}

impl Forwarder {
    /// What [`Forwarder::admit`] judges, in its order.
    pub async fn explain_address(&self, address: IpAddr) -> Vec<Explanation> {
        let counted_by = match &self.shared_addresses {
            None => CountedBy::Unsaid,
            Some(shared) => match shared.take_over(address).await {
                Ok(()) => CountedBy::All,
                Err(Away) => CountedBy::OneOfMany,
            },
        };
        let (state, counted) = self.limits.look_at_address(address);
        let left = state.map(|state| before(state, &counted));
        vec![
            self.decide_deployment(address).into(),
            Explanation::of_limit(PER_ADDRESS, left, counted, false).counted_by(counted_by),
        ]
    }

    /// What is judged after that, in the pipeline's order; the secret is taken to be right, the token to be in scope,
    /// and the parameters to be well-formed.
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
        let budgets = throttle.peek_with_others(&throttle_key, &wait).await;
        // No name stands behind a token that is wrong.
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

    /// Whether an answer would be kept, and how long.
    #[must_use]
    pub fn cache_decision(&self, access: &Access, operation: &Operation) -> CacheDecision {
        match self.cache.keeps(access, operation) {
            Some(time) => CacheDecision::Kept(time),
            None if operation.effect != Effect::Read => {
                CacheDecision::NotKept("the method has an effect")
            }
            None if !access.cache.enabled => CacheDecision::NotKept("switched off for the access"),
            None => CacheDecision::NotKept("switched off for the method"),
        }
    }

    /// The access's limits, in the order of [`Forwarder::forward`].
    async fn explain_limits(
        &self,
        access: &Access,
        operation: &Operation,
        destination: Option<&str>,
    ) -> impl Iterator<Item = Explanation> {
        let of_rate = |rule, (looked, counted_by): (Option<_>, _)| {
            let (left, counted) = match looked {
                None => (None, Ok(())),
                Some((state, counted)) => (Some(before(state, &counted)), counted),
            };
            let explanation = Explanation::of_limit(rule, left, counted, access.limits.report);
            explanation.counted_by(counted_by)
        };
        let per_access = of_rate(PER_ACCESS, self.look_at_rate(access, None).await);
        let per_destination = match (access.limits.per_destination, destination) {
            _ if operation.effect != Effect::Send => None,
            (Some(_), None) => Some(Explanation::known(
                PER_DESTINATION,
                Ok("depends on the destination"),
            )),
            (_, destination) => {
                let looked = self.look_at_rate(access, Some(destination.unwrap_or_default()));
                Some(of_rate(PER_DESTINATION, looked.await))
            }
        };
        // What waits for something to happen takes no turn from calls that do something.
        let at_once = match operation.effect {
            Effect::Watch => None,
            Effect::Read | Effect::Consume | Effect::Send => Some(self.explain_turns(access).await),
        };
        let (left, free) = match self.daily.look_at(access) {
            None => (None, Ok(())),
            Some((day, free)) => (Some(left_of_day(day)), free),
        };
        let per_day = Explanation::of_limit(PER_DAY, left, free, access.limits.report);
        [Some(per_access), per_destination, at_once, Some(per_day)]
            .into_iter()
            .flatten()
    }

    /// The bound on calls at once.
    async fn explain_turns(&self, access: &Access) -> Explanation {
        let (looked, counted_by) = self.look_at_turns(access).await;
        let (left, free) = match looked {
            None => (None, Ok(())),
            Some((left, free)) => (Some(left), free),
        };
        let at_once = Explanation::of_limit(concurrency::AT_ONCE, left, free, access.limits.report);
        at_once.counted_by(counted_by)
    }

    /// What the bound on calls at once would say now, and who counts for it.
    async fn look_at_turns(
        &self,
        access: &Access,
    ) -> (Option<(Remaining, Result<(), Error>)>, CountedBy) {
        let local = || ConcurrencyLimit::look(&self.concurrency, access);
        match &self.shared_turns {
            None => (local(), CountedBy::Unsaid),
            Some(turns) => match concurrency::look_with_others(turns, access).await {
                Ok(looked) => (looked, CountedBy::All),
                Err(Away) => (local(), CountedBy::OneOfMany),
            },
        }
    }

    /// What the limit of an access, or of one destination, would say now, and who counts for it where several processes might.
    async fn look_at_rate(
        &self,
        access: &Access,
        destination: Option<&str>,
    ) -> (LookedAt, CountedBy) {
        let local = || match destination {
            None => self.limits.look_at_access(access),
            Some(destination) => self.limits.look_at_destination(access, destination),
        };
        match &self.shared {
            None => (local(), CountedBy::Unsaid),
            Some(shared) => match shared.look(access, destination).await {
                Ok(looked) => (looked, CountedBy::All),
                Err(Away) => (local(), CountedBy::OneOfMany),
            },
        }
    }
}

/// What was left before the call that the state has in it already.
fn before(state: LimitState, counted: &Result<(), Error>) -> Remaining {
    Remaining {
        most: state.per_minute.into(),
        left: u64::from(state.remaining) + u64::from(counted.is_ok()),
        window_s: Some(MINUTE_S),
    }
}

fn left_of_day(day: DayState) -> Remaining {
    Remaining {
        most: day.per_day.into(),
        left: day.remaining.into(),
        window_s: u32::try_from(DAY_S).ok(),
    }
}

/// A secret that was right a while ago is no guess, and whether this one was is not asked. A token that is right is none either,
/// and it is taken to be right.
fn guessing(budget: Peek, is_token: bool) -> Explanation {
    let mut explanation =
        Explanation::of_limit(budget.rule, Some(budget.left), budget.judged, is_token)
            .counted_by(budget.counted_by);
    if explanation.refusal.is_some() {
        explanation.says.push_str(if is_token {
            "; until then only a token that is right"
        } else {
            "; until then only a secret that was right lately"
        });
    }
    explanation
}
