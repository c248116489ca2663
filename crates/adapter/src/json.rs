//! JSON text that is passed through, not rebuilt: numbers keep their digits, strings their escapes.

use std::borrow::Cow;

use memchr::memchr2;

/// Up to so many keys of an object are compared each with each; more are sorted.
const COMPARED_MAX: usize = 16;

/// The same JSON without white space between its tokens; `None` when an object in it, at any depth, holds a key twice: two
/// readers of one text must not see two meanings.
///
/// `text` must be valid JSON; of anything else only the white space outside quotes is dropped. The cost is that of sorting
/// the keys of each object, however many there are.
#[must_use]
pub fn compact(text: &str) -> Option<String> {
    let bytes = text.as_bytes();
    let mut out = String::with_capacity(text.len());
    // The keys of all objects that are open, and where those of each begin.
    let mut keys: Vec<Cow<'_, str>> = Vec::with_capacity(COMPARED_MAX);
    let mut begins = Vec::new();
    // What has been read last, if it was a string: a colon makes it a key.
    let mut string = (0, 0);
    // Where the piece begins that has not been copied yet.
    let (mut kept, mut at) = (0, 0);
    while let Some(byte) = bytes.get(at) {
        at += 1;
        match byte {
            b'"' => {
                let end = after_string(bytes, at);
                string = (at, end - 1);
                at = end;
            }
            b' ' | b'\t' | b'\r' | b'\n' => {
                out.push_str(&text[kept..at - 1]);
                kept = at;
            }
            b':' => keys.push(unescaped(text.get(string.0..string.1).unwrap_or_default())),
            b'{' => begins.push(keys.len()),
            b'}' => {
                let begin = begins.pop().unwrap_or_default();
                if has_doubled(&mut keys[begin..]) {
                    return None;
                }
                keys.truncate(begin);
            }
            _ => {}
        }
    }
    out.push_str(&text[kept..]);
    Some(out)
}

/// Whether an object in it, at any depth, holds a key twice. `text` must be valid JSON.
#[must_use]
pub(crate) fn has_doubled_key(text: &str) -> bool {
    compact(text).is_none()
}

fn has_doubled(keys: &mut [Cow<'_, str>]) -> bool {
    if keys.len() <= COMPARED_MAX {
        let mut all = keys.iter().enumerate();
        return all.any(|(at, key)| keys[..at].contains(key));
    }
    keys.sort_unstable();
    keys.windows(2).any(|pair| pair[0] == pair[1])
}

/// What a key says; half a surrogate pair says nothing but itself.
fn unescaped(key: &str) -> Cow<'_, str> {
    if !key.as_bytes().contains(&b'\\') {
        return Cow::Borrowed(key);
    }
    serde_json::from_str(&format!("\"{key}\"")).map_or(Cow::Borrowed(key), Cow::Owned)
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
    use super::{compact, has_doubled_key};

    #[track_caller]
    fn check(text: &str, expected: &str) {
        assert_eq!(compact(text).as_deref(), Some(expected));
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

    #[test]
    fn a_key_is_doubled_in_its_own_object_only() {
        for text in [
            r#"{"a":1,"a":1}"#,
            r#"{"a":1,"b":{},"\u0061":2}"#,
            r#"[0,{"x":[{"b":1,"c":2,"b":3}]}]"#,
            r#"{"a":{"b":1},"a" : 2}"#,
            r#"{"":1,"":2}"#,
            r#"{"\"":1,"\"":2}"#,
            r#"{"\ud800":1,"\ud800":2}"#,
        ] {
            assert!(has_doubled_key(text), "{text}");
        }
        for text in [
            r#"{"a":1,"b":{"a":1},"c":[{"a":1},{"a":2}]}"#,
            r#"{"a":"a","b":"a","c":"a\":"}"#,
            r#"["a","a"]"#,
            r#"{"\\u0061":1,"a":2}"#,
            r#"{"a":"{\"a\":1,\"a\":2}"}"#,
            r#""{""#,
            "1",
        ] {
            assert!(!has_doubled_key(text), "{text}");
        }
    }
}
