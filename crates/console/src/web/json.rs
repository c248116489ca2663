//! Reads the JSON that the gateway and the admin API answer with, for pages.

use serde_json::Value;

use crate::web::text::visible;

/// Returns the items of a list; of anything else, none.
pub(crate) fn items(list: &Value) -> impl Iterator<Item = &Value> {
    list.as_array().into_iter().flatten()
}

/// Returns a text with hidden characters shown; of anything else, an empty one.
pub(crate) fn text(value: &Value) -> String {
    visible(value.as_str().unwrap_or_default())
}

/// Returns a count; of anything else, zero.
pub(crate) fn count(value: &Value) -> u64 {
    value.as_u64().unwrap_or_default()
}
