//! Judges multipart bodies. Input: the text after `multipart/form-data` in the Content-Type, a line feed, the body.

use adapter::{Adapter, Code, Params, StatusPolicy, Wire};
use adapter_http::HttpAdapter;
use bytes::Bytes;

use crate::reading::{DECLARED, Taken, expected, headers, pairs, split, taken};

/// Maximum number of parts in a request.
const PARTS_MAX: usize = 256;

pub(crate) fn judge(input: &[u8]) {
    let (parameters, body) = split(input, b'\n');
    let found = read(parameters, body);
    let Some(boundary) = plain_boundary(parameters) else {
        return;
    };
    if let Some(parts) = plain_parts(&boundary, body) {
        assert_eq!(found, expected_of(&parts));
    }
    let Ok(found) = found else {
        return;
    };
    let ended = [b"--", boundary.as_bytes(), b"--"].concat();
    assert!(
        body.is_empty() || position(body, &ended).is_some(),
        "a body without its end was taken"
    );
    let whole = pairs(&found);
    for (_, value) in &whole {
        // The bytes of a part are exactly its value.
        let framed = [b"\r\n", value.as_bytes(), b"\r\n--", boundary.as_bytes()].concat();
        assert!(position(body, &framed).is_some(), "{value:?} is no part");
    }
    let written = write(&boundary, &whole);
    assert_eq!(read(parameters, &written), Ok(expected(&whole)));
}

fn read(parameters: &[u8], body: &[u8]) -> Result<Taken, Code> {
    let media_type = [b"multipart/form-data", parameters].concat();
    let Some(headers) = headers(&[("content-type", &media_type)]) else {
        return Err(Code::MalformedRequest);
    };
    let wire = Wire {
        query: "",
        headers: &headers,
        body: &Bytes::copy_from_slice(body),
    };
    let decoded = HttpAdapter::new(StatusPolicy::Compat).decode(&wire).1;
    let params = Params::read(&wire);
    assert!(
        decoded.is_err() || params.is_ok(),
        "a call came of unreadable parameters"
    );
    params.map(taken).map_err(|error| error.code())
}

/// Returns the boundary if it is written unambiguously.
fn plain_boundary(parameters: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(parameters).ok()?;
    let boundary = text.strip_prefix("; boundary=")?;
    let is_plain = !boundary.is_empty() && boundary.bytes().all(|b| b.is_ascii_alphanumeric());
    is_plain.then(|| boundary.to_owned())
}

/// Returns the parts of a body in the simplest form: each part has its name and nothing else.
fn plain_parts(boundary: &str, body: &[u8]) -> Option<Vec<(String, Vec<u8>)>> {
    let delimiter = format!("\r\n--{boundary}");
    let end = format!("{delimiter}--\r\n");
    let inner = body.strip_suffix(end.as_bytes())?;
    // With a line end before it, the first delimiter looks like all others.
    let framed = [b"\r\n", inner].concat();
    let mut rest = framed.as_slice();
    let mut parts = Vec::new();
    while !rest.is_empty() {
        let part = rest.strip_prefix(delimiter.as_bytes())?;
        let part = part.strip_prefix(b"\r\nContent-Disposition: form-data; name=\"")?;
        let (name, part) = split(part, b'"');
        if !name.iter().all(u8::is_ascii_alphanumeric) {
            return None;
        }
        let part = part.strip_prefix(b"\r\n\r\n")?;
        let length = position(part, delimiter.as_bytes()).unwrap_or(part.len());
        let name = String::from_utf8(name.to_vec()).ok()?;
        parts.push((name, part[..length].to_vec()));
        rest = &part[length..];
    }
    (!parts.is_empty()).then_some(parts)
}

fn expected_of(parts: &[(String, Vec<u8>)]) -> Result<Taken, Code> {
    let mut read = Vec::new();
    for (name, value) in parts {
        if DECLARED.contains(&name.as_str()) {
            let value = String::from_utf8(value.clone()).map_err(|_| Code::MalformedRequest)?;
            read.push((name.clone(), value));
        }
    }
    if parts.len() > PARTS_MAX {
        return Err(Code::MalformedRequest);
    }
    Ok(expected(&read))
}

/// Writes the pairs as a body.
pub(crate) fn write(boundary: &str, pairs: &[(String, String)]) -> Vec<u8> {
    let mut body = String::new();
    for (name, value) in pairs {
        let head = format!("Content-Disposition: form-data; name=\"{name}\"");
        body.push_str(&format!("--{boundary}\r\n{head}\r\n\r\n{value}\r\n"));
    }
    body.push_str(&format!("--{boundary}--\r\n"));
    body.into_bytes()
}

fn position(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes
        .windows(wanted.len())
        .position(|window| window == wanted)
}
