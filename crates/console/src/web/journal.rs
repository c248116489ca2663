//! The pages of the journal: the table, the details of one row, the live tail, and exports.

pub(crate) mod csv;
pub(crate) mod filters;
pub(crate) mod line;
pub(crate) mod page;
pub(crate) mod row;
pub(crate) mod tail;
