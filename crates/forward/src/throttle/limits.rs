//! Limits on checked guesses, in configured and in counted form.

use std::num::NonZeroU32;

use governor::Quota;
use shared::CountLimit;

use crate::throttle::buckets;

/// A name's guesses divided by this number are for callers outside. This is the smaller part, because even the right secret is
/// rejected from there, while mistakes of the owner's own machines come from inside.
const OUTSIDE_SHARE: u32 = 3;

/// The limits on checked guesses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ThrottleLimits {
    /// Maximum for one name in any ten minutes, from all addresses together; at least two, one for each side.
    pub per_name: NonZeroU32,
    /// Maximum from one address at the same time. All of them are available again after ten minutes.
    pub per_address: NonZeroU32,
}

/// Returns the budgets of a name inside its networks and outside, and of an address.
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

/// Returns the same budgets for counting with other processes.
pub(super) fn shared_limits(limits: ThrottleLimits) -> [CountLimit; 3] {
    quotas(limits).map(|quota| CountLimit::spaced(quota.burst_size(), quota.replenish_interval()))
}
