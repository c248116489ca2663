//! Reads `multipart/form-data` (RFC 7578).

use std::convert::Infallible;

use bytes::Bytes;
use futures_util::{FutureExt, stream};
use http::HeaderMap;
use http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use memchr::memmem;

use crate::charset::check_charset;
use crate::error::Error;
use crate::header_parameter::header_parameter;
use crate::operation::declared_name;
use crate::pair_count::PairCount;

/// Maximum number of header lines of a part. The multipart reader has the same limit.
const HEADERS_MAX: usize = 32;

/// The prefix of the header names that give a part its meaning.
const CONTENT: &str = "content-";

/// The transfer encodings under which a part's bytes are unchanged.
const IDENTITY_ENCODINGS: [&[u8]; 3] = [b"7bit", b"8bit", b"binary"];

/// One part with a declared name.
pub(crate) struct Part {
    pub(crate) name: &'static str,
    pub(crate) value: String,
    pub(crate) is_file: bool,
}

/// Reads the parts of a body in their order, and passes each part with a declared name to `take`.
///
/// # Errors
/// MALFORMED_REQUEST, or INCORRECT_PARAM for a file in place of a credential.
pub(crate) fn read_parts(
    body: &Bytes,
    boundary: String,
    pairs: &mut PairCount,
    mut take: impl FnMut(Part),
) -> Result<(), Error> {
    let broken = || Error::malformed("The multipart body is broken.");
    reject_doubled_headers(body, &boundary)?;
    let whole = stream::iter([Ok::<_, Infallible>(body.clone())]);
    let mut multipart = multer::Multipart::new(whole, boundary);
    let read = async {
        while let Some(field) = multipart.next_field().await.map_err(|_| broken())? {
            pairs.add()?;
            let Some(name) = part_name(field.headers())? else {
                continue;
            };
            let is_file = is_file(field.headers());
            if is_file && (name == "user" || name == "password") {
                return Err(Error::incorrect(
                    "A credential was sent as a file; send it as a value.",
                ));
            }
            if has_parts(field.headers()) {
                return Err(Error::malformed(
                    "Nested multipart bodies are not supported.",
                ));
            }
            if is_encoded(field.headers()) {
                return Err(Error::malformed(
                    "A part has a Content-Transfer-Encoding; send its value as it is.",
                ));
            }
            let media_type = field.headers().get(CONTENT_TYPE).cloned();
            let bytes = field.bytes().await.map_err(|_| broken())?;
            check_charset(media_type.as_ref(), || bytes.is_ascii())?;
            // A file in place of a value is a mistake in the call, which is reported after the caller is authenticated.
            let value = match String::from_utf8(bytes.into()) {
                Err(_) if is_file => "(file)".to_owned(),
                value => value.map_err(|_| Error::malformed("A value is not UTF-8."))?,
            };
            take(Part {
                name,
                value,
                is_file,
            });
        }
        Ok(())
    };
    // All bytes are available, so the reader never has to wait.
    read.now_or_never().unwrap_or_else(|| Err(broken()))
}

/// Returns the declared name of a part, if it has one (RFC 7578, 4.2).
fn part_name(headers: &HeaderMap) -> Result<Option<&'static str>, Error> {
    let Some(disposition) = headers.get(CONTENT_DISPOSITION) else {
        return Ok(None);
    };
    let name = header_parameter(disposition.as_bytes(), "name")
        .map_err(|_| Error::malformed("The name of a part can't be read."))?;
    Ok(name.and_then(|name| declared_name(std::str::from_utf8(&name).ok()?)))
}

/// Rejects a part in which a header with the prefix [`CONTENT`] appears twice, because the multipart reader would use only the last
/// one. Scans from delimiter to delimiter as that reader does, each byte once, and stops where that reader rejects the body.
fn reject_doubled_headers(body: &[u8], boundary: &str) -> Result<(), Error> {
    let delimiter = format!("\r\n--{boundary}");
    // Only the first delimiter may be at the very start of the body.
    let mut next = after(body, &delimiter.as_bytes()[2..]);
    while let Some(rest) = next {
        // White space may follow a delimiter (RFC 2046, 5.1.1).
        let padding = rest.iter().take_while(|byte| b" \t".contains(byte)).count();
        let Some(head) = rest[padding..].strip_prefix(b"\r\n") else {
            return Ok(());
        };
        let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
        let parsed = httparse::parse_headers(head, &mut headers);
        let Ok(httparse::Status::Complete((_, headers))) = parsed else {
            return Ok(());
        };
        if headers.iter().enumerate().any(|(at, header)| {
            let is = |other: &httparse::Header<'_>| other.name.eq_ignore_ascii_case(header.name);
            let start = header.name.get(..CONTENT.len());
            start.is_some_and(|start| start.eq_ignore_ascii_case(CONTENT))
                && headers[..at].iter().any(is)
        }) {
            return Err(Error::malformed("A part has a duplicate header."));
        }
        next = after(head, b"\r\n\r\n").and_then(|value| after(value, delimiter.as_bytes()));
    }
    Ok(())
}

/// Returns the bytes after the first occurrence of `sought`.
fn after<'b>(bytes: &'b [u8], sought: &[u8]) -> Option<&'b [u8]> {
    memmem::find(bytes, sought).map(|at| &bytes[at + sought.len()..])
}

/// Returns whether a part's bytes are encoded. RFC 7578, 4.7 deprecates that.
fn is_encoded(headers: &HeaderMap) -> bool {
    let encoding = headers.get("content-transfer-encoding");
    let is_identity = |encoding: &[u8]| {
        let mut known = IDENTITY_ENCODINGS.iter();
        known.any(|known| known.eq_ignore_ascii_case(encoding.trim_ascii()))
    };
    encoding.is_some_and(|encoding| !is_identity(encoding.as_bytes()))
}

/// Returns whether a part declares nested parts.
fn has_parts(headers: &HeaderMap) -> bool {
    const MULTIPART: &[u8] = b"multipart/";
    let media_type = headers.get(CONTENT_TYPE);
    let start = media_type.and_then(|value| value.as_bytes().trim_ascii().get(..MULTIPART.len()));
    start.is_some_and(|start| start.eq_ignore_ascii_case(MULTIPART))
}

/// Returns whether a part is a file, by either spelling of its file name (RFC 7578, 4.2; RFC 8187).
fn is_file(headers: &HeaderMap) -> bool {
    const FILE_NAME: &[u8] = b"filename";
    let disposition = headers
        .get(CONTENT_DISPOSITION)
        .map_or(&b""[..], |v| v.as_bytes());
    // A parameter name that merely contains this text is not a declared name, so it does no harm here.
    disposition
        .windows(FILE_NAME.len())
        .any(|window| window.eq_ignore_ascii_case(FILE_NAME))
}
