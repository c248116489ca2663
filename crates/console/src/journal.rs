//! Queries, exports and replays of the journal. The admin API and the pages share this code.

pub(crate) mod export;
pub(crate) mod query;
pub(crate) mod replay;
pub(crate) mod rows;
pub(crate) mod summary;
