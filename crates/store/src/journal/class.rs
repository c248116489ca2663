//! The classes of callers. Rows of unknown callers never take space, queue places or turns from rows of known callers.

use std::sync::atomic::{AtomicU64, Ordering};

/// The class of a caller: proven or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CallerClass {
    /// A proven access, an operator, or the gateway itself.
    Known,
    /// Any client that can open a connection.
    Unknown,
}

impl CallerClass {
    /// All classes.
    pub const ALL: [CallerClass; 2] = [CallerClass::Known, CallerClass::Unknown];

    /// Returns the word in metrics.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            CallerClass::Known => "known",
            CallerClass::Unknown => "unknown",
        }
    }
}

/// A counter for each class.
#[derive(Default)]
pub(crate) struct ByClass([AtomicU64; CallerClass::ALL.len()]);

impl ByClass {
    pub(crate) fn add(&self, class: CallerClass, count: u64) {
        self.0[class as usize].fetch_add(count, Ordering::Relaxed);
    }

    pub(crate) fn of(&self, class: CallerClass) -> u64 {
        self.0[class as usize].load(Ordering::Relaxed)
    }

    pub(crate) fn sum(&self) -> u64 {
        CallerClass::ALL.iter().map(|class| self.of(*class)).sum()
    }
}
