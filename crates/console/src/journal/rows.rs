//! The JSON view of journal rows.

use jiff::Timestamp;
use serde_json::{Value, json};
use store::JournalRow;

use crate::journal::query::id_text;

/// Returns the view of a row without its absent fields. The answer is long, so it is included only on request.
pub(crate) fn row_view(row: JournalRow, with_answer: bool) -> Value {
    let id = row.id;
    let mut view = serde_json::to_value(row).unwrap_or_default();
    view["id"] = id_text(id).into();
    view["time"] = time_text(id).into();
    if let Some(fields) = view.as_object_mut() {
        fields.retain(|name, value| {
            let is_wanted = with_answer || name != "answer";
            is_wanted && !value.is_null() && (name != "open" || *value == json!(true))
        });
    }
    view
}

/// Returns the time of a row, with milliseconds.
pub(crate) fn time_text(id: i64) -> String {
    let time = Timestamp::from_millisecond(JournalRow::time_of(id));
    time.map_or_else(|_| String::new(), |time| format!("{time:.3}"))
}
