//! Erases a destination, and overwrites the remains of deleted rows that SQLite leaves in the file.

mod destination;
mod pages;
mod scrubbing;
mod tables;

pub(super) use pages::Pages;
pub(super) use scrubbing::scrub_all;

#[cfg(test)]
mod tests;
