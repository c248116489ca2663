//! Tests of credentials, parameters, actions and idempotency keys.

use super::*;

const WSSE: &str =
    "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-secext-1.0.xsd";

fn security(tokens: &str) -> String {
    format!(r#"<w:Security xmlns:w="{WSSE}" s:mustUnderstand="1">{tokens}</w:Security>"#)
}

fn token(user: &str, password: &str) -> String {
    format!("<w:UsernameToken><w:Username>{user}</w:Username>{password}</w:UsernameToken>")
}

const BASIC: (&str, &str) = ("authorization", "Basic Ym9iOnBhc3M=");
const CHANNELS: &str = "<c:getchatchannels/>";

#[test]
fn every_kind_of_soap_credentials_is_read() {
    check(
        &[],
        &envelope(
            "",
            &format!("<c:getchatchannels>{USER}</c:getchatchannels>"),
        ),
        "bob:pass getchatchannels",
    );
    check(
        &[BASIC],
        &envelope("", CHANNELS),
        "bob:pass getchatchannels",
    );
    check(
        &[("authorization", "Bearer a.b.c")],
        &envelope("", CHANNELS),
        "a.b.c getchatchannels",
    );
    for kind in [
        "",
        " Type='PasswordText'",
        &format!(" Type='{WSSE}#PasswordText'"),
    ] {
        let header = security(&token(
            "bob",
            &format!("<w:Password{kind}> pa&amp;ss</w:Password>"),
        ));
        check(
            &[],
            &envelope(&header, CHANNELS),
            "bob: pa&ss getchatchannels",
        );
    }
}

#[test]
fn a_password_with_an_unknown_type_is_rejected() {
    for kind in ["urn:x#NotPasswordText", "PasswordTexts", "urn:x#"] {
        let password = format!("<w:Password Type='{kind}'>pass</w:Password>");
        let header = security(&token("bob", &password));
        check(&[], &envelope(&header, CHANNELS), "INCORRECT_PARAM");
    }
}

#[test]
fn two_kinds_of_soap_credentials_in_one_call_are_rejected() {
    let elements = format!("<c:getchatchannels>{USER}</c:getchatchannels>");
    let header = security(&token("bob", "<w:Password>pass</w:Password>"));
    check(&[BASIC], &envelope("", &elements), "INCORRECT_PARAM");
    check(&[BASIC], &envelope(&header, CHANNELS), "INCORRECT_PARAM");
    check(&[], &envelope(&header, &elements), "INCORRECT_PARAM");
    check(
        &[("authorization", "Basic !")],
        &envelope("", &elements),
        "INCORRECT_PARAM",
    );
    check(
        &[("authorization", "Digest x")],
        &envelope("", &elements),
        "bob:pass getchatchannels",
    );
    let two = security(&(token("bob", "") + &token("bob", "")));
    check(&[], &envelope(&two, CHANNELS), "INCORRECT_PARAM");
    let apart = security(&token("bob", "")) + &security(&token("eve", ""));
    check(&[], &envelope(&apart, CHANNELS), "INCORRECT_PARAM");
}

#[test]
fn malformed_username_tokens_return_clear_errors() {
    let header = security(&token(
        "bob",
        &format!("<w:Password Type='{WSSE}#PasswordDigest'>x</w:Password>"),
    ));
    let error = decode(&[], &envelope(&header, CHANNELS)).1.unwrap_err();
    assert_eq!(error.word(), "INCORRECT_PARAM");
    assert_eq!(
        error.text(),
        "PasswordDigest is not supported; send PasswordText over TLS."
    );
    for inside in [
        "<w:Password Type='x'>x</w:Password>",
        "<w:Password>x</w:Password><w:Password>x</w:Password>",
        "<w:Password><x/></w:Password>",
    ] {
        check(
            &[],
            &envelope(&security(&token("bob", inside)), CHANNELS),
            "INCORRECT_PARAM",
        );
    }
    check(
        &[],
        &envelope(&security(&token("bob", "")), CHANNELS),
        "MISSING_PASSWORD",
    );
    check(
        &[],
        &envelope(
            &security(&token("", "<w:Password>x</w:Password>")),
            CHANNELS,
        ),
        "MISSING_USER",
    );
}

#[test]
fn missing_credentials_are_reported_before_errors_in_the_call() {
    for body in [
        CHANNELS,
        "",
        "<c:nosuch/>",
        "<x/>",
        "<c:sendmessage/>",
        "<c:sendmessage><platform><x/></platform></c:sendmessage>",
    ] {
        check(&[], &envelope("", body), "MISSING_USER");
    }
    check(
        &[],
        &envelope("", "<c:getchats><user>bob</user></c:getchats>"),
        "MISSING_PASSWORD",
    );
    check(
        &[],
        &envelope("", "<c:getchats><password>p</password></c:getchats>"),
        "MISSING_USER",
    );
    check(
        &[("authorization", "Bearer ")],
        &envelope("", CHANNELS),
        "MISSING_TOKEN",
    );
    check(
        &[("authorization", "Basic Ym9i")],
        &envelope("", CHANNELS),
        "MISSING_PASSWORD",
    );
    check(
        &[("authorization", "Basic !")],
        &envelope("", CHANNELS),
        "INCORRECT_USER_PASSWORD",
    );
    check(&[BASIC], &envelope("", ""), "MISSING_METHOD");
}

#[test]
fn errors_in_a_soap_call_do_not_prevent_decoding_its_credentials() {
    check(
        &[BASIC],
        &envelope("", "<c:nosuch/>"),
        "bob:pass INCORRECT_METHOD",
    );
    check(
        &[BASIC],
        &envelope("", "<getchatchannels/>"),
        "bob:pass INCORRECT_METHOD",
    );
    check(
        &[],
        &envelope("", &format!("<x:getchats xmlns:x='u'>{USER}</x:getchats>")),
        "bob:pass INCORRECT_METHOD",
    );
    check(
        &[],
        &envelope("", &format!("<x xmlns='u'>{USER}</x>")),
        "bob:pass INCORRECT_METHOD",
    );
    check(&[], &sendmessage(""), "bob:pass MISSING_COMPULSORY_PARAM");
    check(
        &[],
        &sendmessage("<message/>"),
        "bob:pass MISSING_COMPULSORY_PARAM",
    );
    check(
        &[BASIC],
        &envelope(
            "",
            "<c:getchats><platform>fax</platform><platformid>1</platformid></c:getchats>",
        ),
        "bob:pass CHANNEL_NOT_FOUND",
    );
}

#[test]
fn soap_parameters_are_read_in_any_order_with_or_without_namespace() {
    let expected = "bob:pass sendmessage platform=whatsapp platformid=1 destination=48 message=hi";
    check(&[], &sendmessage("<message>hi</message>"), expected);
    check(
        &[],
        &sendmessage(
            "<stray>x</stray><x:message xmlns:x='u'>no</x:message><c:message>hi</c:message>",
        ),
        expected,
    );
    let body = format!(
        "<sendmessage xmlns='urn:chatgate:chat:v1'><message>hi</message><destination>48</destination><platformid>1</platformid>{USER}<platform>whatsapp</platform></sendmessage>"
    );
    check(&[], &envelope("", &body), expected);
    check(&[], &envelope12("", &body), expected);
}

#[test]
fn duplicate_parameters_must_agree_and_duplicate_credentials_are_rejected() {
    check(
        &[],
        &sendmessage("<message>a</message><c:message>b</c:message>"),
        "bob:pass INCORRECT_PARAM",
    );
    check(
        &[],
        &sendmessage("<message>a</message><c:message>a</c:message>"),
        "bob:pass sendmessage platform=whatsapp platformid=1 destination=48 message=a",
    );
    check(
        &[],
        &sendmessage("<message>a</message><c:user>bob</c:user>"),
        "INCORRECT_PARAM",
    );
    check(
        &[],
        &sendmessage("<message>a</message><password>x</password>"),
        "INCORRECT_PARAM",
    );
    check(
        &[],
        &envelope(
            "",
            "<c:getchatchannels><user/><user>bob</user><password>p</password></c:getchatchannels>",
        ),
        "INCORRECT_PARAM",
    );
}

#[test]
fn text_split_by_comments_and_cdata_is_joined_unchanged() {
    let sent = |message: &str| verdict(&[], &sendmessage(&format!("<message>{message}</message>")));
    let expected = |message: &str| {
        format!(
            "bob:pass sendmessage platform=whatsapp platformid=1 destination=48 message={message}"
        )
    };
    assert_eq!(sent("ad<!-- -->min"), expected("admin"));
    assert_eq!(sent(" a<![CDATA[ <b> ]]>&amp;c "), expected(" a <b> &c "));
    assert_eq!(sent("a\r\nb\rc&#13;"), expected("a\nb\nc\r"));
    assert_eq!(sent("zażółć 😀"), expected("zażółć 😀"));
    assert_eq!(sent("&#x85;"), "bob:pass INCORRECT_PARAM");
    assert_eq!(sent("&#1;"), "MALFORMED_REQUEST");
    let body = envelope(
        "",
        "<c:getchatchannels><user>ad<!-- -->min</user><password> p </password></c:getchatchannels>",
    );
    check(&[], &body, "admin: p  getchatchannels");
}

#[test]
fn nil_elements_count_as_absent_and_structured_values_are_rejected() {
    check(
        &[BASIC],
        &envelope(
            "",
            "<c:getchatchannels><user xsi:nil='true'/><password xsi:nil='1'/></c:getchatchannels>",
        ),
        "bob:pass getchatchannels",
    );
    check(
        &[],
        &sendmessage("<message xsi:nil='true'/>"),
        "bob:pass MISSING_COMPULSORY_PARAM",
    );
    // A nil element next to one with a value counts as a different value, in either order.
    for twice in [
        "<message xsi:nil='true'/><message>a</message>",
        "<message>a</message><message xsi:nil='true'/>",
    ] {
        check(&[], &sendmessage(twice), "bob:pass INCORRECT_PARAM");
    }
    check(
        &[BASIC],
        &envelope(
            "",
            "<c:getchatchannels><user xsi:nil='true'/><user>ann</user></c:getchatchannels>",
        ),
        "INCORRECT_PARAM",
    );
    check(
        &[],
        &sendmessage("<message xsi:type='c:any'>a</message>"),
        "bob:pass sendmessage platform=whatsapp platformid=1 destination=48 message=a",
    );
    for broken in [
        "<message>a<b/></message>",
        "<message href='#1'/>",
        "<message e:ref='1' xmlns:e='http://www.w3.org/2003/05/soap-encoding'/>",
        "<message xsi:type='xsd:base64Binary'>aGk=</message>",
        "<message xsi:nil='true'>a</message>",
    ] {
        check(&[], &sendmessage(broken), "bob:pass INCORRECT_PARAM");
    }
    check(
        &[],
        &envelope(
            "",
            &format!("<c:getchats>{USER}<platform><x/></platform></c:getchats>"),
        ),
        "bob:pass MISSING_COMPULSORY_PARAM",
    );
    check(
        &[],
        &envelope(
            "",
            "<c:getchatchannels><user><b>bob</b></user><password>p</password></c:getchatchannels>",
        ),
        "INCORRECT_PARAM",
    );
}

#[test]
fn a_soap_action_that_contradicts_the_body_is_rejected() {
    let body = envelope("", CHANNELS);
    for action in [
        "\"urn:chatgate:chat:v1#getchatchannels\"",
        "urn:chatgate:chat:v1#getchatchannels",
        "getchatchannels",
        "\"getchatchannels\"",
        "\"\"",
        "",
    ] {
        check(
            &[BASIC, ("soapaction", action)],
            &body,
            "bob:pass getchatchannels",
        );
    }
    for action in [
        "\"sendmessage\"",
        "urn:chatgate:chat:v1#getchats",
        "urn:other#getchatchannels",
        "getchatchannels\"",
        "urn:chatgate:chat:v1",
    ] {
        check(&[BASIC, ("soapaction", action)], &body, "MALFORMED_REQUEST");
    }
    let body = envelope12("", CHANNELS);
    let typed = |action: &str| {
        verdict(
            &[
                BASIC,
                (
                    "content-type",
                    &format!("application/soap+xml; charset=utf-8; action={action}"),
                ),
            ],
            &body,
        )
    };
    assert_eq!(
        typed("\"urn:chatgate:chat:v1#getchatchannels\""),
        "bob:pass getchatchannels"
    );
    assert_eq!(typed("getchatchannels"), "bob:pass getchatchannels");
    assert_eq!(typed("\"\""), "bob:pass getchatchannels");
    assert_eq!(typed("\"a;b\\\"c\""), "MALFORMED_REQUEST");
    assert_eq!(typed("getchats"), "MALFORMED_REQUEST");
    check(
        &[BASIC, TYPE12, ("soapaction", "getchats")],
        &body,
        "MALFORMED_REQUEST",
    );
}

#[test]
fn idempotency_keys_in_headers_and_body_must_agree() {
    let body = |header: &str, child: &str| {
        envelope(
            header,
            &format!("<c:getchatchannels>{USER}{child}</c:getchatchannels>"),
        )
    };
    let (header, child) = (
        "<c:IdempotencyKey s:mustUnderstand='1'>k</c:IdempotencyKey>",
        "<idempotency_key>k</idempotency_key>",
    );
    let http = ("idempotency-key", "k");
    for (headers, header, child) in [
        (&[http][..], "", ""),
        (&[], header, ""),
        (&[], "", child),
        (&[http], header, child),
    ] {
        check(headers, &body(header, child), "bob:pass getchatchannels #k");
    }
    let other = &[("idempotency-key", "l")][..];
    for (headers, header, child) in [
        (other, header, ""),
        (other, "", child),
        (&[], "<c:IdempotencyKey>l</c:IdempotencyKey>", child),
        (&[], "<c:IdempotencyKey><k/></c:IdempotencyKey>", ""),
        (&[], "", "<idempotency_key><k/></idempotency_key>"),
        (&[], "", "<idempotency_key xsi:nil='1'>k</idempotency_key>"),
        (
            &[],
            "<c:IdempotencyKey xsi:nil='true'>k</c:IdempotencyKey>",
            "",
        ),
    ] {
        check(
            headers,
            &body(header, child),
            "bob:pass getchatchannels #INCORRECT_PARAM",
        );
    }
    check(
        &[],
        &body("<c:IdempotencyKey/>", "<idempotency_key/>"),
        "bob:pass getchatchannels",
    );
}
