//! The journal as operators query, export and replay it, by the admin API and on the pages alike.

pub(crate) mod export;
pub(crate) mod query;
pub(crate) mod replay;
pub(crate) mod rows;
pub(crate) mod summary;
