//! How many wrong secrets are checked: for each name and from each address, in bounded memory. The clock is passed in.
//!
//! A guess takes its place in the budgets before it is checked, so that many at once can't slip through together, and
//! whoever was right gets the place back. A name has two budgets, one for callers inside the networks of its access and
//! one for everybody else: who guesses from outside can't shut out an owner who calls from inside.

mod buckets;

#[cfg(test)]
mod tests;

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::{Duration, Instant};

use adapter::{Code, Error};
use aws_lc_rs::hmac;
use store::{Access, Accesses};

use crate::allowlist::{self, NetworkDecision};
use crate::rate_limit::{counted_as, whole_seconds};
use crate::remaining::Remaining;
use crate::share::Share;
use buckets::{BucketTake, Buckets};

pub use buckets::MonotonicClock;

/// Most names counted at once on either side, some 10 MiB each: far more than there are accesses.
const NAMES_MAX: usize = 100_000;

/// Most addresses counted at once, some 12 MiB: what remains of those that the limit per address has let through.
const ADDRESSES_MAX: usize = 100_000;

/// One in so many of a name's guesses is for outside. The smaller part: nobody gets in from there even with the right
/// secret, while the slips of the owner's own machines come from inside.
const OUTSIDE_SHARE: u32 = 3;

/// How many guesses are checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ThrottleLimits {
    /// Most for one name in any ten minutes, from all addresses together; at least two, one for either side.
    pub per_name: NonZeroU32,
    /// Most from one address at once; all of them are back after ten minutes.
    pub per_address: NonZeroU32,
}

/// The guesses of one gateway.
pub struct LoginThrottle {
    clock: MonotonicClock,
    share: Share,
    key: hmac::Key,
    inside: Buckets<NameHash>,
    outside: Buckets<NameHash>,
    addresses: Buckets<IpAddr>,
}

/// A name as it is counted: a keyed hash, so that a long one costs no more memory and nobody can pick its place.
type NameHash = [u8; 16];

/// A name as it is presented, with its kind: the same text may be the user name of one access and the client id of none.
/// What is made up for a name that does not exist hangs on both, or asking for one text by two ways would tell that it
/// exists by one of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PresentedName<'a> {
    /// A user name.
    User(&'a str),
    /// A client id, at the token endpoint.
    Client(&'a str),
}

/// Whose budgets a guess draws on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ThrottleKey {
    name: NameHash,
    is_inside: bool,
    address: IpAddr,
}

/// A place in the budgets, given back when it is dropped unless the guess [was wrong](Reservation::was_wrong).
#[must_use]
pub(crate) struct Reservation {
    throttle: Arc<LoginThrottle>,
    throttle_key: ThrottleKey,
    /// As how many it counts for the address and for the name.
    cells: [NonZeroU32; 2],
    is_spent: bool,
}

/// A budget that was looked at.
pub(crate) struct Peek {
    /// Its name, which is also the cause of its refusals.
    pub(crate) rule: &'static str,
    /// How much is left in it.
    pub(crate) left: Remaining,
    /// What it would say of one more guess.
    pub(crate) judged: Result<(), Error>,
}

impl LoginThrottle {
    /// Counts on the machine's clock. The key is random and of this process.
    #[must_use]
    pub fn new(limits: ThrottleLimits, process_key: &[u8], share: &Share) -> LoginThrottle {
        let began = Instant::now();
        let clock: MonotonicClock = Arc::new(move || began.elapsed());
        LoginThrottle::with_clock(limits, process_key, (clock, share))
    }

    /// Counts on the given clock.
    #[must_use]
    pub fn with_clock(
        limits: ThrottleLimits,
        process_key: &[u8],
        clock_and_share: (MonotonicClock, &Share),
    ) -> LoginThrottle {
        let key = hmac::Key::new(hmac::HMAC_SHA256, process_key);
        LoginThrottle::counted(limits, key, clock_and_share)
    }

    /// The same clock and names under other limits, which start full.
    pub(crate) fn renewed(&self, limits: ThrottleLimits) -> LoginThrottle {
        let clock = Arc::clone(&self.clock);
        LoginThrottle::counted(limits, self.key.clone(), (clock, &self.share))
    }

    fn counted(
        limits: ThrottleLimits,
        key: hmac::Key,
        (clock, share): (MonotonicClock, &Share),
    ) -> LoginThrottle {
        let of_names = |tries: u32| {
            let tries = NonZeroU32::new(tries).unwrap_or(NonZeroU32::MIN);
            Buckets::new(buckets::within_window(tries), NAMES_MAX, (&clock, share))
        };
        let outside = (limits.per_name.get() / OUTSIDE_SHARE).max(1);
        let of_address = buckets::at_once(limits.per_address);
        LoginThrottle {
            inside: of_names(limits.per_name.get() - outside),
            outside: of_names(outside),
            addresses: Buckets::new(of_address, ADDRESSES_MAX, (&clock, share)),
            share: share.clone(),
            clock,
            key,
        }
    }

    /// Whose budgets a secret draws on that is presented for a name from an address.
    ///
    /// A name that does not exist borrows the networks of an access, always the same one, so that it has an inside and an
    /// outside as a real name has: from no place, nor from several, can one tell which it is.
    pub(crate) fn throttle_key(
        &self,
        accesses: &Accesses,
        (access, presented): (Option<&Arc<Access>>, PresentedName<'_>),
        address: IpAddr,
    ) -> ThrottleKey {
        // User and client id of an access are one name; a name that does not exist is never one of them.
        let hash = match access {
            Some(access) => self.hash(b"access", &access.name),
            None => self.nobody(presented),
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
            address: counted_as(address),
        }
    }

    /// The access that a name borrows from when it does not exist, always the same one.
    pub(crate) fn borrowed<'a>(
        &self,
        accesses: &'a Accesses,
        presented: PresentedName<'_>,
    ) -> Option<&'a Arc<Access>> {
        accesses.at(pick(&self.nobody(presented)))
    }

    /// What stands for a name that does not exist.
    fn nobody(&self, presented: PresentedName<'_>) -> hmac::Tag {
        match presented {
            PresentedName::User(name) => self.hash(b"nouser", name),
            PresentedName::Client(name) => self.hash(b"nocgid", name),
        }
    }

    /// Whether a guess would be checked now, for a call that would first have to queue for it.
    ///
    /// # Errors
    /// TOO_MANY_FAILURES.
    pub(crate) fn check(&self, throttle_key: &ThrottleKey) -> Result<(), Error> {
        self.peek(throttle_key)
            .into_iter()
            .try_for_each(|peek| peek.judged)
    }

    /// What is left in the buckets of the address and of the name, and what each would say of one more guess.
    pub(crate) fn peek(&self, throttle_key: &ThrottleKey) -> [Peek; 2] {
        let window_s = u32::try_from(buckets::WINDOW.as_secs()).ok();
        let peek = |rule, (left, most, taken): (u64, u64, BucketTake)| Peek {
            rule,
            left: Remaining {
                most,
                left,
                window_s,
            },
            judged: taken.map(drop).map_err(|wait| too_many(wait, rule)),
        };
        [
            peek(ADDRESS_CAUSE, self.addresses.look(&throttle_key.address)),
            peek(
                throttle_key.cause(),
                self.names(throttle_key).look(&throttle_key.name),
            ),
        ]
    }

    /// Takes a place for one guess; without it no secret is checked.
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
                // What is not checked costs nothing.
                self.addresses.give_back(throttle_key.address, of_address);
                return Err(too_many(wait, throttle_key.cause()));
            }
        };
        Ok(Reservation {
            throttle: Arc::clone(self),
            throttle_key,
            cells: [of_address, of_name],
            is_spent: false,
        })
    }

    /// Counts a wrong token: no name stands behind it, so that it is the address's alone.
    ///
    /// # Errors
    /// TOO_MANY_FAILURES when there was nothing left to take.
    pub(crate) fn count_token(&self, address: IpAddr) -> Result<(), Error> {
        let taken = self.addresses.take(counted_as(address));
        taken
            .map(drop)
            .map_err(|wait| too_many(wait, ADDRESS_CAUSE))
    }

    /// Forgets what has come back in full.
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

impl ThrottleKey {
    /// The address as it is counted.
    pub(crate) fn address(&self) -> IpAddr {
        self.address
    }

    /// Whether it is inside the networks of the name, or of the one that a name borrows that does not exist.
    pub(crate) fn is_inside(&self) -> bool {
        self.is_inside
    }

    fn cause(&self) -> &'static str {
        if self.is_inside {
            "guesses for the name, from inside its networks"
        } else {
            "guesses for the name, from outside its networks"
        }
    }
}

impl Reservation {
    /// The guess was checked and wrong: it has used its place up.
    pub(crate) fn was_wrong(mut self) {
        self.is_spent = true;
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        if !self.is_spent {
            let (throttle, throttle_key) = (&self.throttle, &self.throttle_key);
            let [of_address, of_name] = self.cells;
            let names = throttle.names(throttle_key);
            names.give_back(throttle_key.name, of_name);
            throttle
                .addresses
                .give_back(throttle_key.address, of_address);
        }
    }
}

/// What a hash picks by, beside the name that it stands for.
fn pick(hash: &hmac::Tag) -> u64 {
    let mut pick = [0; 8];
    pick.copy_from_slice(&hash.as_ref()[16..24]);
    u64::from_le_bytes(pick)
}

const ADDRESS_CAUSE: &str = "guesses from the address";

fn too_many(wait: Duration, cause: &'static str) -> Error {
    Error::refused(Code::TooManyFailures)
        .because(cause)
        .retry_after(whole_seconds(wait))
}
