//! Tests of the adapter: decoding calls and encoding answers.

use adapter::{
    Adapter, Answer, Code, Credentials, Decoded, Dialect, Error, Response, StatusPolicy, Way, Wire,
};
use http::HeaderMap;
use secrecy::ExposeSecret;

use crate::JwtAdapter;

const CALL: &str = "class=chat&method=getchatchannels";

fn decode(query: &str, authorization: &[&str]) -> Result<Decoded, Code> {
    let mut headers = HeaderMap::new();
    for value in authorization {
        headers.append("authorization", value.parse().unwrap());
    }
    let wire = Wire {
        query,
        headers: &headers,
        body: &Default::default(),
    };
    let adapter = JwtAdapter::new(StatusPolicy::Mapped);
    let (dialect, decoded) = adapter.decode(&wire);
    assert_eq!(dialect, adapter.dialect(&wire));
    decoded.map_err(|error| error.code())
}

#[track_caller]
fn check_decode_error(query: &str, authorization: &[&str], code: Code) {
    assert_eq!(decode(query, authorization).unwrap_err(), code);
}

#[test]
fn errors_in_a_bearer_call_do_not_prevent_decoding_its_token() {
    let decoded = decode(CALL, &["bearer   a.b.c"]).unwrap();
    let Credentials::Token(token) = &decoded.credentials else {
        panic!("{decoded:?}");
    };
    assert_eq!(token.expose_secret(), "a.b.c");
    assert_eq!(decoded.call.unwrap().operation().method, "getchatchannels");
    let wrong = decode("class=sms&method=x", &["Bearer t"]).unwrap();
    assert_eq!(wrong.call.unwrap_err().code(), Code::IncorrectClass);
    assert_eq!(JwtAdapter::new(StatusPolicy::Mapped).way(), Way::Jwt);
}

#[test]
fn a_missing_token_is_reported_before_class_and_method() {
    check_decode_error("", &[], Code::MissingToken);
    check_decode_error(CALL, &["Basic YTpi"], Code::MissingToken);
    check_decode_error(CALL, &["Digest x"], Code::MissingToken);
    check_decode_error(CALL, &["Bearer"], Code::MissingToken);
    check_decode_error(CALL, &["Bearer   "], Code::MissingToken);
    check_decode_error(CALL, &["Bearer a", "Bearer a"], Code::IncorrectParam);
    check_decode_error("user=u", &["Bearer a"], Code::IncorrectParam);
    check_decode_error(
        &format!("{CALL}&password=p"),
        &["Bearer a"],
        Code::IncorrectParam,
    );
    check_decode_error(
        &format!("{CALL}&user=u&password=p"),
        &[],
        Code::MissingToken,
    );
    check_decode_error("method=x", &["Bearer a"], Code::MissingClass);
    check_decode_error("class=x", &["Bearer a"], Code::MissingMethod);
    assert!(decode(&format!("{CALL}&user=&password="), &["Bearer a"]).is_ok());
}

#[track_caller]
fn wire_form(policy: StatusPolicy, code: Code) -> (u16, &'static [&'static str]) {
    let error = Error::refused(code);
    let reply = JwtAdapter::new(policy).encode(
        Dialect::default(),
        &Answer {
            request_id: "r1",
            operation: None,
            outcome: Err(&error),
        },
    );
    (reply.status, reply.challenges)
}

#[test]
fn a_bearer_challenge_is_sent_with_401_and_with_no_other_status() {
    let plain = r#"Bearer realm="chatgate""#;
    let invalid = r#"Bearer realm="chatgate", error="invalid_token""#;
    let expired = format!(r#"{invalid}, error_description="The token has expired.""#);
    let mapped = |code| wire_form(StatusPolicy::Mapped, code);
    assert_eq!(mapped(Code::MissingToken), (401, [plain].as_slice()));
    assert_eq!(mapped(Code::IncorrectToken), (401, [invalid].as_slice()));
    assert_eq!(
        mapped(Code::ExpiredToken),
        (401, [expired.as_str()].as_slice())
    );
    for policy in [StatusPolicy::Mapped, StatusPolicy::Compat] {
        for code in Code::ALL {
            let (status, challenges) = wire_form(policy, code);
            assert_eq!(status, policy.status(code));
            assert_eq!(challenges.is_empty(), status != 401, "{code:?}");
        }
    }
}

#[test]
fn a_successful_call_returns_the_envelope_with_200() {
    let response = Response::of(r#"{"list":[]}"#).unwrap();
    let reply = JwtAdapter::new(StatusPolicy::Mapped).encode(
        Dialect::default(),
        &Answer {
            request_id: "r1",
            operation: adapter::Operation::named("getchats"),
            outcome: Ok(&response),
        },
    );
    assert_eq!((reply.status, reply.challenges.len()), (200, 0));
    assert_eq!(
        &reply.body[..],
        br#"{"status":"SUCCESS","result":{"list":[]}}"#
    );
}
