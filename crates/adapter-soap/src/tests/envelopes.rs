//! Tests of media types, versions, header blocks, and documents that are not an envelope.

use proptest::prelude::*;

use super::skipped::skipped;
use super::*;

const OK: &str = "bob:pass getchatchannels";
const WSSE: &str =
    "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-secext-1.0.xsd";
const WSU: &str =
    "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-utility-1.0.xsd";

fn call() -> String {
    format!("<c:getchatchannels>{USER}</c:getchatchannels>")
}

#[test]
fn the_content_type_decides_the_soap_version_until_the_envelope_is_read() {
    let announced = |value: Option<&'static str>| {
        let mut headers = HeaderMap::new();
        headers.extend(
            value.map(|value| (http::header::CONTENT_TYPE, HeaderValue::from_static(value))),
        );
        SOAP.dialect(&Wire {
            query: "",
            headers: &headers,
            body: &bytes(),
        })
    };
    assert_eq!(
        announced(Some("Application/SOAP+xml; charset=utf-8")),
        dialect(SoapVersion::V12, false, EnvelopeFault::None)
    );
    for other in [
        Some("text/xml"),
        Some("application/soap+xmlx"),
        Some("image/png"),
        None,
    ] {
        assert_eq!(
            announced(other),
            dialect(SoapVersion::V11, false, EnvelopeFault::None)
        );
    }
    assert_eq!(
        decode(&[TYPE12], &envelope("", &call())).0,
        dialect(SoapVersion::V11, true, EnvelopeFault::None)
    );
    assert_eq!(
        decode(&[], &envelope12("", &call())).0,
        dialect(SoapVersion::V12, true, EnvelopeFault::None)
    );
    assert_eq!(
        decode(&[TYPE12], "<x").0,
        dialect(SoapVersion::V12, false, EnvelopeFault::None)
    );
}

fn bytes() -> bytes::Bytes {
    bytes::Bytes::new()
}

#[test]
fn only_xml_media_types_are_accepted_for_envelopes() {
    let with = |value: &str| verdict(&[("content-type", value)], &envelope("", &call()));
    for taken in [
        "text/xml",
        "TEXT/XML;charset=\"UTF-8\"",
        "application/xml",
        "application/soap+xml",
        "text/xml; charset=us-ascii",
        "text/xml; charset=iso-8859-1",
        "text/xml; charset=utf-8; charset=UTF-8",
        "",
    ] {
        assert_eq!(with(taken), OK, "{taken}");
    }
    for mtom in [
        "multipart/related; type=\"application/xop+xml\"",
        "application/xop+xml",
        "multipart/form-data; boundary=x",
    ] {
        assert_eq!(with(mtom), "MALFORMED_REQUEST", "{mtom}");
    }
    for other in [
        "application/json",
        "application/x-www-form-urlencoded",
        "text/plain",
        "text/xml; charset=windows-1252",
        "text/xml; charset=iso-8859-15",
        "x",
    ] {
        assert_eq!(with(other), "UNSUPPORTED_MEDIA_TYPE", "{other}");
    }
    for contradiction in [
        "text/xml; charset=utf-16",
        "text/xml; charset=utf-8; charset=latin1",
    ] {
        assert_eq!(with(contradiction), "MALFORMED_REQUEST");
    }
}

#[test]
fn a_compressed_envelope_or_a_second_content_type_is_rejected() {
    let xml = ("content-type", "text/xml");
    let with = |header| verdict(&[xml, header], &envelope("", &call()));
    assert_eq!(with(("content-encoding", "identity")), OK);
    let packed = with(("content-encoding", "gzip"));
    assert_eq!(packed, "UNSUPPORTED_MEDIA_TYPE");
    let twice = with(("content-type", "multipart/related"));
    assert_eq!(twice, "MALFORMED_REQUEST");
}

#[test]
fn a_utf16_envelope_is_read_unless_the_charset_contradicts_it() {
    let text = format!(
        "\u{feff}<?xml version='1.0' encoding='utf-16'?>{}",
        envelope("", &call())
    );
    let body: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
    assert!(
        decode_bytes(
            &[("content-type", "text/xml; charset=utf-16")],
            body.clone()
        )
        .1
        .is_ok()
    );
    assert!(
        decode_bytes(&[("content-type", "text/xml")], body.clone())
            .1
            .is_ok()
    );
    let lie = decode_bytes(&[("content-type", "text/xml; charset=utf-8")], body).1;
    assert_eq!(lie.unwrap_err().code(), Code::MalformedRequest);
}

#[test]
fn content_that_does_not_belong_in_an_envelope_is_rejected() {
    let fine = envelope("", &call());
    check(
        &[],
        &format!("<?xml version='1.0'?>\n<!-- c -->{fine}\n"),
        OK,
    );
    check(&[], &fine.replace("<s:Header></s:Header>", ""), OK);
    let xop = "<x:Include xmlns:x='http://www.w3.org/2004/08/xop/include' href='cid:1'/>";
    for broken in [
        format!("<?p?>{fine}"),
        format!("{fine}<?p?>"),
        fine.replace("bob", "bob<?p?>"),
        format!("<!DOCTYPE x>{fine}"),
        format!(
            "<!DOCTYPE x [<!ENTITY e 'bob'>]>{}",
            fine.replace("bob", "&e;")
        ),
        sendmessage(&format!("<message>{xop}</message>")),
        envelope("", &(call() + &call())),
        envelope("", &format!("{} x", call())),
        fine.replace("<s:Header></s:Header>", "x"),
        fine.replace("</s:Envelope>", "<x/></s:Envelope>"),
        fine.replace("</s:Envelope>", "<s:Body/></s:Envelope>"),
        fine.replace("<s:Header></s:Header>", "")
            .replace("</s:Envelope>", "<s:Header/></s:Envelope>"),
        fine.replace("<s:Header></s:Header>", "<x/>"),
        fine.replace("<s:Header></s:Header>", "<s:Header/><s:Header/>"),
        fine.replace("s:Body", "s:Torso"),
        fine.replace("c:getchatchannels", "d:getchatchannels"),
        envelope("", "").replace("<s:Body></s:Body>", ""),
        String::new(),
        "<x/>".to_owned(),
        format!("{}<x/>", "<x>".repeat(40)),
    ] {
        check(&[], &broken, "MALFORMED_REQUEST");
    }
    check(
        &[],
        &format!("{fine}{}", " ".repeat(256 * 1024)),
        "REQUEST_TOO_LARGE",
    );
}

#[test]
fn encoding_style_is_rejected_where_soap_12_forbids_it() {
    let styled = |envelope: String, part: &str| {
        envelope.replace(
            &format!("<s:{part}"),
            &format!("<s:{part} s:encodingStyle='u'"),
        )
    };
    for part in ["Envelope", "Header", "Body"] {
        check(&[], &styled(envelope("", &call()), part), OK);
        check(
            &[],
            &styled(envelope12("", &call()), part),
            "MALFORMED_REQUEST",
        );
    }
    check(
        &[],
        &envelope12("", &call()).replace(
            "<c:getchatchannels>",
            "<c:getchatchannels s:encodingStyle='u'>",
        ),
        OK,
    );
}

#[test]
fn an_unknown_mandatory_header_block_for_the_gateway_is_rejected() {
    let unknown = |attributes: &str| format!("<x:Unknown xmlns:x='urn:x' {attributes}/>");
    let role = |role: &str| {
        format!(
            "s:mustUnderstand='true' s:role='http://www.w3.org/2003/05/soap-envelope/role/{role}'"
        )
    };
    for (attributes, taken) in [
        (String::new(), true),
        ("s:mustUnderstand='0'".to_owned(), true),
        ("s:mustUnderstand='false'".to_owned(), true),
        ("mustUnderstand='1'".to_owned(), true),
        ("s:mustUnderstand='1' s:role='urn:other'".to_owned(), true),
        (role("none"), true),
        (role("next"), false),
        (role("ultimateReceiver"), false),
        ("s:mustUnderstand='1'".to_owned(), false),
        ("s:mustUnderstand='true'".to_owned(), false),
        ("s:mustUnderstand='1' s:role=''".to_owned(), false),
        ("s:mustUnderstand='wrong'".to_owned(), false),
        ("s:mustUnderstand=''".to_owned(), false),
    ] {
        let expected = if taken { OK } else { "MALFORMED_REQUEST" };
        check(&[], &envelope12(&unknown(&attributes), &call()), expected);
    }
    check(
        &[],
        &envelope(
            &unknown("s:mustUnderstand='1' s:actor='urn:other'"),
            &call(),
        ),
        OK,
    );
    check(
        &[],
        &envelope(
            &unknown("s:mustUnderstand='1' s:actor='http://schemas.xmlsoap.org/soap/actor/next'"),
            &call(),
        ),
        "MALFORMED_REQUEST",
    );
    let wsa = "<a:Action xmlns:a='http://www.w3.org/2005/08/addressing'>x</a:Action>";
    check(&[], &envelope(wsa, &call()), OK);
    check(&[], &envelope12("<plain/>", &call()), "MALFORMED_REQUEST");
    let signed = "<w:Security xmlns:w='http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-secext-1.0.xsd' s:mustUnderstand='1'><w:BinarySecurityToken/></w:Security>";
    check(&[], &envelope(signed, &call()), "MALFORMED_REQUEST");
    check(
        &[],
        &envelope(&signed.replace("='1'>", "='0'>"), &call()),
        OK,
    );
}

#[test]
fn a_must_understand_fault_names_the_rejected_header_blocks() {
    let blocks =
        "<x:A xmlns:x='urn:x&amp;y' s:mustUnderstand='1'/><B xmlns='urn:b' s:mustUnderstand='1'/>";
    let detail = r#"<c:error xmlns:c="urn:chatgate:chat:v1"><c:code>MALFORMED_REQUEST</c:code><c:request_id>r-1</c:request_id><c:delivery>not_sent</c:delivery></c:error>"#;
    let reason = "A header block is not understood here: {urn:x&amp;y}A {urn:b}B";
    let (status, body) = refusal(&[], &envelope(blocks, &call()));
    assert_eq!(status, 500);
    assert!(body.contains(&format!("<s:Fault><faultcode>s:MustUnderstand</faultcode><faultstring>{reason}</faultstring><detail>{detail}</detail></s:Fault>")), "{body}");
    let (status, body) = refusal(&[], &envelope12(blocks, &call()));
    assert_eq!(status, 500);
    assert!(body.contains(r#"<e:Header><e:NotUnderstood qname="n:A" xmlns:n="urn:x&amp;y"/><e:NotUnderstood qname="n:B" xmlns:n="urn:b"/></e:Header>"#), "{body}");
    assert!(
        body.contains("<e:Code><e:Value>e:MustUnderstand</e:Value><e:Subcode>"),
        "{body}"
    );
    let (_, body) = refusal(
        &[],
        &envelope12(
            &format!("<B xmlns='{}' s:mustUnderstand='1'/>", "u".repeat(300)),
            "",
        ),
    );
    assert!(
        !body.contains("uuu") && body.contains("not understood here."),
        "{body}"
    );
}

#[test]
fn an_envelope_of_an_unknown_version_returns_a_version_mismatch_fault() {
    for root in [
        "<Envelope/>",
        "<e:Envelope xmlns:e='urn:x'><?p?></e:Envelope>",
        "<e:Envelope xmlns:e='http://schemas.xmlsoap.org/soap/envelope'/>",
    ] {
        let (status, body) = refusal(&[], root);
        assert_eq!(status, 500);
        assert!(
            body.contains("<s:Body><s:Fault><faultcode>s:VersionMismatch</faultcode>"),
            "{body}"
        );
        let (status, body) = refusal(&[TYPE12], root);
        assert_eq!(status, 500);
        assert!(body.contains(r#"<e:Header><e:Upgrade><e:SupportedEnvelope qname="n:Envelope" xmlns:n="http://www.w3.org/2003/05/soap-envelope"/><e:SupportedEnvelope qname="n:Envelope" xmlns:n="http://schemas.xmlsoap.org/soap/envelope/"/></e:Upgrade></e:Header>"#), "{body}");
        assert!(
            body.contains("<e:Code><e:Value>e:VersionMismatch</e:Value>"),
            "{body}"
        );
    }
    let (status, body) = refusal(&[], "<x/>");
    assert_eq!(status, 500);
    assert!(body.contains("<faultcode>s:Client</faultcode>"), "{body}");
}

#[test]
fn the_w3c_soap_test_messages_get_the_expected_faults() {
    let Some(folder) = std::env::var_os("CHATGATE_VECTORS") else {
        skipped("CHATGATE_VECTORS is not set");
        return;
    };
    let text = std::fs::read_to_string(std::path::Path::new(&folder).join("soap12.json")).unwrap();
    let suite: serde_json::Value = serde_json::from_str(&text).unwrap();
    for message in suite["messages"].as_array().unwrap() {
        let id = message["id"].as_str().unwrap();
        let (status, body) = refusal(&[TYPE12], message["xml"].as_str().unwrap());
        // A valid envelope fails only because it has no credentials.
        let expected = match id.trim_start_matches("SOAP12ReqT").trim_end_matches(".xml") {
            "14" | "23" | "25" | "39" | "7_A" => (400, "e:Sender", "MALFORMED_REQUEST"),
            "17_A" | "35" | "36" | "75" => (500, "e:MustUnderstand", "MALFORMED_REQUEST"),
            "30" => (500, "e:VersionMismatch", "MALFORMED_REQUEST"),
            _ => (401, "e:Sender", "MISSING_USER"),
        };
        let (_, behind) = body.split_once("<e:Code><e:Value>").unwrap();
        let (code, _) = behind.split_once('<').unwrap();
        assert_eq!((status, code), (expected.0, expected.1), "{id}: {body}");
        assert!(
            body.contains(&format!(">c:{}<", expected.2)),
            "{id}: {body}"
        );
    }
}

proptest! {
    #[test]
    fn a_damaged_envelope_gets_a_well_formed_fault(at in 0..1000_usize, byte: u8, insert: bool) {
        let header = "<w:Security xmlns:w='http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-secext-1.0.xsd' s:mustUnderstand='1'><w:UsernameToken><w:Username>bob</w:Username></w:UsernameToken></w:Security>";
        let mut body = envelope12(header, &call()).into_bytes();
        let at = at % body.len();
        if insert {
            body.insert(at, byte);
        } else {
            body[at] = byte;
        }
        let (dialect, decoded) = decode_bytes(&[], body);
        if let Err(error) = decoded {
            let reply = refuse(dialect, &error, FaultStatus::Strict);
            prop_assert_eq!(crate::check_document(&reply.body), Ok(()));
        }
    }
}

#[test]
fn only_a_mandatory_timestamp_limits_the_time_of_a_message() {
    let expires = |attribute: &str, content: &str| {
        let header = format!(
            r#"<w:Security xmlns:w="{WSSE}" xmlns:u="{WSU}" {attribute}><u:Timestamp>{content}</u:Timestamp></w:Security>"#
        );
        let decoded = decode(&[], &envelope(&header, &call())).1;
        decoded
            .map(|decoded| decoded.expires)
            .map_err(|error| error.code())
    };
    let until = |time: &str| format!("<u:Expires>{time}</u:Expires>");
    let mandatory = r#"s:mustUnderstand="1""#;
    for (attribute, content, expected) in [
        (mandatory, &*until("1970-01-01T00:01:40Z"), Ok(Some(100))),
        (
            mandatory,
            &until(" 1970-01-01T01:01:40.9+01:00\n"),
            Ok(Some(100)),
        ),
        (
            mandatory,
            &(until("1970-01-01T00:01:40Z") + &until("1970-01-01T00:01:39Z")),
            Ok(Some(99)),
        ),
        (
            mandatory,
            "<u:Created>1970-01-01T00:00:00Z</u:Created>",
            Ok(None),
        ),
        (
            mandatory,
            &until("1970-01-01T00:01:40"),
            Err(Code::MalformedRequest),
        ),
        (mandatory, &until("soon"), Err(Code::MalformedRequest)),
        (
            r#"s:mustUnderstand="0""#,
            &until("1970-01-01T00:01:40Z"),
            Ok(None),
        ),
        ("", &until("soon"), Ok(None)),
        (
            r#"s:mustUnderstand="1" s:actor="urn:other""#,
            &until("1970-01-01T00:01:40Z"),
            Ok(None),
        ),
    ] {
        assert_eq!(
            expires(attribute, content),
            expected,
            "{attribute} {content}"
        );
    }
}

#[test]
fn text_between_the_parameters_is_rejected() {
    let with = |text: &str| {
        let body = format!("<c:getchatchannels>{text}{USER}</c:getchatchannels>");
        verdict(&[], &envelope("", &body))
    };
    assert_eq!(with("\r\n\t "), OK);
    assert_eq!(with("<!-- x -->"), OK);
    for text in ["x", "&#160;", "<![CDATA[x]]>"] {
        assert_eq!(with(text), "MALFORMED_REQUEST", "{text}");
    }
}
