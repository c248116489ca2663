//! Reads bodies and version tags of requests to the admin API.

use axum::body::Body;
use axum::response::Response;
use http::{HeaderMap, HeaderValue, Request, StatusCode, header};
use http_body_util::{BodyExt, Limited};
use serde::de::DeserializeOwned;
use serde_json::Value;
use store::{Access, ChangeError, Object};

use crate::problem::{Problem, json_answer};
use crate::whole_numbers::make_whole;

/// Maximum size of a request body of the admin API, in bytes: an export of some thousand accesses.
const BODY_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Returns the version that the caller has seen, if the request names a version.
///
/// # Errors
/// The condition of If-None-Match, which no change can meet, or an If-Match that is not one tag of this gateway.
pub(crate) fn if_match(headers: &HeaderMap) -> Result<Option<i64>, Problem> {
    // A change requires that the resource exists, and this condition that it does not, or is another one (RFC 9110, 13.1.2).
    if headers.contains_key(header::IF_NONE_MATCH) {
        return Err(ChangeError::Stale.into());
    }
    let mut values = headers.get_all(header::IF_MATCH).iter().peekable();
    if values.peek().is_none() {
        return Ok(None);
    }
    // Several lines are one list, which may have empty elements (RFC 9110, 5.3 and 5.6.1.2). Two tags match nothing, because a caller
    // has seen only one version.
    let texts = values.map(|value| value.to_str().unwrap_or("?"));
    let mut tags = texts
        .flat_map(|text| text.split(','))
        .map(str::trim)
        .filter(|tag| !tag.is_empty());
    let tag = tags.next().filter(|_| tags.next().is_none());
    if tag == Some("*") {
        return Ok(None);
    }
    let version = tag
        .and_then(|tag| tag.strip_prefix("\"v"))
        .and_then(|rest| rest.strip_suffix('"'))
        .and_then(|v| v.parse().ok());
    // A tag that the gateway did not make matches nothing.
    version.map(Some).ok_or_else(|| ChangeError::Stale.into())
}

/// Returns a JSON answer with the version of the access as its ETag.
pub(crate) fn with_etag(status: StatusCode, access: &Access, body: &Value) -> Response {
    let mut response = json_answer(status, body);
    if let Ok(tag) = HeaderValue::try_from(format!("\"v{}\"", access.version)) {
        response.headers_mut().insert(header::ETAG, tag);
    }
    response
}

/// Reads the JSON body of a request. An empty body is read as an empty object.
pub(crate) async fn body<T: DeserializeOwned>(request: Request<Body>) -> Result<T, Problem> {
    let bad = |text: String| Problem::new(StatusCode::BAD_REQUEST, "malformed", text);
    let collected = Limited::new(request.into_body(), BODY_BYTES_MAX)
        .collect()
        .await;
    let bytes = collected
        .map_err(|_| {
            bad(format!(
                "The body is incomplete or larger than {BODY_BYTES_MAX} bytes."
            ))
        })?
        .to_bytes();
    let bytes = if bytes.is_empty() { &b"{}"[..] } else { &bytes };
    serde_json::from_slice::<Object<T>>(bytes)
        .or_else(|error| with_whole_numbers(bytes, error))
        .map(|Object(value)| value)
        .map_err(|error| {
            let text = without_values(&error.to_string());
            bad(format!("The body does not match its schema: {text}."))
        })
}

/// Removes the wrong value from serde's message, because the value may be a secret in the wrong place. Names of fields stay,
/// because nothing else would show a typing error.
fn without_values(text: &str) -> String {
    let shows_a_value = ["invalid type: ", "invalid value: ", "unknown variant "];
    if !shows_a_value.iter().any(|start| text.starts_with(start)) {
        return text.to_owned();
    }
    // The value comes first, and may itself contain the word.
    let expected = text.rfind(", expected ").map(|at| &text[at..]);
    format!("a value is wrong{}", expected.unwrap_or_default())
}

/// Parses a rejected body again and reads numbers such as `5.0` as integers. JSON Schema calls such numbers integers, and so do
/// clients that are generated from our document.
fn with_whole_numbers<T: DeserializeOwned>(
    bytes: &[u8],
    error: serde_json::Error,
) -> Result<T, serde_json::Error> {
    // `Value` keeps only one of two fields with the same name, so that the second parse would hide the duplicate.
    if !error.is_data() || error.to_string().starts_with("duplicate field") {
        return Err(error);
    }
    let mut value: Value = serde_json::from_slice(bytes)?;
    make_whole(&mut value);
    serde_json::from_value(value).map_err(|_| error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_whole_float_in_a_body_is_read_as_an_integer() {
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
    }

    #[test]
    fn a_body_rejects_a_list_in_place_of_an_object() {
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
    fn error_texts_hide_wrong_values_and_show_unknown_field_names() {
        for (text, shown) in [
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
            assert_eq!(without_values(text), shown);
        }
    }
}
