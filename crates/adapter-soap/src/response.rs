//! Success as an envelope: the response element that the WSDL declares for the operation.

use adapter::{Answer, Reply, Response};

use crate::NAMESPACE;
use crate::dialect::Voice;
use crate::escape::{content_type, envelope, push_element};
use crate::json_text::{Object, elements, text};

/// The answer to a call that succeeded.
pub(crate) fn encode(voice: Voice, answer: &Answer<'_>, response: &Response) -> Reply {
    // An answer without an operation is never a success; the name only keeps the document well formed.
    let method = answer.operation.map_or("", |operation| operation.method);
    let mut body = format!(r#"<c:{method}Response xmlns:c="{NAMESPACE}">"#);
    push_element(&mut body, "request_id", answer.request_id);
    if let Some(delivery) = answer.delivery() {
        push_element(&mut body, "delivery", delivery.word());
    }
    let fields = answer.operation.map_or(&[][..], |op| op.result_fields);
    if !fields.is_empty() {
        push_list(&mut body, fields, response.result());
    }
    body.push_str(&format!("</c:{method}Response>"));
    Reply {
        status: 200,
        content_type: content_type(voice.version),
        challenges: &[],
        body: envelope(voice.version, "", &body).into(),
    }
}

/// The elements of `list`, each with all declared fields: a field that the upstream left out is there and empty, so that
/// generated clients, which expect it, find it.
fn push_list(out: &mut String, fields: &[&str], result: &str) {
    let list = Object::read(result).and_then(|object| object.get("list"));
    out.push_str("<c:list>");
    for item in list.map(elements).unwrap_or_default() {
        let item = Object::read(item);
        out.push_str("<c:item>");
        for field in fields {
            let value = item.as_ref().and_then(|item| item.get(field));
            push_element(out, field, &value.map(text).unwrap_or_default());
        }
        out.push_str("</c:item>");
    }
    out.push_str("</c:list>");
}
