//! Which tokens of an access are still good after a change of it.
//!
//! A token proves what it was issued for: this very access, which had these very secrets. It ends when the access is
//! deleted or made anew under the old name, when a secret is dropped, and when an operator says so.

use crate::Access;

/// What a change means for the tokens that were issued before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TokenEffect {
    /// They end only if what they were issued for ends.
    GoOn,
    /// They end.
    End,
}

/// Stands for the version that the change will have; [`Access::numbered`] replaces it.
const THIS_CHANGE: i64 = -1;

impl TokenEffect {
    /// The access after a change at `now`, with the bounds of its tokens. One that is made is `remade` if there was another of
    /// its name before.
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

/// Whether all that a token was issued for is still there. A secret that is added ends nothing.
fn is_same(before: &Access, after: &Access) -> bool {
    before.client_id == after.client_id
        && before
            .hashes()
            .all(|hash| after.hashes().any(|kept| kept == hash))
}

impl Access {
    /// As it stands after the change with this number.
    pub(crate) fn numbered(mut self, version: i64) -> Access {
        if self.token_generation == THIS_CHANGE {
            self.token_generation = version;
        }
        self.version = version;
        self
    }
}
