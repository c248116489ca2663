//! Finds a destination in a text, in plain form or in the notation of JSON, XML or a URL.

/// The replacement for a destination.
pub(crate) const ERASED: &str = "(erased)";

/// Minimum length of a text that is searched for inside other words and numbers, in characters: shorter texts would be found by
/// chance.
const INSIDE_MIN: usize = 7;

/// Minimum number of digits of a telephone number; a shorter number is another kind of id.
const PHONE_DIGITS_MIN: usize = 7;

/// A destination in all its forms.
pub(crate) struct DestinationForms {
    /// The notations that channels use for this one destination.
    variants: Vec<String>,
    /// The texts to search for: the part that all variants share, and the destination as the caller gave it.
    cores: Vec<Vec<char>>,
}

impl DestinationForms {
    pub(crate) fn of(destination: &str) -> DestinationForms {
        let given = || destination.to_owned();
        let variants = phone_digits(destination).map_or_else(
            || vec![given()],
            |digits| {
                let (plus, zeros) = (format!("+{digits}"), format!("00{digits}"));
                vec![digits, plus, zeros, given()]
            },
        );
        let cores = variants.first().into_iter().chain(variants.last());
        DestinationForms {
            cores: cores.map(|core| core.chars().collect()).collect(),
            variants,
        }
    }

    /// Returns the notations that channels use for the destination.
    pub(crate) fn variants(&self) -> impl Iterator<Item = &str> {
        self.variants.iter().map(String::as_str)
    }

    /// Returns whether this text contains the destination.
    pub(crate) fn occurs_in(&self, text: &str) -> bool {
        self.next_in(text, 0).is_some()
    }

    /// Returns the text without the destination; `None` if the text does not contain it.
    pub(crate) fn redacted(&self, text: &str) -> Option<String> {
        let mut rest = 0;
        let mut kept = String::new();
        while let Some((start, end)) = self.next_in(text, rest) {
            kept.push_str(&text[rest..start]);
            kept.push_str(ERASED);
            rest = end;
        }
        kept.push_str(&text[rest..]);
        (rest > 0).then_some(kept)
    }

    /// Returns the start and the end of the next occurrence, searching from this offset.
    fn next_in(&self, text: &str, from: usize) -> Option<(usize, usize)> {
        let begins = |core: &[char], char: char| {
            let first = core
                .first()
                .is_some_and(|first| char.eq_ignore_ascii_case(first));
            first || matches!(char, '\\' | '%' | '&' | '+')
        };
        text[from..].char_indices().find_map(|(offset, char)| {
            let start = from + offset;
            self.cores.iter().find_map(|core| {
                let end = begins(core, char)
                    .then(|| end_at(core, text, start))
                    .flatten()?;
                let is_found = core.len() >= INSIDE_MIN || stands_alone(text, start, end);
                (is_found && end > start).then_some((start, end))
            })
        })
    }
}

/// Returns the end of the occurrence that begins at `start`, if there is one. A sequence that looks like an escape is read both as
/// an escape and as plain text.
fn end_at(core: &[char], text: &str, start: usize) -> Option<usize> {
    let mut ends = vec![start];
    for wanted in core {
        let mut further = Vec::new();
        for end in ends {
            let rest = &text[end..];
            let plain = rest.chars().next().map(|char| (char, char.len_utf8()));
            let space = rest.starts_with('+').then_some((' ', 1));
            let readings = [written(rest), plain, space].into_iter().flatten();
            let fit = readings.filter(|(char, _)| char.eq_ignore_ascii_case(wanted));
            further.extend(fit.map(|(_, length)| end + length));
        }
        further.sort_unstable();
        further.dedup();
        ends = further;
        if ends.is_empty() {
            return None;
        }
    }
    ends.last().copied()
}

/// Returns the digits of a telephone number, without the prefixes and separators that some channels add.
fn phone_digits(text: &str) -> Option<String> {
    let digits: String = text.chars().filter(char::is_ascii_digit).collect();
    let is_number = text
        .chars()
        .all(|char| char.is_ascii_digit() || "+ -.()".contains(char));
    let digits = digits.strip_prefix("00").unwrap_or(&digits).to_owned();
    (is_number && digits.len() >= PHONE_DIGITS_MIN).then_some(digits)
}

fn stands_alone(text: &str, start: usize, end: usize) -> bool {
    let before = text[..start].chars().next_back();
    let after = text[end..].chars().next();
    let mut beside = before.into_iter().chain(after);
    !beside.any(char::is_alphanumeric)
}

/// Returns the character that the escape at the beginning of a text encodes, and the escape's length in bytes.
fn written(text: &str) -> Option<(char, usize)> {
    match text.as_bytes().first()? {
        b'\\' => in_json(text),
        b'%' => in_a_url(text),
        b'&' => in_xml(text),
        _ => None,
    }
}

/// Reads a JSON escape: RFC 8259, 7.
fn in_json(text: &str) -> Option<(char, usize)> {
    let unit = |at: usize| u16::from_str_radix(text.get(at..at + 4)?, 16).ok();
    if !text.starts_with("\\u") {
        let char = text[1..].chars().next()?;
        let plain = matches!(char, '"' | '\\' | '/').then_some(char);
        let control = [
            ('b', '\u{8}'),
            ('f', '\u{c}'),
            ('n', '\n'),
            ('r', '\r'),
            ('t', '\t'),
        ];
        let control = || {
            control
                .iter()
                .find(|(name, _)| *name == char)
                .map(|(_, char)| *char)
        };
        return Some((plain.or_else(control)?, 2));
    }
    let first = unit(2)?;
    if let Some(char) = char::from_u32(first.into()) {
        return Some((char, 6));
    }
    let second = text
        .get(6..8)
        .filter(|escape| *escape == "\\u")
        .and_then(|_| unit(8))?;
    let char = char::decode_utf16([first, second]).next()?.ok()?;
    Some((char, 12))
}

/// Reads a percent-encoded character, the bytes of UTF-8: RFC 3986, 2.1.
fn in_a_url(text: &str) -> Option<(char, usize)> {
    let byte = |at: usize| {
        let escape = text.get(at..at + 3)?.strip_prefix('%')?;
        u8::from_str_radix(escape, 16).ok()
    };
    let mut bytes = [0; 4];
    for count in 0..4 {
        bytes[count] = byte(3 * count)?;
        if let Ok(char) = std::str::from_utf8(&bytes[..=count]) {
            return Some((char.chars().next()?, 3 * (count + 1)));
        }
    }
    None
}

/// Reads an XML reference: XML 1.0, 4.1 and 4.6.
fn in_xml(text: &str) -> Option<(char, usize)> {
    /// Maximum length of a reference, in bytes: `&#1114111;`.
    const REFERENCE_MAX: usize = 10;
    let end = text
        .bytes()
        .take(REFERENCE_MAX)
        .position(|byte| byte == b';')?;
    let name = &text[1..end];
    let named = [
        ("amp", '&'),
        ("lt", '<'),
        ("gt", '>'),
        ("quot", '"'),
        ("apos", '\''),
    ];
    let number = || {
        let number = name.strip_prefix('#')?;
        let code = match number.strip_prefix('x') {
            Some(hex) => u32::from_str_radix(hex, 16),
            None => number.parse(),
        };
        char::from_u32(code.ok()?)
    };
    let named = named
        .iter()
        .find(|(known, _)| *known == name)
        .map(|(_, char)| *char);
    Some((named.or_else(number)?, end + 1))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_form_of_a_destination_is_redacted_and_short_ones_as_whole_words() {
        let found =
            |destination: &str, text: &str| DestinationForms::of(destination).redacted(text);
        for (destination, text, kept) in [
            (
                "34600000000",
                "order-34600000000-1",
                Some("order-(erased)-1"),
            ),
            ("+34600000000", "a 0034600000000x", Some("a 00(erased)x")),
            (
                "+34 600-000-000",
                r"{\u002b34600000000}",
                Some(r"{\u002b(erased)}"),
            ),
            ("ann&bob@x.org", "u=Ann%26bob%40x.org&", Some("u=(erased)&")),
            (
                "ann&bob@x.org",
                "<d>ann&amp;bob&#64;x.org</d>",
                Some("<d>(erased)</d>"),
            ),
            (
                "zoë/\"q\"",
                r#"["zo\u00EB\/\"q\""]"#,
                Some(r#"["(erased)"]"#),
            ),
            ("zoë one", "zo%c3%ab+one", Some("(erased)")),
            ("visitor-😀", r"visitor-\ud83d\uDE00.", Some("(erased).")),
            (
                "346",
                "a 346, 3460 and 346",
                Some("a (erased), 3460 and (erased)"),
            ),
            ("346", "3460 x346", None),
            ("34600000000", "3460000000", None),
        ] {
            assert_eq!(
                found(destination, text).as_deref(),
                kept,
                "{destination} in {text}"
            );
        }
    }

    proptest! {
        #[test]
        fn json_and_url_encoded_destinations_are_found(destination in ".{7,20}", before in ".{0,5}") {
            let forms = DestinationForms::of(&destination);
            let json = serde_json::to_string(&format!("{before}\u{1}{destination}")).unwrap();
            let url: String = destination.bytes().map(|byte| format!("%{byte:02x}")).collect();
            prop_assert!(forms.occurs_in(&json), "{}", json);
            prop_assert!(forms.occurs_in(&url), "{}", url);
        }
    }
}
