//! Writes JSON Schemas of the calls and answers of the JSON ways in, from the operation table.

use serde_json::{Map, Value, json};

use crate::event::{CURSOR_WORDS, EVENT_TYPES};
use crate::operation::{
    CLASS, Effect, FILE_TYPES, Operation, PLATFORMS, Parameter, ParameterKind, Sensitivity,
};

/// The notation of values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notation {
    /// A query or a form: every value is text.
    Form,
    /// JSON: text, or a number that counts as its text.
    Json,
}

/// Returns the schema of a text with at least `characters_min` characters and at most `bytes_max` bytes of UTF-8. JSON Schema
/// cannot count bytes, so `maxLength` is the limit in characters that follows.
#[must_use]
pub fn text_schema(characters_min: usize, bytes_max: usize, line_ends: bool) -> Value {
    let pattern = if line_ends {
        "^[^\\u0000-\\u0008\\u000b\\u000c\\u000e-\\u001f\\u007f-\\u009f\\ufffe\\uffff]*$"
    } else {
        "^[^\\u0000-\\u001f\\u007f-\\u009f\\ufffe\\uffff]*$"
    };
    json!({"type": "string", "minLength": characters_min, "maxLength": bytes_max, "pattern": pattern,
        "x-bytes-max": bytes_max})
}

/// Returns the schema of a call of this operation without its credentials: an object of its parameters. Other parameters are
/// ignored.
#[must_use]
pub fn call_schema(operation: &Operation, notation: Notation) -> Value {
    let mut properties = Map::new();
    properties.insert("class".to_owned(), json!({"const": CLASS}));
    properties.insert("method".to_owned(), json!({"const": operation.method}));
    for parameter in operation.parameters {
        properties.insert(
            parameter.name.to_owned(),
            parameter_schema(parameter, notation),
        );
    }
    let compulsory = operation.parameters.iter().filter(|p| p.compulsory);
    let required: Vec<_> = ["class", "method"]
        .into_iter()
        .chain(compulsory.map(|p| p.name))
        .collect();
    json!({"title": operation.method, "type": "object", "properties": properties, "required": required})
}

fn parameter_schema(parameter: &Parameter, notation: Notation) -> Value {
    let max = parameter.kind.bytes_max();
    // An empty value counts as absent.
    let least = usize::from(parameter.compulsory);
    let (text, number_fits) = match parameter.kind {
        ParameterKind::Platform => (json!({"type": "string", "enum": PLATFORMS}), false),
        ParameterKind::FileType => (json!({"type": "string", "enum": FILE_TYPES}), false),
        ParameterKind::Id => (text_schema(least, max, false), true),
        ParameterKind::Message => (text_schema(least, max, true), true),
        ParameterKind::Url(_) => (
            json!({"type": "string", "format": "public-http-url", "minLength": least, "maxLength": max}),
            false,
        ),
        ParameterKind::Cursor => {
            let words = CURSOR_WORDS.join("|");
            let digits = max - 1;
            let pattern = format!("^({words}|[0-7][0-9a-hjkmnp-tv-z]{{{digits}}})$");
            (json!({"type": "string", "pattern": pattern}), false)
        }
        ParameterKind::Number(least, most) => (
            json!({"type": "integer", "minimum": least, "maximum": most}),
            false,
        ),
        ParameterKind::EventTypes => {
            let one = format!("({})", EVENT_TYPES.join("|").replace('.', "\\."));
            let pattern = format!("^{one}(,{one})*$");
            (
                json!({"type": "string", "maxLength": max, "pattern": pattern}),
                false,
            )
        }
    };
    let mut choices = vec![text];
    if !parameter.compulsory && !number_fits {
        choices.push(json!({"const": ""}));
    }
    if number_fits && notation == Notation::Json {
        choices.push(json!({"type": "number"}));
    }
    match choices.len() {
        1 => choices.remove(0),
        _ => json!({"anyOf": choices}),
    }
}

/// Returns a call of this operation that succeeds in the sandbox.
#[must_use]
pub fn call_example(operation: &Operation) -> Value {
    let given = operation.parameters.iter().filter(|p| p.compulsory);
    let values = given.map(|parameter| {
        let value = match parameter.kind {
            ParameterKind::Platform => "whatsapp",
            ParameterKind::FileType => "image",
            ParameterKind::Url(_) => "https://files.example.com/menu.png",
            ParameterKind::Message => "Hello",
            ParameterKind::Id if parameter.sensitivity == Sensitivity::Address => "34600000000",
            ParameterKind::Id => "100",
            ParameterKind::Cursor => "now",
            ParameterKind::Number(..) => "5",
            ParameterKind::EventTypes => "message.received",
        };
        (parameter.name.to_owned(), Value::from(value))
    });
    let call = [("class", CLASS), ("method", operation.method)];
    let call = call.map(|(name, value)| (name.to_owned(), Value::from(value)));
    call.into_iter().chain(values).collect::<Map<_, _>>().into()
}

/// Returns the schema of a successful answer.
#[must_use]
pub fn success_schema(operation: &Operation) -> Value {
    let fields: Map<String, Value> = operation
        .result_fields
        .iter()
        .map(|field| ((*field).to_owned(), json!({})))
        .collect();
    let result = if operation.result_fields.is_empty() {
        json!({})
    } else {
        // The list is the upstream's, value for value: elements may lack fields and may have others.
        let list = json!({"type": "array", "items": {"type": "object", "properties": fields}});
        let values = operation.result_values.iter();
        let mut properties: Map<_, _> = values
            .map(|name| ((*name).to_owned(), json!({"type": "string"})))
            .collect();
        properties.insert("list".to_owned(), list);
        json!({"type": "object", "properties": properties})
    };
    let mut properties = json!({"status": {"const": "SUCCESS"}, "result": result});
    let mut required = vec!["status", "result"];
    if operation.effect == Effect::Send {
        properties["delivery"] = json!({"const": "sent"});
        required.push("delivery");
    }
    json!({"title": operation.method, "type": "object", "properties": properties, "required": required,
        "additionalProperties": false})
}

/// Returns the schema of an error answer that carries one of these words.
#[must_use]
pub fn refusal_schema(words: &[&str], other_words: bool) -> Value {
    let known = json!({"enum": words});
    let error = if other_words {
        json!({"anyOf": [known, {"type": "string", "pattern": "^[A-Z0-9_]{1,64}$"}]})
    } else {
        known
    };
    let properties = json!({
        "status": {"const": "ERROR"},
        "error": error,
        "request_id": {"type": "string"},
        "delivery": {"enum": ["sent", "not_sent", "unknown"]},
        "retry_after": {"type": "integer", "minimum": 0},
    });
    json!({"title": "refusal", "type": "object", "properties": properties, "required": ["status", "error"],
        "additionalProperties": false})
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::call::Request;
    use crate::code::Code;
    use crate::operation::OPERATIONS;
    use crate::params::Params;

    fn open(call: &Map<String, Value>) -> Result<(), Code> {
        let pairs = call
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str().unwrap().to_owned()));
        Request::open(&mut Params::from_pairs(pairs))
            .map(|_| ())
            .map_err(|error| error.code())
    }

    #[test]
    fn the_schema_requires_exactly_the_parameters_that_a_call_needs() {
        for operation in &OPERATIONS {
            let example = call_example(operation).as_object().unwrap().clone();
            assert_eq!(open(&example), Ok(()), "{example:?}");
            let schema = call_schema(operation, Notation::Form);
            let required: Vec<_> = schema["required"]
                .as_array()
                .unwrap()
                .iter()
                .map(|name| name.as_str().unwrap())
                .collect();
            assert!(
                example.keys().all(|name| required.contains(&name.as_str())),
                "{required:?}"
            );
            for name in required {
                let mut less = example.clone();
                less.remove(name);
                let missing = match name {
                    "class" => Code::IncorrectClass,
                    "method" => Code::IncorrectMethod,
                    _ => Code::MissingCompulsoryParam,
                };
                assert_eq!(open(&less), Err(missing), "without {name}");
            }
        }
    }

    #[test]
    fn every_parameter_is_in_the_schema_and_accepts_its_listed_values() {
        for operation in &OPERATIONS {
            let schema = call_schema(operation, Notation::Form);
            let documented = schema["properties"].as_object().unwrap().len();
            assert_eq!(
                documented,
                operation.parameters.len() + 2,
                "class, method, and each parameter"
            );
            for (name, property) in schema["properties"].as_object().unwrap() {
                for value in property["enum"].as_array().into_iter().flatten() {
                    let mut call = call_example(operation).as_object().unwrap().clone();
                    call.insert(name.clone(), value.clone());
                    assert_eq!(open(&call), Ok(()), "{name}={value}");
                }
            }
        }
    }
}
