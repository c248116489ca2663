//! Judges query and urlencoded body. Input: the query, a line feed, the body.

use adapter::{Code, Params, Wire};
use bytes::Bytes;
use url::form_urlencoded::{Serializer, parse};

use crate::reading::{DECLARED, Taken, expected, headers, pairs, split, taken};

/// Maximum number of pairs in a request.
const PAIRS_MAX: usize = 256;

pub(crate) fn judge(input: &[u8]) {
    let (query, body) = split(input, b'\n');
    // hyper accepts only queries that are UTF-8.
    let Ok(query) = std::str::from_utf8(query) else {
        return;
    };
    let found = read(query, body);
    assert_eq!(found, reference(query, body));
    if let Ok(found) = found {
        let whole = pairs(&found);
        let text = Serializer::new(String::new()).extend_pairs(&whole).finish();
        assert_eq!(read("", text.as_bytes()), Ok(expected(&whole)));
        assert_eq!(read(&text, b""), Ok(expected(&whole)));
    }
}

fn read(query: &str, body: &[u8]) -> Result<Taken, Code> {
    let headers = headers(&[("content-type", b"application/x-www-form-urlencoded")]);
    let wire = Wire {
        query,
        headers: &headers.expect("the value is a header's"),
        body: &Bytes::copy_from_slice(body),
    };
    Params::read(&wire).map(taken).map_err(|error| error.code())
}

/// Applies the WHATWG rules with the `url` crate, which replaces bytes that are not UTF-8 where we refuse them.
fn reference(query: &str, body: &[u8]) -> Result<Taken, Code> {
    let pieces = |text: &[u8]| -> Vec<Vec<u8>> {
        let pieces = text.split(|byte| *byte == b'&').map(<[u8]>::to_vec);
        pieces.filter(|piece| !piece.is_empty()).collect()
    };
    let written = [pieces(query.as_bytes()), pieces(body)].concat();
    if std::str::from_utf8(body).is_err() || written.len() > PAIRS_MAX {
        return Err(Code::MalformedRequest);
    }
    let mut read = Vec::new();
    for piece in written {
        let (_, raw_value) = split(&piece, b'=');
        for (name, value) in parse(&piece) {
            if DECLARED.contains(&&*name) && String::from_utf8(decoded(raw_value)).is_err() {
                return Err(Code::MalformedRequest);
            }
            read.push((name.into_owned(), value.into_owned()));
        }
    }
    Ok(expected(&read))
}

/// Returns the decoded bytes of a value.
fn decoded(mut raw: &[u8]) -> Vec<u8> {
    let hex = |digit: u8| char::from(digit).to_digit(16).map(|value| value as u8);
    let mut bytes = Vec::new();
    while let [first, rest @ ..] = raw {
        raw = rest;
        match (first, rest) {
            (b'%', [high, low, behind @ ..]) => match (hex(*high), hex(*low)) {
                (Some(high), Some(low)) => {
                    bytes.push(high * 16 + low);
                    raw = behind;
                }
                _ => bytes.push(b'%'),
            },
            (b'+', _) => bytes.push(b' '),
            (byte, _) => bytes.push(*byte),
        }
    }
    bytes
}
