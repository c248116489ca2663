//! The pages of accesses: the list, one access, its form, the preview of a change, and a sample call.

pub(crate) mod form;
pub(crate) mod form_draft;
pub(crate) mod list;
pub(crate) mod page;
pub(crate) mod preview;
pub(crate) mod sample;
pub(crate) mod secret;
