//! Reads the parts of the HTTP head that describe the body: media type, character set and action.

use adapter::{Code, Error, SoapVersion, Wire, content_type, header_parts};
use http::header::{CONTENT_TYPE, HeaderName};

use crate::xml::{CHARSETS_TAKEN, Charset};

/// A constant, so that the name is not parsed for every call.
const SOAP_ACTION: HeaderName = HeaderName::from_static("soapaction");

/// The parts of the head that SOAP uses.
#[derive(Debug, Default)]
pub(crate) struct Head {
    essence: String,
    charset: Option<String>,
    /// True if Content-Type names more than one character set.
    has_other_charset: bool,
    /// The non-empty values of `SOAPAction` and of the parameter `action`.
    actions: Vec<String>,
}

impl Head {
    /// Reads the head. A media type that is not printable ASCII becomes an unsupported one.
    pub(crate) fn of(wire: &Wire<'_>) -> Head {
        let mut head = Head::default();
        if let Some(value) = wire.headers.get(CONTENT_TYPE) {
            head.read_content_type(value.to_str().unwrap_or("?"));
        }
        for value in wire.headers.get_all(SOAP_ACTION) {
            head.add_action(unquoted(value.to_str().unwrap_or("?").trim()));
        }
        head
    }

    /// Returns the SOAP version of the media type.
    pub(crate) fn version(&self) -> SoapVersion {
        if self.essence == "application/soap+xml" {
            SoapVersion::V12
        } else {
            SoapVersion::V11
        }
    }

    /// Requires an uncompressed body with one media type that can contain an envelope. Returns the character set that the media
    /// type names.
    pub(crate) fn check_media_type(&self, wire: &Wire<'_>) -> Result<Option<Charset>, Error> {
        content_type(wire)?;
        match self.essence.as_str() {
            "" | "text/xml" | "application/xml" | "application/soap+xml" => {}
            "application/xop+xml" => return Err(Error::malformed("MTOM is not supported.")),
            essence if essence.starts_with("multipart/") => {
                return Err(Error::malformed("Attachments and MTOM are not supported."));
            }
            _ => return Err(Error::refused(Code::UnsupportedMediaType)),
        }
        if self.has_other_charset {
            return Err(Error::malformed("Content-Type names two charsets."));
        }
        let not_taken = || Error::explained(Code::UnsupportedMediaType, CHARSETS_TAKEN);
        let named = |label| Charset::named(label).ok_or_else(not_taken);
        self.charset.as_deref().map(named).transpose()
    }

    /// Requires that each given action names the element in the body.
    pub(crate) fn check_actions(&self, namespace: &str, local: &str) -> Result<(), Error> {
        let agrees = |action: &String| {
            let qualified = action.strip_prefix(namespace);
            action == local || qualified.and_then(|rest| rest.strip_prefix('#')) == Some(local)
        };
        if self.actions.iter().all(agrees) {
            Ok(())
        } else {
            Err(Error::malformed(
                "SOAPAction or action names another operation.",
            ))
        }
    }

    fn read_content_type(&mut self, value: &str) {
        let mut parts = header_parts(value.as_bytes()).map(String::from_utf8_lossy);
        self.essence = parts.next().unwrap_or_default().trim().to_ascii_lowercase();
        for part in parts {
            let Some((name, value)) = part.split_once('=') else {
                continue;
            };
            let value = unquoted(value.trim());
            if name.trim().eq_ignore_ascii_case("charset") {
                let value = value.to_ascii_lowercase();
                self.has_other_charset |= self.charset.as_ref().is_some_and(|c| *c != value);
                self.charset = Some(value);
            } else if name.trim().eq_ignore_ascii_case("action") {
                self.add_action(value);
            }
        }
    }

    fn add_action(&mut self, action: String) {
        if !action.is_empty() {
            self.actions.push(action);
        }
    }
}

/// Returns a quoted string without its quotes and escapes, and any other value unchanged.
fn unquoted(value: &str) -> String {
    let inner = value.strip_prefix('"').and_then(|v| v.strip_suffix('"'));
    let Some(inner) = inner else {
        return value.to_owned();
    };
    let mut out = String::with_capacity(inner.len());
    let mut chars = inner.chars();
    while let Some(c) = chars.next() {
        out.extend(if c == '\\' { chars.next() } else { Some(c) });
    }
    out
}
