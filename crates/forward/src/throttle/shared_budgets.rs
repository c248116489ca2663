//! Guesses that several processes count together. A shared budget is asked before a secret is checked. While the server does not
//! answer, this process has its share of each budget, less the guesses that it has counted before.

use std::sync::Arc;

use adapter::Error;
use shared::{CallWait, CountsUnavailable};
use store::counted_address;

use super::{ADDRESS_CAUSE, LoginThrottle, Peek, Reservation, ThrottleKey, WINDOW_S, too_many};
use crate::call::Caller;
use crate::remaining::Remaining;
use crate::share::CountedBy;
use crate::shared_guesses::{GuessBudget, SharedGuesses};

impl LoginThrottle {
    /// Reserves a guess like [`LoginThrottle::reserve`], in the budgets of all processes.
    ///
    /// # Errors
    /// TOO_MANY_FAILURES.
    pub(crate) async fn reserve_shared(
        self: &Arc<Self>,
        throttle_key: ThrottleKey,
        wait: &CallWait,
    ) -> Result<Reservation, Error> {
        let taken = match &self.shared {
            None => Err(CountsUnavailable),
            Some(shared) => take(shared, &throttle_key, wait).await,
        };
        match taken {
            Err(CountsUnavailable) => self.reserve(throttle_key),
            // Counted here as well, so that no more guesses remain if the shared counts become unreachable.
            Ok(taken) => taken.map(|()| self.reservation_of_all(throttle_key)),
        }
    }

    /// Checks whether the budgets of all processes would let a guess be checked now, for a call that would first have to queue.
    ///
    /// # Errors
    /// TOO_MANY_FAILURES.
    pub(crate) async fn check_shared(
        &self,
        throttle_key: &ThrottleKey,
        wait: &CallWait,
    ) -> Result<(), Error> {
        let peeks = self.peek_shared(throttle_key, wait).await;
        peeks.into_iter().try_for_each(|peek| peek.judged)
    }

    /// Returns the same as [`LoginThrottle::peek`] for the budgets of all processes.
    pub(crate) async fn peek_shared(
        &self,
        throttle_key: &ThrottleKey,
        wait: &CallWait,
    ) -> [Peek; 2] {
        let peeks = match &self.shared {
            None => Err(CountsUnavailable),
            Some(shared) => peek(shared, throttle_key, wait).await,
        };
        peeks.unwrap_or_else(|CountsUnavailable| self.peek(throttle_key))
    }

    /// Counts a token like [`LoginThrottle::count_token`], in the budget of all processes.
    ///
    /// # Errors
    /// TOO_MANY_FAILURES when the budget is empty.
    pub(crate) async fn count_token_shared(&self, caller: Caller<'_>) -> Result<(), Error> {
        let budget = GuessBudget::Address(counted_address(caller.address));
        let taken = match &self.shared {
            None => Err(CountsUnavailable),
            Some(shared) => shared.take([budget], caller.wait).await,
        };
        let counted = self.count_token(caller.address);
        match taken {
            Err(CountsUnavailable) => counted,
            Ok([taken]) => taken.map_err(|wait| too_many(wait, ADDRESS_CAUSE)),
        }
    }
}

/// Takes one guess from both budgets, or from none.
async fn take(
    shared: &SharedGuesses,
    throttle_key: &ThrottleKey,
    wait: &CallWait,
) -> Result<Result<(), Error>, CountsUnavailable> {
    let budgets = throttle_key.budgets();
    let taken = shared.take(budgets, wait).await?;
    if taken.iter().any(Result::is_err) {
        // A guess that is not checked costs nothing.
        let given = budgets
            .into_iter()
            .zip(&taken)
            .filter(|(_, taken)| taken.is_ok());
        given.for_each(|(budget, _)| shared.refund(budget));
    }
    let causes = [ADDRESS_CAUSE, throttle_key.cause()];
    let mut judged = taken.into_iter().zip(causes);
    Ok(judged.try_for_each(|(taken, cause)| taken.map_err(|wait| too_many(wait, cause))))
}

async fn peek(
    shared: &SharedGuesses,
    throttle_key: &ThrottleKey,
    wait: &CallWait,
) -> Result<[Peek; 2], CountsUnavailable> {
    let [address, name] = throttle_key.budgets();
    let peek = async |rule, budget| {
        let (remaining, judged) = shared.peek(budget, wait).await?;
        Ok(Peek {
            rule,
            remaining: Remaining {
                most: shared.most(budget).into(),
                remaining: remaining.into(),
                window_s: WINDOW_S,
            },
            judged: judged.map_err(|wait| too_many(wait, rule)),
            counted_by: CountedBy::All,
        })
    };
    Ok([
        peek(ADDRESS_CAUSE, address).await?,
        peek(throttle_key.cause(), name).await?,
    ])
}
