//! Small functions over text that several files share.

/// Splits at the first of these bytes. A scheme or a name is so short that a search made for long texts takes longer to
/// begin than to end.
pub(crate) fn split_at_first(text: &str, ascii: u8) -> (&str, Option<&str>) {
    match text.bytes().position(|byte| byte == ascii) {
        Some(at) => (&text[..at], Some(&text[at + 1..])),
        None => (text, None),
    }
}

/// Whether a value holds a control character, U+FFFE or U+FFFF; `line_ends` allows TAB, LF and CR.
#[must_use]
pub fn has_forbidden_character(value: &str, line_ends: bool) -> bool {
    // Nearly every value is printable ASCII, which is seen for many bytes at once.
    if value
        .bytes()
        .fold(true, |printable, b| printable & (b' '..=b'~').contains(&b))
    {
        return false;
    }
    value.chars().any(|c| match c {
        '\t' | '\n' | '\r' => !line_ends,
        '\u{fffe}' | '\u{ffff}' => true,
        c => c.is_control(),
    })
}
