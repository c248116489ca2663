//! `multipart/form-data` (RFC 7578).

use std::convert::Infallible;

use bytes::Bytes;
use futures_util::{FutureExt, stream};
use http::HeaderMap;
use http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use memchr::memmem;

use crate::error::Error;
use crate::header_parameter::header_parameter;
use crate::operation::declared_name;
use crate::pair_count::PairCount;

/// Most header lines of a part, as its reader has it.
const HEADERS_MAX: usize = 32;

/// With what the names of headers begin by which a part is understood.
const CONTENT: &str = "content-";

/// How a part's bytes can stand in the body without being encoded.
const IDENTITY_ENCODINGS: [&[u8]; 3] = [b"7bit", b"8bit", b"binary"];

/// One part with a declared name.
pub(crate) struct Part {
    pub(crate) name: &'static str,
    pub(crate) value: String,
    pub(crate) is_file: bool,
}

/// Reads the parts of a body in their order; `take` gets those with a declared name.
///
/// # Errors
/// MALFORMED_REQUEST, and INCORRECT_PARAM for a file where a credential belongs.
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
                    "A credential is a file; a value belongs there.",
                ));
            }
            if has_parts(field.headers()) {
                return Err(Error::malformed("Parts of parts are not taken."));
            }
            if is_encoded(field.headers()) {
                return Err(Error::malformed(
                    "A part has a Content-Transfer-Encoding; send its value as it is.",
                ));
            }
            let bytes = field.bytes().await.map_err(|_| broken())?;
            // A file where a value belongs is a mistake in the call, reported once the caller is authenticated.
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
    // All bytes are here, so the reader never has to wait.
    read.now_or_never().unwrap_or_else(|| Err(broken()))
}

/// The declared name of a part, if it has one (RFC 7578, 4.2).
fn part_name(headers: &HeaderMap) -> Result<Option<&'static str>, Error> {
    let Some(disposition) = headers.get(CONTENT_DISPOSITION) else {
        return Ok(None);
    };
    let name = header_parameter(disposition.as_bytes(), "name")
        .map_err(|_| Error::malformed("The name of a part can't be read."))?;
    Ok(name.and_then(|name| declared_name(std::str::from_utf8(&name).ok()?)))
}

/// Rejects a part that has a header twice by which it is understood: its reader would know of the last one alone. It goes the
/// reader's own way from delimiter to delimiter, each byte once, and ends where the reader refuses the body.
fn reject_doubled_headers(body: &[u8], boundary: &str) -> Result<(), Error> {
    let delimiter = format!("\r\n--{boundary}");
    // Only the first delimiter may begin the body.
    let mut next = after(body, &delimiter.as_bytes()[2..]);
    while let Some(rest) = next {
        // White space may stand behind a delimiter (RFC 2046, 5.1.1).
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
            return Err(Error::malformed("A part has a header twice."));
        }
        next = after(head, b"\r\n\r\n").and_then(|value| after(value, delimiter.as_bytes()));
    }
    Ok(())
}

/// What stands behind the first of these.
fn after<'b>(bytes: &'b [u8], sought: &[u8]) -> Option<&'b [u8]> {
    memmem::find(bytes, sought).map(|at| &bytes[at + sought.len()..])
}

/// Whether a part's bytes are encoded, which RFC 7578, 4.7 has given up.
fn is_encoded(headers: &HeaderMap) -> bool {
    let encoding = headers.get("content-transfer-encoding");
    let is_identity = |encoding: &[u8]| {
        let mut known = IDENTITY_ENCODINGS.iter();
        known.any(|known| known.eq_ignore_ascii_case(encoding.trim_ascii()))
    };
    encoding.is_some_and(|encoding| !is_identity(encoding.as_bytes()))
}

/// Whether a part announces parts of its own.
fn has_parts(headers: &HeaderMap) -> bool {
    const MULTIPART: &[u8] = b"multipart/";
    let media_type = headers.get(CONTENT_TYPE);
    let start = media_type.and_then(|value| value.as_bytes().trim_ascii().get(..MULTIPART.len()));
    start.is_some_and(|start| start.eq_ignore_ascii_case(MULTIPART))
}

/// Whether a part is a file, by either spelling of its file name (RFC 7578, 4.2; RFC 8187).
fn is_file(headers: &HeaderMap) -> bool {
    const FILE_NAME: &[u8] = b"filename";
    let disposition = headers
        .get(CONTENT_DISPOSITION)
        .map_or(&b""[..], |v| v.as_bytes());
    // A name that merely holds this text is none of the declared ones.
    disposition
        .windows(FILE_NAME.len())
        .any(|window| window.eq_ignore_ascii_case(FILE_NAME))
}
