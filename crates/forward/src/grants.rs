//! The grant of one process from a shared limit: calls that were taken in advance, so that nearly no call has to ask the server.
//! The clock is passed in, and nothing is asked here.
//!
//! Together the processes admit no more than the limit, because each call was taken from the limit before. A grant does not block
//! other processes for long: it contains the calls that a process needs in a second, at most its share of a quarter of the free
//! calls, and it is given back when the calls stop.

use std::time::{Duration, Instant};

use shared::{TakeRequest, TakenCells};

/// The period for which calls are taken in advance.
const PREFETCH: Duration = Duration::from_secs(1);

/// After this time without a call the grant is given back.
const IDLE: Duration = Duration::from_millis(250);

/// After this time the grant is given back even if calls continue, because the limit has refilled since and would admit the same
/// number again.
const HELD_MAX: Duration = Duration::from_secs(2);

/// After this time without a call all state is forgotten.
const FORGET_AFTER: Duration = Duration::from_secs(10);

/// The state and the grant of one limit in this process.
#[derive(Debug)]
pub(crate) struct GrantState {
    /// Calls that may be made without asking.
    held: u32,
    taken_at: Instant,
    /// Calls that remained for all processes when the server was last asked.
    remaining: u32,
    refused_until: Option<Instant>,
    called_at: Instant,
    demand: Demand,
}

/// The frequency of calls.
#[derive(Debug)]
struct Demand {
    began: Instant,
    calls: u32,
    before: u32,
}

/// The decision about a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum GrantDecision {
    /// The call is admitted, and this many calls may follow it at the same time.
    Admitted(u32),
    /// The call is rejected and has to wait for this time.
    Refused(Duration),
    /// The server has to be asked.
    Ask,
}

impl GrantState {
    /// Creates the state without a grant.
    pub(crate) fn new(now: Instant) -> GrantState {
        GrantState {
            held: 0,
            taken_at: now,
            remaining: 0,
            refused_until: None,
            called_at: now,
            demand: Demand {
                began: now,
                calls: 0,
                before: 0,
            },
        }
    }

    /// Notes a call. Has to be called once for each call, before the decision.
    pub(crate) fn record_call(&mut self, now: Instant) {
        self.called_at = now;
        self.demand.note(now);
    }

    /// Decides by the grant and the remembered rejection.
    pub(crate) fn decide(&mut self, now: Instant) -> GrantDecision {
        if self.held > 0 {
            self.held -= 1;
            return GrantDecision::Admitted(self.held + self.remaining);
        }
        match self.refused_until {
            Some(until) if now < until => GrantDecision::Refused(until - now),
            _ => GrantDecision::Ask,
        }
    }

    /// Returns the number of calls that may be made without asking.
    pub(crate) fn held(&self) -> u32 {
        self.held
    }

    /// Returns the number of calls to ask for while `waiting` calls wait.
    pub(crate) fn take_request(&self, waiting: u32, replicas: u32) -> TakeRequest {
        TakeRequest {
            needed: waiting.max(1),
            wanted: self.demand.per_second(),
            replicas,
        }
    }

    /// Stores the server's answer, and decides about the call that asked.
    pub(crate) fn take_over(&mut self, now: Instant, taken: &TakenCells) -> GrantDecision {
        self.remaining = taken.remaining;
        if taken.cells == 0 {
            self.refused_until = Some(now + taken.wait);
            return GrantDecision::Refused(taken.wait);
        }
        self.refused_until = None;
        self.held += taken.cells;
        self.taken_at = now;
        self.decide(now)
    }

    /// Removes a grant that has been held for too long, and returns its number of calls.
    pub(crate) fn expire(&mut self, now: Instant) -> u32 {
        let is_idle = now.duration_since(self.called_at) >= IDLE;
        if is_idle || now.duration_since(self.taken_at) >= HELD_MAX {
            return std::mem::take(&mut self.held);
        }
        0
    }

    /// Returns whether there is no grant and the rest of the state no longer matters.
    pub(crate) fn is_over(&self, now: Instant) -> bool {
        let is_refused = self.refused_until.is_some_and(|until| now < until);
        self.held == 0 && !is_refused && now.duration_since(self.called_at) >= FORGET_AFTER
    }
}

impl Demand {
    fn note(&mut self, now: Instant) {
        let passed = now.duration_since(self.began);
        if passed >= PREFETCH {
            self.before = if passed < 2 * PREFETCH { self.calls } else { 0 };
            (self.began, self.calls) = (now, 0);
        }
        self.calls = self.calls.saturating_add(1);
    }

    fn per_second(&self) -> u32 {
        self.calls.max(self.before)
    }
}

#[cfg(test)]
mod tests;
