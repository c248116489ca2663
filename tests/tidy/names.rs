//! Checks names: no type is defined twice, and identifiers use precise words.

use std::collections::BTreeMap;
use std::path::PathBuf;

use proc_macro2::{TokenStream, TokenTree};
use syn::Item;

use super::source::crates;
use super::sources;

/// Names of types that may be defined in several files, each with the reason.
const SHARED: &[(&str, &str)] = &[];

/// Words that have had so many meanings here that they mean nothing any more.
const WORN: [&str; 4] = ["told", "tell", "tells", "telling"];

#[test]
fn no_type_name_is_defined_twice() {
    let found = doubles(&sources());
    let unknown: Vec<_> = found
        .iter()
        .filter(|(name, _)| !SHARED.iter().any(|(shared, _)| shared == name))
        .collect();
    assert!(
        unknown.is_empty(),
        "one name for several types: {unknown:#?}"
    );
    for (name, reason) in SHARED {
        assert!(
            found.contains_key(*name),
            "{name} ({reason}) is defined once; strike it from the list"
        );
    }
}

#[test]
fn a_duplicate_type_name_is_found() {
    let file =
        |name: &str, text: &str| (PathBuf::from(format!("crates/{name}.rs")), text.to_owned());
    let twice = [
        file("a/src/lib", "struct Place;"),
        file("b/src/x", "mod y { enum Place {} }"),
    ];
    assert_eq!(doubles(&twice).len(), 1);
    let once = [
        file("a/src/lib", "struct Place;"),
        file("b/src/x", "#[cfg(test)] mod tests { struct Place; }"),
    ];
    assert_eq!(doubles(&once).len(), 0);
}

#[test]
fn no_identifier_contains_a_banned_word() {
    let mut found = BTreeMap::new();
    for (path, text) in sources() {
        // This file names the words.
        if path.ends_with("tidy/names.rs") {
            continue;
        }
        let tokens: TokenStream = text
            .parse()
            .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let mut worn = Vec::new();
        identifiers(tokens, &mut |name| {
            if has_banned_word(name) && !worn.iter().any(|known| known == name) {
                worn.push(name.to_owned());
            }
        });
        if !worn.is_empty() {
            found.insert(path, worn);
        }
    }
    assert!(
        found.is_empty(),
        "say what is done (log, record, answer, show): {found:#?}"
    );
}

#[test]
fn a_banned_word_is_found_in_a_name_but_not_inside_another_word() {
    for name in ["told", "is_told", "TellHim", "tell_walk", "UNTIL_TOLD"] {
        assert!(has_banned_word(name), "{name}");
    }
    for name in ["intelligent", "stolid", "Satellite", "log", "retold"] {
        assert!(!has_banned_word(name), "{name}");
    }
}

/// Returns every name of a type that is defined in several places, with its files.
fn doubles(sources: &[(PathBuf, String)]) -> BTreeMap<String, Vec<PathBuf>> {
    let mut defined: BTreeMap<String, Vec<PathBuf>> = BTreeMap::new();
    let crates = crates(sources);
    for module in crates.values().flat_map(BTreeMap::values) {
        for item in &module.items {
            let name = match item {
                Item::Enum(item) => &item.ident,
                Item::Struct(item) => &item.ident,
                Item::Trait(item) => &item.ident,
                Item::Type(item) => &item.ident,
                _ => continue,
            };
            defined
                .entry(name.to_string())
                .or_default()
                .push(module.file.clone());
        }
    }
    defined.retain(|_, files| files.len() > 1);
    defined
}

/// Calls `each` for every identifier. Doc comments are literals and are skipped.
fn identifiers(tokens: TokenStream, each: &mut dyn FnMut(&str)) {
    for token in tokens {
        match token {
            TokenTree::Group(group) => identifiers(group.stream(), each),
            TokenTree::Ident(name) => each(&name.to_string()),
            TokenTree::Punct(_) | TokenTree::Literal(_) => {}
        }
    }
}

/// Returns whether a part of a name, split at underscores and capitals, is a worn word.
fn has_banned_word(name: &str) -> bool {
    let mut parts = vec![String::new()];
    let mut was_small = false;
    for c in name.chars() {
        if c == '_' || (c.is_uppercase() && was_small) {
            parts.push(String::new());
        }
        if c != '_'
            && let Some(part) = parts.last_mut()
        {
            part.extend(c.to_lowercase());
        }
        was_small = c.is_lowercase();
    }
    parts.iter().any(|part| WORN.contains(&part.as_str()))
}
