//! Reads the media type of a body.

use http::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderValue};

use crate::charset::{check_charset, is_ascii_form};
use crate::code::Code;
use crate::error::Error;
use crate::header_parameter::header_parameter;
use crate::wire::Wire;

/// The media type of nearly every body, without a parameter.
const FORM: &str = "application/x-www-form-urlencoded";

/// The kind of body that the head declares.
pub(crate) enum Media {
    Form,
    /// `multipart/form-data` with its boundary.
    Multipart(String),
    Json,
}

impl Media {
    /// Reads the kind of body from the head. A body without a media type is a form.
    ///
    /// # Errors
    /// UNSUPPORTED_MEDIA_TYPE, or MALFORMED_REQUEST if a header is given twice or lacks its boundary.
    pub(crate) fn of(wire: &Wire<'_>) -> Result<Media, Error> {
        let header = content_type(wire)?;
        // The general case costs 400 instructions more.
        if header.is_some_and(|header| header == FORM) {
            return Ok(Media::Form);
        }
        let media_type = header
            .map_or(Ok(""), HeaderValue::to_str)
            .map_err(|_| Error::refused(Code::UnsupportedMediaType))?;
        let essence = media_type.split(';').next().unwrap_or("").trim();
        let media = if essence.is_empty() || essence.eq_ignore_ascii_case(FORM) {
            Media::Form
        } else if essence.eq_ignore_ascii_case("multipart/form-data") {
            let boundary = header_parameter(media_type.as_bytes(), "boundary").ok();
            let boundary = boundary.flatten().map(|bytes| bytes.into_owned());
            let boundary = boundary.and_then(|bytes| String::from_utf8(bytes).ok());
            let boundary = boundary.filter(|boundary| !boundary.is_empty());
            let missing = || Error::malformed("The boundary is missing, or given twice.");
            Media::Multipart(boundary.ok_or_else(missing)?)
        } else if essence.eq_ignore_ascii_case("application/json") {
            Media::Json
        } else {
            return Err(Error::refused(Code::UnsupportedMediaType));
        };
        check_charset(header, || match media {
            Media::Form => is_ascii_form(wire.body),
            Media::Multipart(_) | Media::Json => wire.body.is_ascii(),
        })?;
        Ok(media)
    }
}

/// Returns the media type of a body that is not decompressed.
///
/// # Errors
/// UNSUPPORTED_MEDIA_TYPE for a compressed body, and MALFORMED_REQUEST for a media type that is given twice, because another reader
/// of the request might use the other one.
pub fn content_type<'w>(wire: &Wire<'w>) -> Result<Option<&'w HeaderValue>, Error> {
    refuse_compression(wire)?;
    let mut types = wire.headers.get_all(CONTENT_TYPE).iter();
    let media_type = types.next();
    if types.next().is_some() {
        return Err(Error::malformed("The Content-Type header is given twice."));
    }
    Ok(media_type)
}

/// Rejects a compressed body, because the body would be read without decompression.
fn refuse_compression(wire: &Wire<'_>) -> Result<(), Error> {
    let lines = wire.headers.get_all(CONTENT_ENCODING).iter();
    let mut codings = lines.flat_map(|line| line.as_bytes().split(|byte| *byte == b','));
    // A list may have empty elements (RFC 9110, 5.6.1.2).
    let is_plain = |coding: &[u8]| coding.is_empty() || coding.eq_ignore_ascii_case(b"identity");
    if codings.any(|coding| !is_plain(coding.trim_ascii())) {
        let text = "Compressed bodies are not supported.";
        return Err(Error::explained(Code::UnsupportedMediaType, text));
    }
    Ok(())
}
