//! Judges the character set that a caller declares for a form or JSON. Values are read as UTF-8, so the values of another character
//! set would be changed.

use http::HeaderValue;

use crate::code::Code;
use crate::error::Error;
use crate::header_parameter::header_parameter;

/// The first characters of the names of character sets that encode ASCII as UTF-8 does, and other characters otherwise. A value in
/// ASCII is the same in all of them, and HTTP libraries declare some of them by default.
const LIKE_ASCII: [&str; 15] = [
    "iso-8859-",
    "iso_8859-",
    "iso8859-",
    "latin",
    "windows-",
    "cp125",
    "koi8",
    "macintosh",
    "shift_jis",
    "shift-jis",
    "euc-",
    "gb2312",
    "gbk",
    "gb18030",
    "big5",
];

/// The first characters of the names of character sets that encode ASCII otherwise than UTF-8.
const UNLIKE_ASCII: [&str; 7] = [
    "utf-16",
    "utf16",
    "utf-32",
    "utf32",
    "utf-7",
    "ucs-",
    "iso-2022-",
];

/// Rejects values that would be read wrongly under the character set that this media type declares. Names that are unknown here are
/// taken for UTF-8. `has_only_ascii` returns whether the values are ASCII.
///
/// # Errors
/// UNSUPPORTED_MEDIA_TYPE.
pub(crate) fn check_charset(
    media_type: Option<&HeaderValue>,
    has_only_ascii: impl FnOnce() -> bool,
) -> Result<(), Error> {
    let media_type = media_type.map_or(&b""[..], |value| value.as_bytes());
    // Most media types have no parameter.
    if !media_type.contains(&b';') {
        return Ok(());
    }
    let charset = header_parameter(media_type, "charset").ok().flatten();
    let is_one_of = |names: &[&str]| {
        let mut names = names.iter().map(|name| name.as_bytes());
        charset.as_deref().is_some_and(|charset| {
            names.any(|name| {
                let start = charset.get(..name.len());
                start.is_some_and(|start| start.eq_ignore_ascii_case(name))
            })
        })
    };
    if is_one_of(&UNLIKE_ASCII) || (is_one_of(&LIKE_ASCII) && !has_only_ascii()) {
        let text = "Only UTF-8 and US-ASCII are supported here.";
        return Err(Error::explained(Code::UnsupportedMediaType, text));
    }
    Ok(())
}

/// Returns whether a form consists of ASCII, also where it is percent-encoded.
pub(crate) fn is_ascii_form(form: &[u8]) -> bool {
    let is_escape = |pair: &[u8]| matches!(pair, [b'%', b'8' | b'9' | b'a'..=b'f' | b'A'..=b'F']);
    form.is_ascii() && !form.windows(2).any(is_escape)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_charset_other_than_utf_8_is_accepted_only_for_ascii() {
        let check = |media_type: &str, is_ascii| {
            let value = HeaderValue::from_str(media_type).unwrap();
            check_charset(Some(&value), || is_ascii).map_err(|error| error.code())
        };
        for charset in ["utf-8", "UTF8", "\"utf-8\"", "us-ascii", "", "x", "none"] {
            let media_type = format!("a/b; charset={charset}");
            assert_eq!(check(&media_type, false), Ok(()), "{charset}");
        }
        for charset in [
            "ISO-8859-1",
            "\"iso-8859-15\"",
            "Windows-1252",
            "latin1",
            "GBK",
        ] {
            let media_type = format!("a/b;x=y; Charset={charset}");
            assert_eq!(check(&media_type, true), Ok(()), "{charset}");
            let refused = Err(Code::UnsupportedMediaType);
            assert_eq!(check(&media_type, false), refused, "{charset}");
        }
        for charset in ["utf-16", "UTF-16LE", "utf-7", "ISO-2022-JP"] {
            let media_type = format!("a/b; charset={charset}");
            let refused = Err(Code::UnsupportedMediaType);
            assert_eq!(check(&media_type, true), refused, "{charset}");
        }
        assert_eq!(check("a/iso-8859-1", false), Ok(()));
        assert!(check_charset(None, || false).is_ok());
    }

    #[test]
    fn percent_encoded_characters_beyond_ascii_are_noticed() {
        assert!(is_ascii_form(b"a=b%20%7E+%&c=%"));
        for form in ["a=\u{e9}", "a=%C3%A9", "a=%e9", "a=%80"] {
            assert!(!is_ascii_form(form.as_bytes()), "{form}");
        }
    }
}
