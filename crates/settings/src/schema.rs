//! Builds the JSON Schema of the configuration file from the keys that were requested from the reader, so that the schema has all
//! keys that are read and no others. Descriptions are the comments of the example.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::example::descriptions;

/// The schema of one key.
pub(crate) struct KeySchema {
    kind: ValueKind,
    is_list: bool,
    is_required: bool,
    default: Option<Vec<String>>,
}

/// The form of a value.
#[derive(Clone, Debug)]
pub enum ValueKind {
    /// Any text that the parser accepts.
    Text,
    /// `true` or `false`.
    Boolean,
    /// A whole number with this minimum.
    Count(u8),
    /// A number with a fraction; the parser checks its bounds.
    Number,
    /// A whole number, with or without a unit of time; the parser checks its bounds.
    Time,
    /// A whole number, with or without a unit of size; the parser checks its bounds.
    Bytes,
    /// One of these words.
    Words(Vec<String>),
    /// `env:NAME` or `file:PATH`.
    Secret,
    /// An element of an array of tables.
    Table,
}

impl ValueKind {
    /// Creates the kind of these words.
    #[must_use]
    pub fn words(names: &[&str]) -> ValueKind {
        ValueKind::Words(names.iter().map(|name| (*name).to_owned()).collect())
    }

    fn schema(&self) -> Value {
        match self {
            ValueKind::Text => json!({ "type": "string" }),
            ValueKind::Boolean => json!({ "type": "boolean" }),
            ValueKind::Count(least) => json!({ "type": "integer", "minimum": least }),
            ValueKind::Number => json!({ "type": "number" }),
            ValueKind::Time => quantity("ms|s|m|h|d"),
            ValueKind::Bytes => quantity("KiB|MiB|GiB"),
            ValueKind::Words(words) => json!({ "type": "string", "enum": words }),
            ValueKind::Secret => json!({ "type": "string", "pattern": "^(env|file):." }),
            ValueKind::Table => json!({ "type": "object" }),
        }
    }

    /// Returns a default in the form that the file would have.
    fn value(&self, text: &str) -> Value {
        let typed = match self {
            ValueKind::Boolean | ValueKind::Count(_) | ValueKind::Number => text.parse().ok(),
            ValueKind::Text
            | ValueKind::Time
            | ValueKind::Bytes
            | ValueKind::Words(_)
            | ValueKind::Secret
            | ValueKind::Table => None,
        };
        typed.unwrap_or_else(|| text.into())
    }
}

impl KeySchema {
    pub(crate) fn new(kind: ValueKind) -> KeySchema {
        KeySchema {
            kind,
            is_list: false,
            is_required: false,
            default: None,
        }
    }

    /// Makes it the schema of a list of such values.
    pub(crate) fn many(mut self) -> KeySchema {
        self.is_list = true;
        self
    }

    /// Makes the key required.
    pub(crate) fn required(mut self) -> KeySchema {
        self.is_required = true;
        self
    }

    /// Sets the default.
    pub(crate) fn or(mut self, default: &[&str]) -> KeySchema {
        self.default = Some(default.iter().map(|text| (*text).to_owned()).collect());
        self
    }

    fn schema(&self) -> Value {
        if !self.is_list {
            return self.kind.schema();
        }
        json!({ "type": "array", "items": self.kind.schema() })
    }

    fn default(&self) -> Option<Value> {
        let values = self.default.as_ref()?;
        let mut values: Vec<_> = values.iter().map(|text| self.kind.value(text)).collect();
        if self.is_list {
            Some(values.into())
        } else {
            values.pop()
        }
    }
}

/// Returns the schema of a whole number, with or without one of these units.
fn quantity(units: &str) -> Value {
    json!({
        "type": ["string", "integer"],
        "minimum": 0,
        "pattern": format!("^[0-9]+ *({units})?$"),
    })
}

/// Returns the schema of a file with these keys.
pub(crate) fn document(title: &str, keys: &BTreeMap<String, KeySchema>, example: &str) -> Value {
    let descriptions = descriptions(example);
    let mut root = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": title,
        "type": "object",
        "additionalProperties": false,
    });
    // The keys are in alphabetical order, so a list of tables comes before its elements' keys.
    for (name, key) in keys {
        let mut schema = key.schema();
        if let Some(description) = descriptions.get(&name.replace(".0.", ".")) {
            schema["description"] = description.as_str().into();
        }
        if let Some(default) = key.default() {
            schema["default"] = default;
        }
        insert(&mut root, name, schema, key.is_required);
    }
    root
}

/// Inserts a key's schema at the place of the key, and creates the tables that lead to it.
fn insert(root: &mut Value, key: &str, schema: Value, is_required: bool) {
    let mut at = root;
    let (path, name) = key.rsplit_once('.').unwrap_or(("", key));
    for part in path.split('.').filter(|part| !part.is_empty()) {
        at = if part == "0" {
            &mut at["items"]
        } else {
            &mut member(at, "properties")[part]
        };
        if at.is_null() {
            *at = json!({ "type": "object" });
        }
        if at["type"] == "object" {
            at["additionalProperties"] = false.into();
        }
    }
    if is_required {
        let names = at.as_object_mut().map(|at| at.entry("required"));
        if let Some(Value::Array(names)) = names.map(|names| names.or_insert_with(|| json!([]))) {
            names.push(name.into());
        }
    }
    member(at, "properties")[name] = schema;
}

fn member<'a>(of: &'a mut Value, name: &str) -> &'a mut Value {
    if of[name].is_null() {
        of[name] = Map::new().into();
    }
    &mut of[name]
}
