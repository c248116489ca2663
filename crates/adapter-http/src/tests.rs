//! Tests of the wire forms of real clients, each with its call or its error code.

use adapter::Delivery;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue};

use super::*;

/// Decodes a request and returns the outcome as one word: the method, the error code of the call in brackets, or the error code of
/// the request.
fn decoded(query: &str, headers: &[(&'static str, &'static str)], body: &str) -> String {
    let headers: HeaderMap = headers
        .iter()
        .map(|(name, value)| {
            (
                http::HeaderName::from_static(name),
                HeaderValue::from_static(value),
            )
        })
        .collect();
    let body = Bytes::copy_from_slice(body.as_bytes());
    match decode(&Wire {
        query,
        headers: &headers,
        body: &body,
    }) {
        Ok(decoded) => match decoded.call {
            Ok(request) => request.operation().method.to_owned(),
            Err(error) => format!("({})", error.word()),
        },
        Err(error) => error.word().to_owned(),
    }
}

const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded");

#[test]
fn requests_of_published_clients_are_decoded() {
    // Python: urllib GET; Node: POST with everything in the query; PHP: http_build_query with a stray index.
    assert_eq!(
        decoded(
            "class=chat&method=getchatchannels&user=u&password=p",
            &[],
            ""
        ),
        "getchatchannels"
    );
    assert_eq!(
        decoded(
            "",
            &[FORM],
            "class=chat&method=getchatchannels&user=u&password=p&0=Array"
        ),
        "getchatchannels"
    );
    assert_eq!(
        decoded(
            "class=chat&method=getchatchannels",
            &[FORM],
            "user=u&password=p&"
        ),
        "getchatchannels"
    );
    let json = r#"{"class":"chat","method":"getchats","user":"u","password":"p","platform":"webchat","platformid":1}"#;
    assert_eq!(
        decoded(
            "",
            &[("content-type", "application/json; charset=utf-8")],
            json
        ),
        "getchats"
    );
}

#[test]
fn missing_and_incorrect_parameters_are_reported_in_order() {
    assert_eq!(decoded("", &[], ""), "MISSING_USER");
    assert_eq!(decoded("user=&password=p", &[], ""), "MISSING_USER");
    assert_eq!(decoded("user=u", &[], ""), "MISSING_PASSWORD");
    assert_eq!(decoded("user=u&password=p", &[], ""), "MISSING_CLASS");
    assert_eq!(
        decoded("user=u&password=p&class=sms", &[], ""),
        "MISSING_METHOD"
    );
    assert_eq!(
        decoded("user=u&password=p&class=sms&method=x", &[], ""),
        "(INCORRECT_CLASS)"
    );
    assert_eq!(
        decoded("user=u&password=p&class=chat&method=x", &[], ""),
        "(INCORRECT_METHOD)"
    );
    assert_eq!(
        decoded("user=u&password=p&class=chat&method=getchats", &[], ""),
        "(MISSING_COMPULSORY_PARAM)"
    );
}

#[test]
fn duplicate_or_invalid_credentials_are_rejected() {
    let rest = "&class=chat&method=getchatchannels";
    for query in [
        "user=u&user=u&password=p",
        "user=u&password=p&password=q",
        "user=u&user=&password=p",
    ] {
        assert_eq!(
            decoded(&format!("{query}{rest}"), &[], ""),
            "INCORRECT_PARAM",
            "{query}"
        );
    }
    assert_eq!(
        decoded(&format!("user=u&password=p{rest}"), &[FORM], "user=u"),
        "INCORRECT_PARAM"
    );
    assert_eq!(
        decoded(
            &format!("user=u&password=p{rest}"),
            &[("authorization", "Basic dTpw")],
            ""
        ),
        "INCORRECT_PARAM"
    );
    assert_eq!(
        decoded(&format!("user=u%0a&password=p{rest}"), &[], ""),
        "INCORRECT_PARAM"
    );
    assert_eq!(
        decoded(
            &format!("user=u&password={}{rest}", "p".repeat(1025)),
            &[],
            ""
        ),
        "INCORRECT_PARAM"
    );
    assert_eq!(
        decoded(&format!("user[]=u&password=p{rest}"), &[], ""),
        "MISSING_USER"
    );
}

#[test]
fn chat_api_errors_return_http_200_unless_statuses_are_mapped() {
    let error = Error::refused(Code::ChannelNotFound);
    let answer = Answer {
        request_id: "r",
        operation: None,
        outcome: Err(&error),
    };
    assert_eq!(answer.delivery(), Some(Delivery::NotSent));
    let compat = HttpAdapter::new(StatusPolicy::Compat).encode(Dialect::default(), &answer);
    let mapped = HttpAdapter::new(StatusPolicy::Mapped).encode(Dialect::default(), &answer);
    assert_eq!((compat.status, mapped.status), (200, 404));
}
