//! The values of a call: the given values, checked, and examples for the others.

use std::fmt;

use adapter::{Operation, ParameterKind, call_example, has_forbidden_character};
use serde_json::Value;

/// The reason why there is no program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SampleError {
    /// The language has no usual way to make such a call. The text gives the reason.
    NoWay(&'static str),
    /// The operation has no such parameter.
    NoParameter(String),
    /// The value exceeds the bound of its parameter, in bytes.
    TooLong(&'static str, usize),
    /// The value contains a character that no call may contain.
    Forbidden(&'static str),
    /// The template could not be rendered.
    NotWritten(String),
}

impl fmt::Display for SampleError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SampleError::NoWay(why) => f.write_str(why),
            SampleError::NoParameter(name) => write!(f, "the method has no parameter {name}"),
            SampleError::TooLong(name, bytes) => {
                write!(f, "{name} must not exceed {bytes} bytes of UTF-8")
            }
            SampleError::Forbidden(name) => {
                write!(f, "{name} contains a control character that is not allowed")
            }
            SampleError::NotWritten(error) => f.write_str(error),
        }
    }
}

impl std::error::Error for SampleError {}

/// Returns names and values in the order of the operation table. A given value replaces the example, and an empty value omits its
/// parameter.
pub(crate) fn values(
    operation: &Operation,
    given: &[(&str, &str)],
) -> Result<Vec<(&'static str, String)>, SampleError> {
    let is_declared = |name: &str| operation.parameters.iter().any(|p| p.name == name);
    if let Some((name, _)) = given.iter().find(|(name, _)| !is_declared(name)) {
        return Err(SampleError::NoParameter((*name).to_owned()));
    }
    let examples = call_example(operation);
    let mut values = Vec::new();
    for parameter in operation.parameters {
        let value = given.iter().find(|(name, _)| *name == parameter.name);
        let value = value.map(|(_, value)| *value);
        let value = value.or_else(|| examples.get(parameter.name).and_then(Value::as_str));
        let Some(value) = value.filter(|value| !value.is_empty()) else {
            continue;
        };
        if value.len() > parameter.kind.bytes_max() {
            let bytes = parameter.kind.bytes_max();
            return Err(SampleError::TooLong(parameter.name, bytes));
        }
        if has_forbidden_character(value, parameter.kind == ParameterKind::Message) {
            return Err(SampleError::Forbidden(parameter.name));
        }
        values.push((parameter.name, value.to_owned()));
    }
    Ok(values)
}
