//! The W3C's SOAP 1.2 messages over HTTP: each gets the fault that its test is about, or our own refusal.
//!
//! The suite's tests are written for nodes that know operations such as `echoOk` and play the roles of its examples. We know
//! neither, so a correct message is refused by us.

use serde_json::Value;

use super::{list, suite, text};
use crate::harness::{Answer, Gateway, client};

/// The purpose of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Class {
    VersionMismatch,
    MustUnderstand,
    Sender,
    /// A correct message. We refuse it because credentials are missing, and then because we do not know the operation.
    Own,
}
use Class::{MustUnderstand, Own, Sender, VersionMismatch};

/// Each message with the class that its test in the W3C's collection implies.
const EXPECTED: [(&str, Class, &str); 24] = [
    (
        "SOAP12ReqT7_A.xml",
        Sender,
        "a role that is not ours; the end tag does not match in this copy: not well formed",
    ),
    ("SOAP12ReqT7_B.xml", Own, "no header and an empty body"),
    (
        "SOAP12ReqT9_A.xml",
        Own,
        "a block for the ultimate receiver that need not be understood",
    ),
    ("SOAP12ReqT9_B.xml", Own, "the same, forwarded"),
    ("SOAP12ReqT11.xml", Own, "mustUnderstand is \"false\""),
    (
        "SOAP12ReqT14.xml",
        Sender,
        "mustUnderstand is no xs:boolean",
    ),
    (
        "SOAP12ReqT17_A.xml",
        MustUnderstand,
        "the role next is everybody's",
    ),
    (
        "SOAP12ReqT19.xml",
        Own,
        "the role none is nobody's, mustUnderstand or not",
    ),
    (
        "SOAP12ReqT20.xml",
        Own,
        "both blocks are for roles that are not ours",
    ),
    (
        "SOAP12ReqT23.xml",
        Sender,
        "one block not understood, one mustUnderstand that is no xs:boolean: the message is broken first",
    ),
    ("SOAP12ReqT25.xml", Sender, "a DTD, internal subset empty"),
    ("SOAP12ReqT29.xml", Own, "a very long role that is not ours"),
    (
        "SOAP12ReqT30.xml",
        VersionMismatch,
        "an Envelope in a namespace of no version",
    ),
    ("SOAP12ReqT31.xml", Own, "an operation that is unknown here"),
    (
        "SOAP12ReqT33.xml",
        Own,
        "an operation that is unknown everywhere",
    ),
    (
        "SOAP12ReqT34.xml",
        Own,
        "mustUnderstand in SOAP 1.1's namespace means nothing in 1.2",
    ),
    (
        "SOAP12ReqT35.xml",
        MustUnderstand,
        "without a role it is for the ultimate receiver",
    ),
    (
        "SOAP12ReqT36.xml",
        MustUnderstand,
        "for the ultimate receiver by name",
    ),
    ("SOAP12ReqT39.xml", Sender, "mustUnderstand is \"9\""),
    (
        "SOAP12ReqT62_A.xml",
        Own,
        "three blocks for a role that is not ours",
    ),
    (
        "SOAP12ReqT62_B.xml",
        Own,
        "one block for a role that is not ours",
    ),
    (
        "SOAP12ReqT63.xml",
        Own,
        "a block to be validated in a role that is not ours",
    ),
    ("SOAP12ReqT67.xml", Own, "standalone may be declared"),
    (
        "SOAP12ReqT75.xml",
        MustUnderstand,
        "a block for next that we do not know, whatever it refers to",
    ),
];

/// The namespace of SOAP 1.2.
const ENV: &str = "http://www.w3.org/2003/05/soap-envelope";

fn message(header: &str, body: &str) -> String {
    format!(
        "<e:Envelope xmlns:e=\"{ENV}\"><e:Header>{header}</e:Header><e:Body>{body}</e:Body></e:Envelope>"
    )
}

/// Returns header blocks in addition to the collection's, for rules of Part 1 that the sample does not cover.
fn own_blocks() -> Vec<(String, Class)> {
    let block =
        |attributes: &str| message(&format!("<t:Unknown xmlns:t='urn:t' {attributes}/>"), "");
    let role = |role: &str| format!("e:mustUnderstand='1' e:role='{ENV}/role/{role}'");
    vec![
        (block("e:mustUnderstand='0'"), Own),
        (block("e:mustUnderstand=' true '"), MustUnderstand),
        (block("e:mustUnderstand='TRUE'"), Sender),
        (block("e:mustUnderstand=''"), Sender),
        (block("mustUnderstand='1'"), Own),
        (block(&role("next")), MustUnderstand),
        (block(&role("ultimateReceiver")), MustUnderstand),
        (block(&role("none")), Own),
        (block(&role("NEXT")), Own),
        (block("e:mustUnderstand='1' e:role='relative'"), Own),
        (block("e:relay='true' e:mustUnderstand='1'"), MustUnderstand),
    ]
}

/// Returns envelopes for such rules.
fn own_envelopes() -> Vec<(String, Class)> {
    let plain = message("", "");
    vec![
        (message("<plain e:mustUnderstand='1'/>", ""), Sender),
        (message("text", ""), Sender),
        (
            message("", "").replace("<e:Header>", "<e:Header/><e:Header>"),
            Sender,
        ),
        (
            plain
                .replace("<e:Header></e:Header>", "")
                .replace("</e:Body>", "</e:Body><e:Header/>"),
            Sender,
        ),
        (plain.replace("<e:Body></e:Body>", ""), Sender),
        (plain.replace("</e:Body>", "</e:Body><e:Body/>"), Sender),
        (plain.replace("</e:Body>", "</e:Body><x/>"), Sender),
        (
            plain.replace("<e:Body>", "<e:Body e:encodingStyle='u'>"),
            Sender,
        ),
        (
            plain.replace("<e:Header>", "<e:Header e:encodingStyle='u'>"),
            Sender,
        ),
        (plain.replacen(">", " e:encodingStyle='u'>", 1), Sender),
        (format!("<?xml-stylesheet href='x'?>{plain}"), Sender),
        (plain.replace("</e:Body>", "<?p?></e:Body>"), Sender),
        (format!("{plain}<?p?>"), Sender),
        (format!("<!DOCTYPE e:Envelope>{plain}"), Sender),
        (format!("<?xml version='1.1'?>{plain}"), Own),
        (
            plain.replace(ENV, "http://www.w3.org/2001/12/soap-envelope"),
            VersionMismatch,
        ),
        (
            plain.replace(ENV, "http://www.w3.org/2002/12/soap-envelope"),
            VersionMismatch,
        ),
        (
            plain.replace(ENV, "http://www.w3.org/2003/05/soap-envelope/"),
            VersionMismatch,
        ),
        (
            plain.replace(ENV, "HTTP://www.w3.org/2003/05/soap-envelope"),
            VersionMismatch,
        ),
        ("<Envelope/>".to_owned(), VersionMismatch),
        ("<x/>".to_owned(), VersionMismatch),
        (plain.replace("</e:Envelope>", ""), Sender),
        (String::new(), Sender),
        ("{}".to_owned(), Sender),
    ]
}

/// Returns the HTTP status and the fault code of an answer.
fn reported(answer: &Answer) -> (u16, String) {
    let (_, behind) = answer
        .body
        .split_once("<e:Code><e:Value>")
        .unwrap_or_else(|| panic!("no fault: {}", answer.body));
    (answer.status, behind.split_once('<').unwrap().0.to_owned())
}

/// Sends a message without and with credentials. Returns a description of the problem if an answer is wrong.
async fn judge(gateway: &Gateway, message: &str, class: Class) -> Option<String> {
    let demo = gateway.demo();
    let post = || {
        let request = client().post(gateway.url("/api/soap/"));
        request
            .header("Content-Type", "application/soap+xml; charset=utf-8")
            .body(message.to_owned())
    };
    let nobody = Answer::of(post()).await;
    let somebody = Answer::of(post().basic_auth(&demo.user, Some(&demo.password))).await;
    let stranger = Answer::of(post().basic_auth("nobody", Some("wrong"))).await;
    let fault = |status, code: &str| (status, format!("e:{code}"));
    let (first, second, third) = match class {
        VersionMismatch => (
            fault(500, "VersionMismatch"),
            fault(500, "VersionMismatch"),
            fault(500, "VersionMismatch"),
        ),
        MustUnderstand => (
            fault(500, "MustUnderstand"),
            fault(500, "MustUnderstand"),
            fault(500, "MustUnderstand"),
        ),
        Sender => (
            fault(400, "Sender"),
            fault(400, "Sender"),
            fault(400, "Sender"),
        ),
        // A call without an operation is refused for that before its secret is checked.
        Own if stranger.body.contains(">c:MISSING_METHOD<") => (
            fault(401, "Sender"),
            fault(400, "Sender"),
            fault(400, "Sender"),
        ),
        Own => (
            fault(401, "Sender"),
            fault(400, "Sender"),
            fault(401, "Sender"),
        ),
    };
    let expected = [first, second, third];
    let answers = [&nobody, &somebody, &stranger];
    let is_envelope_fault = nobody.body.contains(">c:MALFORMED_REQUEST<");
    let has_upgrade = nobody.body.contains("<e:Upgrade>");
    let is_right = answers.map(reported) == expected
        && is_envelope_fault == (class != Own)
        && has_upgrade == (class == VersionMismatch)
        && nobody.body.contains("<e:NotUnderstood ") == (class == MustUnderstand);
    (!is_right).then(|| {
        format!(
            "{class:?}: {:?}\n{message}\n{}",
            answers.map(reported),
            nobody.body
        )
    })
}

#[tokio::test]
async fn each_soap_1_2_message_gets_its_expected_fault() {
    let gateway = Gateway::start();
    let mut messages = Vec::new();
    if let Some(suite) = suite("soap12.json") {
        let class = |message: &Value| {
            let known = EXPECTED.iter().find(|(id, ..)| *id == text(message, "id"));
            known
                .unwrap_or_else(|| panic!("nothing is expected of {}", message["id"]))
                .1
        };
        let of_suite = list(&suite, "messages").iter();
        messages.extend(of_suite.map(|message| (text(message, "xml").to_owned(), class(message))));
    }
    let of_suite = messages.len();
    messages.extend(own_blocks());
    messages.extend(own_envelopes());
    let mut wrong = Vec::new();
    for (message, class) in &messages {
        wrong.extend(judge(&gateway, message, *class).await);
    }
    let count = |class| messages.iter().filter(|(_, found)| *found == class).count();
    println!(
        "soap12: {of_suite} messages of the W3C and {} of ours, {} VersionMismatch, {} MustUnderstand, {} Sender, {} refused as unknown here; {} answered wrong",
        messages.len() - of_suite,
        count(VersionMismatch),
        count(MustUnderstand),
        count(Sender),
        count(Own),
        wrong.len()
    );
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
    assert!(
        !gateway
            .process
            .lines()
            .iter()
            .any(|line| line.contains("panicked"))
    );
}
