//! Parses the answers of the upstream.

use std::borrow::Cow;

use adapter::{Code, Error, Response};
use serde::Deserialize;
use serde_json::value::RawValue;
use store::Object;

/// A well-formed answer.
pub(crate) enum UpstreamAnswer {
    /// An answer with a result.
    Success(Response),
    /// An answer with an error code.
    Error(String),
}

#[derive(Deserialize)]
struct WireEnvelope<'a> {
    #[serde(borrow)]
    status: Cow<'a, str>,
    #[serde(borrow, default, deserialize_with = "present")]
    result: Option<&'a RawValue>,
    #[serde(borrow, default)]
    error: Option<&'a RawValue>,
}

/// Distinguishes `null` from absence, because a result from the upstream is passed on as it is.
fn present<'de: 'a, 'a, D: serde::Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<&'a RawValue>, D::Error> {
    <&RawValue>::deserialize(deserializer).map(Some)
}

/// Parses an answer. The error is the defect of the answer.
pub(crate) fn parse(body: &[u8]) -> Result<UpstreamAnswer, &'static str> {
    let text = std::str::from_utf8(body).map_err(|_| "the answer is not UTF-8")?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let Object::<WireEnvelope<'_>>(written) =
        serde_json::from_str(text).map_err(|_| "the answer is not an envelope of the chat API")?;
    if written.status.eq_ignore_ascii_case("success") {
        match written.result.map(RawValue::get) {
            None => Ok(UpstreamAnswer::Success(Response::empty())),
            Some(result) => Response::of(result)
                .map(UpstreamAnswer::Success)
                .ok_or("a key of the result is given twice"),
        }
    } else if written.status.eq_ignore_ascii_case("error") {
        // Parsed only here, because an `error` next to a success does not matter.
        let code = written
            .error
            .and_then(|raw| serde_json::from_str(raw.get()).ok());
        code.map(UpstreamAnswer::Error)
            .ok_or("an error without a code")
    } else {
        Err("the status is neither success nor error")
    }
}

/// Returns the error that an error code of the upstream means for the caller; `None` if the code does not have the shape of one.
pub(crate) fn error_of_code(word: &str) -> Option<Error> {
    match Code::from_chat_api(word) {
        // All three are about our own account, with which the caller has nothing to do.
        Some(code) if code.is_credential() => {
            let cause = format!("the upstream says {}", code.word());
            Some(Error::refused(Code::UpstreamRefusedCredentials).because(cause))
        }
        Some(code) => Some(Error::refused(code).because("answer of the upstream")),
        None => is_well_shaped(word)
            .then(|| Error::upstream_code(word.to_owned()).because("answer of the upstream")),
    }
}

fn is_well_shaped(word: &str) -> bool {
    (1..=64).contains(&word.len())
        && word
            .bytes()
            .all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(body: &str, expected: Result<&str, &str>) {
        let read = match parse(body.as_bytes()) {
            Ok(UpstreamAnswer::Success(response)) => Ok(response.result().to_owned()),
            Ok(UpstreamAnswer::Error(code)) => Err(error_of_code(&code)
                .map_or("(no code)".to_owned(), |error| error.word().to_owned())),
            Err(cause) => Err(cause.to_owned()),
        };
        assert_eq!(
            read.as_ref().map(String::as_str).map_err(String::as_str),
            expected
        );
    }

    #[test]
    fn valid_upstream_envelopes_are_parsed_and_results_kept_verbatim() {
        check(
            r#"{"status":"SUCCESS","result":{"list":[]}}"#,
            Ok(r#"{"list":[]}"#),
        );
        check("\u{feff}\n{\"status\":\"success\"}\n", Ok("{}"));
        check(
            r#"{"status":"SUCCESS","result":null,"error":false}"#,
            Ok("null"),
        );
        check(
            r#"{"status":"SUCCESS","result":[1.0,2e3],"more":1}"#,
            Ok("[1.0,2e3]"),
        );
        check(
            r#"{"status":"Error","error":"CHAT_NOT_FOUND"}"#,
            Err("CHAT_NOT_FOUND"),
        );
        check(
            r#"{"status":"ERROR","error":"NEW_ONE_9"}"#,
            Err("NEW_ONE_9"),
        );
        check(
            r#"{"status":"ERROR","error":"RATE_LIMITED"}"#,
            Err("RATE_LIMITED"),
        );
        check(
            r#"{"status":"ERROR","error":"INCORRECT_USER_PASSWORD"}"#,
            Err("UPSTREAM_REFUSED_CREDENTIALS"),
        );
        check(
            r#"{"status":"ERROR","error":"<b>no</b>"}"#,
            Err("(no code)"),
        );
    }

    #[test]
    fn invalid_upstream_answers_are_rejected_with_a_cause() {
        check(
            r#"{"status":"ERROR","error":7}"#,
            Err("an error without a code"),
        );
        check("", Err("the answer is not an envelope of the chat API"));
        for body in [
            "<html>",
            r#"["success"]"#,
            r#"["SUCCESS",{"list":[]},null]"#,
            r#"["error",null,"CHAT_NOT_FOUND"]"#,
            r#"[{"status":"SUCCESS"}]"#,
            r#""SUCCESS""#,
        ] {
            check(body, Err("the answer is not an envelope of the chat API"));
        }
        check(
            r#"{"status":"SUCCESS","result":{}"#,
            Err("the answer is not an envelope of the chat API"),
        );
        check(
            r#"{"status":"SUCCESS","result":{"list":[{"a":1,"a":2}]}}"#,
            Err("a key of the result is given twice"),
        );
        check(
            r#"{"status":"SUCCESS","status":"ERROR"}"#,
            Err("the answer is not an envelope of the chat API"),
        );
        check(r#"{"status":"ERROR"}"#, Err("an error without a code"));
        check(
            r#"{"status":"MAYBE"}"#,
            Err("the status is neither success nor error"),
        );
        check(
            r#"{"result":{}}"#,
            Err("the answer is not an envelope of the chat API"),
        );
    }
}
