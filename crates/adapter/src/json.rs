//! Reads JSON as source text: numbers keep their digits, strings keep their escapes, and duplicate keys are detected, so that two
//! readers of one text cannot see two meanings.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use memchr::memchr2;
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

/// Maximum number of an object's keys that are compared pairwise; more keys are sorted.
const COMPARED_MAX: usize = 16;

/// Maximum nesting depth of a strict object. It equals the limit of `serde_json` and bounds the recursion.
const DEPTH_MAX: usize = 127;

/// The pairs of a JSON object in their order, including duplicate keys. Values are source text. A key is source text too if `K` is
/// `&RawValue`, because `serde_json` rejects a `String` with half a surrogate pair.
#[derive(Debug)]
pub struct JsonPairs<'a, K>(pub Vec<(K, &'a RawValue)>);

impl<'de: 'a, 'a, K: Deserialize<'de>> Deserialize<'de> for JsonPairs<'a, K> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer
            .deserialize_map(PairsVisitor(PhantomData))
            .map(JsonPairs)
    }
}

/// The elements of a list as source text. PHP writes a list with gaps in its numbering as an object, whose values are the elements.
#[derive(Debug)]
pub struct JsonElements<'a>(pub Vec<&'a RawValue>);

impl<'de: 'a, 'a> Deserialize<'de> for JsonElements<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer
            .deserialize_any(ElementsVisitor)
            .map(JsonElements)
    }
}

struct ElementsVisitor;

impl<'de> Visitor<'de> for ElementsVisitor {
    type Value = Vec<&'de RawValue>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        let mut elements = Vec::new();
        while let Some(element) = list.next_element()? {
            elements.push(element);
        }
        Ok(elements)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
        let pairs = PairsVisitor::<&RawValue>(PhantomData).visit_map(map)?;
        Ok(pairs.into_iter().map(|(_, element)| element).collect())
    }
}

struct PairsVisitor<K>(PhantomData<K>);

impl<'de, K: Deserialize<'de>> Visitor<'de> for PairsVisitor<K> {
    type Value = Vec<(K, &'de RawValue)>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut pairs = Vec::new();
        while let Some(pair) = map.next_entry()? {
            pairs.push(pair);
        }
        Ok(pairs)
    }
}

/// Parses an object. Returns `None` for anything else, for a duplicate key at any depth, and for a number outside the range of
/// `f64`.
#[must_use]
pub fn strict_object(bytes: &[u8]) -> Option<Map<String, Value>> {
    object_of(serde_json::from_slice(bytes).ok()?, DEPTH_MAX)
}

fn object_of(pairs: JsonPairs<'_, String>, depth_left: usize) -> Option<Map<String, Value>> {
    let depth_left = depth_left.checked_sub(1)?;
    let mut object = Map::new();
    for (key, value) in pairs.0 {
        if object.insert(key, value_of(value, depth_left)?).is_some() {
            return None;
        }
    }
    Some(object)
}

fn value_of(raw: &RawValue, depth_left: usize) -> Option<Value> {
    let text = raw.get();
    match text.as_bytes().first()? {
        b'{' => object_of(serde_json::from_str(text).ok()?, depth_left).map(Value::Object),
        b'[' => {
            let depth_left = depth_left.checked_sub(1)?;
            let elements: Vec<&RawValue> = serde_json::from_str(text).ok()?;
            let values = elements.into_iter().map(|raw| value_of(raw, depth_left));
            values.collect::<Option<_>>().map(Value::Array)
        }
        _ => serde_json::from_str(text).ok(),
    }
}

/// Removes the white space between the tokens of a JSON text. Returns `None` if an object at any depth has a duplicate key.
///
/// `text` must be valid JSON; from any other text only the white space outside quotes is removed. The cost is that of sorting the
/// keys of each object, for any number of keys.
#[must_use]
pub fn compact(text: &str) -> Option<String> {
    let bytes = text.as_bytes();
    let mut out = String::with_capacity(text.len());
    // The keys of all open objects, and the index at which the keys of each object begin.
    let mut keys: Vec<Cow<'_, str>> = Vec::with_capacity(COMPARED_MAX);
    let mut begins = Vec::with_capacity(COMPARED_MAX);
    // The most recent string. A colon after it makes it a key.
    let mut string = Text::default();
    // The start of the piece that has not been copied yet.
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

/// The position of a string without its quotes.
#[derive(Default)]
struct Text {
    start: usize,
    end: usize,
    has_escapes: bool,
}

impl Text {
    /// Finds the end of the string whose first character is at `start`.
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
            // The character after a backslash does not end the string.
            text.has_escapes = true;
            text.end += 2;
        }
    }

    /// Returns the decoded string. A string with half a surrogate pair is returned as written.
    fn read<'a>(&self, json: &'a str) -> Cow<'a, str> {
        let written = json.get(self.start..self.end).unwrap_or_default();
        if !self.has_escapes {
            return Cow::Borrowed(written);
        }
        let read = serde_json::from_str(&format!("\"{written}\""));
        read.map_or(Cow::Borrowed(written), Cow::Owned)
    }
}

/// Returns whether an object at any depth has a duplicate key. `text` must be valid JSON.
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
    use super::{JsonElements, compact, has_doubled_key, strict_object};

    #[track_caller]
    fn check(text: &str, expected: &str) {
        assert_eq!(compact(text).as_deref(), Some(expected));
    }

    #[test]
    fn compact_removes_white_space_and_keeps_values_verbatim() {
        check(
            "{ \"a\" : [ 1.50 , 2e3 ] ,\r\n\t\"b\":null }",
            "{\"a\":[1.50,2e3],\"b\":null}",
        );
        check(r#"{"a":" x  y "}"#, r#"{"a":" x  y "}"#);
        check(r#"{"a\" b" : "c\\" , "d" : 1}"#, r#"{"a\" b":"c\\","d":1}"#);
    }

    #[test]
    fn duplicate_keys_are_detected_within_each_object() {
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

    #[test]
    fn elements_are_read_from_a_list_and_from_an_object() {
        let read = |text| {
            let elements = serde_json::from_str::<JsonElements<'_>>(text).ok()?.0;
            Some(
                elements
                    .into_iter()
                    .map(|raw| raw.get())
                    .collect::<Vec<_>>(),
            )
        };
        let expected = Some(vec!["{\"a\":1.0}", "2", "\"x\""]);
        assert_eq!(read(r#"[{"a":1.0}, 2, "x"]"#), expected);
        assert_eq!(read(r#"{"1":{"a":1.0},"3":2,"\ud800":"x"}"#), expected);
        assert_eq!(read("[]"), Some(vec![]));
        assert_eq!(read("{}"), Some(vec![]));
        for other in ["null", "1", "\"[]\"", "true", "[1", ""] {
            assert_eq!(read(other), None, "{other}");
        }
    }

    #[track_caller]
    fn check_object(text: &str, is_taken: bool) {
        assert_eq!(strict_object(text.as_bytes()).is_some(), is_taken, "{text}");
    }

    #[test]
    fn strict_object_accepts_only_single_objects_without_duplicate_keys() {
        check_object(
            r#" {"a":[1,{"b":null}],"c":{"a":1.5e3,"b":"x","d":-1,"e":true}} "#,
            true,
        );
        check_object("{}", true);
        check_object(r#"{"a":1,"a":1}"#, false);
        check_object(r#"{"a":1,"\u0061":1}"#, false);
        check_object(r#"{"a":{"b":1,"b":2}}"#, false);
        check_object(r#"{"a":[{"b":1,"b":2}]}"#, false);
        check_object(r#"{"a":1e400}"#, false);
        check_object(r#"{"a":NaN}"#, false);
        check_object(r#"{"a":"\ud800"}"#, false);
        check_object("{}{}", false);
        check_object("\u{feff}{}", false);
        check_object("[]", false);
        check_object(r#""{}""#, false);
        check_object("", false);
        assert!(strict_object(b"{\"a\":\"\xff\"}").is_none());
    }

    #[test]
    fn strict_object_reads_the_same_values_and_depth_as_serde_json() {
        let text =
            r#"{"a":[1,-2,1.5e3,1e2,18446744073709551615,"\u00e9\n",null,true,{"b":[]}],"":{}}"#;
        let object = strict_object(text.as_bytes()).unwrap();
        assert_eq!(
            serde_json::Value::from(object),
            serde_json::from_str::<serde_json::Value>(text).unwrap()
        );
        for (open, close) in [("{\"a\":", "}"), ("[", "]")] {
            for depth in 1..200 {
                let inside = depth - 1;
                let text = format!("{{\"a\":{}1{}}}", open.repeat(inside), close.repeat(inside));
                let expected = serde_json::from_str::<serde_json::Value>(&text).is_ok();
                assert_eq!(
                    strict_object(text.as_bytes()).is_some(),
                    expected,
                    "{depth}"
                );
            }
        }
        // The keys that serde_json uses internally are ordinary keys here.
        let text = r#"{"a":{"$serde_json::private::RawValue":"1"}}"#;
        assert!(strict_object(text.as_bytes()).unwrap()["a"].is_object());
    }
}
