//! What the cache had to do with an answer.

/// What the cache had to do with an answer (RFC 9211).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CacheStatus {
    /// Answered from memory; fresh for so many more seconds.
    Hit(u64),
    /// Asked the upstream and kept the answer for so many seconds.
    Stored(u64),
    /// Asked the upstream; the answer was an error and was not kept.
    Miss,
    /// Got the answer of an identical call that was under way; fresh for so many seconds.
    Collapsed(u64),
    /// The caller asked for a fresh answer, which was kept for so many seconds.
    Refreshed(u64),
    /// Caching is switched off for this operation.
    Bypass,
    /// The operation has an effect, so that its answer is never kept.
    Effect,
}

impl CacheStatus {
    /// All words, in the order of their numbers.
    pub const WORDS: [&str; 7] = [
        "hit",
        "stored",
        "miss",
        "collapsed",
        "refreshed",
        "bypass",
        "effect",
    ];

    /// One word for metrics and the log.
    #[must_use]
    pub fn word(self) -> &'static str {
        CacheStatus::WORDS[self.number()]
    }

    /// The number of its word, its index in [`CacheStatus::WORDS`].
    #[must_use]
    pub fn number(self) -> usize {
        match self {
            CacheStatus::Hit(_) => 0,
            CacheStatus::Stored(_) => 1,
            CacheStatus::Miss => 2,
            CacheStatus::Collapsed(_) => 3,
            CacheStatus::Refreshed(_) => 4,
            CacheStatus::Bypass => 5,
            CacheStatus::Effect => 6,
        }
    }

    /// For how many more seconds the caller may keep the answer, if at all.
    #[must_use]
    pub fn fresh_s(self) -> Option<u64> {
        match self {
            CacheStatus::Hit(s)
            | CacheStatus::Stored(s)
            | CacheStatus::Collapsed(s)
            | CacheStatus::Refreshed(s) => Some(s),
            CacheStatus::Miss | CacheStatus::Bypass | CacheStatus::Effect => None,
        }
    }
}
