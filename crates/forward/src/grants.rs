//! What a process holds of a limit that it shares: calls that were taken ahead of need, so that nearly none of them asks. The clock
//! is passed in, and nobody is asked here.
//!
//! Together the processes admit no more than the limit says, since each call was taken from it before. What is held does
//! not keep others waiting for long: it is as much as a process needs in a second, at most its part of a quarter of what is free,
//! and it goes back when nobody calls any more.

use std::time::{Duration, Instant};

use shared::{TakenCells, Wish};

/// The time for which calls are taken ahead of need.
const AHEAD: Duration = Duration::from_secs(1);

/// Without a call for so long, what is held goes back.
const IDLE: Duration = Duration::from_millis(250);

/// Held for so long, it goes back as well: the limit has filled up meanwhile, and would admit as much again.
const HELD_MAX: Duration = Duration::from_secs(2);

/// Without a call for so long, nothing is remembered.
const FORGOTTEN: Duration = Duration::from_secs(10);

/// What a process knows and holds of one limit.
#[derive(Debug)]
pub(crate) struct GrantState {
    /// Calls that may be made without asking.
    held: u32,
    taken_at: Instant,
    /// Calls that all processes may make besides, when it was last asked.
    left: u32,
    refused_until: Option<Instant>,
    called_at: Instant,
    demand: Demand,
}

/// How often somebody calls.
#[derive(Debug)]
struct Demand {
    began: Instant,
    calls: u32,
    before: u32,
}

/// What is said of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum GrantDecision {
    /// It is admitted, and so many may be made at once after it.
    Admitted(u32),
    /// It is refused, and this is the time to wait.
    Refused(Duration),
    /// The limit has to be asked.
    Ask,
}

impl GrantState {
    /// Holds nothing.
    pub(crate) fn new(now: Instant) -> GrantState {
        GrantState {
            held: 0,
            taken_at: now,
            left: 0,
            refused_until: None,
            called_at: now,
            demand: Demand {
                began: now,
                calls: 0,
                before: 0,
            },
        }
    }

    /// Notes that somebody calls; once for each call, before anything is decided.
    pub(crate) fn note_call(&mut self, now: Instant) {
        self.called_at = now;
        self.demand.note(now);
    }

    /// Decides by what is held and remembered.
    pub(crate) fn decide(&mut self, now: Instant) -> GrantDecision {
        if self.held > 0 {
            self.held -= 1;
            return GrantDecision::Admitted(self.held + self.left);
        }
        match self.refused_until {
            Some(until) if now < until => GrantDecision::Refused(until - now),
            _ => GrantDecision::Ask,
        }
    }

    /// How many calls may be made without asking.
    pub(crate) fn held(&self) -> u32 {
        self.held
    }

    /// How many to ask for, while so many calls wait.
    pub(crate) fn wish(&self, waiting: u32, replicas: u32) -> Wish {
        Wish {
            needed: waiting.max(1),
            wanted: self.demand.per_second(),
            replicas,
        }
    }

    /// Takes over what the limit has said, and decides about the call that has asked.
    pub(crate) fn take_over(&mut self, now: Instant, taken: &TakenCells) -> GrantDecision {
        self.left = taken.left;
        if taken.cells == 0 {
            self.refused_until = Some(now + taken.wait);
            return GrantDecision::Refused(taken.wait);
        }
        self.refused_until = None;
        self.held += taken.cells;
        self.taken_at = now;
        self.decide(now)
    }

    /// Gives up what has been held for too long, and returns how many calls that is.
    pub(crate) fn give_up(&mut self, now: Instant) -> u32 {
        let is_idle = now.duration_since(self.called_at) >= IDLE;
        if is_idle || now.duration_since(self.taken_at) >= HELD_MAX {
            return std::mem::take(&mut self.held);
        }
        0
    }

    /// Whether nothing is held, and what is remembered says nothing any more.
    pub(crate) fn is_over(&self, now: Instant) -> bool {
        let is_refused = self.refused_until.is_some_and(|until| now < until);
        self.held == 0 && !is_refused && now.duration_since(self.called_at) >= FORGOTTEN
    }
}

impl Demand {
    fn note(&mut self, now: Instant) {
        let passed = now.duration_since(self.began);
        if passed >= AHEAD {
            self.before = if passed < 2 * AHEAD { self.calls } else { 0 };
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
