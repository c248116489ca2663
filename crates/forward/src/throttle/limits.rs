//! How many guesses are checked, as it is configured and as it is counted.

use std::num::NonZeroU32;

use governor::Quota;
use shared::CountLimit;

use crate::throttle::buckets;

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

/// The budgets of a name, inside its networks and outside, and of an address.
pub(super) fn quotas(limits: ThrottleLimits) -> [Quota; 3] {
    let outside = (limits.per_name.get() / OUTSIDE_SHARE).max(1);
    let of_names =
        |tries| buckets::within_window(NonZeroU32::new(tries).unwrap_or(NonZeroU32::MIN));
    [
        of_names(limits.per_name.get() - outside),
        of_names(outside),
        buckets::at_once(limits.per_address),
    ]
}

/// The same as they are counted with others.
pub(super) fn shared_limits(limits: ThrottleLimits) -> [CountLimit; 3] {
    quotas(limits).map(|quota| CountLimit::spaced(quota.burst_size(), quota.replenish_interval()))
}
