//! What the pages describe.

use adapter::{Adapter, Way};

/// The public listener as callers see it under one configuration.
pub struct PublicInterface<'a> {
    /// What callers reach it by, without a slash at its end.
    pub url: &'a str,
    /// The ways in that are switched on, in the order of [`Way::ALL`].
    pub ways: Vec<(Way, &'a dyn Adapter)>,
}

impl PublicInterface<'_> {
    pub(crate) fn is_open(&self, way: Way) -> bool {
        self.ways.iter().any(|(open, _)| *open == way)
    }
}
