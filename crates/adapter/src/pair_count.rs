//! The limit on the name-value pairs of one request.

use crate::error::Error;

/// Maximum number of pairs in one request. The widest operation has nine, and clients add a few unknown ones.
const PAIRS_MAX: usize = 256;

/// The number of pairs that have been read.
#[derive(Debug, Default)]
pub(crate) struct PairCount(usize);

impl PairCount {
    /// Counts one more pair.
    ///
    /// # Errors
    /// MALFORMED_REQUEST beyond the limit.
    pub(crate) fn add(&mut self) -> Result<(), Error> {
        self.0 += 1;
        if self.0 > PAIRS_MAX {
            return Err(Error::malformed("There are too many parameters."));
        }
        Ok(())
    }
}
