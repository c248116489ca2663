//! Decides how often and when the upstream is asked again, so that retries never become its load. The random number is an argument.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// Longest wait before the second attempt; doubled for each further one.
const BACKOFF: Duration = Duration::from_millis(50);

/// The cost of a retry. One call deposits 1, so there is one retry for every ten calls.
const RETRY_COST: u32 = 10;

/// Maximum savings, in the same unit: five retries at the same time.
const BALANCE_MAX: u32 = 5 * RETRY_COST;

/// The remaining retries, shared by all callers.
pub(super) struct RetryBudget(AtomicU32);

impl Default for RetryBudget {
    fn default() -> RetryBudget {
        RetryBudget(AtomicU32::new(BALANCE_MAX))
    }
}

impl RetryBudget {
    /// Deposits the part of a retry that each new call brings.
    pub(super) fn deposit(&self) {
        let _ = self
            .0
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |balance| {
                (balance < BALANCE_MAX).then_some(balance + 1)
            });
    }

    /// Pays for a retry. Returns whether the budget was sufficient.
    pub(super) fn withdraw(&self) -> bool {
        let paid = |balance: u32| balance.checked_sub(RETRY_COST);
        self.0
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, paid)
            .is_ok()
    }
}

/// Returns the wait before the next attempt after `attempts` attempts. `chance` is any number.
pub(super) fn backoff(attempts: u32, chance: u64) -> Duration {
    let most = BACKOFF * 2_u32.saturating_pow(attempts.saturating_sub(1)).min(32);
    // The wait is random in the whole range, so that callers that failed together don't return together.
    let most_us = u64::try_from(most.as_micros()).unwrap_or(u64::MAX);
    Duration::from_micros(chance % (most_us + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_retry_budget_allows_one_retry_per_ten_calls() {
        let budget = RetryBudget::default();
        let retries = (0..10_000).filter(|_| {
            budget.deposit();
            budget.withdraw()
        });
        let retries = retries.count();
        assert!((1000..=1005).contains(&retries), "{retries}");
    }

    #[test]
    fn the_random_backoff_stays_within_a_growing_bound() {
        for (attempts, most_ms) in [(1, 50), (2, 100), (3, 200), (40, 1600)] {
            assert_eq!(backoff(attempts, 0), Duration::ZERO);
            let most = Duration::from_millis(most_ms);
            let highest = u64::try_from(most.as_micros()).unwrap();
            assert_eq!(backoff(attempts, highest), most);
            assert!(backoff(attempts, u64::MAX) <= most);
        }
    }
}
