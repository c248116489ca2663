//! Forgetting a destination, and overwriting what SQLite leaves in the file of deleted rows.

mod destination;
mod pages;
mod scrubbing;
mod tables;
mod traces;

pub(crate) use pages::Pages;
pub(crate) use scrubbing::scrub_all;

#[cfg(test)]
mod tests;
