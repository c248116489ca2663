//! Escapes text for XML and writes the envelope around it.

use adapter::SoapVersion;

use crate::namespace;
use crate::xml::is_char;

/// Appends text so that a reader gets the same text. Markup and CR are written as references, and characters that XML does not
/// allow as U+FFFD.
pub(crate) fn push_escaped(out: &mut String, text: &str) {
    // Most text needs no escaping, and this check handles many bytes at a time.
    let is_plain = |b: u8| matches!(b, b' '..=0x7f) & !matches!(b, b'&' | b'<' | b'>' | b'"');
    if text.bytes().fold(true, |plain, b| plain & is_plain(b)) {
        out.push_str(text);
        return;
    }
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            // A reader would turn a literal CR into LF.
            '\r' => out.push_str("&#13;"),
            c if is_char(c) => out.push(c),
            _ => out.push('\u{fffd}'),
        }
    }
}

/// Appends one element of our namespace that contains this text.
pub(crate) fn push_element(out: &mut String, name: &str, text: &str) {
    out.push_str("<c:");
    out.push_str(name);
    out.push('>');
    push_escaped(out, text);
    out.push_str("</c:");
    out.push_str(name);
    out.push('>');
}

/// Writes the whole document around header and body. The prefixes are fixed by the contract: `s` for 1.1 and `e` for 1.2.
pub(crate) fn envelope(version: SoapVersion, header: &str, body: &str) -> String {
    let (mut document, close) = around(version, header);
    document.push_str(body);
    document.push_str(&close);
    document
}

/// Returns the parts of such a document before and after its body's content.
pub(crate) fn around(version: SoapVersion, header: &str) -> (String, String) {
    let prefix = prefix(version);
    let namespace = namespace::of_envelope(version);
    let open = [
        "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<",
        prefix,
        ":Envelope xmlns:",
        prefix,
        "=\"",
        namespace,
        "\">",
        header,
        "<",
        prefix,
        ":Body>",
    ];
    let close = ["</", prefix, ":Body></", prefix, ":Envelope>"];
    (open.concat(), close.concat())
}

/// Returns the prefix that [`envelope`] binds.
pub(crate) const fn prefix(version: SoapVersion) -> &'static str {
    match version {
        SoapVersion::V11 => "s",
        SoapVersion::V12 => "e",
    }
}

/// Returns the value of `Content-Type`.
pub(crate) const fn content_type(version: SoapVersion) -> &'static str {
    match version {
        SoapVersion::V11 => "text/xml; charset=utf-8",
        SoapVersion::V12 => "application/soap+xml; charset=utf-8",
    }
}
