//! How often the upstream is asked again, and when: never so often that our own patience becomes its load. Chance is an
//! argument.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// Wait before the second attempt, at most; doubled for each further one.
const BACKOFF: Duration = Duration::from_millis(50);

/// What an attempt costs of the budget, in parts of it that one call brings in: one retry for every ten calls.
const RETRY_COST: u32 = 10;

/// Most that is saved up, in the same parts: five retries at once.
const SAVED_MAX: u32 = 5 * RETRY_COST;

/// The retries that are left, shared by all callers.
pub(super) struct RetryBudget(AtomicU32);

impl Default for RetryBudget {
    fn default() -> RetryBudget {
        RetryBudget(AtomicU32::new(SAVED_MAX))
    }
}

impl RetryBudget {
    /// A call that is made for the first time brings in a part of a retry.
    pub(super) fn deposit(&self) {
        let _ = self
            .0
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |saved| {
                (saved < SAVED_MAX).then_some(saved + 1)
            });
    }

    /// Whether a retry can be paid for, which it then is.
    pub(super) fn withdraw(&self) -> bool {
        let paid = |saved: u32| saved.checked_sub(RETRY_COST);
        self.0
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, paid)
            .is_ok()
    }
}

/// How long to wait before the next attempt when so many have been made; `chance` is any number.
pub(super) fn backoff(attempts: u32, chance: u64) -> Duration {
    let most = BACKOFF * 2_u32.saturating_pow(attempts.saturating_sub(1)).min(32);
    // The whole range, so that callers who failed together don't come back together.
    let most_us = u64::try_from(most.as_micros()).unwrap_or(u64::MAX);
    Duration::from_micros(chance % (most_us + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tenth_of_the_calls_can_be_made_again() {
        let budget = RetryBudget::default();
        let retries = (0..10_000).filter(|_| {
            budget.deposit();
            budget.withdraw()
        });
        let retries = retries.count();
        assert!((1000..=1005).contains(&retries), "{retries}");
    }

    #[test]
    fn the_wait_grows_and_is_anything_up_to_its_bound() {
        for (attempts, most_ms) in [(1, 50), (2, 100), (3, 200), (40, 1600)] {
            assert_eq!(backoff(attempts, 0), Duration::ZERO);
            let most = Duration::from_millis(most_ms);
            let highest = u64::try_from(most.as_micros()).unwrap();
            assert_eq!(backoff(attempts, highest), most);
            assert!(backoff(attempts, u64::MAX) <= most);
        }
    }
}
