//! The results of an access's limits for one call.

use adapter::Error;
use store::Access;

use crate::daily::DayState;
use crate::limit_check::LimitState;

/// The state of an access's limits after a call has been counted.
#[derive(Debug)]
pub struct CountedCall {
    /// The limit per minute that rejects the call, or else the access's limit; `None` when there is none.
    pub limit: Option<LimitState>,
    /// The limit per day; `None` when there is none.
    pub day: Option<DayState>,
    /// The error, if the call is rejected.
    pub refused: Option<Error>,
    /// The first rejection that a limit would have caused if it did not only report.
    pub would_refuse: Option<String>,
}

impl CountedCall {
    /// Applies the result of a limit. A rejection only counts as a would-be rejection if the limits of the access only report.
    pub(crate) fn apply<T>(&mut self, access: &Access, result: Result<T, Error>) -> Option<T> {
        match result {
            Ok(value) => return Some(value),
            Err(error) if access.limits.report => {
                let would_refuse = self.would_refuse.take();
                self.would_refuse = would_refuse.or_else(|| error.cause().map(str::to_owned));
            }
            Err(error) => self.refused = Some(error),
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use adapter::Code;

    use super::*;

    #[test]
    fn the_first_limit_that_only_reports_is_named() {
        let mut access = Access::new("a", "a", "cga_a");
        let rejected = |cause| Err::<(), _>(Error::refused(Code::RateLimited).because(cause));
        let mut counted = CountedCall {
            limit: None,
            day: None,
            refused: None,
            would_refuse: None,
        };
        access.limits.report = true;
        for said in [Ok(()), rejected("first"), rejected("second"), Ok(())] {
            counted.apply(&access, said);
        }
        assert_eq!(counted.would_refuse.as_deref(), Some("first"));
        assert!(counted.refused.is_none());
    }
}
