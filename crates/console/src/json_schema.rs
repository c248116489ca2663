//! Building blocks of JSON Schemas.

use adapter::text_schema;
use serde::Serialize;
use serde_json::{Map, Value, json};

/// The properties of an object, by name.
pub(crate) type Properties = Map<String, Value>;

pub(crate) fn properties<const N: usize>(properties: [(&str, Value); N]) -> Properties {
    let owned = properties.map(|(name, schema)| (name.to_owned(), schema));
    owned.into_iter().collect()
}

/// Returns the schema of an object with these properties, all of them required.
pub(crate) fn whole(properties: Properties) -> Value {
    let names: Vec<_> = properties.keys().cloned().collect();
    partly(properties, &names.join(" "))
}

/// Returns the schema of an object with these properties. `required` lists the required ones, separated by blanks.
pub(crate) fn partly(properties: impl Serialize, required: &str) -> Value {
    let mut schema = open(required);
    schema["properties"] = json!(properties);
    schema["additionalProperties"] = false.into();
    schema
}

/// Returns the schema of an object that may have undocumented properties. `required` lists the required ones, separated by blanks.
pub(crate) fn open(required: &str) -> Value {
    let required: Vec<_> = required.split_whitespace().collect();
    json!({"type": "object", "required": required})
}

/// Removes the named properties; the names are separated by blanks.
pub(crate) fn without(mut properties: Properties, names: &str) -> Properties {
    properties.retain(|known, _| names.split(' ').all(|name| name != known));
    properties
}

/// Returns the schema of an object that contains one list of objects of another schema.
pub(crate) fn list(name: &str, items: &str) -> Value {
    whole(properties([(name, array(&reference(items)))]))
}

/// Returns a reference to another schema of the document.
pub(crate) fn reference(name: &str) -> Value {
    json!({"$ref": format!("#/components/schemas/{name}")})
}

pub(crate) fn array(items: &Value) -> Value {
    json!({"type": "array", "items": items})
}

pub(crate) fn nullable(schema: impl Serialize) -> Value {
    json!({"anyOf": [schema, {"type": "null"}]})
}

pub(crate) fn one_of(names: &[&str]) -> Value {
    json!({"type": "string", "enum": names})
}

pub(crate) fn some_of(names: &[&str]) -> Value {
    array(&one_of(names))
}

pub(crate) fn string() -> Value {
    json!({"type": "string"})
}

/// Returns the schema of a string that can be presented in a call.
pub(crate) fn text(characters_min: usize, bytes_max: usize) -> Value {
    text_schema(characters_min, bytes_max, false)
}

pub(crate) fn pattern(pattern: &str) -> Value {
    json!({"type": "string", "pattern": pattern})
}

pub(crate) fn boolean() -> Value {
    json!({"type": "boolean"})
}

pub(crate) fn integer(least: impl Serialize, most: impl Serialize) -> Value {
    json!({"type": "integer", "minimum": least, "maximum": most})
}

pub(crate) fn positive() -> Value {
    integer(1, u32::MAX)
}

pub(crate) fn count() -> Value {
    json!({"type": "integer", "minimum": 0})
}

pub(crate) fn time() -> Value {
    json!({"type": "string", "format": "date-time"})
}
