//! Reads JSON answers of the gateway and of the admin API for pages.

use serde_json::Value;

use crate::web::text::escape_invisible;

/// Returns the items of a list. Returns no items if the value is not a list.
pub(crate) fn items(list: &Value) -> impl Iterator<Item = &Value> {
    list.as_array().into_iter().flatten()
}

/// Returns a text with hidden characters made visible. Returns an empty text if the value is not a text.
pub(crate) fn text(value: &Value) -> String {
    escape_invisible(value.as_str().unwrap_or_default())
}

/// Returns a count. Returns zero if the value is not a count.
pub(crate) fn count(value: &Value) -> u64 {
    value.as_u64().unwrap_or_default()
}
