//! Limits the number of wrong secrets that are checked, for each name and from each address, in bounded memory. The clock is passed
//! in.
//!
//! A guess is reserved in the budgets before it is checked, so that concurrent guesses can't exceed them together, and a right
//! guess gets its reservation back. A name has two budgets, one for callers inside the networks of its access and one for all
//! others, so that guesses from outside can't lock out an owner who calls from inside.

mod buckets;
mod limits;
mod names;
mod shared_budgets;

#[cfg(test)]
mod tests;

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::{Duration, Instant};

use adapter::{Code, Error};
use aws_lc_rs::hmac;
use shared::SharedCounts;
use store::{Access, Accesses, counted_address};

use crate::allowlist::{self, NetworkDecision};
use crate::limit_check::whole_seconds;
use crate::remaining::Remaining;
use crate::share::{CountedBy, Share};
use crate::shared_guesses::{GuessBudget, SharedGuesses};
use buckets::{BucketTake, Buckets};
use limits::{quotas, shared_limits};
use names::NameHash;

pub use buckets::MonotonicClock;
pub use limits::ThrottleLimits;
pub(crate) use names::{PresentedName, ThrottleKey};

/// Maximum number of counted names on either side, about 10 MiB each; far more than there are accesses.
const NAMES_MAX: usize = 100_000;

/// Maximum number of counted addresses, about 12 MiB. The limit per address rejects many calls before.
const ADDRESSES_MAX: usize = 100_000;

/// The counts of guesses of one gateway.
pub struct LoginThrottle {
    clock: MonotonicClock,
    share: Share,
    key: hmac::Key,
    inside: Buckets<NameHash>,
    outside: Buckets<NameHash>,
    addresses: Buckets<IpAddr>,
    /// The budgets that all processes count together, if they do.
    shared: Option<SharedGuesses>,
}

/// A reserved guess in the budgets. It is given back when dropped, unless the guess [was wrong](Reservation::was_wrong).
#[must_use]
pub(crate) struct Reservation {
    throttle: Arc<LoginThrottle>,
    throttle_key: ThrottleKey,
    /// The cells taken for the address and for the name, as far as they are counted here.
    cells: [Option<NonZeroU32>; 2],
    /// True if it is also reserved in the budgets of all processes.
    is_of_all: bool,
    is_spent: bool,
}

/// The state of a budget.
pub(crate) struct Peek {
    /// The name of the budget, which is also the cause of its rejections.
    pub(crate) rule: &'static str,
    /// The remaining guesses.
    pub(crate) remaining: Remaining,
    /// The decision about one more guess.
    pub(crate) judged: Result<(), Error>,
    pub(crate) counted_by: CountedBy,
}

impl LoginThrottle {
    /// Creates counts on the machine's clock. The key is random and belongs to this process, or to all processes if they count
    /// guesses together.
    #[must_use]
    pub fn new(
        limits: ThrottleLimits,
        process_key: &[u8],
        share: &Share,
        counts: Option<&Arc<SharedCounts>>,
    ) -> LoginThrottle {
        let began = Instant::now();
        let clock: MonotonicClock = Arc::new(move || began.elapsed());
        let of_all = counts.map(|counts| counts.keys().derived("guesses"));
        let key = of_all.as_ref().map_or(process_key, |key| key);
        let mut throttle = LoginThrottle::with_clock(limits, key, (clock, share));
        throttle.shared = counts.map(|counts| SharedGuesses {
            counts: Arc::clone(counts),
            limits: shared_limits(limits),
        });
        throttle
    }

    /// Creates counts on the given clock.
    #[must_use]
    pub fn with_clock(
        limits: ThrottleLimits,
        process_key: &[u8],
        clock_and_share: (MonotonicClock, &Share),
    ) -> LoginThrottle {
        let key = hmac::Key::new(hmac::HMAC_SHA256, process_key);
        LoginThrottle::counted(limits, key, clock_and_share)
    }

    /// Returns counts with the same clock and names under other limits, which start full.
    pub(crate) fn reconfigured(&self, limits: ThrottleLimits) -> LoginThrottle {
        let clock = Arc::clone(&self.clock);
        let shared = self.shared.as_ref().map(|shared| SharedGuesses {
            counts: Arc::clone(&shared.counts),
            limits: shared_limits(limits),
        });
        LoginThrottle {
            shared,
            ..LoginThrottle::counted(limits, self.key.clone(), (clock, &self.share))
        }
    }

    fn counted(
        limits: ThrottleLimits,
        key: hmac::Key,
        (clock, share): (MonotonicClock, &Share),
    ) -> LoginThrottle {
        let [inside, outside, of_address] = quotas(limits);
        LoginThrottle {
            inside: Buckets::new(inside, NAMES_MAX, (&clock, share)),
            outside: Buckets::new(outside, NAMES_MAX, (&clock, share)),
            addresses: Buckets::new(of_address, ADDRESSES_MAX, (&clock, share)),
            shared: None,
            share: share.clone(),
            clock,
            key,
        }
    }

    /// Returns the budgets to use for a secret that is presented for a name from an address.
    ///
    /// A name that does not exist borrows the networks of an access, always the same one, so that it has an inside and an outside
    /// like a real name. So no number of source addresses reveals whether a name exists.
    pub(crate) fn throttle_key(
        &self,
        accesses: &Accesses,
        (access, presented): (Option<&Arc<Access>>, PresentedName<'_>),
        address: IpAddr,
    ) -> ThrottleKey {
        // The user and the client id of an access count as one name. A name that does not exist never counts as one of them.
        let hash = match access {
            Some(access) => self.hash(b"access", &access.name),
            None => self.unknown_name(presented),
        };
        let mut name = NameHash::default();
        name.copy_from_slice(&hash.as_ref()[..16]);
        let borrowed = accesses.at(pick(&hash));
        let is_inside = access.or(borrowed).is_some_and(|access| {
            let verdict = allowlist::judge(&access.allow, &access.deny, address);
            matches!(verdict, NetworkDecision::Allowed(_))
        });
        ThrottleKey {
            name,
            is_inside,
            address: counted_address(address),
        }
    }

    /// Returns the access from which a name that does not exist borrows, always the same one.
    pub(crate) fn borrowed<'a>(
        &self,
        accesses: &'a Accesses,
        presented: PresentedName<'_>,
    ) -> Option<&'a Arc<Access>> {
        accesses.at(pick(&self.unknown_name(presented)))
    }

    /// Returns the hash of a name that does not exist.
    fn unknown_name(&self, presented: PresentedName<'_>) -> hmac::Tag {
        match presented {
            PresentedName::User(name) => self.hash(b"nouser", name),
            PresentedName::Client(name) => self.hash(b"nocgid", name),
        }
    }

    /// Returns the remaining guesses of the address and of the name, and the decision of each about one more guess.
    pub(crate) fn peek(&self, throttle_key: &ThrottleKey) -> [Peek; 2] {
        let peek = |rule, (remaining, most, taken): (u64, u64, BucketTake)| Peek {
            rule,
            remaining: Remaining {
                most,
                remaining,
                window_s: WINDOW_S,
            },
            judged: taken.map(drop).map_err(|wait| too_many(wait, rule)),
            counted_by: match self.shared {
                None => CountedBy::Unsaid,
                Some(_) => CountedBy::OneOfMany,
            },
        };
        [
            peek(ADDRESS_CAUSE, self.addresses.peek(&throttle_key.address)),
            peek(
                throttle_key.cause(),
                self.names(throttle_key).peek(&throttle_key.name),
            ),
        ]
    }

    /// Reserves one guess. Without a reservation no secret is checked.
    ///
    /// # Errors
    /// TOO_MANY_FAILURES.
    pub(crate) fn reserve(
        self: &Arc<Self>,
        throttle_key: ThrottleKey,
    ) -> Result<Reservation, Error> {
        let of_address = self.addresses.take(throttle_key.address);
        let of_address = of_address.map_err(|wait| too_many(wait, ADDRESS_CAUSE))?;
        let of_name = match self.names(&throttle_key).take(throttle_key.name) {
            Ok(cells) => cells,
            Err(wait) => {
                // A guess that is not checked costs nothing.
                self.addresses.refund(throttle_key.address, of_address);
                return Err(too_many(wait, throttle_key.cause()));
            }
        };
        Ok(Reservation {
            throttle: Arc::clone(self),
            throttle_key,
            cells: [Some(of_address), Some(of_name)],
            is_of_all: false,
            is_spent: false,
        })
    }

    /// Returns a reservation that was made in the budgets of all processes. It is counted here too as far as there is room.
    fn reservation_of_all(self: &Arc<Self>, throttle_key: ThrottleKey) -> Reservation {
        let of_address = self.addresses.take(throttle_key.address).ok();
        let of_name = self.names(&throttle_key).take(throttle_key.name).ok();
        Reservation {
            throttle: Arc::clone(self),
            throttle_key,
            cells: [of_address, of_name],
            is_of_all: true,
            is_spent: false,
        }
    }

    /// Counts a wrong token. It belongs to no name, so only its address is counted.
    ///
    /// # Errors
    /// TOO_MANY_FAILURES when the budget is empty.
    pub(crate) fn count_token(&self, address: IpAddr) -> Result<(), Error> {
        let taken = self.addresses.take(counted_address(address));
        taken
            .map(drop)
            .map_err(|wait| too_many(wait, ADDRESS_CAUSE))
    }

    /// Forgets budgets that are full again.
    pub(crate) fn sweep(&self) {
        self.inside.sweep();
        self.outside.sweep();
        self.addresses.sweep();
    }

    fn names(&self, throttle_key: &ThrottleKey) -> &Buckets<NameHash> {
        if throttle_key.is_inside {
            &self.inside
        } else {
            &self.outside
        }
    }

    fn hash(&self, kind: &[u8; 6], name: &str) -> hmac::Tag {
        let mut context = hmac::Context::with_key(&self.key);
        context.update(kind);
        context.update(name.as_bytes());
        context.sign()
    }
}

impl Reservation {
    /// Marks the guess as checked and wrong, so that its reservation is not given back.
    pub(crate) fn was_wrong(mut self) {
        self.is_spent = true;
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        if !self.is_spent {
            let (throttle, throttle_key) = (&self.throttle, &self.throttle_key);
            let [of_address, of_name] = self.cells;
            if let Some(cells) = of_name {
                let names = throttle.names(throttle_key);
                names.refund(throttle_key.name, cells);
            }
            if let Some(cells) = of_address {
                throttle.addresses.refund(throttle_key.address, cells);
            }
            if let Some(shared) = throttle.shared.as_ref().filter(|_| self.is_of_all) {
                let budgets: [GuessBudget; 2] = throttle_key.budgets();
                for budget in budgets {
                    shared.refund(budget);
                }
            }
        }
    }
}

/// Returns a number from the part of the hash that does not identify the name. It picks the access from which to borrow.
fn pick(hash: &hmac::Tag) -> u64 {
    let mut pick = [0; 8];
    pick.copy_from_slice(&hash.as_ref()[16..24]);
    u64::from_le_bytes(pick)
}

/// The period of the budgets, in seconds.
const WINDOW_S: Option<u32> = Some(600);

const ADDRESS_CAUSE: &str = "guesses from the address";

fn too_many(wait: Duration, cause: &'static str) -> Error {
    Error::refused(Code::TooManyFailures)
        .because(cause)
        .retry_after(whole_seconds(wait))
}
