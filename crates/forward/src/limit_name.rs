//! The names of the rate limits.

/// The names of a limit.
#[derive(Clone, Copy)]
pub(crate) struct LimitName {
    /// The name in messages.
    pub(crate) text: &'static str,
    /// The name in headers and the journal.
    pub(crate) word: &'static str,
}

pub(crate) const PER_ADDRESS: LimitName = LimitName {
    text: "limit per address",
    word: "address",
};
pub(crate) const PER_ACCESS: LimitName = LimitName {
    text: "limit of the access",
    word: "minute",
};
pub(crate) const PER_DESTINATION: LimitName = LimitName {
    text: "limit per destination",
    word: "destination",
};
