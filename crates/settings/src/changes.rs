//! Finds the keys in which two configuration files differ. Values may be secret and are not returned.

use std::collections::BTreeMap;

use toml::de::{DeTable, DeValue};

use crate::toml_value::scalar;

/// Returns the keys that only one of the texts has, or that have different values, in alphabetical order. Of a text that is not
/// TOML, the readable part counts.
#[must_use]
pub fn changed(before: &str, after: &str) -> Vec<String> {
    let (before, after) = (flat(before), flat(after));
    let mut keys: Vec<_> = before.keys().chain(after.keys()).collect();
    keys.sort();
    keys.dedup();
    keys.into_iter()
        .filter(|key| before.get(*key) != after.get(*key))
        .cloned()
        .collect()
}

fn flat(text: &str) -> BTreeMap<String, String> {
    let mut all = BTreeMap::new();
    let (table, _) = DeTable::parse_recoverable(text);
    flatten("", table.get_ref(), &mut all);
    all
}

fn flatten(prefix: &str, table: &DeTable<'_>, all: &mut BTreeMap<String, String>) {
    for (name, value) in table {
        let key = format!("{prefix}{}", name.get_ref());
        match value.get_ref() {
            DeValue::Table(inner) => flatten(&format!("{key}."), inner, all),
            DeValue::Array(elements) if elements.iter().any(|e| e.get_ref().is_table()) => {
                for (index, element) in elements.iter().enumerate() {
                    if let DeValue::Table(inner) = element.get_ref() {
                        flatten(&format!("{key}.{index}."), inner, all);
                    }
                }
            }
            DeValue::Array(elements) => {
                let elements = elements.iter().map(|e| scalar(e.get_ref()));
                all.insert(key, format!("{:?}", elements.collect::<Vec<_>>()));
            }
            single => {
                all.insert(key, scalar(single));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::changed;

    #[test]
    fn only_changed_configuration_keys_are_reported() {
        let before =
            "[server]\nlisten = \"a\"\nallow = [\"x\", \"y\"]\n[[jwt.issuers]]\nissuer = \"i\"\n";
        let after = "[server]\nlisten = 'a'\nallow = [\"x\"]\n[[jwt.issuers]]\nissuer = \"j\"\n[log]\nlevel = \"debug\"\n";
        assert_eq!(
            changed(before, after),
            ["jwt.issuers.0.issuer", "log.level", "server.allow"]
        );
        assert!(changed(before, before).is_empty());
    }
}
