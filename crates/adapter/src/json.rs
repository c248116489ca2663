//! JSON text that is passed through, not rebuilt: numbers keep their digits, strings their escapes.

/// The same JSON without white space between its tokens.
///
/// `text` must be valid JSON; of anything else only the white space outside quotes is dropped.
#[must_use]
pub fn compact(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut in_string = false;
    let mut escaped = false;
    for c in text.chars() {
        if in_string {
            in_string = escaped || c != '"';
            escaped = !escaped && c == '\\';
        } else if matches!(c, ' ' | '\t' | '\r' | '\n') {
            continue;
        } else {
            in_string = c == '"';
        }
        out.push(c);
    }
    out
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
