//! Reads the parameters of a header's value, as in `form-data; name="user"` (RFC 9110, 5.6.6; RFC 2183, 2).

use std::borrow::Cow;

/// The error of a parameter without one clear value: the parameter is given twice, or its quotes are not closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct AmbiguousParameter;

/// Returns the value of a parameter. Its name may be in any case, with or without white space around it. Its value is a token or a
/// quoted string. The form of other parameters does not matter.
///
/// # Errors
/// [`AmbiguousParameter`], because taking one of two values would be a guess.
pub(crate) fn header_parameter<'a>(
    header: &'a [u8],
    wanted: &str,
) -> Result<Option<Cow<'a, [u8]>>, AmbiguousParameter> {
    let mut found = None;
    for part in header_parts(header).skip(1) {
        let Some(at) = part.iter().position(|byte| *byte == b'=') else {
            continue;
        };
        let (name, value) = (part[..at].trim_ascii(), part[at + 1..].trim_ascii());
        if name.eq_ignore_ascii_case(wanted.as_bytes()) && found.replace(unquoted(value)?).is_some()
        {
            return Err(AmbiguousParameter);
        }
    }
    Ok(found)
}

/// Splits a header's value at the semicolons outside quotes, into its main value and its parameters.
pub fn header_parts(header: &[u8]) -> impl Iterator<Item = &[u8]> {
    let (mut in_quotes, mut is_escaped) = (false, false);
    header.split(move |byte| {
        let splits = *byte == b';' && !in_quotes;
        in_quotes ^= *byte == b'"' && !is_escaped;
        is_escaped = in_quotes && *byte == b'\\' && !is_escaped;
        splits
    })
}

/// Returns a quoted string without its quotes and escapes, and a token unchanged.
fn unquoted(value: &[u8]) -> Result<Cow<'_, [u8]>, AmbiguousParameter> {
    let Some(rest) = value.strip_prefix(b"\"") else {
        return Ok(Cow::Borrowed(value));
    };
    let mut text = Vec::with_capacity(rest.len());
    let mut bytes = rest.iter();
    while let Some(byte) = bytes.next() {
        match byte {
            // Text after the closing quote is not part of the value, but another reader would take it for a part.
            b'"' if bytes.as_slice().is_empty() => return Ok(Cow::Owned(text)),
            b'"' => return Err(AmbiguousParameter),
            b'\\' => text.extend(bytes.next()),
            byte => text.push(*byte),
        }
    }
    Err(AmbiguousParameter)
}

#[cfg(test)]
mod tests {
    use super::{AmbiguousParameter, header_parameter};

    #[track_caller]
    fn check(header: &str, expected: Result<Option<&str>, AmbiguousParameter>) {
        let found = header_parameter(header.as_bytes(), "name");
        let found = found.map(|value| value.map(|v| String::from_utf8(v.into_owned()).unwrap()));
        let found = found.as_ref().map(Option::as_deref);
        assert_eq!(found, expected.as_ref().copied(), "{header}");
    }

    #[test]
    fn header_parameters_are_read_in_any_case_with_or_without_quotes() {
        for header in [
            "form-data; name=user",
            "Form-Data; Name=user",
            "FORM-DATA;NAME=\"user\"",
            "form-data ;\tnAmE = \"us\\er\" ; filename=\"a; name=b\"",
            "x; filename=\"a\\\"; name=b\"; name=user;",
            "x;;name=user; name*=UTF-8''other",
        ] {
            check(header, Ok(Some("user")));
        }
        for header in [
            "",
            "name=user",
            "form-data",
            "x; names=a; \"name=a\"",
            "x; name",
        ] {
            check(header, Ok(None));
        }
        check("x; name=", Ok(Some("")));
        check("x; name=\"\"", Ok(Some("")));
    }

    #[test]
    fn ambiguous_header_parameters_are_rejected() {
        for header in [
            "x; name=a; name=a",
            "x; name=a; NAME=\"b\"",
            "x; name=\"a",
            "x; name=\"a\"b",
            "x; name=\"a\\\"",
        ] {
            check(header, Err(AmbiguousParameter));
        }
        check("x; name=a; filename=\"b", Ok(Some("a")));
    }
}
