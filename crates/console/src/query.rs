//! Parses query strings whose names each appear at most once.

use url::form_urlencoded;

/// Passes each name and value to `set`.
///
/// # Errors
/// Returns every mistake, by parameter.
pub(crate) fn for_each_unique(
    query: &str,
    mut set: impl FnMut(&str, &str) -> Result<(), String>,
) -> Result<(), Vec<(String, String)>> {
    let mut mistakes = Vec::new();
    let mut known = Vec::new();
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        let taken = if known.contains(&name) {
            Err("specify it only once".to_owned())
        } else {
            set(&name, &value)
        };
        if let Err(text) = taken {
            mistakes.push((name.to_string(), text));
        }
        known.push(name);
    }
    if mistakes.is_empty() {
        Ok(())
    } else {
        Err(mistakes)
    }
}

/// Reads the number of requested items.
///
/// # Errors
/// Returns the rule that the value violates.
pub(crate) fn limit(value: &str) -> Result<u32, String> {
    let count = value.parse().ok().filter(|count| *count >= 1);
    count.ok_or_else(|| "write a whole number of at least 1".to_owned())
}
