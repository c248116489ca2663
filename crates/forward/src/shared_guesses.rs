//! The budgets of guesses, counted by all processes together, to the guess.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use shared::{Away, CountKind, CountLimit, SharedCounts, ValkeyKey, Wish};

/// One budget, by what is counted there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum GuessBudget {
    /// Of a name, by its hash: from inside its networks or from outside.
    Name { hash: [u8; 16], is_inside: bool },
    /// Of an address.
    Address(IpAddr),
}

/// The budgets.
#[derive(Clone)]
pub(crate) struct SharedGuesses {
    pub(crate) counts: Arc<SharedCounts>,
    /// The limit of a name inside and outside, and of an address.
    pub(crate) limits: [CountLimit; 3],
}

/// What a budget says of one more guess, and how many are left in it.
pub(crate) type GuessDecision = (u32, Result<(), Duration>);

impl SharedGuesses {
    /// Takes one.
    pub(crate) async fn take(&self, budget: GuessBudget) -> Result<GuessDecision, Away> {
        const ONE: Wish = Wish {
            needed: 1,
            wanted: 0,
            replicas: 1,
        };
        let taken = self
            .counts
            .take(&self.key(budget), self.limit(budget), ONE)
            .await?;
        let decision = if taken.cells == 0 {
            Err(taken.wait)
        } else {
            Ok(())
        };
        Ok((taken.left, decision))
    }

    /// What there is to take, and what [`SharedGuesses::take`] would say now.
    pub(crate) async fn look(&self, budget: GuessBudget) -> Result<GuessDecision, Away> {
        let looked = self
            .counts
            .look(&self.key(budget), self.limit(budget))
            .await?;
        let decision = if looked.left == 0 {
            Err(looked.wait)
        } else {
            Ok(())
        };
        Ok((looked.left, decision))
    }

    /// Gives one back.
    pub(crate) fn give_back(&self, budget: GuessBudget) {
        self.counts
            .give_back(&self.key(budget), self.limit(budget), 1);
    }

    /// How many there are of it when nobody guesses.
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
        // Other limits are other counts, which start full.
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
