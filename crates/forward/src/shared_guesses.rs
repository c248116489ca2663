//! The budgets of guesses, counted by all processes together, to the guess.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use shared::{Away, CallWait, CountKind, CountLimit, SharedCounts, ValkeyKey};

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
    /// Takes one of each, and says of each how long it has to wait that gave none.
    pub(crate) async fn take<const N: usize>(
        &self,
        budgets: [GuessBudget; N],
        wait: &CallWait,
    ) -> Result<[Result<(), Duration>; N], Away> {
        let keys = budgets.map(|budget| (self.key(budget), self.limit(budget)));
        let counts = keys.each_ref().map(|(key, limit)| (key, *limit));
        let taken = self.counts.take_one_of_each(counts, wait).await?;
        Ok(taken.map(|taken| match taken.cells {
            0 => Err(taken.wait),
            _ => Ok(()),
        }))
    }

    /// What there is to take, and what [`SharedGuesses::take`] would say now.
    pub(crate) async fn look(
        &self,
        budget: GuessBudget,
        wait: &CallWait,
    ) -> Result<GuessDecision, Away> {
        let key = self.key(budget);
        let looked = self.counts.look(&key, self.limit(budget), wait).await?;
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
