//! Receipts in SQLite.

mod moving;
mod room;
mod table;
mod verbs;

pub(super) use moving::move_receipts;
pub(super) use table::{claim, close_left_open, settle};

#[cfg(test)]
mod tests;
