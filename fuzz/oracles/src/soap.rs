//! Judges XML and envelopes. Input: a byte that chooses the Content-Type, then the document.

use adapter::{Adapter, Answer, Code, Decoded, Dialect, Error, Response, Wire};
use adapter_soap::{FaultStatus, SoapAdapter, check_document, check_document_in};
use bytes::Bytes;
use roxmltree::{Document, Node};

use crate::reading::{Reading, Who, headers};

const NAMESPACE: &str = "urn:chatgate:chat:v1";
const SOAP11: &str = "http://schemas.xmlsoap.org/soap/envelope/";
const SOAP12: &str = "http://www.w3.org/2003/05/soap-envelope";

/// Media types, each with the character set that it names.
const TYPES: [(&[u8], Option<&str>); 6] = [
    (b"text/xml; charset=utf-8", Some("utf-8")),
    (b"application/soap+xml", None),
    (b"text/xml; charset=utf-16", Some("utf-16")),
    (b"", None),
    (b"text/xml; charset=ISO-8859-1", Some("iso-8859-1")),
    (b"application/soap+xml; charset=us-ascii", Some("us-ascii")),
];

/// Names for ISO-8859-1 in a declaration.
const LATIN1: [&str; 10] = [
    "iso-8859-1",
    "iso_8859-1",
    "iso8859-1",
    "iso88591",
    "iso-ir-100",
    "latin1",
    "latin-1",
    "l1",
    "ibm819",
    "cp819",
];

pub(crate) fn judge(input: &[u8]) {
    let Some((choice, document)) = input.split_first() else {
        return;
    };
    let (media_type, charset) = TYPES[usize::from(*choice) % TYPES.len()];
    let is_checked = check_document_in(document, charset).is_ok();
    let (dialect, decoded) = decode(media_type, document);
    assert!(
        is_checked || decoded.is_err(),
        "a broken document made a call"
    );
    let text = characters(document, charset);
    if is_checked {
        let text = text.expect("what was taken is text");
        // XML 1.0, 2.11 normalizes line ends first. The other parser leaves a line end before a reference unchanged.
        let text = text.replace("\r\n", "\n").replace('\r', "\n");
        match Document::parse(&text) {
            Ok(tree) => {
                if let Ok(decoded) = &decoded {
                    stands_there(&tree, decoded);
                }
            }
            // The prefix `xml` is bound by definition, but the other parser does not know that for elements.
            Err(roxmltree::Error::UnknownNamespace(prefix, _)) if prefix == "xml" => {}
            Err(error) => panic!("what was taken is no XML for others: {error}"),
        }
    }
    speak(dialect, decoded.as_ref().err());
    if let Ok(reading) = Reading::of(decoded) {
        assert!(!reading.call.is_err_and(|code| code == Code::IncorrectClass));
    }
}

fn decode(media_type: &'static [u8], document: &[u8]) -> (Dialect, Result<Decoded, Error>) {
    let headers = headers(&[("content-type", media_type)]);
    SoapAdapter::new(FaultStatus::Strict).decode(&Wire {
        query: "",
        headers: &headers.expect("the value is a header's"),
        body: &Bytes::copy_from_slice(document),
    })
}

/// Returns the document as characters, without the byte order mark. The declaration counts only if nothing else names an encoding.
fn characters(document: &[u8], charset: Option<&str>) -> Option<String> {
    let units = |unit: fn([u8; 2]) -> u16| {
        let pairs = document[2..]
            .chunks(2)
            .map(|pair| pair.try_into().ok().map(unit));
        String::from_utf16(&pairs.collect::<Option<Vec<_>>>()?).ok()
    };
    let is_latin1 = charset.map_or_else(|| declares_latin1(document), |name| name == "iso-8859-1");
    match document {
        [0xff, 0xfe, ..] => units(u16::from_le_bytes),
        [0xfe, 0xff, ..] => units(u16::from_be_bytes),
        [0xef, 0xbb, 0xbf, rest @ ..] => String::from_utf8(rest.to_vec()).ok(),
        _ if is_latin1 => Some(document.iter().copied().map(char::from).collect()),
        _ => String::from_utf8(document.to_vec()).ok(),
    }
}

fn declares_latin1(document: &[u8]) -> bool {
    let text = String::from_utf8_lossy(document).to_ascii_lowercase();
    let declaration = text
        .strip_prefix("<?xml")
        .and_then(|rest| rest.split_once("?>"));
    let label = declaration.and_then(|(inside, _)| inside.split_once("encoding"));
    let label = label.and_then(|(_, rest)| rest.split(['"', '\'']).nth(1));
    label.is_some_and(|label| LATIN1.contains(&label) || label == "csisolatin1")
}

/// Checks that a call is in the document as the other parser sees it: one element in one body, with the texts of its children as
/// values.
fn stands_there(tree: &Document<'_>, decoded: &Decoded) {
    let envelope = tree.root_element();
    let version = envelope.tag_name().namespace().unwrap_or_default();
    assert!(version == SOAP11 || version == SOAP12, "{version}");
    assert_eq!(envelope.tag_name().name(), "Envelope");
    // The other parser returns a declaration as a PI if its first space is a line break.
    let is_one = |node: Node<'_, '_>| node.pi().is_some_and(|pi| pi.target != "xml");
    assert!(!tree.descendants().any(is_one), "a PI was taken");
    let mut bodies = elements(envelope).filter(|part| part.has_tag_name((version, "Body")));
    let body = bodies.next().expect("there is a body");
    assert!(bodies.next().is_none(), "there are two bodies");
    let mut calls = elements(body);
    let call = calls.next().expect("there is a call");
    assert!(calls.next().is_none(), "there are two calls");
    let Ok(request) = &decoded.call else {
        return;
    };
    let name = request.operation().method;
    assert!(call.has_tag_name((NAMESPACE, name)));
    for (parameter, value) in request.pairs() {
        assert!(
            is_child(call, parameter.name, value),
            "{} was made up",
            parameter.name
        );
    }
    let again = Decoded {
        expires: None,
        credentials: decoded.credentials.clone(),
        secret_in_url: false,
        call: Ok(request.clone()),
        idempotency_key: Ok(None),
    };
    if let Ok(Who::Password(user, password)) = Reading::of(Ok(again)).map(|reading| reading.who) {
        let inside = is_child(call, "user", &user) && is_child(call, "password", &password);
        let is = |node: Node<'_, '_>, name, value: &str| {
            node.tag_name().name() == name && content(node) == value
        };
        let in_header = tree.descendants().any(|node| is(node, "Username", &user))
            && tree
                .descendants()
                .any(|node| is(node, "Password", &password));
        assert!(
            inside != in_header,
            "the credentials stand nowhere or twice"
        );
    }
}

fn elements<'a, 'i>(node: Node<'a, 'i>) -> impl Iterator<Item = Node<'a, 'i>> {
    node.children().filter(Node::is_element)
}

fn is_child(call: Node<'_, '_>, name: &str, value: &str) -> bool {
    elements(call).any(|child| child.tag_name().name() == name && content(child) == value)
}

fn content(node: Node<'_, '_>) -> String {
    node.children()
        .filter(Node::is_text)
        .filter_map(|text| text.text())
        .collect()
}

/// Checks that the answer is XML in every dialect.
fn speak(dialect: Dialect, error: Option<&Error>) {
    let response = Response::empty();
    let answer = Answer {
        request_id: "r-1",
        operation: None,
        outcome: error.map_or(Ok(&response), Err),
    };
    let reply = SoapAdapter::new(FaultStatus::Strict).encode(dialect, &answer);
    check_document(&reply.body).expect("our own envelope is well formed");
    assert!(error.is_none() || reply.status >= 400);
}
