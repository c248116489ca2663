//! What the pages describe.

use adapter::{Adapter, Operation, Way, operations};

/// The public listener as callers see it under one configuration.
pub struct PublicInterface<'a> {
    /// What callers reach it by, without a slash at its end.
    pub url: &'a str,
    /// The ways in that are switched on, in the order of [`Way::ALL`].
    pub ways: Vec<(Way, &'a dyn Adapter)>,
    /// Whether callers can hear of events.
    pub has_events: bool,
}

impl PublicInterface<'_> {
    pub(crate) fn is_open(&self, way: Way) -> bool {
        self.ways.iter().any(|(open, _)| *open == way)
    }

    /// The operations that there are.
    pub(crate) fn operations(&self) -> impl Iterator<Item = &'static Operation> {
        operations(self.has_events)
    }

    /// Whether there is a stream of events, which takes credentials in a header alone.
    pub(crate) fn has_streams(&self) -> bool {
        self.has_events && (self.is_open(Way::Basic) || self.is_open(Way::Jwt))
    }
}
