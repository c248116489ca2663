//! Guesses where several processes count them together: a budget is asked before a secret is checked. While nobody answers, this process
//! has its share of each budget, less what it has counted before.

use std::net::IpAddr;
use std::sync::Arc;

use adapter::Error;
use shared::Away;

use super::{ADDRESS_CAUSE, LoginThrottle, Peek, Reservation, ThrottleKey, WINDOW_S, too_many};
use crate::rate_limit::counted_as;
use crate::remaining::Remaining;
use crate::shared_guesses::{GuessBudget, SharedGuesses};

impl LoginThrottle {
    /// As [`LoginThrottle::reserve`], in the budgets of all processes.
    ///
    /// # Errors
    /// TOO_MANY_FAILURES.
    pub(crate) async fn reserve_with_others(
        self: &Arc<Self>,
        throttle_key: ThrottleKey,
    ) -> Result<Reservation, Error> {
        let taken = match &self.shared {
            None => Err(Away),
            Some(shared) => take(shared, &throttle_key).await,
        };
        match taken {
            Err(Away) => self.reserve(throttle_key),
            // Counted here as well, so that as little is left if the others go away.
            Ok(taken) => taken.map(|()| self.reservation_of_all(throttle_key)),
        }
    }

    /// As [`LoginThrottle::check`], by the budgets of all processes.
    ///
    /// # Errors
    /// TOO_MANY_FAILURES.
    pub(crate) async fn check_with_others(&self, throttle_key: &ThrottleKey) -> Result<(), Error> {
        let peeks = self.peek_with_others(throttle_key).await;
        peeks.into_iter().try_for_each(|peek| peek.judged)
    }

    /// As [`LoginThrottle::peek`], in the budgets of all processes.
    pub(crate) async fn peek_with_others(&self, throttle_key: &ThrottleKey) -> [Peek; 2] {
        let peeks = match &self.shared {
            None => Err(Away),
            Some(shared) => peek(shared, throttle_key).await,
        };
        peeks.unwrap_or_else(|Away| self.peek(throttle_key))
    }

    /// As [`LoginThrottle::count_token`], in the budget of all processes.
    ///
    /// # Errors
    /// TOO_MANY_FAILURES when there was nothing left to take.
    pub(crate) async fn count_token_with_others(&self, address: IpAddr) -> Result<(), Error> {
        let budget = GuessBudget::Address(counted_as(address));
        let taken = match &self.shared {
            None => Err(Away),
            Some(shared) => shared.take(budget).await,
        };
        let counted = self.count_token(address);
        match taken {
            Err(Away) => counted,
            Ok((_, taken)) => taken.map_err(|wait| too_many(wait, ADDRESS_CAUSE)),
        }
    }
}

impl ThrottleKey {
    /// The budgets, of the address and of the name.
    pub(super) fn budgets(&self) -> [GuessBudget; 2] {
        let name = GuessBudget::Name {
            hash: self.name,
            is_inside: self.is_inside,
        };
        [GuessBudget::Address(self.address), name]
    }
}

/// Takes one of both, or none.
async fn take(
    shared: &SharedGuesses,
    throttle_key: &ThrottleKey,
) -> Result<Result<(), Error>, Away> {
    let [address, name] = throttle_key.budgets();
    if let (_, Err(wait)) = shared.take(address).await? {
        return Ok(Err(too_many(wait, ADDRESS_CAUSE)));
    }
    match shared.take(name).await {
        Ok((_, Ok(()))) => Ok(Ok(())),
        // What is not checked costs nothing.
        Ok((_, Err(wait))) => {
            shared.give_back(address);
            Ok(Err(too_many(wait, throttle_key.cause())))
        }
        Err(away) => {
            shared.give_back(address);
            Err(away)
        }
    }
}

async fn peek(shared: &SharedGuesses, throttle_key: &ThrottleKey) -> Result<[Peek; 2], Away> {
    let [address, name] = throttle_key.budgets();
    let peek = async |rule, budget| {
        let (left, judged) = shared.look(budget).await?;
        Ok(Peek {
            rule,
            left: Remaining {
                most: shared.most(budget).into(),
                left: left.into(),
                window_s: WINDOW_S,
            },
            judged: judged.map_err(|wait| too_many(wait, rule)),
        })
    };
    Ok([
        peek(ADDRESS_CAUSE, address).await?,
        peek(throttle_key.cause(), name).await?,
    ])
}
