//! JSON text that is passed through, not rebuilt: numbers keep their digits, strings their escapes.

use memchr::memchr2;

/// The same JSON without white space between its tokens.
///
/// `text` must be valid JSON; of anything else only the white space outside quotes is dropped.
#[must_use]
pub fn compact(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = String::with_capacity(text.len());
    // Where the piece begins that has not been copied yet.
    let (mut kept, mut at) = (0, 0);
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'"' => at = after_string(bytes, at + 1),
            b' ' | b'\t' | b'\r' | b'\n' => {
                out.push_str(&text[kept..at]);
                at += 1;
                kept = at;
            }
            _ => at += 1,
        }
    }
    out.push_str(&text[kept..]);
    out
}

/// Where the string ends whose first character stands here.
fn after_string(bytes: &[u8], mut at: usize) -> usize {
    while let Some(next) = bytes.get(at..).and_then(|rest| memchr2(b'"', b'\\', rest)) {
        at += next + 1;
        if bytes[at - 1] == b'"' {
            return at;
        }
        // What stands behind a backslash does not end it.
        at += 1;
    }
    bytes.len()
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
