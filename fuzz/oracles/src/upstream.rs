//! Judges the upstream's answer and the answers to callers. Input: the upstream's answer.

use adapter::{
    Adapter, Answer, Dialect, Error, OPERATIONS, Operation, Response, SoapDialect, SoapVersion,
    compact, envelope,
};
use adapter_soap::{FaultStatus, SoapAdapter, check_document};
use forward::fuzzing::upstream_answer;
use serde_json::Value;

use crate::json_reader::{is_json, members};

pub(crate) fn judge(body: &[u8]) {
    let Ok(found) = upstream_answer(body) else {
        return;
    };
    let text = std::str::from_utf8(body).expect("an answer that was taken is UTF-8");
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    assert!(is_json(text), "an answer that is no JSON was taken");
    match found {
        Ok(response) => {
            let mut result = response.result();
            let members = members(text);
            if let Some(members) = &members {
                let of = |name| members.iter().find(|(n, _)| n == name).map(|(_, v)| *v);
                result = of("result").unwrap_or("{}");
                let status = of("status").unwrap_or_default();
                assert!(status.contains('\\') || status.eq_ignore_ascii_case("\"success\""));
            }
            assert_eq!(compact(result).as_deref(), Some(response.result()));
            is_rendered(&response, result);
        }
        Err(error) => {
            let word = error.word();
            assert!((1..=64).contains(&word.len()));
            assert!(
                word.bytes()
                    .all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_')
            );
            refuse(&error);
        }
    }
}

/// Checks that every way renders a result of any shape as the same value.
fn is_rendered(response: &Response, result: &str) {
    let text = response.result();
    assert!(is_json(text) && !text.contains(['\n', '\r']));
    assert_eq!(compact(text).as_deref(), Some(text));
    // serde_json refuses some valid JSON: half a surrogate pair, a number beyond f64, great depth.
    if let Ok(value) = serde_json::from_str::<Value>(result) {
        assert_eq!(serde_json::from_str::<Value>(text).ok(), Some(value));
    }
    for operation in &OPERATIONS {
        let answer = answer(Some(operation), Ok(response));
        let line = envelope(&answer);
        let written = members(&line).expect("the envelope is an object");
        assert_eq!(written[1], ("result".to_owned(), text));
        well_formed(&answer);
    }
}

fn refuse(error: &Error) {
    let answer = answer(None, Err(error));
    let line = envelope(&answer);
    let written = members(&line).expect("the envelope is an object");
    assert_eq!(written[1].1, format!("\"{}\"", error.word()));
    well_formed(&answer);
}

fn answer<'a>(
    operation: Option<&'static Operation>,
    outcome: Result<&'a Response, &'a Error>,
) -> Answer<'a> {
    Answer {
        request_id: "r-1",
        operation,
        outcome,
    }
}

/// Checks that the SOAP answer is XML for two parsers, in both versions.
fn well_formed(answer: &Answer<'_>) {
    for version in [SoapVersion::V11, SoapVersion::V12] {
        let dialect = Dialect::Soap(SoapDialect {
            version,
            ..SoapDialect::default()
        });
        let reply = SoapAdapter::new(FaultStatus::Strict).encode(dialect, answer);
        // The reader accepts documents of up to 256 KiB; answers may be longer.
        let said =
            reply.rest.as_ref().map_or(0, adapter::BodyRest::bytes) + reply.body.len() as u64;
        let pieces = [reply.body]
            .into_iter()
            .chain(reply.rest.into_iter().flatten());
        let body = pieces.collect::<Vec<_>>().concat();
        assert_eq!(body.len() as u64, said, "the length that was said");
        if body.len() <= 256 * 1024 {
            check_document(&body).expect("our own envelope is well formed");
        }
        let text = std::str::from_utf8(&body).expect("our own envelope is UTF-8");
        roxmltree::Document::parse(text).expect("our own envelope is well formed for others");
    }
}
