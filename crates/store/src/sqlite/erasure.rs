//! Forgetting a destination, and overwriting what SQLite leaves in the file of deleted rows.

mod destination;
mod pages;
mod scrubbing;
mod tables;

pub(super) use pages::Pages;
pub(super) use scrubbing::scrub_all;

#[cfg(test)]
mod tests;
