//! The role of the cache in an answer.

/// The role of the cache in an answer (RFC 9211).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CacheStatus {
    /// Answered from memory; fresh for this many more seconds.
    Hit(u64),
    /// The upstream was asked, and the answer was cached for this many seconds.
    Stored(u64),
    /// The upstream was asked; the answer was an error and was not cached.
    Miss,
    /// Got the answer of an identical call in progress; fresh for this many seconds.
    Collapsed(u64),
    /// The caller asked for a fresh answer, which was cached for this many seconds.
    Refreshed(u64),
    /// Caching is switched off for this operation.
    Bypass,
    /// The operation has an effect, so its answer is never cached.
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

    /// Returns one word for metrics and the log.
    #[must_use]
    pub fn word(self) -> &'static str {
        CacheStatus::WORDS[self.number()]
    }

    /// Returns the index of the word in [`CacheStatus::WORDS`].
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

    /// Returns for how many more seconds the caller may cache the answer, if it may.
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
