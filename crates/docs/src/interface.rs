//! The input of the documentation: the public listener.

use adapter::{Adapter, Operation, Way, operations};

/// The public listener under one configuration, as callers see it.
pub struct PublicInterface<'a> {
    /// The address under which callers reach the gateway, without a trailing slash.
    pub url: &'a str,
    /// The enabled ways in, in the order of [`Way::ALL`].
    pub ways: Vec<(Way, &'a dyn Adapter)>,
    /// True if callers can receive events.
    pub has_events: bool,
}

impl PublicInterface<'_> {
    pub(crate) fn is_open(&self, way: Way) -> bool {
        self.ways.iter().any(|(open, _)| *open == way)
    }

    /// Returns the available operations.
    pub(crate) fn operations(&self) -> impl Iterator<Item = &'static Operation> {
        operations(self.has_events)
    }

    /// Returns whether there is a stream of events. A stream accepts credentials only in a header.
    pub(crate) fn has_streams(&self) -> bool {
        self.has_events && (self.is_open(Way::Basic) || self.is_open(Way::Jwt))
    }
}
