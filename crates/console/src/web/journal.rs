//! The pages of the journal: the table, one row in full, the live tail, and exports.

pub(crate) mod csv;
pub(crate) mod filters;
pub(crate) mod line;
pub(crate) mod page;
pub(crate) mod row;
pub(crate) mod tail;
