//! Tests of calls and answers in their wire form.

mod answers;
mod calls;
mod envelopes;

/// A file of the end-to-end tests, shared so that all tests report a skip in the same form.
#[path = "../../../tests/harness/skipped.rs"]
pub(crate) mod skipped;

use adapter::{
    Adapter, Answer, Code, Credentials, Decoded, Dialect, EnvelopeFault, Error, Operation, Reply,
    Response, SoapDialect, SoapVersion, Wire,
};
use http::{HeaderMap, HeaderName, HeaderValue};
use secrecy::ExposeSecret;

use crate::{FaultStatus, SoapAdapter};

const SOAP: SoapAdapter = SoapAdapter {
    fault_status: FaultStatus::Strict,
};
const SOAP12: &str = "http://www.w3.org/2003/05/soap-envelope";
const TYPE12: (&str, &str) = ("content-type", "application/soap+xml");
const USER: &str = "<user>bob</user><password>pass</password>";
const SENDING: &str =
    "<platform>whatsapp</platform><platformid>1</platformid><destination>48</destination>";

/// Returns a SOAP 1.1 envelope with this header and this body.
fn envelope(header: &str, body: &str) -> String {
    format!(
        r#"<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/" xmlns:c="urn:chatgate:chat:v1" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"><s:Header>{header}</s:Header><s:Body>{body}</s:Body></s:Envelope>"#
    )
}

/// Returns a SOAP 1.2 envelope with this header and this body.
fn envelope12(header: &str, body: &str) -> String {
    envelope(header, body).replace("http://schemas.xmlsoap.org/soap/envelope/", SOAP12)
}

/// Returns a sendmessage call with credentials and these additional elements.
fn sendmessage(children: &str) -> String {
    envelope(
        "",
        &format!("<c:sendmessage>{USER}{SENDING}{children}</c:sendmessage>"),
    )
}

fn decode_bytes(headers: &[(&str, &str)], body: Vec<u8>) -> (Dialect, Result<Decoded, Error>) {
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        map.append(
            HeaderName::from_bytes(name.as_bytes()).unwrap(),
            HeaderValue::from_str(value).unwrap(),
        );
    }
    SOAP.decode(&Wire {
        query: "",
        headers: &map,
        body: &body.into(),
    })
}

fn decode(headers: &[(&str, &str)], body: &str) -> (Dialect, Result<Decoded, Error>) {
    decode_bytes(headers, body.as_bytes().to_vec())
}

/// Returns the outcome of decoding a call, before its credentials are checked: user, secret and parameters, or an error code.
fn verdict(headers: &[(&str, &str)], body: &str) -> String {
    let decoded = match decode(headers, body).1 {
        Ok(decoded) => decoded,
        Err(error) => return error.word().to_owned(),
    };
    let who = match &decoded.credentials {
        Credentials::Password { user, password } => format!("{user}:{}", password.expose_secret()),
        Credentials::Token(token) => token.expose_secret().to_owned(),
    };
    let what = match &decoded.call {
        Ok(request) => {
            let pairs = request
                .pairs()
                .map(|(p, value)| format!(" {}={value}", p.name));
            request.operation().method.to_owned() + &pairs.collect::<String>()
        }
        Err(error) => error.word().to_owned(),
    };
    let key = match decoded.idempotency_key {
        Ok(key) => key.map(|key| format!(" #{key}")).unwrap_or_default(),
        Err(error) => format!(" #{}", error.word()),
    };
    format!("{who} {what}{key}")
}

#[track_caller]
fn check(headers: &[(&str, &str)], body: &str, expected: &str) {
    assert_eq!(verdict(headers, body), expected, "{body}");
}

const fn dialect(version: SoapVersion, credentials_inside: bool, fault: EnvelopeFault) -> Dialect {
    Dialect::Soap(SoapDialect {
        version,
        credentials_inside,
        fault,
    })
}

fn refuse(dialect: Dialect, error: &Error, policy: FaultStatus) -> Reply {
    SoapAdapter::new(policy).encode(
        dialect,
        &Answer {
            request_id: "r-1",
            operation: None,
            outcome: Err(error),
        },
    )
}

fn succeed(dialect: Dialect, method: &str, result: Option<&str>) -> String {
    let response = result.map_or_else(Response::empty, |text| Response::of(text).unwrap());
    let reply = SOAP.encode(
        dialect,
        &Answer {
            request_id: "r-1",
            operation: Operation::named(method),
            outcome: Ok(&response),
        },
    );
    assert_eq!(reply.status, 200);
    crate::check_document(&reply.body).unwrap();
    String::from_utf8(reply.body.to_vec()).unwrap()
}

/// Returns the reply to a request that cannot be read.
#[track_caller]
fn refusal(headers: &[(&str, &str)], body: &str) -> (u16, String) {
    let (dialect, result) = decode(headers, body);
    let reply = refuse(dialect, &result.unwrap_err(), FaultStatus::Strict);
    crate::check_document(&reply.body).unwrap();
    (
        reply.status,
        String::from_utf8(reply.body.to_vec()).unwrap(),
    )
}
