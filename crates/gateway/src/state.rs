//! The state that requests share: the snapshot of one configuration with its services, and the reference to the current snapshot.

pub(crate) mod current;
pub(crate) mod snapshot;
pub(crate) mod traces;
