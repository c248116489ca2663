//! Judges that the same call gives the same request, or the same code, by every way in. Input: a byte that chooses the method, then
//! fields with 0xFF between them: the user, the password, and parameters, each a byte that chooses its name and its value.

use adapter::{Adapter, Code, OPERATIONS, StatusPolicy, Wire};
use adapter_basic::BasicAdapter;
use adapter_http::HttpAdapter;
use adapter_jwt::JwtAdapter;
use adapter_soap::{FaultStatus, SoapAdapter};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use url::form_urlencoded::Serializer;

use crate::multipart;
use crate::reading::{DECLARED, Reading, Who, headers};

/// No real call has more pairs; the limit on pairs has its own oracles.
const PAIRS_MAX: usize = 40;

const BOUNDARY: &str = "same9call7boundary";
const FORM: &str = "application/x-www-form-urlencoded";
const TOKEN: &str = "one.two.three";
const WSSE: &str =
    "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-secext-1.0.xsd";

type Pairs = Vec<(String, String)>;
type Verdict = Result<Reading, Code>;

/// The content of a call, without its serialization.
struct Call {
    method: &'static str,
    user: String,
    password: String,
    pairs: Pairs,
}

pub(crate) fn judge(input: &[u8]) {
    let Some(call) = read(input) else {
        return;
    };
    let said = call.by_password();
    let form_type = format!("Content-Type: {FORM}");
    let form = http(&form_type, "", form(&said).into_bytes());
    let known = comparable(&form);
    for (name, verdict) in call.other_ways(&said) {
        assert_eq!(comparable(&verdict), known, "{name}");
    }
    let json_type = "Content-Type: application/json";
    let [json, numbers] =
        [false, true].map(|with| http(json_type, "", json(&said, with).into_bytes()));
    if call.is_doubled() {
        // An object with a duplicate key is ambiguous, so no call may come of it.
        assert!(!json.is_ok_and(|reading| reading.call.is_ok()));
        assert!(!numbers.is_ok_and(|reading| reading.call.is_ok()));
    } else {
        assert_eq!(json, form, "JSON");
        assert_eq!(numbers, form, "JSON with numbers");
    }
    call.check_tokens(&form);
    call.check_soap(&form);
}

/// Returns the parts that have to be equal by all ways.
fn comparable(verdict: &Verdict) -> Result<(&Who, String), Code> {
    let reading = verdict.as_ref().map_err(|code| *code)?;
    Ok((&reading.who, what(reading)))
}

fn what(reading: &Reading) -> String {
    let call = reading.call.as_ref().map(|request| {
        let pairs: Vec<_> = request.pairs().map(|(p, value)| (p.name, value)).collect();
        format!("{} {pairs:?}", request.operation().method)
    });
    format!("{call:?} {:?}", reading.key)
}

fn read(input: &[u8]) -> Option<Call> {
    let (choice, rest) = input.split_first()?;
    let mut fields = rest.split(|byte| *byte == 0xff);
    let text =
        |fields: &mut dyn Iterator<Item = &[u8]>| String::from_utf8(fields.next()?.to_vec()).ok();
    let (user, password) = (text(&mut fields)?, text(&mut fields)?);
    let names: Vec<_> = DECLARED
        .iter()
        .copied()
        .filter(|name| !is_set_apart(name))
        .collect();
    let mut pairs = Pairs::new();
    for field in fields {
        let (name, value) = field.split_first()?;
        let value = String::from_utf8(value.to_vec()).ok()?;
        pairs.push((names[usize::from(*name) % names.len()].to_owned(), value));
    }
    let method = OPERATIONS.get(usize::from(*choice) % (OPERATIONS.len() + 1));
    let call = Call {
        method: method.map_or("nosuch", |operation| operation.method),
        user,
        password,
        pairs,
    };
    let holds_boundary = call.by_password().iter().any(|(_, v)| v.contains(BOUNDARY));
    (call.pairs.len() <= PAIRS_MAX && !holds_boundary).then_some(call)
}

fn is_set_apart(name: &str) -> bool {
    matches!(name, "class" | "method" | "user" | "password")
}

impl Call {
    fn without_credentials(&self) -> Pairs {
        let fixed = [("class", "chat"), ("method", self.method)];
        let fixed = fixed.map(|(name, value)| (name.to_owned(), value.to_owned()));
        fixed
            .into_iter()
            .chain(self.pairs.iter().cloned())
            .collect()
    }

    fn by_password(&self) -> Pairs {
        let mut pairs = self.without_credentials();
        pairs.push(("user".to_owned(), self.user.clone()));
        pairs.push(("password".to_owned(), self.password.clone()));
        pairs
    }

    fn is_doubled(&self) -> bool {
        let mut names: Vec<_> = self.pairs.iter().map(|(name, _)| name).collect();
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        names.len() < count
    }

    /// Returns the verdicts of the ways in which any call can be written.
    fn other_ways(&self, said: &Pairs) -> Vec<(&'static str, Verdict)> {
        let multipart_type = format!("Content-Type: multipart/form-data; boundary={BOUNDARY}");
        let mut ways = vec![
            ("query", http("", &form(said), Vec::new())),
            ("escapes", http("", &escaped(said), Vec::new())),
            (
                "multipart",
                http(&multipart_type, "", multipart::write(BOUNDARY, said)),
            ),
        ];
        // A user name with a colon cannot be in the header.
        if !self.user.contains(':') {
            let rest = self.without_credentials();
            let header = self.basic();
            let lines = format!("{header}\n{multipart_type}");
            ways.push(("Basic", basic(&header, &form(&rest), Vec::new())));
            ways.push((
                "Basic, multipart",
                basic(&lines, "", multipart::write(BOUNDARY, &rest)),
            ));
        }
        ways
    }

    fn basic(&self) -> String {
        let pair = BASE64_STANDARD.encode(format!("{}:{}", self.user, self.password));
        format!("Authorization: Basic {pair}")
    }

    /// Checks that the call with a token is the same as with an acceptable password.
    fn check_tokens(&self, known: &Verdict) {
        let Ok(known) = known else {
            return;
        };
        let rest = self.without_credentials();
        let header = format!("Authorization: Bearer {TOKEN}");
        let lines = format!("{header}\nContent-Type: {FORM}");
        let mut verdicts = vec![
            jwt(&lines, "", form(&rest).into_bytes()),
            jwt(&header, &form(&rest), Vec::new()),
        ];
        if self.fits_xml() {
            verdicts.push(soap(&header, self.envelope(SOAP12, "", "")));
        }
        for verdict in verdicts {
            let reading = verdict.expect("a token is no mistake");
            assert_eq!(reading.who, Who::Token(TOKEN.to_owned()));
            assert_eq!(what(&reading), what(known));
        }
    }

    fn check_soap(&self, known: &Verdict) {
        let children = elements(&[
            ("user".to_owned(), self.user.clone()),
            ("password".to_owned(), self.password.clone()),
        ]);
        let token = format!(
            "<w:Security xmlns:w=\"{WSSE}\"><w:UsernameToken><w:Username>{}</w:Username>\
             <w:Password>{}</w:Password></w:UsernameToken></w:Security>",
            escape(&self.user),
            escape(&self.password)
        );
        let mut ways = vec![
            ("SOAP 1.1", soap("", self.envelope(SOAP11, "", &children))),
            ("SOAP 1.2", soap("", self.envelope(SOAP12, "", &children))),
            ("UsernameToken", soap("", self.envelope(SOAP11, &token, ""))),
        ];
        if !self.user.contains(':') && (self.fits_xml() || !self.pairs_fit_xml()) {
            ways.push((
                "SOAP, Basic",
                soap(&self.basic(), self.envelope(SOAP11, "", "")),
            ));
        }
        for (name, verdict) in ways {
            if self.fits_xml() {
                assert_eq!(comparable(&verdict), comparable(known), "{name}");
            } else {
                // XML cannot express these characters, and no other way accepts them where they matter.
                assert_eq!(verdict.err(), Some(Code::MalformedRequest), "{name}");
            }
        }
    }

    fn fits_xml(&self) -> bool {
        let credentials = [&self.user, &self.password];
        self.pairs_fit_xml() && credentials.iter().all(|text| text.chars().all(is_xml))
    }

    fn pairs_fit_xml(&self) -> bool {
        self.pairs
            .iter()
            .all(|(_, value)| value.chars().all(is_xml))
    }

    fn envelope(&self, version: &str, header: &str, credentials: &str) -> Vec<u8> {
        let (method, children) = (self.method, elements(&self.pairs));
        format!(
            "<s:Envelope xmlns:s=\"{version}\" xmlns:c=\"urn:chatgate:chat:v1\">\
             <s:Header>{header}</s:Header>\
             <s:Body><c:{method}>{children}{credentials}</c:{method}></s:Body></s:Envelope>"
        )
        .into_bytes()
    }
}

const SOAP11: &str = "http://schemas.xmlsoap.org/soap/envelope/";
const SOAP12: &str = "http://www.w3.org/2003/05/soap-envelope";

fn http(lines: &str, query: &str, body: Vec<u8>) -> Verdict {
    ask(&HttpAdapter::new(StatusPolicy::Compat), lines, query, body)
}

fn basic(lines: &str, query: &str, body: Vec<u8>) -> Verdict {
    ask(&BasicAdapter::new(StatusPolicy::Compat), lines, query, body)
}

fn jwt(lines: &str, query: &str, body: Vec<u8>) -> Verdict {
    ask(&JwtAdapter::new(StatusPolicy::Mapped), lines, query, body)
}

fn soap(lines: &str, body: Vec<u8>) -> Verdict {
    ask(&SoapAdapter::new(FaultStatus::Strict), lines, "", body)
}

fn ask(way: &dyn Adapter, lines: &str, query: &str, body: Vec<u8>) -> Verdict {
    let mut written = Vec::new();
    for line in lines.lines() {
        let (name, value) = line.split_once(": ").expect("a line has a name");
        let name = if name == "Authorization" {
            "authorization"
        } else {
            "content-type"
        };
        written.push((name, value.as_bytes()));
    }
    let headers = headers(&written).expect("the values are headers'");
    let (body, nothing) = (Bytes::from(body), Bytes::new());
    let wire = |body| Wire {
        query,
        headers: &headers,
        body,
    };
    let decoded = way.decode(&wire(&body)).1;
    assert!(
        body.is_empty() || decoded.is_err() || way.refuse_head(&wire(&nothing)).is_ok(),
        "the head alone was refused of a call that is right"
    );
    Reading::of(decoded)
}

fn form(pairs: &Pairs) -> String {
    Serializer::new(String::new()).extend_pairs(pairs).finish()
}

/// Writes every byte as an escape, in lower case.
fn escaped(pairs: &Pairs) -> String {
    let escape = |text: &str| {
        text.bytes()
            .map(|byte| format!("%{byte:02x}"))
            .collect::<String>()
    };
    let pairs = pairs
        .iter()
        .map(|(name, value)| format!("{}={}", escape(name), escape(value)));
    pairs.collect::<Vec<_>>().join("&")
}

fn json(pairs: &Pairs, with_numbers: bool) -> String {
    let is_number = |value: &str| value.parse::<u64>().is_ok_and(|n| n.to_string() == value);
    let pairs = pairs.iter().map(|(name, value)| match value {
        value if with_numbers && is_number(value) => format!("\"{name}\":{value}"),
        value => format!("\"{name}\":{}", serde_json::Value::from(value.as_str())),
    });
    format!("{{{}}}", pairs.collect::<Vec<_>>().join(","))
}

fn elements(pairs: &[(String, String)]) -> String {
    let element = |(name, value): &(String, String)| format!("<{name}>{}</{name}>", escape(value));
    pairs.iter().map(element).collect()
}

fn escape(value: &str) -> String {
    let escape = |c| match c {
        '&' => "&amp;".to_owned(),
        '<' => "&lt;".to_owned(),
        '>' => "&gt;".to_owned(),
        '\r' => "&#13;".to_owned(),
        c => c.to_string(),
    };
    value.chars().map(escape).collect()
}

/// Production 2 of XML 1.0.
fn is_xml(c: char) -> bool {
    !matches!(c, '\0'..='\u{8}' | '\u{b}' | '\u{c}' | '\u{e}'..='\u{1f}' | '\u{fffe}' | '\u{ffff}')
}
