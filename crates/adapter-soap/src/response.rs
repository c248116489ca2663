//! Writes a success as an envelope with the response element that the WSDL declares for the operation.

use adapter::{Answer, BodyRest, Code, Error, Operation, Reply, Response, SoapDialect};

use crate::escape::{around, content_type, push_element};
use crate::json_text::{JsonObject, text};
use crate::list_writer::{ListWriter, is_list_of_objects};
use crate::namespace::NAMESPACE;

/// Maximum length of a document that is built in one piece, in bytes: the size of a connection's buffer.
const WHOLE_BYTES: usize = 64 * 1024;

/// Checks that the items of a list contain all of it.
///
/// # Errors
/// UPSTREAM_ERROR. An empty or shorter list would look like a success, although messages that the call has consumed are lost.
pub(crate) fn check(operation: &Operation, response: &Response) -> Result<(), Error> {
    if operation.result_fields.is_empty() || is_list_of_objects(response.result()) {
        return Ok(());
    }
    let error = Error::refused(Code::UpstreamError).with_delivery(None);
    Err(error.because("the list of the result is no list of objects"))
}

/// Renders the answer to a successful call.
pub(crate) fn encode(dialect: SoapDialect, answer: &Answer<'_>, response: &Response) -> Reply {
    // A success always has an operation; the empty name is never used.
    let method = answer.operation.map_or("", |operation| operation.method);
    let (mut open, close) = around(dialect.version, "");
    for part in ["<c:", method, "Response xmlns:c=\"", NAMESPACE, "\">"] {
        open.push_str(part);
    }
    push_element(&mut open, "request_id", answer.request_id);
    if let Some(delivery) = answer.delivery() {
        push_element(&mut open, "delivery", delivery.word());
    }
    let values = answer.operation.map_or(&[][..], |op| op.result_values);
    let close = [
        &beside_list(response, values),
        "</c:",
        method,
        "Response>",
        &close,
    ]
    .concat();
    let fields = answer.operation.map_or(&[][..], |op| op.result_fields);
    let (body, rest) = if fields.is_empty() {
        (open + &close, None)
    } else {
        listed(response, fields, (open, close))
    };
    Reply {
        status: 200,
        content_type: content_type(dialect.version),
        challenges: &[],
        body: body.into(),
        rest,
    }
}

/// Writes the values of the result other than the list.
fn beside_list(response: &Response, names: &[&str]) -> String {
    let mut values = String::new();
    if names.is_empty() {
        return values;
    }
    let result = JsonObject::first(response.result());
    for name in names {
        let value = result.as_ref().and_then(|(result, _)| result.get(name));
        push_element(&mut values, name, &value.map(text).unwrap_or_default());
    }
    values
}

/// Writes a document with a list, either whole or as its beginning and a rest. Content-Length is sent first, so a long list is
/// rendered one additional time to measure it, once for all callers that get it.
fn listed(
    response: &Response,
    fields: &'static [&'static str],
    (open, close): (String, String),
) -> (String, Option<BodyRest>) {
    let ends = open.len() + close.len();
    let mut writer = ListWriter::new(response, fields, (open, close));
    let body = writer.write(WHOLE_BYTES);
    let rest = (!writer.is_over()).then(|| {
        let measure = || {
            let alone = ListWriter::new(response, fields, (String::new(), String::new()));
            alone.map(|piece| piece.len() as u64).sum()
        };
        let bytes = response.length(measure) + ends as u64;
        BodyRest::new(bytes.saturating_sub(body.len() as u64), writer)
    });
    (body, rest)
}
