//! Writes one call in eight ways. If a way leaves the writer a choice (raw or encoded, CDATA or not), the call's habits decide.

use std::fmt::Write as _;
use std::net::SocketAddr;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::Value;

use super::generator::{Call, Habits, fits_xml};

/// The contract's ways in, with HTTP parameters in their four forms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    Query,
    Urlencoded,
    Multipart,
    Json,
    Basic,
    Jwt,
    Soap11,
    Soap12,
}

impl Form {
    fn path(self) -> &'static str {
        match self {
            Form::Query | Form::Urlencoded | Form::Multipart | Form::Json => "/api/http/",
            Form::Basic => "/api/basic/",
            Form::Jwt => "/api/jwt/",
            Form::Soap11 | Form::Soap12 => "/api/soap/",
        }
    }
}

pub(super) const WAYS: [Form; 8] = [
    Form::Urlencoded,
    Form::Query,
    Form::Multipart,
    Form::Json,
    Form::Basic,
    Form::Jwt,
    Form::Soap11,
    Form::Soap12,
];

/// The credentials of one access for each way.
pub(super) struct Credentials {
    pub(super) user: &'static str,
    pub(super) password: &'static str,
    pub(super) token: String,
}

impl Credentials {
    /// Returns the Authorization header and the parameters that authenticate the access by one way.
    fn by(&self, form: Form) -> (Option<String>, Vec<(&'static str, &'static str)>) {
        let (user, password) = (self.user, self.password);
        match form {
            Form::Basic => {
                let pair = BASE64_STANDARD.encode(format!("{user}:{password}"));
                (Some(format!("Basic {pair}")), Vec::new())
            }
            Form::Jwt => (Some(format!("Bearer {}", self.token)), Vec::new()),
            _ => (None, vec![("user", user), ("password", password)]),
        }
    }
}

/// A request before its serialization.
pub(super) struct Post {
    pub(super) target: Vec<u8>,
    content_type: Option<String>,
    authorization: Option<String>,
    body: String,
}

impl Post {
    /// Returns the bytes of the request. The method is GET if everything is in the query.
    pub(super) fn bytes(&self, host: SocketAddr) -> Vec<u8> {
        let method = if self.content_type.is_some() {
            "POST "
        } else {
            "GET "
        };
        let mut head = format!(" HTTP/1.1\r\nHost: {host}\r\n");
        if let Some(value) = &self.authorization {
            write!(head, "Authorization: {value}\r\n").unwrap();
        }
        if let Some(value) = &self.content_type {
            let length = self.body.len();
            write!(
                head,
                "Content-Type: {value}\r\nContent-Length: {length}\r\n"
            )
            .unwrap();
        }
        head.push_str("\r\n");
        [
            method.as_bytes(),
            &self.target,
            head.as_bytes(),
            self.body.as_bytes(),
        ]
        .concat()
    }
}

/// Writes a call in one way.
pub(super) fn dress(form: Form, call: &Call, credentials: &Credentials) -> Post {
    let (authorization, in_call) = credentials.by(form);
    let values = call
        .values
        .iter()
        .map(|(name, value)| (*name, value.as_str()));
    let mut pairs = vec![("class", "chat"), ("method", call.operation.method)];
    pairs.extend(values.chain(in_call));
    // The contract prescribes no order, so the call's own order is used.
    let turn = call.habits.turn % pairs.len();
    pairs.rotate_left(turn);
    let mut target = form.path().as_bytes().to_vec();
    let (content_type, body) = match form {
        Form::Query => {
            target.push(b'?');
            target.extend(urlencoded(&pairs, call.habits, call.habits.raw));
            (None, String::new())
        }
        Form::Urlencoded | Form::Basic | Form::Jwt => {
            let bytes = urlencoded(&pairs, call.habits, false);
            let body = String::from_utf8(bytes).unwrap();
            (Some("application/x-www-form-urlencoded".to_owned()), body)
        }
        Form::Multipart => multipart(&pairs),
        Form::Json => (
            Some("application/json".to_owned()),
            json(&pairs, call.habits),
        ),
        Form::Soap11 => soap(("text/xml", SOAP11), call, &pairs),
        Form::Soap12 => soap(("application/soap+xml", SOAP12), call, &pairs),
    };
    Post {
        target,
        content_type,
        authorization,
        body,
    }
}

/// Percent-encodes name and value pairs by hand. With `raw`, everything that a request line can carry stays as it is, including
/// UTF-8.
fn urlencoded(pairs: &[(&str, &str)], habits: Habits, raw: bool) -> Vec<u8> {
    let mut out = Vec::new();
    for (name, value) in pairs {
        if !out.is_empty() {
            out.push(b'&');
        }
        out.extend_from_slice(name.as_bytes());
        out.push(b'=');
        for byte in value.bytes() {
            match byte {
                b' ' if habits.plus => out.push(b'+'),
                b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                    out.push(byte)
                }
                b'!' | b'$' | b'\'' | b'(' | b')' | b'*' | b',' | b';' | b'=' | b':' | b'@'
                | b'/' | b'?'
                    if raw =>
                {
                    out.push(byte);
                }
                0x80.. if raw => out.push(byte),
                _ if habits.lower => out.extend(format!("%{byte:02x}").into_bytes()),
                _ => out.extend(format!("%{byte:02X}").into_bytes()),
            }
        }
    }
    out
}

/// Writes a multipart body as PHP's curl writes an array.
fn multipart(pairs: &[(&str, &str)]) -> (Option<String>, String) {
    let is_free = |boundary: &String| !pairs.iter().any(|(_, value)| value.contains(boundary));
    let mut boundaries = (0..).map(|n| format!("------------------------{n:016x}"));
    let boundary = boundaries.find(is_free).unwrap();
    let mut body = String::new();
    for (name, value) in pairs {
        let head = format!("Content-Disposition: form-data; name=\"{name}\"");
        write!(body, "--{boundary}\r\n{head}\r\n\r\n{value}\r\n").unwrap();
    }
    write!(body, "--{boundary}--\r\n").unwrap();
    (
        Some(format!("multipart/form-data; boundary={boundary}")),
        body,
    )
}

/// Writes an object of strings; whole numbers have no quotes if that is the call's habit.
fn json(pairs: &[(&str, &str)], habits: Habits) -> String {
    let member = |(name, value): &(&str, &str)| {
        let number = value
            .parse::<u64>()
            .ok()
            .filter(|n| n.to_string() == *value);
        let value = match number {
            Some(number) if habits.numbers => Value::from(number),
            _ => Value::from(*value),
        };
        ((*name).to_owned(), value)
    };
    let text = Value::Object(pairs.iter().map(member).collect()).to_string();
    if !habits.ascii {
        return text;
    }
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_ascii() {
            out.push(c);
        } else {
            for unit in c.encode_utf16(&mut [0; 2]) {
                write!(out, "\\u{unit:04x}").unwrap();
            }
        }
    }
    out
}

const SOAP11: &str = "http://schemas.xmlsoap.org/soap/envelope/";
const SOAP12: &str = "http://www.w3.org/2003/05/soap-envelope";

/// Writes an envelope in one version and returns it with its media type.
fn soap(
    (media_type, namespace): (&str, &str),
    call: &Call,
    pairs: &[(&str, &str)],
) -> (Option<String>, String) {
    let method = call.operation.method;
    let mut children = String::new();
    for (name, value) in pairs
        .iter()
        .filter(|(name, _)| !["class", "method"].contains(name))
    {
        write!(children, "<{name}>{}</{name}>", xml(value, call.habits)).unwrap();
    }
    let body = format!(
        "<e:Envelope xmlns:e=\"{namespace}\"><e:Body><{method} xmlns=\"urn:chatgate:chat:v1\">{children}\
         </{method}></e:Body></e:Envelope>"
    );
    (Some(format!("{media_type}; charset=utf-8")), body)
}

/// Writes text for XML. Characters that XML cannot carry are written anyway, directly or as references.
fn xml(text: &str, habits: Habits) -> String {
    let mut out = String::new();
    let mut in_cdata = false;
    for c in text.chars() {
        // A bare CR would be read as LF, and a reference means nothing inside CDATA.
        let is_reference = c == '\r' || (habits.references && !fits_xml(c));
        let is_literal = habits.cdata && !is_reference;
        if is_literal != in_cdata {
            out.push_str(if is_literal { "<![CDATA[" } else { "]]>" });
            in_cdata = is_literal;
        }
        match c {
            c if is_reference => write!(out, "&#{};", u32::from(c)).unwrap(),
            '>' if in_cdata && out.ends_with("]]") => out.push_str("]]><![CDATA[>"),
            c if in_cdata => out.push(c),
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            c => out.push(c),
        }
    }
    if in_cdata {
        out.push_str("]]>");
    }
    out
}

/// Returns the code of a refusal, or `None` for a success.
pub(super) fn verdict(form: Form, call: &Call, body: &str) -> Option<String> {
    if matches!(form, Form::Soap11 | Form::Soap12) {
        let (start, end) = ("<c:code>", "</c:code>");
        let code = body
            .split_once(start)
            .and_then(|(_, rest)| rest.split_once(end));
        let success = format!("<c:{}Response ", call.operation.method);
        assert_ne!(
            code.is_some(),
            body.contains(&success),
            "neither fault nor success: {body}"
        );
        return code.map(|(code, _)| code.to_owned());
    }
    let answer: Value = serde_json::from_str(body).unwrap();
    match answer["status"].as_str() {
        Some("SUCCESS") => None,
        Some("ERROR") => Some(answer["error"].as_str().unwrap().to_owned()),
        _ => panic!("neither error nor success: {body}"),
    }
}
