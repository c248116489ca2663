//! Tests of outgoing envelopes and of the WSDL.

use adapter::{Delivery, EnvelopeFault, SoapVersion};
use proptest::prelude::*;

use super::*;
use crate::WsdlPorts;
use crate::xml::{Element, Source, parse};

const V11: Dialect = dialect(SoapVersion::V11, false, EnvelopeFault::None);
const V12: Dialect = dialect(SoapVersion::V12, false, EnvelopeFault::None);

fn fault(dialect: Dialect, error: &Error) -> String {
    let reply = refuse(dialect, error, FaultStatus::Strict);
    String::from_utf8(reply.body.to_vec()).unwrap()
}

#[test]
fn faults_of_both_soap_versions_match_the_contract() {
    let error = Error::refused(Code::ChannelNotFound);
    assert_eq!(
        fault(V11, &error),
        r#"<?xml version="1.0" encoding="utf-8"?>
<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body><s:Fault><faultcode>s:Client</faultcode><faultstring>The channel does not exist.</faultstring><detail><c:error xmlns:c="urn:chatgate:chat:v1"><c:code>CHANNEL_NOT_FOUND</c:code><c:request_id>r-1</c:request_id><c:delivery>not_sent</c:delivery></c:error></detail></s:Fault></s:Body></s:Envelope>"#
    );
    let error = Error::refused(Code::Overloaded)
        .retry_after(7)
        .with_delivery(None);
    assert_eq!(
        fault(V12, &error),
        r#"<?xml version="1.0" encoding="utf-8"?>
<e:Envelope xmlns:e="http://www.w3.org/2003/05/soap-envelope"><e:Body><e:Fault><e:Code><e:Value>e:Receiver</e:Value><e:Subcode><e:Value xmlns:c="urn:chatgate:chat:v1">c:OVERLOADED</e:Value></e:Subcode></e:Code><e:Reason><e:Text xml:lang="en">The gateway can't accept more calls right now.</e:Text></e:Reason><e:Detail><c:error xmlns:c="urn:chatgate:chat:v1"><c:code>OVERLOADED</c:code><c:request_id>r-1</c:request_id><c:retry_after>7</c:retry_after></c:error></e:Detail></e:Fault></e:Body></e:Envelope>"#
    );
    let unknown = Error::refused(Code::UpstreamTimeout).with_delivery(Some(Delivery::Unknown));
    assert!(fault(V11, &unknown).contains("<faultcode>s:Server</faultcode>"));
    assert!(fault(V11, &unknown).contains("<c:delivery>unknown</c:delivery>"));
}

#[test]
fn upstream_error_codes_become_valid_fault_subcodes() {
    let word = |word: &str| fault(V12, &Error::upstream_code(word.to_owned()));
    assert!(word("QUOTA_9").contains(">c:QUOTA_9<"));
    assert!(word("404").contains(">c:_404<") && word("404").contains("<c:code>404</c:code>"));
    assert!(word("a b").contains(">c:UPSTREAM_CODE<"));
}

#[test]
fn soap_statuses_follow_the_fault_status_policy() {
    let status = |dialect, code, policy| {
        let reply = refuse(dialect, &Error::refused(code), policy);
        (reply.status, reply.challenges.len())
    };
    for code in Code::ALL {
        let is_credential = code.status() == 401;
        for policy in [FaultStatus::Strict, FaultStatus::Mapped] {
            let mapped = policy == FaultStatus::Mapped && !is_credential;
            let strict12 = if code.status() < 500 { 400 } else { 500 };
            let (inside11, inside12) = if mapped {
                (code.status(), code.status())
            } else {
                (500, strict12)
            };
            assert_eq!(
                status(
                    dialect(SoapVersion::V11, true, EnvelopeFault::None),
                    code,
                    policy
                ),
                (inside11, 0),
                "{code:?}"
            );
            assert_eq!(
                status(
                    dialect(SoapVersion::V12, true, EnvelopeFault::None),
                    code,
                    policy
                ),
                (inside12, 0),
                "{code:?}"
            );
            let outside = |status| if is_credential { (401, 2) } else { (status, 0) };
            assert_eq!(status(V11, code, policy), outside(inside11), "{code:?}");
            assert_eq!(status(V12, code, policy), outside(inside12), "{code:?}");
        }
    }
    let reply = refuse(V12, &Error::refused(Code::MissingUser), FaultStatus::Strict);
    assert_eq!(
        reply.challenges,
        [
            r#"Basic realm="chatgate", charset="UTF-8""#,
            r#"Bearer realm="chatgate""#
        ]
    );
    assert_eq!(reply.content_type, "application/soap+xml; charset=utf-8");
    assert_eq!(
        refuse(V11, &Error::refused(Code::NotFound), FaultStatus::Strict).content_type,
        "text/xml; charset=utf-8"
    );
}

#[test]
fn credential_errors_return_401_unless_the_envelope_has_credentials() {
    let status = |headers: &[(&str, &str)], body: &str| refusal(headers, body).0;
    assert_eq!(status(&[], &envelope("", "<c:getchatchannels/>")), 401);
    assert_eq!(status(&[], &envelope12("", "<c:getchatchannels/>")), 401);
    assert_eq!(
        status(
            &[("authorization", "Basic !")],
            &envelope("", "<c:getchatchannels/>")
        ),
        401
    );
    assert_eq!(
        status(
            &[],
            &envelope("", "<c:getchatchannels><user>a</user></c:getchatchannels>")
        ),
        500
    );
    assert_eq!(
        status(
            &[],
            &envelope12("", "<c:getchatchannels><user>a</user></c:getchatchannels>")
        ),
        400
    );
    let (dialect, _) = decode(&[], &sendmessage("<message>a</message>"));
    assert_eq!(
        refuse(
            dialect,
            &Error::refused(Code::IncorrectUserPassword),
            FaultStatus::Strict
        )
        .status,
        500
    );
    let (dialect, _) = decode(
        &[("authorization", "Bearer x")],
        &envelope("", "<c:getchatchannels/>"),
    );
    assert_eq!(
        refuse(
            dialect,
            &Error::refused(Code::ExpiredToken),
            FaultStatus::Strict
        )
        .status,
        401
    );
}

#[test]
fn a_successful_soap_send_reports_delivery_sent() {
    assert_eq!(
        succeed(V11, "sendmessage", None),
        r#"<?xml version="1.0" encoding="utf-8"?>
<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body><c:sendmessageResponse xmlns:c="urn:chatgate:chat:v1"><c:request_id>r-1</c:request_id><c:delivery>sent</c:delivery></c:sendmessageResponse></s:Body></s:Envelope>"#
    );
}

#[track_caller]
fn check_list(result: &str, expected: &str) {
    let body = succeed(V12, "getchatchannels", Some(result));
    let (_, behind) = body.split_once("<c:request_id>r-1</c:request_id>").unwrap();
    let (list, _) = behind.split_once("</c:getchatchannelsResponse>").unwrap();
    assert_eq!(list, expected);
}

#[test]
fn a_soap_list_contains_the_declared_fields_in_order() {
    check_list(
        r#"{"list":[{"name":"A&B","stray":1,"platform":"webchat","platformid":"1"}]}"#,
        "<c:list><c:item><c:platformid>1</c:platformid><c:platform>webchat</c:platform><c:name>A&amp;B</c:name></c:item></c:list>",
    );
    for empty in [
        "{}",
        r#"{"list":[]}"#,
        r#"{"list":null}"#,
        r#"{"list":{}}"#,
        r#"{"list":"x"}"#,
        "[]",
        "7",
    ] {
        check_list(empty, "<c:list></c:list>");
    }
    let blank =
        "<c:item><c:platformid></c:platformid><c:platform></c:platform><c:name></c:name></c:item>";
    check_list(
        r#"{"list":[1,{}]}"#,
        &format!("<c:list>{blank}{blank}</c:list>"),
    );
}

#[test]
fn json_values_are_written_as_escaped_soap_text() {
    let value = |json: &str| {
        let body = succeed(
            V11,
            "getchatchannels",
            Some(&format!(
                r#"{{"\ud800":1,"list":[{{"x\udfff":2,"n\u0061me":{json}}}]}}"#
            )),
        );
        let (_, behind) = body.split_once("<c:name>").unwrap();
        behind.split_once("</c:name>").unwrap().0.to_owned()
    };
    assert_eq!(value("1.50e+3"), "1.50e+3");
    assert_eq!(
        value("123456789012345678901234567890"),
        "123456789012345678901234567890"
    );
    assert_eq!(value("null"), "");
    assert_eq!(value("true"), "true");
    assert_eq!(value("\"\""), "");
    assert_eq!(
        value(r#" { "a" : [ 1 , "x y" ] } "#),
        "{&quot;a&quot;:[1,&quot;x y&quot;]}"
    );
    assert_eq!(
        value(r#""\"\\\/\b\f\n\r\t\u00e9""#),
        "&quot;\\/\u{fffd}\u{fffd}\n&#13;\t\u{e9}"
    );
    assert_eq!(
        value(r#""\ud83d\ude00 \ud800 \udc00\ud800x \uFFFE\u0000""#),
        "😀 \u{fffd} \u{fffd}\u{fffd}x \u{fffd}\u{fffd}"
    );
    assert_eq!(value("\"zażółć\""), "zażółć");
}

fn find<'e, 'a>(element: &'e Element<'a>, local: &str) -> Option<&'e Element<'a>> {
    let inside = |child| find(child, local);
    if element.name.local == local {
        Some(element)
    } else {
        element.children.iter().find_map(inside)
    }
}

fn any_dialect() -> impl Strategy<Value = Dialect> {
    use EnvelopeFault::{MustUnderstand, None, VersionMismatch};
    let version = prop::sample::select(vec![SoapVersion::V11, SoapVersion::V12]);
    let fault = prop::sample::select(vec![None, VersionMismatch, MustUnderstand]);
    (version, any::<bool>(), fault)
        .prop_map(|(version, inside, fault)| dialect(version, inside, fault))
}

proptest! {
    #[test]
    fn an_arbitrary_value_round_trips_through_the_soap_answer(text in any::<String>()) {
        let result = serde_json::json!({ "list": [{ "name": text }] }).to_string();
        let body = succeed(V11, "getchatchannels", Some(&result));
        let source = Source::read(body.as_bytes(), None).unwrap();
        let document = parse(&source).unwrap();
        let carried: String = text.chars().map(|c| if crate::xml::is_char(c) { c } else { '\u{fffd}' }).collect();
        prop_assert_eq!(&find(&document.root, "name").unwrap().text, &carried);
    }

    #[test]
    fn every_fault_is_well_formed_xml_in_every_dialect(dialect in any_dialect(), text in any::<String>(), word in any::<String>()) {
        for error in [Error::explained(Code::MalformedRequest, text.clone()), Error::upstream_code(word.clone())] {
            let body = refuse(dialect, &error, FaultStatus::Mapped).body;
            prop_assert_eq!(crate::check_document(&body), Ok(()));
        }
    }

    #[test]
    fn an_escaped_message_is_decoded_unchanged(message in "[^\\p{C}]{1,100}") {
        let mut escaped = String::new();
        crate::escape::push_escaped(&mut escaped, &message);
        let (_, decoded) = decode(&[], &sendmessage(&format!("<message>{escaped}</message>")));
        let call = decoded.unwrap().call.unwrap();
        prop_assert_eq!(call.value("message"), Some(message.as_str()));
    }
}

#[test]
fn the_wsdl_declares_every_operation_in_both_ports() {
    let wsdl = crate::wsdl("https://chat.example/?a=1&b=\"2\"", WsdlPorts::Both, true);
    crate::check_document(wsdl.as_bytes()).unwrap();
    assert_eq!(
        wsdl.matches("location=\"https://chat.example/?a=1&amp;b=&quot;2&quot;/api/soap/\"")
            .count(),
        2
    );
    assert!(
        crate::wsdl("https://chat.example/", WsdlPorts::Both, true)
            .contains("location=\"https://chat.example/api/soap/\"")
    );
    assert!(!wsdl.contains("import"));
    for operation in &adapter::OPERATIONS {
        let method = operation.method;
        assert_eq!(
            wsdl.matches(&format!("soapAction=\"urn:chatgate:chat:v1#{method}\""))
                .count(),
            2
        );
        assert!(wsdl.contains(&format!("<xsd:element name=\"{method}\">")));
        assert!(wsdl.contains(&format!("<xsd:element name=\"{method}Response\">")));
    }
    assert!(wsdl.contains("<xsd:element name=\"message\" type=\"xsd:string\"/>"));
    assert!(wsdl.contains("<xsd:element name=\"thumburl\" type=\"xsd:string\" minOccurs=\"0\"/>"));
    assert!(
        wsdl.contains("<wsdl:port name=\"ChatSoap11\"")
            && wsdl.contains("<wsdl:port name=\"ChatSoap12\"")
    );
}

#[test]
fn a_wsdl_for_one_soap_version_omits_the_other_version() {
    let both = crate::wsdl("https://chat.example", WsdlPorts::Both, true);
    for (ports, own, other) in [
        (WsdlPorts::Soap11, "soap", "soap12"),
        (WsdlPorts::Soap12, "soap12", "soap"),
    ] {
        let wsdl = crate::wsdl("https://chat.example", ports, true);
        crate::check_document(wsdl.as_bytes()).unwrap();
        assert_eq!(wsdl.matches("<wsdl:port ").count(), 1);
        assert_eq!(wsdl.matches("<wsdl:binding ").count(), 1);
        assert!(wsdl.contains(&format!("<{own}:fault ")), "{wsdl}");
        assert!(!wsdl.contains(&format!("<{other}:")), "{wsdl}");
        assert!(!wsdl.contains(&format!("xmlns:{other}=")), "{wsdl}");
        for line in wsdl.lines().skip(2) {
            assert!(both.contains(line), "{line}");
        }
    }
}

#[test]
fn a_wsdl_without_events_omits_getevents() {
    let wsdl = crate::wsdl("https://chat.example", WsdlPorts::Both, false);
    crate::check_document(wsdl.as_bytes()).unwrap();
    assert!(!wsdl.contains("getevents") && wsdl.contains("getchats"));
}

#[test]
fn the_query_selects_the_soap_version_of_the_wsdl() {
    let asked = |query: &str| match WsdlPorts::asked_for(query) {
        None => "none",
        Some(Ok(WsdlPorts::Both)) => "both",
        Some(Ok(WsdlPorts::Soap11)) => "1.1",
        Some(Ok(WsdlPorts::Soap12)) => "1.2",
        Some(Err(error)) => {
            assert_eq!(error.code(), Code::IncorrectParam);
            "refused"
        }
    };
    for (query, expected) in [
        ("", "none"),
        ("wsdls=1.1&a=wsdl", "none"),
        ("wsdl", "both"),
        ("WSDL=", "both"),
        ("singleWsdl&wsdl", "both"),
        ("Wsdl=1.1", "1.1"),
        ("wsdl&wsdl=1.2", "1.2"),
        ("wsdl=1.2&wsdl", "1.2"),
        ("wsdl=1.1&wsdl=1.2", "refused"),
        ("wsdl=2.0", "refused"),
        ("wsdl=1.1&wsdl=x", "refused"),
        ("wsdl=1", "refused"),
    ] {
        assert_eq!(asked(query), expected, "{query}");
    }
}

#[test]
fn the_pieces_of_a_long_soap_list_have_the_announced_total_length() {
    let item = serde_json::json!({"platformid": "1", "message": "<&>\u{fc}".repeat(5000)});
    let result = serde_json::json!({"list": vec![item; 9]}).to_string();
    let response = adapter::Response::of(&result).unwrap();
    // Each caller gets a different envelope around the same list.
    for request_id in ["r-1", "another-request-id"] {
        let answer = Answer {
            request_id,
            operation: adapter::Operation::named("getchats"),
            outcome: Ok(&response),
        };
        let adapter = crate::SoapAdapter::new(FaultStatus::Strict);
        let reply = adapter::Adapter::encode(&adapter, Dialect::default(), &answer);
        let rest = reply.rest.unwrap();
        let said = reply.body.len() as u64 + rest.bytes();
        let document = [reply.body].into_iter().chain(rest).collect::<Vec<_>>();
        let document = String::from_utf8(document.concat()).unwrap();
        assert_eq!(document.len() as u64, said);
        assert!(document.ends_with("</c:list></c:getchatsResponse></s:Body></s:Envelope>"));
        assert!(document.contains(&format!("<c:request_id>{request_id}</c:request_id>")));
        assert_eq!(document.matches("<c:item>").count(), 9);
    }
}
