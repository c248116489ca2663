//! The one-line JSON envelope that the HTTP, Basic and JWT ways answer with.

use bytes::Bytes;

use crate::{Answer, Code, Origin, Reply};

/// Which HTTP status a JSON way puts on the wire for the page's codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StatusPolicy {
    /// 200, as the chat API itself does; existing clients raise on 4xx before they look at the body.
    Compat,
    /// The code's canonical status.
    Mapped,
}

impl StatusPolicy {
    /// The wire status for a code under this policy.
    #[must_use]
    pub fn status(self, code: Code) -> u16 {
        match (self, code.origin()) {
            (StatusPolicy::Compat, Origin::Page) => 200,
            (StatusPolicy::Compat, Origin::Gateway) | (StatusPolicy::Mapped, _) => code.status(),
        }
    }
}

/// The envelope: one compact line, keys in the contract's order, `result` and `error` never together.
#[must_use]
pub fn envelope(answer: &Answer<'_>) -> String {
    let result = answer.outcome.map_or(0, crate::Response::bytes);
    let mut line = String::with_capacity(128 + result);
    match answer.outcome {
        Ok(response) => {
            line.push_str(r#"{"status":"SUCCESS","result":"#);
            line.push_str(response.result());
        }
        Err(error) => {
            // Words are capitals, digits and underscores, ids are checked on the way in: nothing here needs escaping.
            line.push_str(r#"{"status":"ERROR","error":""#);
            line.push_str(error.word());
            line.push('"');
            if error.code().origin() == Origin::Gateway {
                line.push_str(r#","request_id":""#);
                line.push_str(answer.request_id);
                line.push('"');
            }
        }
    }
    if let Some(delivery) = answer.delivery() {
        line.push_str(r#","delivery":""#);
        line.push_str(delivery.word());
        line.push('"');
    }
    if let Some(seconds) = answer.outcome.err().and_then(crate::Error::retry_after_s) {
        line.push_str(r#","retry_after":"#);
        line.push_str(&seconds.to_string());
    }
    line.push('}');
    line
}

/// The envelope as a reply with this status and these challenges.
#[must_use]
pub fn json_reply(answer: &Answer<'_>, status: u16, challenges: &'static [&'static str]) -> Reply {
    Reply {
        status,
        content_type: "application/json; charset=utf-8",
        challenges,
        body: Bytes::from(envelope(answer)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Error, OPERATIONS, Response};

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
    fn the_envelope_is_the_contracts() {
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
}
