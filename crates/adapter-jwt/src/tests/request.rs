//! Tests of requests to the token endpoint.

use adapter::Wire;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::HeaderMap;
use secrecy::ExposeSecret;

use crate::*;

const GRANT: &str = "grant_type=client_credentials";

fn read(
    query: &str,
    headers: &[(&'static str, &str)],
    body: &[u8],
) -> Result<TokenRequest, OauthError> {
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        map.append(*name, value.parse().unwrap());
    }
    read_token_request(&Wire {
        query,
        headers: &map,
        body: &body.to_vec().into(),
    })
}

fn form(body: &str) -> Result<TokenRequest, OauthError> {
    read(
        "",
        &[("content-type", "application/x-www-form-urlencoded")],
        body.as_bytes(),
    )
}

fn basic(pair: &str, body: &str) -> Result<TokenRequest, OauthError> {
    let value = format!("Basic {}", STANDARD.encode(pair));
    read("", &[("authorization", &value)], body.as_bytes())
}

#[track_caller]
fn check_rejected(result: Result<TokenRequest, OauthError>, error: &str, status: u16) {
    let refusal = result.unwrap_err();
    assert_eq!((refusal.error, refusal.status), (error, status));
    assert_eq!(refusal.challenge, status == 401);
}

#[track_caller]
fn check_client(request: TokenRequest, id: &str, secret: &str) {
    assert_eq!(request.client_id, id);
    assert_eq!(request.client_secret.expose_secret(), secret);
}

#[test]
fn client_credentials_are_read_from_the_body_or_the_header() {
    let body = form(&format!(
        "{GRANT}&client_id=cga_1&client_secret=a+b%2Bc&scope=chat"
    ))
    .unwrap();
    assert_eq!(body.scope.as_deref(), Some("chat"));
    check_client(body, "cga_1", "a b+c");
    let header = basic("cga%5F1:a+b%2Bc%3A%C3%A9:", GRANT).unwrap();
    assert!(header.scope.is_none());
    assert!(!format!("{header:?}").contains("b+c"));
    check_client(header, "cga_1", "a b+c:é:");
    check_client(
        basic(
            "cga_1:s",
            &format!("{GRANT}&client_id=cga_1&client_secret="),
        )
        .unwrap(),
        "cga_1",
        "s",
    );
    check_client(
        form(&format!(
            "&&0=Array&x&{GRANT}&client_id=c&client_secret=%&scope="
        ))
        .unwrap(),
        "c",
        "%",
    );
}

#[test]
fn credentials_in_both_header_and_body_are_rejected() {
    check_rejected(
        basic("a:b", &format!("{GRANT}&client_id=a&client_secret=b")),
        "invalid_request",
        400,
    );
    check_rejected(
        basic("a:b", &format!("{GRANT}&client_secret=b")),
        "invalid_request",
        400,
    );
    check_rejected(
        basic("a:b", &format!("{GRANT}&client_id=c")),
        "invalid_request",
        400,
    );
    let headers = [
        ("authorization", "Basic YTpi"),
        ("authorization", "Basic YTpi"),
    ];
    check_rejected(read("", &headers, GRANT.as_bytes()), "invalid_request", 400);
}

#[test]
fn a_duplicate_token_request_parameter_is_rejected_even_with_equal_values() {
    let whole = format!("{GRANT}&client_id=a&client_secret=b&scope=chat");
    for again in [
        "client_id=a",
        "client_secret=",
        "scope=chat",
        GRANT,
        "client%5Fid=a",
        "scope",
    ] {
        check_rejected(form(&format!("{whole}&{again}")), "invalid_request", 400);
    }
    assert!(form(&format!("{whole}&x=1&x=2")).is_ok());
}

#[test]
fn oauth_parameters_in_the_query_are_rejected() {
    let whole = format!("{GRANT}&client_id=a&client_secret=b");
    for query in [
        whole.as_str(),
        "client_secret=b",
        "client%5Fsecret=b",
        "x=1&scope",
        "client_id=",
    ] {
        check_rejected(read(query, &[], whole.as_bytes()), "invalid_request", 400);
    }
    assert!(read("x=1", &[], whole.as_bytes()).is_ok());
}

#[test]
fn only_the_client_credentials_grant_is_accepted() {
    check_rejected(form("client_id=a&client_secret=b"), "invalid_request", 400);
    check_rejected(form(""), "invalid_request", 400);
    for grant in [
        "password",
        "refresh_token",
        "Client_Credentials",
        "client_credentials%20",
    ] {
        let body = format!("grant_type={grant}&client_id=a&client_secret=b");
        check_rejected(form(&body), "unsupported_grant_type", 400);
    }
}

#[test]
fn missing_or_malformed_client_credentials_return_invalid_client() {
    for rest in [
        "",
        "&client_id=a",
        "&client_secret=b",
        "&client_id=&client_secret=b",
        "&client_id=a&client_secret=",
    ] {
        check_rejected(form(&format!("{GRANT}{rest}")), "invalid_client", 401);
    }
    for pair in ["a", "a:", ":b", ":", "a:%FF", "%FF:b"] {
        check_rejected(basic(pair, GRANT), "invalid_client", 401);
    }
    for value in ["Basic !!", "Bearer a.b.c", "Digest x"] {
        check_rejected(
            read("", &[("authorization", value)], GRANT.as_bytes()),
            "invalid_client",
            401,
        );
    }
}

#[test]
fn overlong_client_credentials_and_control_characters_are_rejected() {
    let with =
        |id: &str, secret: &str| form(&format!("{GRANT}&client_id={id}&client_secret={secret}"));
    assert!(with(&"i".repeat(256), &"s".repeat(1024)).is_ok());
    check_rejected(with(&"i".repeat(257), "s"), "invalid_request", 400);
    check_rejected(with("i", &"s".repeat(1025)), "invalid_request", 400);
    for control in ["%00", "%0D%0A", "%09", "%7F", "%EF%BF%BF"] {
        check_rejected(with("i", control), "invalid_request", 400);
        check_rejected(with(control, "s"), "invalid_request", 400);
        check_rejected(
            basic(&format!("i:{control}"), GRANT),
            "invalid_request",
            400,
        );
    }
}

#[test]
fn token_requests_must_be_form_encoded() {
    let whole = format!("{GRANT}&client_id=a&client_secret=b");
    let typed = |value| read("", &[("content-type", value)], whole.as_bytes());
    assert!(typed("Application/X-WWW-Form-Urlencoded; charset=UTF-8").is_ok());
    for value in [
        "application/json",
        "multipart/form-data; boundary=x",
        "text/plain",
        "",
    ] {
        check_rejected(typed(value), "invalid_request", 415);
    }
    check_rejected(read("", &[], b"grant_type=\xff"), "invalid_request", 400);
    check_rejected(form("grant_type=%FF"), "invalid_request", 400);
}

#[test]
fn a_compressed_token_request_or_a_second_content_type_is_rejected() {
    let body = format!("{GRANT}&client_id=c&client_secret=s");
    let form = ("content-type", "application/x-www-form-urlencoded");
    let with = |header| read("", &[form, header], body.as_bytes());
    check_client(with(("content-encoding", "identity")).unwrap(), "c", "s");
    let packed = with(("content-encoding", "gzip"));
    check_rejected(packed, "invalid_request", 415);
    let twice = with(("content-type", "text/plain"));
    check_rejected(twice, "invalid_request", 400);
}
