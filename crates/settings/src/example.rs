//! Reads the comments of an example file, which describe its keys.

use std::collections::BTreeMap;

/// Returns the comment above each key, including commented-out keys. The name of a key in an array of tables begins with the
/// array's name.
pub(crate) fn descriptions(example: &str) -> BTreeMap<String, String> {
    let mut descriptions = BTreeMap::new();
    let mut table = "";
    let mut comment: Vec<&str> = Vec::new();
    for line in example.lines() {
        let bare = line.strip_prefix("# ").unwrap_or(line);
        if let Some(name) = key(bare) {
            descriptions.insert(format!("{table}.{name}"), sentence(&comment));
        } else if let Some(name) = header(bare) {
            table = name;
            descriptions.insert(table.to_owned(), sentence(&comment));
        } else if line.starts_with('#') {
            comment.push(bare);
            continue;
        }
        comment.clear();
    }
    descriptions
}

fn sentence(comment: &[&str]) -> String {
    comment.join(" ")
}

/// Returns the name of the key that this line sets.
fn key(line: &str) -> Option<&str> {
    let (name, _) = line.split_once(" = ")?;
    let is_name = name
        .bytes()
        .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
    (is_name && !name.is_empty()).then_some(name)
}

/// Returns the name of the table that this line begins.
fn header(line: &str) -> Option<&str> {
    let inner = line.strip_prefix('[')?.strip_suffix(']')?;
    let inner = inner.strip_prefix('[').unwrap_or(inner);
    Some(inner.strip_suffix(']').unwrap_or(inner))
}
