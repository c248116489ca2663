//! The budgets of guesses that all processes count together, exactly.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use shared::{CallWait, CountKind, CountLimit, CountsUnavailable, SharedCounts, ValkeyKey};

/// One budget, by its subject.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum GuessBudget {
    /// The budget of a name, by its hash, for guesses from inside its networks or from outside.
    Name { hash: [u8; 16], is_inside: bool },
    /// The budget of an address.
    Address(IpAddr),
}

/// The shared budgets.
#[derive(Clone)]
pub(crate) struct SharedGuesses {
    pub(crate) counts: Arc<SharedCounts>,
    /// The limits of a name inside, of a name outside, and of an address.
    pub(crate) limits: [CountLimit; 3],
}

/// The remaining guesses of a budget, and its decision about one more guess.
pub(crate) type GuessDecision = (u32, Result<(), Duration>);

impl SharedGuesses {
    /// Takes one guess from each budget. Returns for each empty budget the time until a guess is available.
    pub(crate) async fn take<const N: usize>(
        &self,
        budgets: [GuessBudget; N],
        wait: &CallWait,
    ) -> Result<[Result<(), Duration>; N], CountsUnavailable> {
        let keys = budgets.map(|budget| (self.key(budget), self.limit(budget)));
        let counts = keys.each_ref().map(|(key, limit)| (key, *limit));
        let taken = self.counts.take_one_of_each(counts, wait).await?;
        Ok(taken.map(|taken| match taken.cells {
            0 => Err(taken.wait),
            _ => Ok(()),
        }))
    }

    /// Returns the remaining guesses, and the decision that [`SharedGuesses::take`] would give now.
    pub(crate) async fn peek(
        &self,
        budget: GuessBudget,
        wait: &CallWait,
    ) -> Result<GuessDecision, CountsUnavailable> {
        let key = self.key(budget);
        let peeked = self.counts.peek(&key, self.limit(budget), wait).await?;
        let decision = if peeked.remaining == 0 {
            Err(peeked.wait)
        } else {
            Ok(())
        };
        Ok((peeked.remaining, decision))
    }

    /// Gives one guess back.
    pub(crate) fn refund(&self, budget: GuessBudget) {
        self.counts.refund(&self.key(budget), self.limit(budget), 1);
    }

    /// Returns the size of the budget.
    pub(crate) fn most(&self, budget: GuessBudget) -> u32 {
        self.limit(budget).burst.get()
    }

    fn limit(&self, budget: GuessBudget) -> CountLimit {
        let [inside, outside, address] = self.limits;
        match budget {
            GuessBudget::Name {
                is_inside: true, ..
            } => inside,
            GuessBudget::Name { .. } => outside,
            GuessBudget::Address(_) => address,
        }
    }

    fn key(&self, budget: GuessBudget) -> ValkeyKey {
        // Other limits have other counts, which start full.
        let burst = self.most(budget).to_le_bytes();
        let key = |kind, what: &[u8]| self.counts.keys().key(kind, &[what, &burst]);
        match budget {
            GuessBudget::Name {
                hash,
                is_inside: true,
            } => key(CountKind::GuessInside, &hash),
            GuessBudget::Name { hash, .. } => key(CountKind::GuessOutside, &hash),
            GuessBudget::Address(IpAddr::V4(v4)) => key(CountKind::GuessAddress, &v4.octets()),
            GuessBudget::Address(IpAddr::V6(v6)) => key(CountKind::GuessAddress, &v6.octets()),
        }
    }
}
