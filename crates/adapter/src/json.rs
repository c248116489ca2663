//! JSON text that is passed through, not rebuilt: numbers keep their digits, strings their escapes.

/// The same JSON without white space between its tokens.
///
/// `text` must be valid JSON; of anything else only the white space outside quotes is dropped.
#[must_use]
pub fn compact(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = String::with_capacity(text.len());
    // Where the piece begins that has not been copied yet.
    let (mut kept, mut at) = (0, 0);
    while let Some(next) = position(bytes, at, |b| b <= b' ' || b == b'"') {
        if bytes[next] == b'"' {
            at = after_string(bytes, next + 1);
        } else {
            out.push_str(&text[kept..next]);
            at = next + 1;
            kept = at;
        }
    }
    out.push_str(&text[kept..]);
    out
}

/// Where the string ends whose first character stands here.
fn after_string(bytes: &[u8], mut at: usize) -> usize {
    while let Some(next) = position(bytes, at, |b| b == b'"' || b == b'\\') {
        if bytes[next] == b'"' {
            return next + 1;
        }
        at = next + 2;
    }
    bytes.len()
}

/// Where the first byte stands, from there on, that is one of these.
fn position(bytes: &[u8], from: usize, is_one: impl Fn(u8) -> bool) -> Option<usize> {
    let rest = bytes.get(from..)?;
    Some(from + rest.iter().position(|b| is_one(*b))?)
}

#[cfg(test)]
mod tests {
    use super::compact;

    #[track_caller]
    fn check(text: &str, expected: &str) {
        assert_eq!(compact(text), expected);
    }

    #[test]
    fn white_space_goes_and_values_stay() {
        check(
            "{ \"a\" : [ 1.50 , 2e3 ] ,\r\n\t\"b\":null }",
            "{\"a\":[1.50,2e3],\"b\":null}",
        );
        check(r#"{"a":" x  y "}"#, r#"{"a":" x  y "}"#);
        check(r#"{"a\" b" : "c\\" , "d" : 1}"#, r#"{"a\" b":"c\\","d":1}"#);
    }
}
