//! Judges the stored inputs of fuzzing again with their oracles.

#![expect(clippy::unwrap_used, reason = "a test that can't go on has failed")]
#![expect(clippy::print_stdout, reason = "the figures are what is asked for")]

use std::fs;
use std::panic::catch_unwind;
use std::path::{Path, PathBuf};

use oracles::TARGETS;

/// Minimum number of inputs; fewer would mean that a folder was not found, or that a target has no seeds.
const INPUTS_MIN: usize = 5;

/// Maximum size of all corpora together in bytes, because people read them and every clone contains them.
const BYTES_MAX: usize = 400 * 1024;

#[test]
fn every_stored_input_passes_its_oracle() {
    let mut failed = Vec::new();
    let mut bytes = 0;
    for target in &TARGETS {
        let inputs = inputs(&corpus(target.name));
        assert!(inputs.len() >= INPUTS_MIN, "no corpus of {}", target.name);
        for (path, input) in &inputs {
            bytes += input.len();
            if catch_unwind(|| target.run(input)).is_err() {
                failed.push(path.clone());
            }
        }
        println!("{}: {} inputs", target.name, inputs.len());
    }
    assert!(failed.is_empty(), "{failed:#?}");
    assert!(bytes <= BYTES_MAX, "the corpora hold {bytes} bytes");
}

#[test]
fn oracles_and_fuzz_targets_correspond_one_to_one() {
    let sources = fs::read_dir(fuzz().join("fuzz_targets")).unwrap();
    let stem = |path: PathBuf| path.file_stem().unwrap().to_str().unwrap().to_owned();
    let mut found: Vec<_> = sources.map(|entry| stem(entry.unwrap().path())).collect();
    found.sort();
    let expected: Vec<_> = TARGETS.iter().map(|target| target.name).collect();
    assert_eq!(found, expected);
    let manifest = fs::read_to_string(fuzz().join("Cargo.toml")).unwrap();
    for name in expected {
        assert!(manifest.contains(&format!("name = \"{name}\"\n")), "{name}");
        let source = fuzz().join(format!("fuzz_targets/{name}.rs"));
        let call = format!("oracles::run(\"{name}\", bytes)");
        assert!(
            fs::read_to_string(source).unwrap().contains(&call),
            "{name}"
        );
    }
}

fn fuzz() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn corpus(name: &str) -> PathBuf {
    fuzz().join("corpus").join(name)
}

fn inputs(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{folder:?}: {error}"));
    let paths = entries.map(|entry| entry.unwrap().path());
    paths
        .map(|path| (path.clone(), fs::read(path).unwrap()))
        .collect()
}
