//! What requests of the admin API carry, and the tag that its answers carry.

use axum::body::Body;
use axum::response::Response;
use http::{HeaderMap, HeaderValue, Request, StatusCode, header};
use http_body_util::{BodyExt, Limited};
use serde::de::DeserializeOwned;
use serde_json::Value;
use store::{Access, ChangeError, Object};

use crate::problem::{Problem, json_answer};

/// Largest body of the admin API, in bytes: an export of some thousand accesses.
const BODY_BYTES_MAX: usize = 4 * 1024 * 1024;

/// The version that the caller has seen, where they say so.
pub(crate) fn if_match(headers: &HeaderMap) -> Result<Option<i64>, Problem> {
    let Some(value) = headers.get(header::IF_MATCH) else {
        return Ok(None);
    };
    let text = value.to_str().unwrap_or_default();
    // A list may have empty elements (RFC 9110, 5.6.1.2); of one access nobody has seen two versions.
    let mut tags = text.split(',').map(str::trim).filter(|tag| !tag.is_empty());
    let tag = tags.next().filter(|_| tags.next().is_none());
    if tag == Some("*") {
        return Ok(None);
    }
    let version = tag
        .and_then(|tag| tag.strip_prefix("\"v"))
        .and_then(|rest| rest.strip_suffix('"'))
        .and_then(|v| v.parse().ok());
    // A tag that is none of ours matches nothing.
    version.map(Some).ok_or_else(|| ChangeError::Stale.into())
}

pub(crate) fn tagged(status: StatusCode, access: &Access, body: &Value) -> Response {
    let mut response = json_answer(status, body);
    if let Ok(tag) = HeaderValue::try_from(format!("\"v{}\"", access.version)) {
        response.headers_mut().insert(header::ETAG, tag);
    }
    response
}

pub(crate) async fn body<T: DeserializeOwned>(request: Request<Body>) -> Result<T, Problem> {
    let bad = |text: String| Problem::new(StatusCode::BAD_REQUEST, "malformed", text);
    let collected = Limited::new(request.into_body(), BODY_BYTES_MAX)
        .collect()
        .await;
    let bytes = collected
        .map_err(|_| {
            bad(format!(
                "The body broke off or is over {BODY_BYTES_MAX} bytes."
            ))
        })?
        .to_bytes();
    let bytes = if bytes.is_empty() { &b"{}"[..] } else { &bytes };
    serde_json::from_slice::<Object<T>>(bytes)
        .or_else(|error| with_whole_numbers(bytes, error))
        .map(|Object(value)| value)
        .map_err(|error| {
            let text = without_values(&error.to_string());
            bad(format!("The body is not what it should be: {text}."))
        })
}

/// What is wrong with a body, without the value that is wrong: it may be a secret in the wrong place. Names of fields are
/// told, since nothing else would show a slip of the pen.
fn without_values(text: &str) -> String {
    let shows_a_value = ["invalid type: ", "invalid value: ", "unknown variant "];
    if !shows_a_value.iter().any(|start| text.starts_with(start)) {
        return text.to_owned();
    }
    // The value comes first, and may itself hold the word.
    let expected = text.rfind(", expected ").map(|at| &text[at..]);
    format!("a value is wrong{}", expected.unwrap_or_default())
}

/// Reads once more what was refused, with numbers such as `5.0` as integers: that is what they are to JSON Schema, and so
/// to clients that are made from our document.
fn with_whole_numbers<T: DeserializeOwned>(
    bytes: &[u8],
    error: serde_json::Error,
) -> Result<T, serde_json::Error> {
    // A document keeps one of two fields with one name, and would hide the mistake.
    if !error.is_data() || error.to_string().starts_with("duplicate field") {
        return Err(error);
    }
    let mut value: Value = serde_json::from_slice(bytes)?;
    make_whole(&mut value);
    serde_json::from_value(value).map_err(|_| error)
}

/// Up to here, 2^53, every integer is one float and no other's.
const EXACT_MAX: f64 = 9_007_199_254_740_992.0;

/// Writes every number without a fraction as an integer.
pub(crate) fn make_whole(value: &mut Value) {
    match value {
        Value::Number(number) => {
            let whole = number.as_f64().filter(|float| {
                number.is_f64() && float.fract() == 0.0 && float.abs() <= EXACT_MAX
            });
            if let Some(whole) = whole {
                *value = (whole as i64).into();
            }
        }
        Value::Array(values) => values.iter_mut().for_each(make_whole),
        Value::Object(members) => members.values_mut().for_each(make_whole),
        Value::Null | Value::Bool(_) | Value::String(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_number_without_a_fraction_is_an_integer() {
        #[derive(Debug, PartialEq, serde::Deserialize)]
        struct Counts {
            some: Vec<u32>,
        }
        let read =
            async |text: &'static str| body::<Counts>(Request::new(Body::from(text))).await.ok();
        let wait = |text| futures_util::FutureExt::now_or_never(read(text)).flatten();
        assert_eq!(
            wait(r#"{"some": [5.0, 6]}"#),
            Some(Counts { some: vec![5, 6] })
        );
        assert_eq!(wait(r#"{"some": [5.5]}"#), None);
        let mut value = json!([1e30, 0.5, -2.0, -0.0, 2.5e11, 9.007_199_254_740_991e15]);
        make_whole(&mut value);
        let whole = json!([
            1e30,
            0.5,
            -2,
            0,
            250_000_000_000_i64,
            9_007_199_254_740_991_i64
        ]);
        assert_eq!(value, whole);
    }

    #[test]
    fn a_list_is_no_object() {
        #[derive(serde::Deserialize)]
        struct One {
            _name: String,
        }
        let read = body::<One>(Request::new(Body::from(r#"["x"]"#)));
        assert!(
            futures_util::FutureExt::now_or_never(read)
                .unwrap()
                .is_err()
        );
    }

    #[test]
    fn a_wrong_value_is_not_told_and_a_wrong_name_is() {
        for (text, told) in [
            (
                "invalid type: string \"a, expected b\", expected a sequence at line 1 column 5",
                "a value is wrong, expected a sequence at line 1 column 5",
            ),
            (
                "unknown variant `secret`, expected `a` or `b`",
                "a value is wrong, expected `a` or `b`",
            ),
            ("invalid value: string \"secret\"", "a value is wrong"),
            (
                "unknown field `passwort`, expected `name`",
                "unknown field `passwort`, expected `name`",
            ),
            ("EOF while parsing a value", "EOF while parsing a value"),
        ] {
            assert_eq!(without_values(text), told);
        }
    }
}
