//! Limits the memory for answers that callers have not read yet, in total and for each access. If a limit is reached, a call is
//! rejected as overloaded before the upstream is asked.
//!
//! Small answers are not counted, because the system takes them immediately. An answer for several callers is counted once.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use adapter::{Code, Error, Response};
use parking_lot::Mutex;

/// Answers of fewer bytes are small. They usually fit into the buffers of a connection.
const LARGE_BYTES: usize = 16 * 1024;

/// Additional memory for each caller of a large answer, in bytes: the pieces that wait in the server for one connection.
const CALLER_BYTES: usize = 64 * 1024;

/// Value of Retry-After in seconds. A caller that reads takes its answer within seconds.
const RETRY_AFTER_S: u32 = 2;

/// Maximum memory for answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AnswerLimits {
    /// The maximum for all callers together, in bytes.
    pub bytes: usize,
    /// The maximum for the callers of one access, in bytes.
    pub bytes_per_access: usize,
}

/// The held answers with the limits of one configuration. A new configuration continues with the same counts.
pub(crate) struct AnswerBudget {
    limits: AnswerLimits,
    counts: Arc<AnswerCounts>,
}

#[derive(Default)]
struct AnswerCounts {
    /// A copy of the total, so that calls need not wait for the lock while little is held.
    total: AtomicUsize,
    held: Mutex<HeldBytes>,
}

#[derive(Default)]
struct HeldBytes {
    total: usize,
    by_access: HashMap<String, usize>,
    /// The number of callers of each answer. The key is the answer's address in memory, which is stable as long as the answer is
    /// held.
    callers: HashMap<usize, usize>,
}

/// A large answer that is held for one caller. It is released when dropped.
pub struct HeldAnswer {
    counts: Arc<AnswerCounts>,
    access: String,
    response: Arc<Response>,
}

impl AnswerBudget {
    pub(crate) fn new(limits: AnswerLimits) -> AnswerBudget {
        AnswerBudget {
            limits,
            counts: Arc::default(),
        }
    }

    pub(crate) fn reconfigured(&self, limits: AnswerLimits) -> AnswerBudget {
        AnswerBudget {
            limits,
            counts: Arc::clone(&self.counts),
        }
    }

    /// Checks whether there is any room left for an answer to this access.
    ///
    /// # Errors
    /// OVERLOADED.
    pub(crate) fn check(&self, access: &str) -> Result<(), Error> {
        // While the total is below the limit of one access, no access can be over its limit.
        let AnswerLimits {
            bytes,
            bytes_per_access,
        } = self.limits;
        if self.counts.total.load(Ordering::Relaxed) < bytes_per_access.min(bytes) {
            return Ok(());
        }
        let held = self.counts.held.lock();
        if held.total >= bytes {
            return Err(overloaded(
                "too many bytes of answers are held for slow callers",
            ));
        }
        if held.of(access) >= bytes_per_access {
            return Err(overloaded(
                "too many bytes of answers are held for slow callers of the access",
            ));
        }
        Ok(())
    }

    /// Holds an answer for a caller. Small answers are not counted. An answer with `must_deliver` always has room, and so has an
    /// answer larger than the limit if nothing else is held.
    ///
    /// # Errors
    /// OVERLOADED.
    pub(crate) fn hold(
        &self,
        access: &str,
        response: &Arc<Response>,
        must_deliver: bool,
    ) -> Result<Option<HeldAnswer>, Error> {
        if response.bytes() < LARGE_BYTES {
            return Ok(None);
        }
        let mut held = self.counts.held.lock();
        let address = address_of(response);
        let is_first = !held.callers.contains_key(&address);
        let bytes = CALLER_BYTES + if is_first { response.bytes() } else { 0 };
        let fits = |held: usize, most: usize| must_deliver || held == 0 || held + bytes <= most;
        if !fits(held.total, self.limits.bytes) {
            return Err(overloaded(
                "there is no room for the answer beside those held for slow callers",
            ));
        }
        if !fits(held.of(access), self.limits.bytes_per_access) {
            return Err(overloaded(
                "there is no room for the answer beside those held for slow callers of the access",
            ));
        }
        held.total += bytes;
        *held.by_access.entry(access.to_owned()).or_default() += bytes;
        *held.callers.entry(address).or_default() += 1;
        self.counts.total.store(held.total, Ordering::Relaxed);
        drop(held);
        Ok(Some(HeldAnswer {
            counts: Arc::clone(&self.counts),
            access: access.to_owned(),
            response: Arc::clone(response),
        }))
    }
}

impl HeldBytes {
    fn of(&self, access: &str) -> usize {
        self.by_access.get(access).copied().unwrap_or(0)
    }
}

impl Drop for HeldAnswer {
    fn drop(&mut self) {
        let mut held = self.counts.held.lock();
        let address = address_of(&self.response);
        let mut bytes = CALLER_BYTES;
        if let Some(callers) = held.callers.get_mut(&address) {
            *callers -= 1;
            if *callers == 0 {
                held.callers.remove(&address);
                bytes += self.response.bytes();
            }
        }
        held.total -= bytes;
        if let Some(of_access) = held.by_access.get_mut(&self.access) {
            *of_access -= bytes;
            if *of_access == 0 {
                held.by_access.remove(&self.access);
            }
        }
        self.counts.total.store(held.total, Ordering::Relaxed);
    }
}

fn address_of(response: &Arc<Response>) -> usize {
    Arc::as_ptr(response).addr()
}

fn overloaded(cause: &'static str) -> Error {
    Error::refused(Code::Overloaded)
        .because(cause)
        .with_delivery(None)
        .retry_after(RETRY_AFTER_S)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: usize = 1 << 20;

    fn answers() -> AnswerBudget {
        AnswerBudget::new(AnswerLimits {
            bytes: 8 * MIB,
            bytes_per_access: 4 * MIB,
        })
    }

    fn response(bytes: usize) -> Arc<Response> {
        Arc::new(Response::of(&format!("\"{}\"", "x".repeat(bytes - 2))).unwrap())
    }

    #[test]
    fn unread_answers_are_limited_per_access_and_in_total() {
        let answers = answers();
        let hold = |access| answers.hold(access, &response(MIB), false);
        let mine: Vec<_> = (0..3).map(|_| hold("a").unwrap()).collect();
        assert_eq!(hold("a").err().unwrap().code(), Code::Overloaded);
        let theirs: Vec<_> = (0..3).map(|_| hold("b").unwrap()).collect();
        let third = hold("c").unwrap();
        assert_eq!(
            hold("d").err().unwrap().retry_after_s(),
            Some(RETRY_AFTER_S)
        );
        // Small answers have room whatever is held, and so have answers that must be delivered.
        assert!(answers.hold("d", &response(100), false).unwrap().is_none());
        let sent = answers.hold("d", &response(MIB), true).unwrap();
        assert!(answers.check("e").is_err());
        drop((mine, theirs, third, sent));
        assert!(answers.check("e").is_ok());
        let held = answers.counts.held.lock();
        assert!(held.total == 0 && held.by_access.is_empty() && held.callers.is_empty());
    }

    #[test]
    fn an_answer_shared_by_many_callers_is_counted_once() {
        let answers = answers();
        let shared = response(3 * MIB);
        let mut held: Vec<_> = (0..10)
            .map(|_| answers.hold("a", &shared, false).unwrap())
            .collect();
        assert_eq!(
            answers.counts.held.lock().total,
            3 * MIB + 10 * CALLER_BYTES
        );
        held.drain(1..);
        assert_eq!(answers.counts.held.lock().total, 3 * MIB + CALLER_BYTES);
        drop(held);
        assert_eq!(answers.counts.held.lock().total, 0);
    }

    #[test]
    fn check_rejects_an_access_whose_answer_budget_is_used_up() {
        let answers = answers();
        let held = answers.hold("a", &response(4 * MIB), false).unwrap();
        assert!(answers.check("a").is_err() && answers.check("b").is_ok());
        drop(held);
        assert!(answers.check("a").is_ok());
    }

    #[test]
    fn an_answer_larger_than_the_total_budget_is_held_alone() {
        let answers = answers();
        let held = answers.hold("a", &response(9 * MIB), false).unwrap();
        assert!(held.is_some());
        assert!(answers.hold("b", &response(MIB), false).is_err());
    }

    #[test]
    fn held_answers_still_count_after_a_reconfiguration() {
        let answers = answers();
        let held = answers.hold("a", &response(MIB), false).unwrap();
        let smaller = answers.reconfigured(AnswerLimits {
            bytes: MIB,
            bytes_per_access: MIB,
        });
        assert!(smaller.check("b").is_err());
        drop(held);
        assert!(smaller.check("b").is_ok());
    }
}
