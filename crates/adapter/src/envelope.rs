//! The one-line JSON envelope of the answers of the HTTP, Basic and JWT ways in.

use bytes::Bytes;

use crate::answer::Answer;
use crate::code::{Code, CodeOrigin};
use crate::error::Error;
use crate::reply::Reply;
use crate::response::Response;
use crate::rest::BodyRest;

/// The HTTP status that a JSON way in sends for the chat API's codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StatusPolicy {
    /// Status 200, as the chat API itself sends. Existing clients raise an error on 4xx before they read the body.
    Compat,
    /// The canonical status of the code.
    Mapped,
}

impl StatusPolicy {
    /// Returns the wire status of a code under this policy.
    #[must_use]
    pub fn status(self, code: Code) -> u16 {
        match (self, code.origin()) {
            (StatusPolicy::Compat, CodeOrigin::ChatApi) => 200,
            (StatusPolicy::Compat, CodeOrigin::Gateway) | (StatusPolicy::Mapped, _) => {
                code.status()
            }
        }
    }
}

/// Minimum length of a result that is sent without a copy, in bytes.
const LONG_BYTES: usize = 16 * 1024;

/// Maximum length of the envelope around the result of a success, in bytes.
const ENDS_BYTES: usize = 128;

const SUCCESS: &str = r#"{"status":"SUCCESS","result":"#;

/// Writes the envelope as one compact line. The keys have the contract's order, and `result` and `error` never appear together.
#[must_use]
pub fn envelope(answer: &Answer<'_>) -> String {
    let result = answer.outcome.map_or(0, Response::bytes);
    let mut line = String::with_capacity(ENDS_BYTES + result);
    match answer.outcome {
        Ok(response) => {
            line.push_str(SUCCESS);
            line.push_str(response.result());
        }
        Err(error) => {
            // Nothing here needs escaping, because words consist of capitals, digits and underscores, and ids are checked on
            // arrival.
            line.push_str(r#"{"status":"ERROR","error":""#);
            line.push_str(error.word());
            line.push('"');
            if error.code().origin() == CodeOrigin::Gateway {
                line.push_str(r#","request_id":""#);
                line.push_str(answer.request_id);
                line.push('"');
            }
        }
    }
    push_end(&mut line, answer);
    line
}

/// Appends the keys that follow `result` or `error`.
fn push_end(line: &mut String, answer: &Answer<'_>) {
    if let Some(delivery) = answer.delivery() {
        line.push_str(r#","delivery":""#);
        line.push_str(delivery.word());
        line.push('"');
    }
    if let Some(seconds) = answer.outcome.err().and_then(Error::retry_after_s) {
        line.push_str(r#","retry_after":"#);
        line.push_str(&seconds.to_string());
    }
    line.push('}');
}

/// Renders the envelope as a reply with this status and these challenges.
#[must_use]
pub fn json_reply(answer: &Answer<'_>, status: u16, challenges: &'static [&'static str]) -> Reply {
    let long = answer
        .outcome
        .ok()
        .filter(|response| response.bytes() >= LONG_BYTES);
    let (body, rest) = match long {
        None => (Bytes::from(envelope(answer)), None),
        Some(response) => {
            let mut end = String::with_capacity(ENDS_BYTES);
            push_end(&mut end, answer);
            let rest = BodyRest::result(response.clone(), end);
            (Bytes::from_static(SUCCESS.as_bytes()), Some(rest))
        }
    };
    Reply {
        status,
        content_type: "application/json; charset=utf-8",
        challenges,
        body,
        rest,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::operation::OPERATIONS;

    #[track_caller]
    fn check(method: &str, outcome: Result<&Response, &Error>, expected: &str) {
        let operation = OPERATIONS.iter().find(|op| op.method == method);
        assert_eq!(
            envelope(&Answer {
                request_id: "r1",
                operation,
                outcome
            }),
            expected
        );
    }

    #[test]
    fn the_json_envelope_matches_the_contract() {
        let list = Response::of("{ \"list\": [ ] }").unwrap();
        check(
            "getchats",
            Ok(&list),
            r#"{"status":"SUCCESS","result":{"list":[]}}"#,
        );
        check(
            "sendmessage",
            Ok(&Response::empty()),
            r#"{"status":"SUCCESS","result":{},"delivery":"sent"}"#,
        );
        let limited = Error::refused(Code::RateLimited).retry_after(12);
        check(
            "sendmessage",
            Err(&limited),
            r#"{"status":"ERROR","error":"RATE_LIMITED","request_id":"r1","delivery":"not_sent","retry_after":12}"#,
        );
        let page = Error::refused(Code::ChannelNotFound).with_delivery(None);
        check(
            "getchats",
            Err(&page),
            r#"{"status":"ERROR","error":"CHANNEL_NOT_FOUND"}"#,
        );
    }

    #[test]
    fn the_pieces_of_a_long_result_add_up_to_the_whole_envelope() {
        let result = format!(r#"{{"list":["{}"]}}"#, "x".repeat(LONG_BYTES));
        let response = Response::of(&result).unwrap();
        for method in ["getchats", "sendmessage"] {
            let answer = Answer {
                request_id: "r1",
                operation: OPERATIONS.iter().find(|op| op.method == method),
                outcome: Ok(&response),
            };
            let Reply { body, rest, .. } = json_reply(&answer, 200, &[]);
            let rest = rest.unwrap();
            let announced = body.len() as u64 + rest.bytes();
            let sent = [body].into_iter().chain(rest).collect::<Vec<_>>().concat();
            assert_eq!(sent, envelope(&answer).into_bytes());
            assert_eq!(sent.len() as u64, announced);
        }
    }
}
