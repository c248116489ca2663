//! What requests share: the snapshot of one configuration with its services, and which snapshot is current.

pub(crate) mod current;
pub(crate) mod snapshot;
pub(crate) mod traces;
