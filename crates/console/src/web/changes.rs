//! Changes of an access in readable form: each changed field, before and after.

use std::collections::BTreeMap;

use serde_json::Value;
use store::Change;

use crate::web::text::{escape_invisible, moment_of, or_dash};

/// A change, as the page shows it.
pub(crate) struct ChangeView {
    pub(crate) at: String,
    pub(crate) actor: String,
    pub(crate) what: Vec<FieldChange>,
}

/// The name of a field, and its value before and after. Both values are empty if the whole access was created or deleted.
pub(crate) type FieldChange = (String, String, String);

impl ChangeView {
    pub(crate) fn of(change: &Change) -> ChangeView {
        ChangeView {
            at: moment_of(change.at),
            actor: escape_invisible(&change.actor),
            what: differences(change.before.as_ref(), change.after.as_ref()),
        }
    }
}

/// Returns the changed fields, ordered by name.
pub(crate) fn differences(before: Option<&Value>, after: Option<&Value>) -> Vec<FieldChange> {
    let whole = |word: &str| vec![(word.to_owned(), String::new(), String::new())];
    let (before, after) = match (before, after) {
        (None, _) => return whole("created"),
        (_, None) => return whole("deleted"),
        (Some(before), Some(after)) => (flat(before), flat(after)),
    };
    let mut names: Vec<_> = before.keys().chain(after.keys()).collect();
    names.retain(|name| *name != "version" && before.get(*name) != after.get(*name));
    names.sort();
    names.dedup();
    let changes = names.into_iter().map(|name| {
        let title = if name == "active" { "state" } else { name };
        (
            title.replace('_', " "),
            text(name, before.get(name)),
            text(name, after.get(name)),
        )
    });
    changes.collect()
}

fn text(name: &str, value: Option<&Value>) -> String {
    match (name, value) {
        (_, None | Some(Value::Null)) => "–".to_owned(),
        ("active", Some(Value::Bool(true))) => "active".to_owned(),
        ("active", Some(Value::Bool(false))) => "suspended".to_owned(),
        (_, Some(Value::Bool(is_so))) => if *is_so { "yes" } else { "no" }.to_owned(),
        ("expires" | "not_before", Some(Value::Number(at))) => {
            moment_of(at.as_i64().unwrap_or_default())
        }
        (_, Some(Value::String(text))) => or_dash(Some(text)),
        (_, Some(Value::Array(items))) => {
            let items: Vec<_> = items.iter().map(|item| item_text(name, item)).collect();
            or_dash(Some(&items.join(", ")))
        }
        (_, Some(other)) => escape_invisible(&other.to_string()),
    }
}

/// Returns the text of a list item, which is a word or an object.
fn item_text(name: &str, item: &Value) -> String {
    let word = |field: &str| item[field].as_str().unwrap_or_default();
    match (name, item) {
        ("secrets", Value::Object(_)) => {
            let made = moment_of(item["created"].as_i64().unwrap_or_default());
            format!("{} of {made}", word("kind"))
        }
        ("channels", Value::Object(_)) => format!("{} {}", word("platform"), word("platformid")),
        (_, Value::String(text)) => text.clone(),
        (_, other) => other.to_string(),
    }
}

/// Returns the fields of a document. A field of a nested object gets both names, separated by a blank.
fn flat(document: &Value) -> BTreeMap<String, Value> {
    let mut fields = BTreeMap::new();
    for (name, value) in document.as_object().into_iter().flatten() {
        match value {
            Value::Object(inner) => {
                let inner = inner.iter();
                fields.extend(inner.map(|(n, v)| (format!("{name} {n}"), v.clone())));
            }
            value => drop(fields.insert(name.clone(), value.clone())),
        }
    }
    fields
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn differences_show_every_changed_field_in_words() {
        let before = json!({"version": 1, "active": true, "note": "", "limits": {"report": false}, "deny": [],
            "secrets": [{"kind": "random", "created": 0}], "channels": null});
        let after = json!({"version": 2, "active": false, "note": "a\u{202e}b", "expires": 86400,
            "limits": {"report": true, "per_minute": 60}, "deny": ["192.0.2.0/24", "::/0"], "secrets": [],
            "channels": [{"platform": "whatsapp", "platformid": "100"}]});
        let shown = differences(Some(&before), Some(&after));
        let shown: Vec<_> = shown
            .iter()
            .map(|(name, before, after)| format!("{name}: {before} → {after}"))
            .collect();
        let wanted = [
            "state: active → suspended",
            "channels: – → whatsapp 100",
            "deny: – → 192.0.2.0/24, ::/0",
            "expires: – → 1970-01-02 00:00:00",
            "limits per minute: – → 60",
            "limits report: no → yes",
            "note: – → a\\u{202e}b",
            "secrets: random of 1970-01-01 00:00:00 → –",
        ];
        assert_eq!(shown, wanted);
        assert_eq!(differences(None, Some(&after))[0].0, "created");
        assert_eq!(differences(Some(&before), None)[0].0, "deleted");
    }
}
