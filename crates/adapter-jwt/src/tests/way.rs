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
fn refused(query: &str, authorization: &[&str], code: Code) {
    assert_eq!(decode(query, authorization).unwrap_err(), code);
}

#[test]
fn a_bearer_call_is_read_and_its_own_mistakes_stay_shut() {
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
fn the_token_comes_before_class_and_method() {
    refused("", &[], Code::MissingToken);
    refused(CALL, &["Basic YTpi"], Code::MissingToken);
    refused(CALL, &["Digest x"], Code::MissingToken);
    refused(CALL, &["Bearer"], Code::MissingToken);
    refused(CALL, &["Bearer   "], Code::MissingToken);
    refused(CALL, &["Bearer a", "Bearer a"], Code::IncorrectParam);
    refused("user=u", &["Bearer a"], Code::IncorrectParam);
    refused(
        &format!("{CALL}&password=p"),
        &["Bearer a"],
        Code::IncorrectParam,
    );
    refused(
        &format!("{CALL}&user=u&password=p"),
        &[],
        Code::MissingToken,
    );
    refused("method=x", &["Bearer a"], Code::MissingClass);
    refused("class=x", &["Bearer a"], Code::MissingMethod);
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
fn every_401_is_challenged_and_nothing_else() {
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
fn success_is_the_envelope_with_200() {
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
