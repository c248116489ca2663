//! Accesses as operators create, change and view them. The admin API and the pages share this code.

pub(crate) mod bounds;
pub(crate) mod draft;
pub(crate) mod field_schemas;
pub(crate) mod imported;
pub(crate) mod manage;
pub(crate) mod pages;
pub(crate) mod secrets;
pub(crate) mod view;
