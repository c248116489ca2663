//! Limits the number of concurrent calls of one access.

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::sync::Arc;

use adapter::{Code, Error};
use parking_lot::Mutex;
use shared::CountsUnavailable;
use store::Access;

use crate::remaining::Remaining;
use crate::share::Share;
use crate::shared_concurrency::{ConcurrencyLease, SharedConcurrency};

/// Value of Retry-After in seconds. Calls end within seconds.
const RETRY_AFTER_S: u32 = 1;

/// The name of the limit in messages.
pub(crate) const AT_ONCE: &str = "calls at once";

/// The number of calls in progress by access. An access without calls has no entry.
#[derive(Default)]
pub(crate) struct ConcurrencyLimit {
    under_way: Mutex<HashMap<String, u32>>,
    share: Share,
}

/// The permit of one call in progress. The call ends when the permit is dropped.
pub struct ConcurrencyPermit {
    concurrency: Arc<ConcurrencyLimit>,
    access: String,
    /// The call's lease among the calls of all processes, if these are counted together.
    _lease: Option<ConcurrencyLease>,
}

impl ConcurrencyLimit {
    /// Creates a limit without calls in progress, in a process that has this share of each limit.
    pub(crate) fn new(share: Share) -> ConcurrencyLimit {
        ConcurrencyLimit {
            under_way: Mutex::default(),
            share,
        }
    }

    /// Acquires a permit unless the access has reached its limit. Returns `None` if the access has no limit.
    ///
    /// # Errors
    /// RATE_LIMITED.
    pub(crate) fn acquire(
        concurrency: &Arc<ConcurrencyLimit>,
        access: &Access,
    ) -> Result<Option<ConcurrencyPermit>, Error> {
        let Some(most) = concurrency.most(access) else {
            return Ok(None);
        };
        let mut under_way = concurrency.under_way.lock();
        let own = under_way.entry(access.name.clone()).or_insert(0);
        free(*own, most)?;
        *own += 1;
        Ok(Some(ConcurrencyPermit {
            concurrency: Arc::clone(concurrency),
            access: access.name.clone(),
            _lease: None,
        }))
    }

    /// Returns the permit of a call that has a lease among the calls of all processes. The call is counted here too, in case the
    /// shared counts become unreachable.
    pub(crate) fn permit_of(
        concurrency: &Arc<ConcurrencyLimit>,
        access: &Access,
        lease: ConcurrencyLease,
    ) -> ConcurrencyPermit {
        *concurrency
            .under_way
            .lock()
            .entry(access.name.clone())
            .or_insert(0) += 1;
        ConcurrencyPermit {
            concurrency: Arc::clone(concurrency),
            access: access.name.clone(),
            _lease: Some(lease),
        }
    }

    /// Returns how many calls may begin, if there is a limit, and the result that [`ConcurrencyLimit::acquire`] would give now.
    pub(crate) fn peek(
        concurrency: &Arc<ConcurrencyLimit>,
        access: &Access,
    ) -> Option<(Remaining, Result<(), Error>)> {
        let most = concurrency.most(access)?;
        let under_way = concurrency.under_way.lock();
        let own = under_way.get(&access.name).copied().unwrap_or(0);
        let remaining = Remaining {
            most: most.get().into(),
            remaining: most.get().saturating_sub(own).into(),
            window_s: None,
        };
        Some((remaining, free(own, most)))
    }

    /// Returns the maximum number of calls in progress in this process.
    fn most(&self, access: &Access) -> Option<NonZeroU32> {
        let most = access.limits.concurrent?;
        NonZeroU32::new(most.get() / self.share.cells(most))
    }
}

fn free(under_way: u32, most: NonZeroU32) -> Result<(), Error> {
    if under_way < most.get() {
        return Ok(());
    }
    Err(all_taken())
}

/// The error for a call beyond the limit.
pub(crate) fn all_taken() -> Error {
    let error = Error::refused(Code::RateLimited).because(AT_ONCE);
    error.retry_after(RETRY_AFTER_S)
}

/// Returns the same as [`ConcurrencyLimit::peek`] for all processes together.
pub(crate) async fn peek_shared(
    shared: &SharedConcurrency,
    access: &Access,
) -> Result<Option<(Remaining, Result<(), Error>)>, CountsUnavailable> {
    let Some(most) = access.limits.concurrent else {
        return Ok(None);
    };
    let under_way = shared.count(access).await?;
    let remaining = Remaining {
        most: most.get().into(),
        remaining: most.get().saturating_sub(under_way).into(),
        window_s: None,
    };
    Ok(Some((remaining, free(under_way, most))))
}

impl Drop for ConcurrencyPermit {
    fn drop(&mut self) {
        let mut under_way = self.concurrency.under_way.lock();
        if let Some(own) = under_way.get_mut(&self.access) {
            *own -= 1;
            if *own == 0 {
                under_way.remove(&self.access);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

    use super::*;

    #[test]
    fn a_concurrency_permit_is_returned_when_its_call_panics() {
        let mut access = Access::new("a", "u", "c");
        access.limits.concurrent = NonZeroU32::new(1);
        let concurrency = Arc::<ConcurrencyLimit>::default();
        for _ in 0..3 {
            let permit = ConcurrencyLimit::acquire(&concurrency, &access).unwrap();
            assert!(permit.is_some() && ConcurrencyLimit::acquire(&concurrency, &access).is_err());
            let panicked = catch_unwind(AssertUnwindSafe(|| {
                let _lease = permit;
                resume_unwind(Box::new(()));
            }));
            assert!(panicked.is_err());
        }
        assert!(concurrency.under_way.lock().is_empty());
    }

    #[test]
    fn peek_reports_free_concurrency_permits_without_taking_one() {
        let mut access = Access::new("a", "u", "c");
        let concurrency = Arc::<ConcurrencyLimit>::default();
        assert!(ConcurrencyLimit::peek(&concurrency, &access).is_none());
        access.limits.concurrent = NonZeroU32::new(2);
        let mut permits = Vec::new();
        for expected in [2, 1, 0] {
            let (remaining, free) = ConcurrencyLimit::peek(&concurrency, &access).unwrap();
            assert_eq!((remaining.most, remaining.remaining), (2, expected));
            assert_eq!(free.is_ok(), expected > 0);
            permits.push(ConcurrencyLimit::acquire(&concurrency, &access));
        }
        assert!(permits.pop().unwrap().is_err());
    }

    #[test]
    fn each_replica_admits_its_share_of_the_concurrency_limit() {
        let mut access = Access::new("a", "u", "c");
        for (most, part) in [(7, 2), (3, 1), (2, 1)] {
            access.limits.concurrent = NonZeroU32::new(most);
            let concurrency = Arc::new(ConcurrencyLimit::new(Share::of(|| 3)));
            let permits: Vec<_> = (0..most)
                .filter_map(|_| ConcurrencyLimit::acquire(&concurrency, &access).ok())
                .collect();
            assert_eq!(permits.len(), part, "of {most}");
        }
    }
}
