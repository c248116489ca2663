//! Public conformance suites, each run from outside: through the command line, over sockets, against the real binary.
//!
//! The data is not part of the project. `CHATGATE_VECTORS` names the folder with the data; without it the tests that need it report
//! that they were skipped. Our own cases always run.

mod expect;
mod forge;
mod forged;
mod forgeries;
mod http11;
mod json;
mod jws;
mod keys;
mod mangled;
mod probe;
mod smuggling;
mod soap12;
mod xml;
mod xml_cost;

use std::process::{Command, Output};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use crate::harness::{binary, skipped};

/// Reads a suite by the name of its file. Returns `None` and reports it if the folder is missing.
fn suite(name: &str) -> Option<Value> {
    let Some(folder) = std::env::var_os("CHATGATE_VECTORS") else {
        skipped("CHATGATE_VECTORS is not set");
        return None;
    };
    let text = std::fs::read_to_string(std::path::Path::new(&folder).join(name)).unwrap();
    Some(serde_json::from_str(&text).unwrap())
}

/// Returns the list of this name.
fn list<'a>(suite: &'a Value, name: &str) -> &'a [Value] {
    suite[name].as_array().unwrap()
}

/// Returns the text of this name.
fn text<'a>(object: &'a Value, name: &str) -> &'a str {
    object[name].as_str().unwrap()
}

/// Returns the bytes that this name holds as base64.
fn bytes(object: &Value, name: &str) -> Vec<u8> {
    STANDARD.decode(text(object, name)).unwrap()
}

/// Runs the binary under test until it ends.
fn chatgate(arguments: &[&str]) -> Output {
    Command::new(binary()).args(arguments).output().unwrap()
}

/// Returns whether a judging command answered yes. Any exit code other than those of yes and no is an error.
fn verdict(output: &Output) -> Result<bool, String> {
    match output.status.code() {
        Some(0) => Ok(true),
        Some(1) => Ok(false),
        other => Err(format!(
            "ended with {other:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        )),
    }
}

/// Does the work for each item, several items at the same time, and returns the problems found.
fn each<T: Sync>(items: &[T], work: impl Fn(usize, &T) -> Option<String> + Sync) -> Vec<String> {
    let next = AtomicUsize::new(0);
    let wrong = Mutex::new(Vec::new());
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let index = next.fetch_add(1, Ordering::Relaxed)
                    && let Some(item) = items.get(index)
                {
                    wrong.lock().unwrap().extend(work(index, item));
                }
            });
        }
    });
    wrong.into_inner().unwrap()
}
