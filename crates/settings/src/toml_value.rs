//! Finds values of a TOML document by a dotted key and reads them as text.

use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// Follows a dotted key. A number selects an element of an array.
pub(crate) fn lookup<'t, 'a>(root: &'t DeTable<'a>, key: &str) -> Option<&'t Spanned<DeValue<'a>>> {
    let mut parts = key.split('.');
    let mut value = root.get(parts.next()?)?;
    for part in parts {
        value = match value.get_ref() {
            DeValue::Table(table) => table.get(part)?,
            DeValue::Array(elements) => elements.get(part.parse::<usize>().ok()?)?,
            _ => return None,
        };
    }
    Some(value)
}

/// Returns the text of a single value.
pub(crate) fn scalar(value: &DeValue<'_>) -> String {
    match value {
        DeValue::String(text) => text.to_string(),
        DeValue::Integer(number) => number.to_string(),
        DeValue::Float(number) => number.to_string(),
        DeValue::Boolean(boolean) => boolean.to_string(),
        DeValue::Datetime(time) => time.to_string(),
        DeValue::Array(_) | DeValue::Table(_) => "(not a single value)".to_owned(),
    }
}

/// Returns the positions of integers that are too large for TOML. The parser leaves that check to its caller.
pub(crate) fn too_large(value: &Spanned<DeValue<'_>>) -> Vec<usize> {
    match value.get_ref() {
        DeValue::Integer(number)
            if i64::from_str_radix(number.as_str(), number.radix()).is_err() =>
        {
            vec![value.span().start]
        }
        DeValue::Array(elements) => elements.iter().flat_map(too_large).collect(),
        DeValue::Table(table) => table.values().flat_map(too_large).collect(),
        _ => Vec::new(),
    }
}
