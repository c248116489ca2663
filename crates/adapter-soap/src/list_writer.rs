//! Writes the list of a successful answer in pieces. The escaped list may be many times as long as the upstream's JSON, so it is
//! never built as a whole.
//!
//! The JSON is known to be valid and to have no white space between its tokens (`adapter::compact`).

use std::ops::Range;

use adapter::Response;
use bytes::Bytes;

use crate::escape::{push_element, push_escaped};
use crate::json_text::{JsonObject, part_end, unescaped, value_end};

/// The size of one piece, in bytes, and below it the size of one part of a value.
const PIECE_BYTES: usize = 16 * 1024;
const VALUE_BYTES: usize = 4 * 1024;

/// Writes an envelope with a list in pieces.
#[derive(Clone)]
pub(crate) struct ListWriter {
    response: Response,
    /// The text before and after the list.
    open: String,
    close: String,
    fields: &'static [&'static str],
    at: WriterPosition,
}

/// The position of the writer.
#[derive(Clone)]
enum WriterPosition {
    Open,
    /// Before the list element that begins at this offset, or at the end of the list.
    Item(usize),
    /// In an item with these values, before the field with this index.
    Field(ListItem, usize),
    /// In the value of that field, at this offset.
    Value(ListItem, usize, usize),
    Over,
}

#[derive(Clone)]
struct ListItem {
    /// The content of each field, if it is not empty.
    values: Vec<Option<ItemValue>>,
    /// The offset of the item's end.
    end: usize,
}

#[derive(Clone)]
struct ItemValue {
    inside: Range<usize>,
    is_string: bool,
}

impl ListWriter {
    /// Creates a writer. Each item has all declared fields: a field that the upstream omitted is written as an empty element,
    /// because generated clients expect it.
    pub(crate) fn new(
        response: &Response,
        fields: &'static [&'static str],
        (open, close): (String, String),
    ) -> ListWriter {
        ListWriter {
            response: response.clone(),
            open,
            close,
            fields,
            at: WriterPosition::Open,
        }
    }

    /// Returns whether everything has been written.
    pub(crate) fn is_over(&self) -> bool {
        matches!(self.at, WriterPosition::Over)
    }

    /// Writes `bytes` bytes or slightly more, or the whole remainder.
    pub(crate) fn write(&mut self, bytes: usize) -> String {
        // An element names its field twice, and so is about twice as long as in JSON. Growing step by step costs 700 instructions.
        let around = self.open.len() + self.close.len();
        let list = (2 * self.response.bytes()).min(bytes);
        let mut out = String::with_capacity(around + list);
        while out.len() < bytes && !self.is_over() {
            let at = std::mem::replace(&mut self.at, WriterPosition::Over);
            self.at = self.step(at, &mut out);
        }
        out
    }

    fn step(&self, at: WriterPosition, out: &mut String) -> WriterPosition {
        let json = self.response.result();
        match at {
            WriterPosition::Open => {
                out.push_str(&self.open);
                out.push_str("<c:list>");
                WriterPosition::Item(list_begin(json).unwrap_or(json.len()))
            }
            WriterPosition::Item(begin)
                if matches!(json.as_bytes().get(begin), None | Some(b']' | b'}')) =>
            {
                out.push_str("</c:list>");
                out.push_str(&self.close);
                WriterPosition::Over
            }
            WriterPosition::Item(begin) => {
                out.push_str("<c:item>");
                WriterPosition::Field(self.item(after_key(json, begin)), 0)
            }
            WriterPosition::Field(item, number) => {
                match (self.fields.get(number), item.values.get(number)) {
                    (Some(field), Some(Some(value))) => {
                        for part in ["<c:", field, ">"] {
                            out.push_str(part);
                        }
                        let begin = value.inside.start;
                        WriterPosition::Value(item, number, begin)
                    }
                    (Some(field), _) => {
                        push_element(out, field, "");
                        WriterPosition::Field(item, number + 1)
                    }
                    (None, _) => {
                        out.push_str("</c:item>");
                        let is_last = json.as_bytes().get(item.end) != Some(&b',');
                        WriterPosition::Item(item.end + usize::from(!is_last))
                    }
                }
            }
            WriterPosition::Value(item, number, from) => self.value((item, number, from), out),
            WriterPosition::Over => WriterPosition::Over,
        }
    }

    /// Reads the list element that begins at `begin`.
    fn item(&self, begin: usize) -> ListItem {
        let json = self.response.result();
        let object = JsonObject::first(&json[begin..]);
        let value = |field: &&str| {
            let text = object.as_ref()?.0.get(field)?;
            let Range { start, end } = range_in(json, text);
            let is_string = text.starts_with('"');
            let inside = if is_string {
                start + 1..end - 1
            } else {
                start..end
            };
            (text != "null" && !inside.is_empty()).then_some(ItemValue { inside, is_string })
        };
        ListItem {
            values: self.fields.iter().map(value).collect(),
            end: match &object {
                Some((_, length)) => begin + length,
                None => value_end(json, begin),
            },
        }
    }

    /// Writes a part of a value, and after the last part the end tag of its element.
    fn value(
        &self,
        (item, number, from): (ListItem, usize, usize),
        out: &mut String,
    ) -> WriterPosition {
        let (Some(field), Some(Some(value))) = (self.fields.get(number), item.values.get(number))
        else {
            return WriterPosition::Field(item, number + 1);
        };
        let inside = &self.response.result()[..value.inside.end];
        let end = part_end(inside, (from, VALUE_BYTES), value.is_string);
        let part = &inside[from..end];
        if value.is_string && part.contains('\\') {
            push_escaped(out, &unescaped(part));
        } else {
            push_escaped(out, part);
        }
        if end < inside.len() {
            return WriterPosition::Value(item, number, end);
        }
        for part in ["</c:", field, ">"] {
            out.push_str(part);
        }
        WriterPosition::Field(item, number + 1)
    }
}

impl Iterator for ListWriter {
    type Item = Bytes;

    fn next(&mut self) -> Option<Bytes> {
        (!self.is_over()).then(|| self.write(PIECE_BYTES).into())
    }
}

/// Returns whether each element of a result's list is an object, so that the items contain all of it. A result without a list is
/// like one with an empty list.
pub(crate) fn is_list_of_objects(json: &str) -> bool {
    let Some(mut at) = list_begin(json) else {
        return false;
    };
    let bytes = json.as_bytes();
    loop {
        at = after_key(json, at);
        match bytes.get(at) {
            Some(b'{') => at = value_end(json, at),
            other => return matches!(other, None | Some(b']' | b'}')),
        }
        at += usize::from(bytes.get(at) == Some(&b','));
    }
}

/// Returns the offset of the first element of a result's list, or the end of the text if the result has no list. Returns `None` if
/// the result is not an object, or something else is in the place of the list. PHP writes a list with gaps in its numbering as an
/// object, and an empty object as a list.
fn list_begin(json: &str) -> Option<usize> {
    // Nearly every result contains only a list, and this check avoids reading it as a whole. No key appears twice.
    const ALONE: &str = "{\"list\":[";
    if json.starts_with(ALONE) {
        return Some(ALONE.len());
    }
    if matches!(json, "null" | "[]") {
        return Some(json.len());
    }
    let (object, _) = JsonObject::first(json)?;
    match object.get("list") {
        None | Some("null") => Some(json.len()),
        Some(list) if list.starts_with(['[', '{']) => Some(range_in(json, list).start + 1),
        Some(_) => None,
    }
}

/// Returns the offset of the element at `begin`, after its key if the list is written as an object.
fn after_key(json: &str, begin: usize) -> usize {
    if json.as_bytes().get(begin) != Some(&b'"') {
        return begin;
    }
    let end = value_end(json, begin);
    match json.as_bytes().get(end) {
        Some(b':') => end + 1,
        _ => begin,
    }
}

/// Returns the range of a part within its text.
fn range_in(text: &str, part: &str) -> Range<usize> {
    let start = part.as_ptr().addr() - text.as_ptr().addr();
    start..start + part.len()
}

#[cfg(test)]
mod tests {
    use adapter::JsonElements;
    use proptest::prelude::*;

    use super::*;
    use crate::json_text::text;

    const FIELDS: &[&str] = &["a", "message"];

    /// Writes the same document in one piece, from the elements that a JSON reader returns.
    fn whole(result: &str) -> String {
        let mut out = "<o><c:list>".to_owned();
        let list = JsonObject::first(result).and_then(|(object, _)| object.get("list"));
        let list = list.and_then(|list| serde_json::from_str(list).ok());
        let JsonElements(list) = list.unwrap_or(JsonElements(Vec::new()));
        for item in list {
            let item = JsonObject::first(item.get());
            out.push_str("<c:item>");
            for field in FIELDS {
                let value = item.as_ref().and_then(|(item, _)| item.get(field));
                push_element(&mut out, field, &value.map(text).unwrap_or_default());
            }
            out.push_str("</c:item>");
        }
        out.push_str("</c:list></o>");
        out
    }

    #[track_caller]
    fn check(result: &str) {
        let response = Response::of(result).unwrap();
        let ends = ("<o>".to_owned(), "</o>".to_owned());
        let writer = ListWriter::new(&response, FIELDS, ends);
        let expected = whole(response.result());
        for bytes in [1, 100, usize::MAX] {
            let mut writer = writer.clone();
            let mut out = String::new();
            while !writer.is_over() {
                out.push_str(&writer.write(bytes));
            }
            assert_eq!(out, expected, "{result}");
        }
    }

    #[test]
    fn the_pieces_of_a_soap_list_add_up_to_the_whole_document() {
        for result in [
            "{}",
            "[]",
            "null",
            r#"{"list":[]}"#,
            r#"{"list":{}}"#,
            r#"{"list":{"1":{"a":1},"3":{"a":"}"},"\"":{},"x":"y"},"more":{}}"#,
            r#"{"list":null}"#,
            r#"{"list":[0,null,"a,]",[1,[2]],{}]}"#,
            r#"{"list":[{"a":1.50,"message":null},{"message":"","a":{"b":["\"]}",1]}}]}"#,
            r#"{"list":[{"a":"<&>\"\\\u0001\r\ud83d\ude00\ud83d","message":"\ude00\u0041"}],"more":1}"#,
            r#"{"list":[{"\u0061":"by an escape","x":[{"a":1}]}]}"#,
        ] {
            check(result);
        }
        let long = ["ü", "\\ud83d\\ude00", "<", "x"].map(|part| part.repeat(3 * VALUE_BYTES + 1));
        for part in &long {
            for before in ["", "x", "xx", "xxx"] {
                check(&format!(
                    r#"{{"list":[{{"a":"{before}{part}"}},{{"message":["{part}"]}}]}}"#
                ));
            }
        }
    }

    #[test]
    fn only_lists_of_objects_can_be_written_without_loss() {
        for result in [
            "{}",
            "[]",
            "null",
            r#"{"list":null}"#,
            r#"{"list":[]}"#,
            r#"{"list":{}}"#,
            r#"{"list":[{"a":["]"]},{}],"more":1}"#,
            r#"{"n":1,"list":{"1":{"a":1},"3":{"b":"}"}}}"#,
        ] {
            assert!(is_list_of_objects(result), "{result}");
        }
        for result in [
            r#"[{"a":1}]"#,
            "7",
            r#""list""#,
            r#"{"list":""}"#,
            r#"{"list":false}"#,
            r#"{"list":[1]}"#,
            r#"{"list":[{},"{}"]}"#,
            r#"{"list":[{},null]}"#,
            r#"{"list":[[{}]]}"#,
            r#"{"list":{"a":"b"}}"#,
            r#"{"list":{"1":{},"2":[]}}"#,
        ] {
            assert!(!is_list_of_objects(result), "{result}");
        }
    }

    #[test]
    fn the_size_of_each_piece_of_a_soap_list_is_bounded() {
        let value = "\\\"".repeat(1 << 20);
        let response = Response::of(&format!(r#"{{"list":[{{"a":"{value}"}}]}}"#)).unwrap();
        let ends = (String::new(), String::new());
        let longest = ListWriter::new(&response, FIELDS, ends)
            .map(|piece| piece.len())
            .max();
        assert!(
            longest.unwrap() < PIECE_BYTES + 6 * VALUE_BYTES,
            "{longest:?}"
        );
    }

    proptest! {
        #[test]
        fn the_pieces_of_an_arbitrary_soap_list_add_up_to_the_whole_document(
            items in prop::collection::vec(("\\PC*|[\"\\\\<\u{1}\u{1f600}]{0,9}", any::<Option<f64>>()), 0..9)
        ) {
            let items: Vec<_> = items
                .iter()
                .map(|(message, a)| serde_json::json!({"a": a, "message": message, "x": [message]}))
                .collect();
            check(&serde_json::json!({"list": items}).to_string());
        }
    }
}
