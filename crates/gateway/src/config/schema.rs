//! The JSON Schema of the configuration file, made from what the reader is asked for: it can't tell of a key that is not
//! read, nor miss one that is. Descriptions are the comments of the example.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::example;

/// What was asked about one key.
pub(super) struct Asked {
    kind: Kind,
    is_list: bool,
    is_required: bool,
    default: Option<Vec<String>>,
}

/// What a value looks like.
#[derive(Clone, Debug)]
pub(super) enum Kind {
    /// Any text that its parser takes.
    Text,
    /// true or false.
    Boolean,
    /// A whole number from this one on.
    Count(u8),
    /// Likewise, or a number with a unit of time; what it comes to in the end is the parser's to judge.
    Time,
    /// Likewise, or a number with a unit of size.
    Bytes,
    /// One of these words.
    Words(Vec<String>),
    /// `env:NAME` or `file:PATH`.
    Secret,
    /// An element of an array of tables.
    Table,
}

impl Kind {
    /// One of these words.
    pub(super) fn words(names: &[&str]) -> Kind {
        Kind::Words(names.iter().map(|name| (*name).to_owned()).collect())
    }

    fn schema(&self) -> Value {
        match self {
            Kind::Text => json!({ "type": "string" }),
            Kind::Boolean => json!({ "type": "boolean" }),
            Kind::Count(least) => json!({ "type": "integer", "minimum": least }),
            Kind::Time => quantity("ms|s|m|h|d"),
            Kind::Bytes => quantity("KiB|MiB|GiB"),
            Kind::Words(words) => json!({ "type": "string", "enum": words }),
            Kind::Secret => json!({ "type": "string", "pattern": "^(env|file):." }),
            Kind::Table => json!({ "type": "object" }),
        }
    }

    /// A default as the file would have it.
    fn value(&self, text: &str) -> Value {
        let typed = match self {
            Kind::Boolean | Kind::Count(_) => text.parse().ok(),
            Kind::Text | Kind::Time | Kind::Bytes | Kind::Words(_) | Kind::Secret | Kind::Table => {
                None
            }
        };
        typed.unwrap_or_else(|| text.into())
    }
}

impl Asked {
    pub(super) fn new(kind: Kind) -> Asked {
        Asked {
            kind,
            is_list: false,
            is_required: false,
            default: None,
        }
    }

    /// A list of such values.
    pub(super) fn many(mut self) -> Asked {
        self.is_list = true;
        self
    }

    /// Has to be there.
    pub(super) fn required(mut self) -> Asked {
        self.is_required = true;
        self
    }

    /// What counts when it is absent.
    pub(super) fn or(mut self, default: &[&str]) -> Asked {
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

/// A whole number, or one with one of these units.
fn quantity(units: &str) -> Value {
    json!({
        "type": ["string", "integer"],
        "minimum": 0,
        "pattern": format!("^[0-9]+ *({units})?$"),
    })
}

/// The schema of a file with these keys.
pub(super) fn document(asked: &BTreeMap<String, Asked>) -> Value {
    let descriptions = example::descriptions();
    let mut root = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "The configuration file of Chatgate",
        "type": "object",
        "additionalProperties": false,
    });
    // In alphabetical order, so a list of tables comes before what is in its elements.
    for (key, asked) in asked {
        let mut schema = asked.schema();
        if let Some(description) = descriptions.get(&key.replace(".0.", ".")) {
            schema["description"] = description.as_str().into();
        }
        if let Some(default) = asked.default() {
            schema["default"] = default;
        }
        place(&mut root, key, schema, asked.is_required);
    }
    root
}

/// Puts a key's schema where the key stands, and makes the tables on the way.
fn place(root: &mut Value, key: &str, schema: Value, is_required: bool) {
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
