//! Parses the Rust sources of the crates: the module of each file, and its items outside its tests.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use syn::{Attribute, Item, ItemUse, UseTree, Visibility};

/// A module's path within its crate; the root is empty.
pub type ModulePath = Vec<String>;

/// One file of a crate.
pub struct Module {
    pub file: PathBuf,
    /// The file's items and those of its inline modules, without tests.
    pub items: Vec<Item>,
}

/// Returns the modules of every crate, by the crate's folder.
pub fn crates(sources: &[(PathBuf, String)]) -> BTreeMap<String, BTreeMap<ModulePath, Module>> {
    let mut crates: BTreeMap<String, BTreeMap<ModulePath, _>> = BTreeMap::new();
    let mut test_modules: Vec<(String, ModulePath)> = Vec::new();
    for (file, text) in sources {
        let Some((krate, module)) = place(file) else {
            continue;
        };
        let parsed =
            syn::parse_file(text).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        let (mut items, mut tests) = (Vec::new(), Vec::new());
        flatten(parsed.items, &mut items, &mut tests);
        for name in tests {
            let mut test = module.clone();
            test.push(name);
            test_modules.push((krate.clone(), test));
        }
        let file = file.clone();
        crates
            .entry(krate)
            .or_default()
            .insert(module, Module { file, items });
    }
    for (krate, test) in test_modules {
        let modules = crates.get_mut(&krate).unwrap();
        modules.retain(|module, _| !module.starts_with(&test));
    }
    crates
}

/// Returns the crate and the module of a file: `crates/CRATE/src/A/B.rs` is the module `A::B` of `CRATE`. Binaries and tests are
/// not modules of it.
fn place(file: &Path) -> Option<(String, ModulePath)> {
    let mut parts: Vec<_> = file
        .iter()
        .map(|part| part.to_str().unwrap().to_owned())
        .collect();
    let is_code = parts.len() >= 4 && parts[0] == "crates" && parts[2] == "src";
    let is_test = parts
        .iter()
        .any(|part| part == "tests" || part == "tests.rs");
    if !is_code || is_test {
        return None;
    }
    let last = parts.pop()?.strip_suffix(".rs")?.to_owned();
    if !matches!(last.as_str(), "lib" | "main" | "mod") {
        parts.push(last);
    }
    let module = parts.split_off(3);
    Some((parts.swap_remove(1), module))
}

/// Collects all items except tests, and the names of modules that contain tests. Items of an inline module count as items of the
/// file.
fn flatten(items: Vec<Item>, into: &mut Vec<Item>, tests: &mut Vec<String>) {
    for item in items {
        if attributes(&item).iter().any(is_for_tests) {
            if let Item::Mod(module) = item {
                tests.push(module.ident.to_string());
            }
            continue;
        }
        match item {
            Item::Mod(module) if module.content.is_some() => {
                flatten(module.content.unwrap_or_default().1, into, tests);
            }
            item => into.push(item),
        }
    }
}

fn is_for_tests(attribute: &Attribute) -> bool {
    let mut is_test = false;
    if attribute.path().is_ident("cfg") {
        // Anything other than `cfg(test)` is not an error here but normal code.
        let _ = attribute.parse_nested_meta(|meta| {
            is_test |= meta.path.is_ident("test");
            Ok(())
        });
    }
    is_test
}

fn attributes(item: &Item) -> &[Attribute] {
    match item {
        Item::Const(item) => &item.attrs,
        Item::Enum(item) => &item.attrs,
        Item::Fn(item) => &item.attrs,
        Item::Impl(item) => &item.attrs,
        Item::Mod(item) => &item.attrs,
        Item::Static(item) => &item.attrs,
        Item::Struct(item) => &item.attrs,
        Item::Trait(item) => &item.attrs,
        Item::Type(item) => &item.attrs,
        Item::Use(item) => &item.attrs,
        _ => &[],
    }
}

/// Returns every path that a `use` item names, one for each leaf, with its local name.
pub fn leaves(item: &ItemUse) -> Vec<(Vec<String>, String)> {
    let mut found = Vec::new();
    walk(&item.tree, &mut Vec::new(), &mut found);
    found
}

fn walk(tree: &UseTree, path: &mut Vec<String>, found: &mut Vec<(Vec<String>, String)>) {
    match tree {
        UseTree::Path(step) => {
            path.push(step.ident.to_string());
            walk(&step.tree, path, found);
            path.pop();
        }
        UseTree::Name(name) => found.push(leaf(path, &name.ident.to_string(), None)),
        UseTree::Rename(name) => {
            found.push(leaf(
                path,
                &name.ident.to_string(),
                Some(name.rename.to_string()),
            ));
        }
        UseTree::Glob(_) => found.push((path.clone(), "*".to_owned())),
        UseTree::Group(group) => {
            for tree in &group.items {
                walk(tree, path, found);
            }
        }
    }
}

fn leaf(path: &[String], name: &str, renamed: Option<String>) -> (Vec<String>, String) {
    let mut path = path.to_vec();
    // `use a::{self, B}` names `a` itself.
    if name != "self" {
        path.push(name.to_owned());
    }
    let known_as = path.last().cloned().unwrap_or_default();
    (path, renamed.unwrap_or(known_as))
}

/// Returns whether a `use` item re-exports a name instead of using it.
pub fn is_reexport(item: &ItemUse) -> bool {
    !matches!(item.vis, Visibility::Inherited)
}
