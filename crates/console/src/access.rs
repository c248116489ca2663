//! Accesses as operators write, change and see them, by the admin API and on the pages alike.

pub(crate) mod bounds;
pub(crate) mod draft;
pub(crate) mod field_schemas;
pub(crate) mod imported;
pub(crate) mod manage;
pub(crate) mod pages;
pub(crate) mod secrets;
pub(crate) mod view;
