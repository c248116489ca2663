//! Runs the oracles with inputs from proptest: words of the target's dictionary between arbitrary bytes, and stored inputs that are
//! cut and joined. A fuzzer finds more, but this runs with every change.

#![expect(clippy::unwrap_used, reason = "a test that can't go on has failed")]

use std::fs;
use std::path::{Path, PathBuf};

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

/// Maximum number of bytes between two words.
const BETWEEN_MAX: usize = 12;

/// Judges inputs for one target.
fn holds(name: &str) {
    let words = words(name);
    let kept = kept(name);
    let piece = prop_oneof![
        4 => select(words),
        1 => vec(any::<u8>(), 0..BETWEEN_MAX),
        1 => "[ -~]{0,12}".prop_map(String::into_bytes),
        1 => "\\PC{0,6}".prop_map(String::into_bytes),
    ];
    let pieces = vec(piece, 0..24).prop_map(|pieces| pieces.concat());
    // The start of one stored input, other bytes, and the end of another one.
    let spliced = (
        select(kept.clone()),
        any::<u16>(),
        pieces,
        select(kept),
        any::<u16>(),
    );
    let input = spliced.prop_map(|(first, cut, middle, last, end)| {
        let first = &first[..usize::from(cut) % (first.len() + 1)];
        let last = &last[usize::from(end) % (last.len() + 1)..];
        let is_even = (cut ^ end) % 2 == 0;
        [first, if is_even { &middle } else { &[] }, last].concat()
    });
    let config = ProptestConfig {
        cases: 512,
        // A failing input belongs into the corpus.
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    proptest!(config, |(input in input)| oracles::run(name, &input));
}

macro_rules! properties {
    ($($name:ident)*) => {
        $(
            #[test]
            fn $name() {
                holds(stringify!($name));
            }
        )*

        #[test]
        fn every_oracle_has_a_property_test() {
            let names: Vec<_> = oracles::TARGETS.iter().map(|target| target.name).collect();
            assert_eq!(names, [$(stringify!($name)),*]);
        }
    };
}

properties! { basic config edge events form forwarded json jwt multipart proxy same_call soap upstream }

fn fuzz() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Returns the words of a dictionary in libFuzzer's format.
fn words(name: &str) -> Vec<Vec<u8>> {
    let path = fuzz().join(format!("dictionaries/{name}.dict"));
    let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path:?}: {error}"));
    let quoted = text
        .lines()
        .filter_map(|line| line.strip_prefix('"')?.strip_suffix('"'));
    let words: Vec<_> = quoted.map(unescaped).collect();
    assert!(!words.is_empty(), "{path:?} holds no words");
    words
}

fn unescaped(word: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = word;
    while let Some((before, behind)) = rest.split_once('\\') {
        bytes.extend_from_slice(before.as_bytes());
        rest = match behind.strip_prefix('x') {
            Some(hex) => {
                bytes.push(u8::from_str_radix(&hex[..2], 16).unwrap());
                &hex[2..]
            }
            None => {
                bytes.push(behind.as_bytes()[0]);
                &behind[1..]
            }
        };
    }
    bytes.extend_from_slice(rest.as_bytes());
    bytes
}

fn kept(name: &str) -> Vec<Vec<u8>> {
    let folder = fs::read_dir(fuzz().join("corpus").join(name)).unwrap();
    let mut paths: Vec<_> = folder.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths
        .into_iter()
        .map(|path| fs::read(path).unwrap())
        .collect()
}
