//! Decides which tokens of an access remain valid after a change of the access.
//!
//! A token proves the access for which it was issued, with the secrets that the access had then. It ends when the access is deleted
//! or created again under the old name, when a secret is removed, and when an operator ends it.

use crate::Access;

/// The effect of a change on the tokens that were issued before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TokenEffect {
    /// The tokens end only if the access or a secret for which they were issued ends.
    GoOn,
    /// All tokens end.
    End,
}

/// A placeholder for the version that the change will have; [`Access::numbered`] replaces it.
const THIS_CHANGE: i64 = -1;

impl TokenEffect {
    /// Returns the access after a change at `now`, with the bounds of its tokens. `is_remade` is true if the access is new and
    /// another access of the same name existed before.
    pub(crate) fn bounded(
        self,
        (now, is_remade): (i64, bool),
        before: Option<&Access>,
        mut after: Access,
    ) -> Access {
        let ends_all = self == TokenEffect::End || is_remade;
        after.token_generation = match before {
            Some(before) if !ends_all && is_same(before, &after) => before.token_generation,
            _ => THIS_CHANGE,
        };
        let since = before.and_then(|before| before.tokens_since);
        after.tokens_since = after.tokens_since.max(since);
        if ends_all {
            after.tokens_since = after.tokens_since.max(Some(now));
        }
        after
    }
}

/// Returns whether everything for which a token was issued still exists. An added secret ends no token.
fn is_same(before: &Access, after: &Access) -> bool {
    before.client_id == after.client_id
        && before
            .hashes()
            .all(|hash| after.hashes().any(|kept| kept == hash))
}

impl Access {
    /// Returns the access as it is after the change with this number.
    pub(crate) fn numbered(mut self, version: i64) -> Access {
        if self.token_generation == THIS_CHANGE {
            self.token_generation = version;
        }
        self.version = version;
        self
    }
}
