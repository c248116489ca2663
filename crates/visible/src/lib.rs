//! Makes text from callers safe to show. Escapes characters that are invisible, or that turn, hide or move other characters on a
//! terminal (as in Trojan Source, CVE-2021-42574).

use std::borrow::Cow;
use std::fmt::Write as _;

/// Returns the text for people, with each such character as `\u{202e}`.
#[must_use]
pub fn escape_invisible(text: &str) -> Cow<'_, str> {
    replaced(text, is_invisible, unicode)
}

/// Returns a text of several lines for people. Line breaks and tabs are not escaped.
#[must_use]
pub fn escape_invisible_in_text(text: &str) -> Cow<'_, str> {
    let is_foreign = |c| is_invisible(c) && !matches!(c, '\n' | '\t');
    replaced(text, is_foreign, unicode)
}

/// Returns our own lines with our own styles for people. Line breaks, tabs and the escape character are not escaped.
#[must_use]
pub fn escape_invisible_in_lines(text: &str) -> Cow<'_, str> {
    let is_foreign = |c| is_invisible(c) && !matches!(c, '\n' | '\t' | '\x1b');
    replaced(text, is_foreign, unicode)
}

/// Returns a JSON text with each such character as `\u202e`, which reads back as the same character (RFC 8259, 7). Such characters
/// occur only in JSON strings.
#[must_use]
pub fn escape_invisible_in_json(json: &str) -> Cow<'_, str> {
    let is_foreign = |c: char| is_invisible(c) && !matches!(c, '\n' | '\r' | '\t');
    replaced(json, is_foreign, escape_in_json)
}

/// Appends a character as JSON's escape (RFC 8259, 7).
pub fn escape_in_json(shown: &mut String, c: char) {
    for unit in c.encode_utf16(&mut [0; 2]) {
        // Writing to a string cannot fail.
        let _ = write!(shown, "\\u{unit:04x}");
    }
}

fn unicode(shown: &mut String, c: char) {
    shown.extend(c.escape_unicode());
}

fn replaced(
    text: &str,
    is_to_go: impl Fn(char) -> bool,
    write: impl Fn(&mut String, char),
) -> Cow<'_, str> {
    if !text.contains(&is_to_go) {
        return text.into();
    }
    let mut shown = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if is_to_go(c) {
            write(&mut shown, c);
        } else {
            shown.push(c);
        }
    }
    shown.into()
}

/// Returns whether the character is a control (Cc), a format character (Cf), a line or paragraph separator (Zl, Zp), or a letter
/// without a visible glyph.
#[must_use]
pub fn is_invisible(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{34f}' | '\u{600}'..='\u{605}' | '\u{61c}' | '\u{6dd}' | '\u{70f}' | '\u{890}' | '\u{891}' | '\u{8e2}'
            | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180f}'
            | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
            | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}'
            | '\u{110bd}' | '\u{110cd}' | '\u{13430}'..='\u{1343f}' | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}'
            | '\u{e0000}'..='\u{e0fff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn invisible_characters_are_escaped_and_all_others_are_unchanged() {
        for (text, shown) in [
            ("shop", "shop"),
            ("naïve 部落格 🎉", "naïve 部落格 🎉"),
            ("a\u{202e}b", r"a\u{202e}b"),
            ("a\u{200b}\u{feff}\u{2066}", r"a\u{200b}\u{feff}\u{2066}"),
            ("\u{1b}[2J\u{9b}\n", r"\u{1b}[2J\u{9b}\u{a}"),
            ("\u{e0041}", r"\u{e0041}"),
        ] {
            assert_eq!(escape_invisible(text), shown);
        }
        assert_eq!(
            escape_invisible_in_lines("\u{1b}[1ma\u{202e}\n"),
            "\u{1b}[1ma\\u{202e}\n"
        );
        assert_eq!(
            escape_invisible_in_text("\u{1b}a\u{115f}\t\n"),
            "\\u{1b}a\\u{115f}\t\n"
        );
    }

    #[test]
    fn escaped_json_parses_to_the_same_value() {
        let value = serde_json::json!({"a\u{202e}": "\u{e0041}\u{7f}\u{9b}部\n"});
        for json in [value.to_string(), format!("{value:#}\n")] {
            let shown = escape_invisible_in_json(&json);
            assert!(
                !shown.contains(|c: char| is_invisible(c) && c != '\n'),
                "{shown}"
            );
            assert!(
                shown.contains(r"\u202e") && shown.contains(r"\udb40\udc41"),
                "{shown}"
            );
            assert_eq!(
                serde_json::from_str::<serde_json::Value>(&shown).unwrap(),
                value
            );
        }
    }
}
