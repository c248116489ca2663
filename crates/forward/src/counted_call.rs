//! What the limits of an access say of one call.

use adapter::Error;
use store::Access;

use crate::daily::DayState;
use crate::rate_limit::LimitState;

/// The state of an access's limits after a call has been counted.
#[derive(Debug)]
pub struct CountedCall {
    /// The limit per minute; `None` when there is none.
    pub limit: Option<LimitState>,
    /// The limit per day; `None` when there is none.
    pub day: Option<DayState>,
    /// Why the call is refused, if it is.
    pub refused: Option<Error>,
    /// What a limit would have said, if it did not only report.
    pub would_refuse: Option<String>,
}

impl CountedCall {
    /// Takes what a limit says: a refusal, or what it would have been where the limits of the access only report.
    pub(crate) fn apply<T>(&mut self, access: &Access, said: Result<T, Error>) -> Option<T> {
        match said {
            Ok(value) => return Some(value),
            Err(error) if access.limits.report => {
                self.would_refuse = error.cause().map(str::to_owned);
            }
            Err(error) => self.refused = Some(error),
        }
        None
    }
}
