//! Tests of the token endpoint's answers.

use adapter::{Code, Error};
use serde_json::{Value, json};

use crate::*;

fn body(reply: &adapter::Reply) -> &str {
    std::str::from_utf8(&reply.body).unwrap()
}

#[test]
fn a_token_response_has_the_standard_oauth_fields() {
    let reply = token_reply("a.b.c", 3600, &Scope::parse("getchats sendfile").unwrap());
    assert_eq!(
        (reply.status, reply.content_type, reply.challenges),
        (200, "application/json;charset=UTF-8", [].as_slice())
    );
    assert_eq!(
        body(&reply),
        r#"{"access_token":"a.b.c","expires_in":3600,"scope":"getchats sendfile","token_type":"Bearer"}"#
    );
}

#[test]
fn an_invalid_client_gets_401_with_a_basic_challenge() {
    let reply = OauthError::invalid_client().reply();
    assert_eq!(
        (reply.status, reply.challenges),
        (
            401,
            [r#"Basic realm="chatgate", charset="UTF-8""#].as_slice()
        )
    );
    assert_eq!(
        body(&reply),
        r#"{"error":"invalid_client","error_description":"The client_id or the client_secret is missing or wrong."}"#
    );
    let odd = OauthError::invalid_request("a\"b\\c\né").reply();
    assert_eq!(odd.status, 400);
    assert!(odd.challenges.is_empty());
    assert_eq!(
        body(&odd),
        r#"{"error":"invalid_request","error_description":"a'b'c??"}"#
    );
}

#[test]
fn every_gateway_code_maps_to_an_oauth_error() {
    #[track_caller]
    fn check(code: Code, error: &str, status: u16) {
        let refusal = OauthError::from(&Error::refused(code));
        assert_eq!((refusal.error, refusal.status), (error, status));
    }
    check(Code::IncorrectUserPassword, "invalid_client", 401);
    check(Code::MissingUser, "invalid_client", 401);
    check(Code::IpNotAllowed, "unauthorized_client", 403);
    check(Code::AccessDisabled, "unauthorized_client", 403);
    check(Code::OperationNotAllowed, "unauthorized_client", 403);
    check(Code::RateLimited, "temporarily_unavailable", 429);
    check(Code::TooManyFailures, "temporarily_unavailable", 429);
    check(Code::Overloaded, "temporarily_unavailable", 503);
    check(Code::InternalError, "server_error", 500);
    check(Code::RequestTooLarge, "invalid_request", 413);
    check(Code::UnsupportedMediaType, "invalid_request", 415);
    check(Code::MalformedRequest, "invalid_request", 400);
    check(Code::HttpMethodNotAllowed, "invalid_request", 405);
    for code in Code::ALL {
        let secret = Error::refused(code).because("the private cause");
        let refusal = OauthError::from(&secret);
        assert_eq!(refusal.challenge, refusal.status == 401);
        assert!(!body(&refusal.reply()).contains("private"));
    }
}

#[test]
fn a_token_scope_beyond_the_permissions_of_the_access_is_rejected() {
    let reads = |method: &str| method.starts_with("get");
    let granted = |text| granted_scope(text, reads).map(|scope| scope.to_string());
    assert_eq!(granted(None).unwrap(), "chat");
    assert_eq!(granted(Some("")).unwrap(), "chat");
    assert_eq!(granted(Some("chat")).unwrap(), "chat");
    assert_eq!(granted(Some("chat getchats")).unwrap(), "chat");
    assert_eq!(
        granted(Some("getchats getmessages getchats")).unwrap(),
        "getchats getmessages"
    );
    for text in [
        "sendmessage",
        "chat sendmessage",
        "getchats sendfile",
        "getchat",
        "openid",
        " ",
    ] {
        let error = granted(Some(text)).unwrap_err();
        assert_eq!(
            (error.error, error.status),
            ("invalid_scope", 400),
            "{text}"
        );
    }
}

#[test]
fn oauth_metadata_contains_urls_under_the_public_url() {
    let read = |url| serde_json::from_str::<Value>(&metadata(url, |_| true)).unwrap();
    let expected = json!({
        "issuer": "https://gate.example",
        "token_endpoint": "https://gate.example/oauth/token",
        "jwks_uri": "https://gate.example/.well-known/jwks.json",
        "grant_types_supported": ["client_credentials"],
        "response_types_supported": [],
        "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post"],
        "scopes_supported": ["chat", "getchatchannels", "sendmessage", "sendfile", "getchats", "getmessages", "getunreadmessages", "getevents"],
    });
    assert_eq!(read("https://gate.example"), expected);
    let slashed = read("https://gate.example/x/");
    assert_eq!(slashed["issuer"], "https://gate.example/x/");
    assert_eq!(
        slashed["token_endpoint"],
        "https://gate.example/x/oauth/token"
    );
}
