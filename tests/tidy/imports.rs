//! Checks imports by the `use` lines: no two files use each other, directly or through other files, and in the gateway no folder
//! uses a folder of a higher floor.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use syn::Item;

use super::source::{Module, ModulePath, crates, is_reexport, leaves};
use super::sources;

type Modules = BTreeMap<ModulePath, Module>;
type Edges = BTreeMap<ModulePath, BTreeSet<ModulePath>>;

/// The gateway's folders from the lowest floor up. Files in the root belong to the floor of their name.
const FLOORS: [&[&str]; 7] = [
    &["client_addr", "paths"],
    &["config"],
    &["tokens"],
    &["state"],
    &["request"],
    &["router"],
    &["serve", "fuzzing"],
];

#[test]
fn no_two_files_import_each_other() {
    let found = import_cycles(&sources());
    assert!(found.is_empty(), "import circles:\n{}", found.join("\n"));
}

#[test]
fn every_form_of_import_cycle_is_found() {
    check_import_cycles(
        &[
            ("lib", "mod a; mod b;"),
            ("a", "use crate::b::B;"),
            ("b", ""),
        ],
        0,
    );
    check_import_cycles(
        &[
            ("lib", ""),
            ("a", "use crate::b::B;"),
            ("b", "use super::a::A;"),
        ],
        1,
    );
    // Through a name that the root re-exports.
    check_import_cycles(
        &[
            ("lib", "pub use a::A; pub use b::B;"),
            ("a", "use crate::B;"),
            ("b", "use crate::{A};"),
        ],
        1,
    );
    check_import_cycles(
        &[
            ("lib", "pub use a::A; pub use b::B;"),
            ("a", "use crate::B;"),
            ("b", ""),
        ],
        0,
    );
    // Through definitions and imports of the parent itself.
    check_import_cycles(
        &[
            ("lib", ""),
            ("a", "use b::B; struct A;"),
            ("a/b", "use super::A;"),
        ],
        1,
    );
    check_import_cycles(&[("lib", ""), ("a", "use b::B; struct A;"), ("a/b", "")], 0);
    // Through a third file, in an inline module; tests don't count.
    check_import_cycles(
        &[
            ("lib", ""),
            ("a", "mod x { use crate::b::B; }"),
            ("b", "use crate::c;"),
            ("c", "use crate::a::*;"),
        ],
        1,
    );
    check_import_cycles(
        &[
            ("lib", ""),
            ("a", "#[cfg(test)] mod tests { use crate::b::B; }"),
            ("b", "use crate::a;"),
        ],
        0,
    );
}

#[track_caller]
fn check_import_cycles(files: &[(&str, &str)], expected: usize) {
    let sources: Vec<_> = files
        .iter()
        .map(|(name, text)| {
            (
                PathBuf::from(format!("crates/x/src/{name}.rs")),
                (*text).to_owned(),
            )
        })
        .collect();
    assert_eq!(import_cycles(&sources).len(), expected, "{files:?}");
}

#[test]
fn no_folder_of_the_gateway_imports_from_a_higher_layer() {
    let found = imports_from_higher_layers(&sources());
    assert!(
        found.is_empty(),
        "imports from below to above:\n{}",
        found.join("\n")
    );
}

#[test]
fn an_import_from_a_higher_layer_is_found() {
    let climbs = |text: &str| {
        let file = |name: &str, text: &str| {
            (
                PathBuf::from(format!("crates/gateway/src/{name}.rs")),
                text.to_owned(),
            )
        };
        imports_from_higher_layers(&[
            file("lib", ""),
            file("serve/run", ""),
            file("tokens", ""),
            file("state/current", text),
        ])
        .len()
    };
    assert_eq!(climbs("use crate::serve::run::Run;"), 1);
    assert_eq!(climbs("use crate::tokens::Tokens;"), 0);
}

/// Returns each circle as a line that names its files.
fn import_cycles(sources: &[(PathBuf, String)]) -> Vec<String> {
    let mut found = Vec::new();
    for modules in crates(sources).values() {
        let edges = edges(modules);
        for circle in circles(&edges) {
            let files = circle
                .iter()
                .map(|module| modules[module].file.display().to_string());
            found.push(files.collect::<Vec<_>>().join(" <-> "));
        }
    }
    found
}

/// Returns each import within the gateway of a folder on a higher floor, or of another folder on the same floor.
fn imports_from_higher_layers(sources: &[(PathBuf, String)]) -> Vec<String> {
    let crates = crates(sources);
    let modules = &crates["gateway"];
    let mut found = Vec::new();
    for (user, used) in edges(modules) {
        for used in used {
            let (Some(from), Some(to)) = (user.first(), used.first()) else {
                continue;
            };
            if from != to && floor(from) <= floor(to) {
                found.push(format!(
                    "{} imports {}",
                    modules[&user].file.display(),
                    used.join("::")
                ));
            }
        }
    }
    found
}

fn floor(folder: &str) -> usize {
    let floor = FLOORS.iter().position(|folders| folders.contains(&folder));
    floor.unwrap_or_else(|| {
        panic!("the gateway's folder {folder} stands on no floor: name it in FLOORS")
    })
}

/// Returns the modules that each module uses.
fn edges(modules: &Modules) -> Edges {
    let mut edges = Edges::new();
    for (user, module) in modules {
        let used = edges.entry(user.clone()).or_default();
        for item in &module.items {
            let Item::Use(item) = item else { continue };
            // A re-export does not count as a use.
            if is_reexport(item) {
                continue;
            }
            for (path, _) in leaves(item) {
                let Some(path) = absolute(&path, user, modules) else {
                    continue;
                };
                if let Some(found) = definer(&path, modules, 0).filter(|found| found != user) {
                    used.insert(found);
                }
            }
        }
    }
    edges
}

/// Returns a path relative to the root of its crate, or `None` for a path into another crate.
fn absolute(path: &[String], user: &ModulePath, modules: &Modules) -> Option<Vec<String>> {
    let (first, rest) = path.split_first()?;
    let mut base = match first.as_str() {
        "crate" => Vec::new(),
        "self" => user.clone(),
        "super" => user.split_last()?.1.to_vec(),
        child => {
            let mut module = user.clone();
            module.push(child.to_owned());
            modules.contains_key(&module).then_some(module)?
        }
    };
    for step in rest {
        if step == "super" {
            base.pop();
        } else {
            base.push(step.clone());
        }
    }
    Some(base)
}

/// Maximum length of a chain of re-exports, longer than any real one. It ends circular chains.
const REEXPORTS_MAX: usize = 8;

/// Returns the module that defines the item of a path, through modules that only re-export it.
fn definer(path: &[String], modules: &Modules, depth: usize) -> Option<ModulePath> {
    let mut at = path.len();
    while !modules.contains_key(&path[..at]) {
        at = at.checked_sub(1)?;
    }
    let module = path[..at].to_vec();
    let Some(name) = path.get(at).filter(|_| depth < REEXPORTS_MAX) else {
        return Some(module);
    };
    let uses = modules[&module].items.iter().filter_map(|item| match item {
        Item::Use(item) if is_reexport(item) => Some(item),
        _ => None,
    });
    for (passed, known_as) in uses.flat_map(leaves) {
        if known_as == *name
            && let Some(passed) = absolute(&passed, &module, modules)
        {
            return definer(&passed, modules, depth + 1);
        }
    }
    Some(module)
}

/// Returns the sets of two or more modules that reach each other.
fn circles(edges: &Edges) -> Vec<Vec<ModulePath>> {
    let reach: BTreeMap<_, _> = edges
        .keys()
        .map(|module| (module, reachable(module, edges)))
        .collect();
    let mut seen = BTreeSet::new();
    let mut found = Vec::new();
    for module in edges.keys() {
        let circle: Vec<_> = reach[module]
            .iter()
            .filter(|other| reach.get(*other).is_some_and(|back| back.contains(module)))
            .cloned()
            .collect();
        if circle.len() > 1 && circle.iter().all(|module| seen.insert(module.clone())) {
            found.push(circle);
        }
    }
    found
}

fn reachable(from: &ModulePath, edges: &Edges) -> BTreeSet<ModulePath> {
    let mut open = vec![from.clone()];
    let mut found = BTreeSet::new();
    while let Some(module) = open.pop() {
        for next in edges.get(&module).into_iter().flatten() {
            if found.insert(next.clone()) {
                open.push(next.clone());
            }
        }
    }
    found
}
