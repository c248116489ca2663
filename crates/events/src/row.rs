//! Rows of the upstream's lists, as far as events need to understand them.

use std::collections::HashMap;

use adapter::JsonPairs;
use serde::Deserialize;
use serde_json::value::RawValue;
use store::sha256;

use crate::json::{object, quoted, without_text};

/// A row of more bytes is kept without its text.
const ROW_BYTES_MAX: usize = 64 * 1024;

/// Characters of the id of a row that has none, before its number among equal ones.
const HASH_CHARACTERS: usize = 32;

/// A row of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedRow {
    /// The message's id, or one that follows from what the row says.
    pub id: String,
    /// The chat, if the row names it.
    pub destination: Option<String>,
    /// The message's status; empty if the row has none.
    pub status: String,
    /// Its datetime, as the upstream writes it.
    pub datetime: Option<String>,
    /// Whether it was sent from this side.
    pub is_sent: bool,
    /// The row value for value, with `issent` as `sent`.
    pub json: String,
}

#[derive(Deserialize)]
struct ListOfRows<'a> {
    #[serde(borrow)]
    list: Vec<&'a RawValue>,
}

/// The rows of a result, in its order, without those that are no objects; nothing if it has no list.
#[must_use]
pub fn listed_rows(result: &str, keeps_texts: bool) -> Option<Vec<ListedRow>> {
    // A reader of objects takes arrays as well, which are something else here.
    if !result.trim_start().starts_with('{') {
        return None;
    }
    let result: ListOfRows<'_> = serde_json::from_str(result).ok()?;
    let mut equal = HashMap::new();
    let rows = result.list.iter();
    Some(
        rows.filter_map(|row| listed_row(row, keeps_texts, &mut equal))
            .collect(),
    )
}

fn listed_row(
    row: &RawValue,
    keeps_texts: bool,
    equal: &mut HashMap<String, usize>,
) -> Option<ListedRow> {
    let pairs: JsonPairs<'_, String> = serde_json::from_str(row.get()).ok()?;
    let value = |names: &[&str]| {
        let found = pairs
            .0
            .iter()
            .find(|(name, _)| names.contains(&name.as_str()));
        found
            .and_then(|(_, value)| text(value))
            .filter(|text| !text.is_empty())
    };
    let (sent, datetime) = (value(&["sent", "issent"]), value(&["datetime"]));
    let id = value(&["messageid"]).unwrap_or_else(|| {
        let message = value(&["message"]);
        let said = [&sent, &datetime, &message].map(|part| part.as_deref().unwrap_or(""));
        let hash = sha256(said.join("\0").as_bytes());
        let mut id: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
        id.truncate(HASH_CHARACTERS);
        let count = equal.entry(id.clone()).or_default();
        *count += 1;
        format!("~{id}.{count}")
    });
    let renamed = |name: &String| match name.as_str() {
        "issent" => "sent".to_owned(),
        _ => name.clone(),
    };
    let members = pairs
        .0
        .iter()
        .map(|(name, value)| (renamed(name), value.get()));
    let mut json = object(members);
    if json.len() > ROW_BYTES_MAX {
        json = cut(value(&["destination"]).as_deref(), &id);
    } else if !keeps_texts {
        json = without_text(&json);
    }
    Some(ListedRow {
        id,
        destination: value(&["destination"]),
        status: value(&["status"]).unwrap_or_default(),
        datetime,
        is_sent: sent.is_some_and(|sent| sent == "1" || sent == "true"),
        json,
    })
}

/// Whether two ids are the same, or were made of rows that say the same: which of these is which nobody knows.
pub(crate) fn is_same_but_for_number(one: &str, other: &str) -> bool {
    without_number(one) == without_number(other)
}

fn without_number(id: &str) -> &str {
    match id.rsplit_once('.') {
        Some((said, _)) if said.starts_with('~') => said,
        _ => id,
    }
}

/// What is kept of a row that is too long.
fn cut(destination: Option<&str>, id: &str) -> String {
    let (destination, id) = (quoted(destination.unwrap_or_default()), quoted(id));
    format!(r#"{{"destination":{destination},"messageid":{id},"cut":true}}"#)
}

/// A text; a number or a word as it is written.
fn text(value: &RawValue) -> Option<String> {
    let written = value.get();
    match written.as_bytes().first()? {
        b'"' => serde_json::from_str(written).ok(),
        b'{' | b'[' | b'n' => None,
        _ => Some(written.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_read_whatever_their_values_are_written_as() {
        let result = r#"{"list":[7,{"messageid":12,"issent":"0","message":"a\u0020b","x":[1e3]},null,
            {"destination":"d","sent":1,"status":"read","datetime":"2026","message":"x"},
            {"destination":"d","sent":1,"status":"sent","datetime":"2026","message":"x"}]}"#;
        let rows = listed_rows(result, true).unwrap();
        assert_eq!(rows.len(), 3);
        assert_eq!((rows[0].id.as_str(), rows[0].is_sent), ("12", false));
        assert_eq!(
            rows[0].json,
            r#"{"messageid":12,"sent":"0","message":"a\u0020b","x":[1e3]}"#
        );
        assert!(rows[1].is_sent && rows[1].destination.as_deref() == Some("d"));
        // Equal but for their status: two messages, whose ids are the same in every list that has both.
        assert!(rows[1].id.ends_with(".1") && rows[2].id.ends_with(".2"));
        assert_eq!(
            listed_rows(result, false).unwrap()[0].json,
            r#"{"messageid":12,"sent":"0","x":[1e3]}"#
        );
        for none in ["[]", "{}", r#"{"list":{}}"#, "7", ""] {
            assert_eq!(listed_rows(none, true), None, "{none}");
        }
        let long = format!(
            r#"{{"list":[{{"messageid":"1","message":"{}"}}]}}"#,
            "x".repeat(ROW_BYTES_MAX)
        );
        assert_eq!(
            listed_rows(&long, true).unwrap()[0].json,
            r#"{"destination":"","messageid":"1","cut":true}"#
        );
    }
}
