//! Rules for the tree as a whole: permitted imports, maximum length of files, and required and forbidden content.

mod imports;
mod named_tests;
mod names;
mod source;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Maximum number of lines without tests; a longer file contains more than one thing.
const FILE_LINES_MAX: usize = 350;

/// Up to this length a file is easy to read at one go. Longer files are listed but not rejected.
const FILE_LINES_AIM: usize = 250;

/// Each crate by name, with its dependencies.
type Imports = BTreeMap<String, Vec<String>>;

#[test]
fn crates_import_only_permitted_crates() {
    let found = forbidden_dependencies(&imports());
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[track_caller]
fn check_imports(imports: &[(&str, &[&str])], expected: &[&str]) {
    let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    let imports = imports
        .iter()
        .map(|(user, used)| ((*user).to_owned(), owned(used)));
    assert_eq!(forbidden_dependencies(&imports.collect()), expected);
}

#[test]
fn a_forbidden_crate_import_is_reported() {
    check_imports(
        &[
            ("adapter-http", &["adapter", "forward", "serde"]),
            ("adapter", &[]),
            ("forward", &["adapter"]),
            ("samples", &["adapter", "askama"]),
            ("console", &["samples"]),
        ],
        &["adapter-http may not use forward"],
    );
    check_imports(
        &[
            ("adapter-soap", &["quick-xml"]),
            ("adapter-http", &["quick-xml", "adapter-soap"]),
        ],
        &[
            "adapter-http may not use quick-xml",
            "adapter-http may not use adapter-soap",
        ],
    );
    check_imports(
        &[
            ("samples", &["console"]),
            ("adapter", &[]),
            ("sandbox", &["store", "reqwest"]),
            ("store", &["axum", "samples"]),
            ("server", &["axum", "adapter"]),
        ],
        &[
            "samples may not use console",
            "sandbox may not use store",
            "sandbox may not use reqwest",
            "server may not use adapter",
            "store may not use axum",
            "store may not use samples",
        ],
    );
}

#[test]
fn a_workspace_crate_without_an_import_rule_is_reported() {
    check_imports(
        &[("gateway", &["utils"]), ("utils", &[])],
        &["gateway may not use utils"],
    );
    check_imports(
        &[("oracles", &["gateway"]), ("gateway", &["oracles"])],
        &["gateway may not use oracles"],
    );
}

#[test]
fn every_source_file_starts_with_a_module_comment() {
    let silent: Vec<_> = sources()
        .into_iter()
        .filter(|(_, text)| !text.starts_with("//!"))
        .map(|(path, _)| path)
        .collect();
    assert!(silent.is_empty(), "no `//!` at the top: {silent:#?}");
}

#[test]
fn no_source_file_exceeds_the_line_limit() {
    let mut refused = Vec::new();
    for (path, text) in sources().into_iter().filter(|(path, _)| !is_test(path)) {
        let lines = lines_without_tests(&text);
        if lines > FILE_LINES_MAX {
            refused.push(format!("{}: {lines} lines", path.display()));
        } else if lines > FILE_LINES_AIM {
            eprintln!("{}: {lines} lines; is it one thing?", path.display());
        }
    }
    assert!(
        refused.is_empty(),
        "over {FILE_LINES_MAX} lines: {refused:#?}"
    );
}

#[test]
fn test_modules_do_not_count_toward_the_line_limit() {
    let inline = "//! A.\nfn a() {}\n\n#[cfg(test)]\nmod tests {\n    fn b() {}\n}\n";
    assert_eq!(lines_without_tests(inline), 3);
    let beside = "//! A.\n#[cfg(test)]\nmod tests;\nfn a() {}\n";
    assert_eq!(lines_without_tests(beside), 4);
}

#[test]
fn the_main_documentation_files_exist() {
    for page in [
        "README.md",
        "ARCHITECTURE.md",
        "CHANGELOG.md",
        "CONTRIBUTING.md",
        "docs/calling.md",
        "docs/operating.md",
    ] {
        assert!(root().join(page).is_file(), "there is no {page}");
    }
}

/// The README is read before any decision, so longer explanations belong into docs/.
const README_LINES_MAX: usize = 180;

/// Every reader of the README loads both pictures.
const PICTURES_BYTES_MAX: u64 = 200 * 1024;

#[test]
fn the_readme_is_short_and_its_pictures_are_small() {
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    let lines = readme.lines().count();
    assert!(lines <= README_LINES_MAX, "README.md has {lines} lines");
    let pictures = ["docs/console-light.png", "docs/console-dark.png"];
    assert!(pictures.iter().all(|picture| readme.contains(picture)));
    let sizes = pictures.map(|picture| fs::metadata(root().join(picture)).unwrap().len());
    let bytes: u64 = sizes.iter().sum();
    assert!(
        bytes <= PICTURES_BYTES_MAX,
        "the pictures have {bytes} bytes"
    );
}

#[test]
fn every_file_that_the_architecture_names_exists() {
    let page = fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap();
    let quoted = page.split('`').skip(1).step_by(2);
    let named: Vec<_> = quoted
        .filter(|name| name.ends_with(".rs") && name.contains('/') && !name.contains('*'))
        .collect();
    assert!(named.len() > 30, "the files are named: {}", named.len());
    // Relative to the root, to the crates, or to the gateway, whose folders the page mentions most.
    let folders = ["", "crates", "crates/gateway/src"].map(|folder| root().join(folder));
    let missing: Vec<_> = named
        .into_iter()
        .filter(|name| !folders.iter().any(|folder| folder.join(name).is_file()))
        .collect();
    assert!(missing.is_empty(), "there are no such files: {missing:#?}");
}

#[test]
fn no_file_contains_a_path_of_a_developers_machine() {
    let mut found = Vec::new();
    for path in files() {
        // A file that is not UTF-8 is not text and has no readable path.
        let Ok(text) = fs::read_to_string(root().join(&path)) else {
            continue;
        };
        for (index, line) in text
            .lines()
            .enumerate()
            .filter(|(_, line)| contains_machine_path(line))
        {
            found.push(format!("{}:{}: {}", path.display(), index + 1, line.trim()));
        }
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn only_absolute_paths_count_as_machine_paths() {
    assert!(contains_machine_path(&format!("cd /{}/someone", "home")));
    assert!(contains_machine_path(&format!("\"/{}/main\"", "work")));
    assert!(contains_machine_path(&format!("file:///{}/a.pem", "root")));
    assert!(!contains_machine_path("https://example.com/home/page"));
    assert!(!contains_machine_path("target/home/file"));
}

#[test]
fn no_test_sleeps() {
    let mut found = Vec::new();
    for (path, text) in sources() {
        let name = path.to_str().unwrap();
        if TIMED.iter().any(|(timed, _)| name.starts_with(timed)) {
            continue;
        }
        if !path.starts_with("tests") {
            let tests = if is_test(&path) {
                &text
            } else {
                test_module(&text)
            };
            found.extend(
                pauses(tests)
                    .into_iter()
                    .map(|line| format!("{name}: {line}")),
            );
        } else if name != WAITS {
            found.extend(
                pauses(&text)
                    .into_iter()
                    .map(|line| format!("{name}: {line}")),
            );
            let passes = text.lines().filter(|line| line.contains("pass("));
            found.extend(passes.map(|line| format!("{name}: {}", line.trim())));
        }
    }
    assert!(
        found.is_empty(),
        "wait for what is awaited, not for a time (`until`):\n{}",
        found.join("\n")
    );
}

#[test]
fn every_kind_of_sleep_in_a_test_is_found() {
    let open = concat!("sleep", "(");
    let real = "#[tokio::test]\nasync fn a() {";
    for pause in [
        format!("tokio::time::{open}time).await;"),
        format!("std::thread::{open}time);"),
        "use tokio::time::sleep as rest;".to_owned(),
        "std::thread::park_timeout(time);".to_owned(),
        "let _ = timeout(\n    time,\n    std::future::pending::<()>(),\n).await;".to_owned(),
        "while began.elapsed() < time {\n    tokio::task::yield_now().await;\n}".to_owned(),
        "loop {\n    std::thread::yield_now();\n}".to_owned(),
        "let mut pace = tokio::time::interval(time);".to_owned(),
    ] {
        assert_eq!(pauses(&format!("{real}\n{pause}\n}}")).len(), 1, "{pause}");
        let paused = real.replace("test]", "test(start_paused = true)]");
        let is_spin = pause.contains("yield_now") || pause.contains("thread::");
        let found = pauses(&format!("{paused}\n{pause}\n}}")).len();
        assert_eq!(
            found,
            usize::from(is_spin),
            "a clock that nobody waits for: {pause}"
        );
    }
    // A single `yield_now` only lets other tasks run.
    assert!(pauses(&format!("{real}\ntokio::task::yield_now().await;\n}}")).is_empty());
}

/// The file in which the tests wait with a deadline and in which time passes.
const WAITS: &str = "tests/harness/wait.rs";

/// Files and folders whose tests are about time itself, each with the reason.
const TIMED: &[(&str, &str)] = &[
    ("tests/tidy.rs", "names what it looks for"),
    ("tests/load", "a load lasts, and callers come at a pace"),
    (
        "tests/console/cost.rs",
        "what tails cost is measured over a time",
    ),
    (
        "tests/crash",
        "a kill comes at any moment, and the upstream takes its time",
    ),
    (
        "tests/shared_counts",
        "callers come at a pace, and Valkey is killed under load",
    ),
    ("tests/outage", "servers and replicas fail at any moment"),
    ("tests/replicas/kill.rs", "a replica is killed each second"),
    (
        "tests/rolling",
        "callers come at a pace, and a service learns late",
    ),
    (
        "tests/events",
        "messages come at a pace, and kills at any moment",
    ),
    (
        "tests/webhooks/killed.rs",
        "a kill comes at any moment, and messages come at a pace",
    ),
    ("tests/upstream_faults/raw.rs", "an upstream that is slow"),
    ("tests/upstream_faults/standing.rs", "a storm lasts"),
];

/// Returns the lines of tests that only wait for time to pass, and loops that spin. A paused clock does not count.
fn pauses(tests: &str) -> Vec<String> {
    let mut found = Vec::new();
    let lines: Vec<_> = tests.lines().collect();
    let begins_test = |line: &&&str| line.trim_start().starts_with("#[tokio::test");
    for (n, line) in lines.iter().enumerate() {
        let near = |from: usize, to: usize| lines[from..to.min(lines.len())].join(" ");
        // A loop over a range ends by itself.
        let is_spin = line.contains("yield_now") && {
            let before = near(n.saturating_sub(2), n);
            (before.contains("while ") || before.contains("loop {")) && !before.contains('}')
        };
        let blocks = ["park_timeout(", concat!("thread::sleep", "(")];
        let of_clock = [
            concat!("sleep", "("),
            "sleep as ",
            "sleep_until(",
            "interval(",
            "interval_at(",
        ];
        let has = |names: &[&str]| names.iter().any(|name| line.contains(name));
        let statement = near(n, n + 4);
        let statement = statement.split(';').next().unwrap_or_default();
        let is_endless = line.contains("timeout(") && statement.contains("pending");
        // A helper belongs to the test that follows it.
        let test = lines[..n]
            .iter()
            .rfind(begins_test)
            .or(lines[n..].iter().find(begins_test));
        let is_paused = test.is_some_and(|test| test.contains("start_paused = true"));
        let is_name = line.contains("fn ");
        if is_spin || has(&blocks) || ((has(&of_clock) || is_endless) && !is_paused && !is_name) {
            found.push(format!("{}: {}", n + 1, line.trim()));
        }
    }
    found
}

/// Returns the inline module of tests of a file, if it has one.
fn test_module(text: &str) -> &str {
    let before = lines_without_tests(text);
    let at = text.split_inclusive('\n').take(before).map(str::len).sum();
    &text[at..]
}

/// Returns whether one of our crates may depend on another crate. Imports point inward: the adapters know only their contract; the
/// connection edge and the reader of settings know no other crate; the crates in the middle know neither the ways in nor the other
/// ways out; the gateway joins them, and the command line is on top.
fn may_use(user: &str, used: &str, is_ours: bool) -> bool {
    match used {
        _ if matches!(user, "server" | "settings" | "visible") && is_ours => false,
        "adapter" => user != "adapter",
        _ if user == "oracles" && is_ours => true,
        "store" => matches!(
            user,
            "forward" | "console" | "events" | "webhooks" | "telemetry" | "gateway"
        ),
        "events" => matches!(user, "webhooks" | "gateway"),
        "samples" => matches!(user, "console" | "docs" | "chatgate"),
        "docs" => user == "gateway",
        "sandbox" | "server" | "settings" => matches!(user, "gateway" | "chatgate"),
        "shared" => matches!(user, "forward" | "gateway"),
        "redis" => user == "shared",
        "forward" if user == "events" => true,
        "forward" => matches!(user, "telemetry" | "gateway"),
        "console" => user == "gateway",
        "telemetry" => matches!(user, "console" | "gateway" | "chatgate"),
        "visible" => matches!(user, "client" | "console" | "telemetry" | "chatgate"),
        "gateway" => user == "chatgate",
        "adapter-jwt" if user == "docs" => true,
        // For the commands that verify one token or parse one document.
        "adapter-jwt" | "adapter-soap" if user == "chatgate" => true,
        adapter if adapter.starts_with("adapter-") => user == "gateway",
        "axum" => matches!(user, "console" | "gateway" | "server"),
        "quick-xml" => user == "adapter-soap",
        "client" => matches!(user, "forward" | "webhooks" | "gateway" | "chatgate"),
        "webhooks" => matches!(user, "console" | "gateway"),
        "reqwest" => user == "client",
        // Any crate may use a library that no rule names. One of our crates needs a rule here first.
        _ => !is_ours,
    }
}

/// Returns a sentence for every forbidden dependency.
fn forbidden_dependencies(imports: &Imports) -> Vec<String> {
    let mut found = Vec::new();
    for (user, dependencies) in imports {
        for used in dependencies {
            if !may_use(user, used, imports.contains_key(used)) {
                found.push(format!("{user} may not use {used}"));
            }
        }
    }
    found
}

/// Returns the crates' dependencies from their manifests, without dependencies of tests, because deny.toml checks those and the
/// tests of the binary have to be clients.
fn imports() -> Imports {
    let mut imports = Imports::new();
    let crates = fs::read_dir(root().join("crates")).unwrap();
    let folders = crates.map(|folder| folder.unwrap().path());
    // The oracles may use every crate, and no rule lets a crate use them.
    for folder in folders.chain([root().join("fuzz/oracles")]) {
        let manifest = folder.join("Cargo.toml");
        let text = fs::read_to_string(&manifest).unwrap();
        let table: toml::Table = text.parse().unwrap();
        let name = table["package"]["name"].as_str().unwrap().to_owned();
        let used = ["dependencies", "build-dependencies"]
            .iter()
            .filter_map(|section| table.get(*section)?.as_table())
            .flat_map(|dependencies| dependencies.keys().cloned());
        imports.insert(name, used.collect());
    }
    imports
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .canonicalize()
        .unwrap()
}

/// Returns every file of the tree by its path from the root, without build output, installed files and runtime data.
fn files() -> Vec<PathBuf> {
    let root = root();
    let is_made = |path: &Path| {
        let names = [".git", "node_modules", "target"];
        names.iter().any(|name| path.ends_with(name)) || path == root.join("data")
    };
    let mut folders = vec![root.clone()];
    let mut found = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let entry = entry.unwrap();
            let (path, kind) = (entry.path(), entry.file_type().unwrap());
            if kind.is_dir() && !is_made(&path) {
                folders.push(path);
            } else if kind.is_file() && !is_made(&path) {
                found.push(path.strip_prefix(&root).unwrap().to_owned());
            }
        }
    }
    found.sort();
    found
}

/// Returns every Rust file with its text.
pub(crate) fn sources() -> Vec<(PathBuf, String)> {
    let paths = files().into_iter();
    let rust = paths.filter(|path| path.extension().is_some_and(|extension| extension == "rs"));
    rust.map(|path| {
        let text = fs::read_to_string(root().join(&path)).unwrap();
        (path, text)
    })
    .collect()
}

/// Returns whether a file contains only tests: `tests.rs`, or a file in a folder `tests`.
pub(crate) fn is_test(path: &Path) -> bool {
    path.ends_with("tests.rs") || path.components().any(|part| part.as_os_str() == "tests")
}

/// Returns the number of lines before an inline module of tests.
fn lines_without_tests(text: &str) -> usize {
    let lines: Vec<_> = text.lines().collect();
    let is_start = |pair: &[&str]| {
        pair[0] == "#[cfg(test)]" && pair[1].starts_with("mod ") && pair[1].ends_with('{')
    };
    lines.windows(2).position(is_start).unwrap_or(lines.len())
}

/// Returns whether a line contains an absolute path that exists only on one machine.
fn contains_machine_path(line: &str) -> bool {
    // The prefixes are put together here, because otherwise this file would be reported.
    let prefixes = ["home/", "root/", "work/", "tmp/bash"].map(|start| format!("/{start}"));
    let is_path = |(at, _): (usize, &str)| {
        let before = line[..at].chars().next_back();
        before.is_none_or(|c| !c.is_alphanumeric() && !"._-".contains(c))
    };
    prefixes
        .iter()
        .any(|prefix| line.match_indices(prefix.as_str()).any(is_path))
}
