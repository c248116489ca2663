//! The author of a change.

/// The author and the time of a change.
#[derive(Clone, Copy, Debug)]
pub struct ChangeAuthor<'a> {
    /// The name of the admin key, or what changes the store by itself.
    pub actor: &'a str,
    /// The time by this machine's clock; seconds since 1970, UTC.
    pub at_s: i64,
}

impl<'a> ChangeAuthor<'a> {
    /// Creates the author of a change at this time.
    #[must_use]
    pub fn new(actor: &'a str, at_s: i64) -> ChangeAuthor<'a> {
        ChangeAuthor { actor, at_s }
    }
}
