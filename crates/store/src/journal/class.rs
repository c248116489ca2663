//! Whose a row is. What unknown callers cause never takes room, places or turns of what known ones do.

use std::sync::atomic::{AtomicU64, Ordering};

/// Whether it is proven who caused something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CallerClass {
    /// A proven access, an operator, or the gateway itself.
    Known,
    /// Anybody who can open a connection.
    Unknown,
}

impl CallerClass {
    /// All of them.
    pub const ALL: [CallerClass; 2] = [CallerClass::Known, CallerClass::Unknown];

    /// The word in metrics.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            CallerClass::Known => "known",
            CallerClass::Unknown => "unknown",
        }
    }
}

/// A number for each class that only grows.
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
