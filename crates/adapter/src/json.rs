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
    let mut begins = Vec::with_capacity(COMPARED_MAX);
    // What has been read last, if it was a string: a colon makes it a key.
    let mut string = Text::default();
    // Where the piece begins that has not been copied yet.
    let (mut kept, mut at) = (0, 0);
    while let Some(byte) = bytes.get(at) {
        at += 1;
        match byte {
            b'"' => {
                string = Text::from(bytes, at);
                at = string.end + 1;
            }
            b' ' | b'\t' | b'\r' | b'\n' => {
                out.push_str(&text[kept..at - 1]);
                kept = at;
            }
            b':' => keys.push(string.read(text)),
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

/// Where a string stands, without its quotes.
#[derive(Default)]
struct Text {
    start: usize,
    end: usize,
    has_escapes: bool,
}

impl Text {
    /// The string whose first character stands there.
    fn from(bytes: &[u8], start: usize) -> Text {
        let mut text = Text {
            start,
            end: start,
            has_escapes: false,
        };
        loop {
            let rest = bytes.get(text.end..).unwrap_or_default();
            let Some(at) = memchr2(b'"', b'\\', rest) else {
                text.end = bytes.len().max(text.end);
                return text;
            };
            text.end += at;
            if rest[at] == b'"' {
                return text;
            }
            // What stands behind a backslash does not end it.
            text.has_escapes = true;
            text.end += 2;
        }
    }

    /// What it says; half a surrogate pair says nothing but itself.
    fn read<'a>(&self, json: &'a str) -> Cow<'a, str> {
        let written = json.get(self.start..self.end).unwrap_or_default();
        if !self.has_escapes {
            return Cow::Borrowed(written);
        }
        let read = serde_json::from_str(&format!("\"{written}\""));
        read.map_or(Cow::Borrowed(written), Cow::Owned)
    }
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
