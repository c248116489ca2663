//! Small text functions that several files share.

/// Splits at the first occurrence of this byte. For a text as short as a scheme or a name, a search routine for long texts spends
/// more time on its setup than on the search.
pub(crate) fn split_at_first(text: &str, ascii: u8) -> (&str, Option<&str>) {
    match text.bytes().position(|byte| byte == ascii) {
        Some(at) => (&text[..at], Some(&text[at + 1..])),
        None => (text, None),
    }
}

/// Returns whether a value contains a control character, U+FFFE or U+FFFF; `line_ends` allows TAB, LF and CR.
#[must_use]
pub fn has_forbidden_character(value: &str, line_ends: bool) -> bool {
    // Nearly every value is printable ASCII, and this check handles many bytes at a time.
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
