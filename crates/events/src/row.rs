//! Reads the rows of the upstream's lists, as far as events need them.

use std::collections::HashMap;

use adapter::{JsonElements, JsonPairs};
use serde::Deserialize;
use serde_json::value::RawValue;
use store::sha256;

use crate::json::{object, quoted, without_text};

/// Maximum size of a stored row, in bytes. Only its destination and id are stored if it is longer.
const ROW_BYTES_MAX: usize = 64 * 1024;

/// Maximum length of an id, destination, status or datetime, in bytes. A longer value is stored as its hash, because indexes accept
/// only about 2,700 bytes and one rejected value would fail its whole batch. Real values have a tenth of this length.
const VALUE_BYTES_MAX: usize = 512;

/// Number of hash characters in the id of a row without an id. The row's number among equal rows follows.
const HASH_CHARACTERS: usize = 32;

/// A row of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedRow {
    /// The message's id, or an id derived from the row's content. In this and the next three fields U+0000 is replaced, because
    /// PostgreSQL cannot store it, and values that are too long are hashed.
    pub id: String,
    /// The chat, if the row names it.
    pub destination: Option<String>,
    /// The message's status; empty if the row has none.
    pub status: String,
    /// The message's datetime, as the upstream writes it.
    pub datetime: Option<String>,
    /// True if the message was sent from this side.
    pub is_sent: bool,
    /// The row, value for value, with `issent` renamed to `sent`.
    pub json: String,
}

#[derive(Deserialize)]
struct ListOfRows<'a> {
    #[serde(borrow)]
    list: JsonElements<'a>,
}

/// Reads the rows of a result in their order, without elements that are not objects. Returns `None` if the result has no list.
#[must_use]
pub fn listed_rows(result: &str, keeps_texts: bool) -> Option<Vec<ListedRow>> {
    // serde would read an array as the struct too, but an array is not a result here.
    if !result.trim_start().starts_with('{') {
        return None;
    }
    let result: ListOfRows<'_> = serde_json::from_str(result).ok()?;
    let mut equal = HashMap::new();
    let rows = result.list.0.iter();
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
    let destination = value(&["destination"]).map(kept);
    let id = value(&["messageid"]).map(kept).unwrap_or_else(|| {
        let message = value(&["message"]);
        let said = [&sent, &datetime, &message].map(|part| part.as_deref().unwrap_or(""));
        let id = short_hash(&said.join("\0"));
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
        json = cut(destination.as_deref(), &id);
    } else if !keeps_texts {
        json = without_text(&json);
    }
    Some(ListedRow {
        id,
        destination,
        status: value(&["status"]).map(kept).unwrap_or_default(),
        datetime: datetime.map(kept),
        is_sent: sent.is_some_and(|sent| sent == "1" || sent == "true"),
        json,
    })
}

/// Returns a value in its stored form, which is the same for every database engine.
fn kept(value: String) -> String {
    if value.len() > VALUE_BYTES_MAX {
        return format!("~{}", short_hash(&value));
    }
    if value.contains('\0') {
        return value.replace('\0', "\u{fffd}");
    }
    value
}

fn short_hash(text: &str) -> String {
    let mut hash: String = sha256(text.as_bytes())
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    hash.truncate(HASH_CHARACTERS);
    hash
}

/// Returns whether two ids are equal, or were derived from rows with equal content, which cannot be distinguished.
pub(crate) fn is_same_but_for_number(one: &str, other: &str) -> bool {
    without_number(one) == without_number(other)
}

fn without_number(id: &str) -> &str {
    match id.rsplit_once('.') {
        Some((said, _)) if said.starts_with('~') => said,
        _ => id,
    }
}

/// Returns the stored form of a row that is too long.
fn cut(destination: Option<&str>, id: &str) -> String {
    let (destination, id) = (quoted(destination.unwrap_or_default()), quoted(id));
    format!(r#"{{"destination":{destination},"messageid":{id},"cut":true}}"#)
}

/// Returns a string's text; a number or a literal as written.
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
    fn lookup_values_contain_no_nul_and_have_a_bounded_length() {
        let long = "9".repeat(VALUE_BYTES_MAX + 1);
        let row = |value: &str| {
            let names = [
                "messageid",
                "destination",
                "status",
                "datetime",
                "a\\u0000b",
            ];
            let members = names.map(|name| format!(r#""{name}":{value}"#));
            let rows = listed_rows(&format!(r#"{{"list":[{{{}}}]}}"#, members.join(",")), true);
            rows.unwrap().remove(0)
        };
        let looked_up = |row: &ListedRow| {
            let (destination, datetime) = (row.destination.clone(), row.datetime.clone());
            [
                row.id.clone(),
                destination.unwrap(),
                row.status.clone(),
                datetime.unwrap(),
            ]
        };
        let zero = row(r#""a\u0000b""#);
        assert!(looked_up(&zero).iter().all(|value| value == "a\u{fffd}b"));
        // In the row itself U+0000 is an escape sequence, which can be stored.
        assert!(
            zero.json.contains(r#""a\u0000b":"a\u0000b""#),
            "{}",
            zero.json
        );
        for (written, other) in [
            (format!("\"{long}\""), format!("\"{long}0\"")),
            (long.clone(), format!("{long}0")),
        ] {
            let [kept, other] = [&written, &other].map(|value| looked_up(&row(value)));
            assert!(
                kept.iter()
                    .all(|value| *value == kept[0] && value.len() == 33),
                "{kept:?}"
            );
            assert_ne!(kept[0], other[0]);
        }
        let longest = &long[1..];
        assert!(
            looked_up(&row(&format!("\"{longest}\"")))
                .iter()
                .all(|value| value == longest)
        );
    }

    #[test]
    fn rows_are_read_with_values_of_any_json_type() {
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
        // These rows differ only in their status and are two messages. Their ids are the same in every list that contains both.
        assert!(rows[1].id.ends_with(".1") && rows[2].id.ends_with(".2"));
        assert_eq!(
            listed_rows(result, false).unwrap()[0].json,
            r#"{"messageid":12,"sent":"0","x":[1e3]}"#
        );
        let gaps = r#"{"list":{"1":{"messageid":1},"3":{"messageid":3}}}"#;
        let ids = listed_rows(gaps, true)
            .unwrap()
            .into_iter()
            .map(|row| row.id);
        assert_eq!(ids.collect::<Vec<_>>(), ["1", "3"]);
        for none in ["[]", "{}", r#"{"list":null}"#, r#"{"list":""}"#, "7", ""] {
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
