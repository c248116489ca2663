//! Judges JSON bodies. Input: the body.

use std::collections::HashSet;

use adapter::{Adapter, Code, Params, StatusPolicy, Wire};
use adapter_http::HttpAdapter;
use bytes::Bytes;

use crate::json_reader::{members, unescaped};
use crate::reading::{DECLARED, Reading, Taken, headers, pairs, taken};

/// Maximum number of pairs in a request.
const PAIRS_MAX: usize = 256;

/// Depth up to which our reader has to accept a body; serde_json accepts 128.
const DEPTH_FREE: usize = 100;

pub(crate) fn judge(body: &[u8]) {
    if body.is_empty() {
        return;
    }
    let found = read(body);
    let read_again = std::str::from_utf8(body).ok().and_then(members);
    let Some(members) = read_again else {
        assert_eq!(found, Err(Code::MalformedRequest), "no object was taken");
        return;
    };
    let mut seen = HashSet::new();
    let is_doubled = !members.iter().all(|(name, _)| seen.insert(name.as_str()));
    let is_broken = |(name, value): &(String, &str)| {
        DECLARED.contains(&name.as_str()) && value.starts_with('"') && unescaped(value).is_none()
    };
    if members.len() > PAIRS_MAX || members.iter().any(is_broken) {
        assert_eq!(found, Err(Code::MalformedRequest));
    } else if is_doubled {
        refuses_doubled(body);
    } else if depth(body) < DEPTH_FREE {
        let found = found.expect("a right object was refused");
        compare(&found, &members);
        let again = serde_json::Map::from_iter(
            pairs(&found)
                .into_iter()
                .map(|(name, value)| (name, value.into())),
        );
        let again = serde_json::to_vec(&again).expect("texts are JSON");
        let texts = |taken: &Taken| pairs(taken);
        assert_eq!(read(&again).as_ref().map(texts), Ok(texts(&found)));
    }
}

/// Checks that each value is the string's text or the number's digits, and that nothing else counts as a value.
fn compare(found: &Taken, members: &[(String, &str)]) {
    for (name, value) in found {
        let written = members.iter().find(|(n, _)| n == name).map(|(_, v)| *v);
        let expected = match written {
            None => Ok(None),
            Some(text) if text.starts_with('"') => Ok(unescaped(text).filter(|v| !v.is_empty())),
            Some(text)
                if text.starts_with(['-', '0', '1', '2', '3', '4', '5', '6', '7', '8', '9']) =>
            {
                Ok(Some(text.to_owned()))
            }
            Some(_) => Err(Code::IncorrectParam),
        };
        assert_eq!(*value, expected, "{name}");
    }
}

/// Checks that a duplicate key, declared or not, never makes a call.
fn refuses_doubled(body: &[u8]) {
    let decoded = with_wire(body, |wire| {
        HttpAdapter::new(StatusPolicy::Compat).decode(wire).1
    });
    let made = Reading::of(decoded).is_ok_and(|reading| reading.call.is_ok());
    assert!(!made, "a key was given twice and a call made of it");
}

fn read(body: &[u8]) -> Result<Taken, Code> {
    with_wire(body, |wire| {
        Params::read(wire).map(taken).map_err(|error| error.code())
    })
}

fn with_wire<T>(body: &[u8], work: impl FnOnce(&Wire<'_>) -> T) -> T {
    let headers = headers(&[("content-type", b"application/json")]);
    work(&Wire {
        query: "",
        headers: &headers.expect("the value is a header's"),
        body: &Bytes::copy_from_slice(body),
    })
}

/// Returns an upper bound of the nesting depth.
fn depth(body: &[u8]) -> usize {
    body.iter().filter(|byte| b"[{".contains(byte)).count()
}
