//! Tests of SOAP envelopes in the character sets that older clients write: each character arrives intact, and errors in the
//! encoding are reported.

use crate::harness::{Answer, Demo, Gateway, client, escaped};

const SOAP11: &str = "http://schemas.xmlsoap.org/soap/envelope/";

/// Returns an envelope that sends `message` and declares this encoding, or declares none if `encoding` is empty.
fn sending(demo: &Demo, (encoding, destination): (&str, &str), message: &str) -> String {
    let declaration = match encoding {
        "" => String::new(),
        encoding => format!("<?xml version=\"1.0\" encoding=\"{encoding}\"?>"),
    };
    format!(
        "{declaration}<s:Envelope xmlns:s=\"{SOAP11}\"><s:Body><sendmessage xmlns=\"urn:chatgate:chat:v1\">\
         <user>{}</user><password>{}</password><platform>whatsapp</platform><platformid>100</platformid>\
         <destination>{destination}</destination><message>{}</message></sendmessage></s:Body></s:Envelope>",
        demo.user,
        demo.password,
        escaped(message)
    )
}

/// Encodes each character as the byte of its code point.
fn latin1(text: &str) -> Vec<u8> {
    text.chars().map(|c| u8::try_from(c).unwrap()).collect()
}

async fn post(gateway: &Gateway, content_type: &str, body: Vec<u8>) -> Answer {
    let request = client()
        .post(gateway.url("/api/soap/"))
        .header("Content-Type", content_type)
        .body(body);
    Answer::of(request).await
}

/// Reads the messages of a chat by another way in.
async fn messages(gateway: &Gateway, demo: &Demo, destination: &str) -> Vec<String> {
    let request = client()
        .post(gateway.url("/api/basic/"))
        .basic_auth(&demo.user, Some(&demo.password))
        .body(format!(
            "class=chat&method=getmessages&platform=whatsapp&platformid=100&destination={destination}"
        ))
        .header("Content-Type", "application/x-www-form-urlencoded");
    let answer = Answer::of(request).await.json();
    let list = answer["result"]["list"].as_array().unwrap().clone();
    let text = |item: &serde_json::Value| item["message"].as_str().unwrap().to_owned();
    list.iter().map(text).collect()
}

#[tokio::test]
async fn iso_8859_1_text_arrives_intact_under_each_of_its_names() {
    let gateway = Gateway::start();
    let demo = gateway.demo();
    // Every character from the no-break space to the last.
    let message: String = ('\u{a0}'..='\u{ff}').chain("\tabc & <".chars()).collect();
    let names = [
        "ISO-8859-1",
        "iso-8859-1",
        "ISO_8859-1",
        "iso8859-1",
        "Latin1",
    ];
    for (number, name) in names.into_iter().enumerate() {
        let with_charset = format!("text/xml; charset=\"{name}\"");
        for (kind, content_type, encoding) in [
            ("both", &*with_charset, name),
            ("head", &*with_charset, ""),
            ("declaration", "text/xml", name),
            ("none", "", name),
        ] {
            let destination = format!("{kind}-{number}");
            let body = sending(&demo, (encoding, &destination), &message);
            let sent = post(&gateway, content_type, latin1(&body)).await;
            assert_eq!(sent.status, 200, "{name} {kind}: {}", sent.body);
            assert_eq!(sent.header("content-type"), "text/xml; charset=utf-8");
            let arrived = messages(&gateway, &demo, &destination).await;
            assert_eq!(arrived, [&*message], "{name} {kind}");
        }
    }
}

#[tokio::test]
async fn us_ascii_is_accepted_and_characters_beyond_it_are_rejected() {
    let gateway = Gateway::start();
    let demo = gateway.demo();
    for (number, name) in ["US-ASCII", "us-ascii", "ASCII"].into_iter().enumerate() {
        let with_charset = format!("text/xml; charset={name}");
        let destination = format!("ascii-{number}");
        let body = sending(&demo, (name, &destination), "plain ~");
        let sent = post(&gateway, &with_charset, body.into_bytes()).await;
        assert_eq!(sent.status, 200, "{}", sent.body);
        let arrived = messages(&gateway, &demo, &destination).await;
        assert_eq!(arrived, ["plain ~"]);
        for (content_type, encoding) in [(&*with_charset, ""), ("text/xml", name)] {
            let body = sending(&demo, (encoding, &destination), "é");
            for body in [latin1(&body), body.clone().into_bytes()] {
                let refused = post(&gateway, content_type, body).await;
                let text = &refused.body;
                assert!(text.contains("MALFORMED_REQUEST"), "{text}");
                assert!(text.contains("The document is not US-ASCII."), "{text}");
            }
        }
    }
}

#[tokio::test]
async fn other_character_sets_are_rejected_with_the_list_of_supported_ones() {
    let gateway = Gateway::start();
    let demo = gateway.demo();
    let taken = "Only UTF-8, UTF-16, ISO-8859-1 and US-ASCII are supported.";
    for name in [
        "windows-1252",
        "cp1252",
        "ISO-8859-15",
        "iso-8859-2",
        "utf-7",
        "x",
    ] {
        let body = latin1(&sending(&demo, (name, "other"), "é"));
        let by_head = post(&gateway, &format!("text/xml; charset={name}"), body.clone()).await;
        let by_declaration = post(&gateway, "text/xml", body).await;
        for (answer, code) in [
            (by_head, "UNSUPPORTED_MEDIA_TYPE"),
            (by_declaration, "MALFORMED_REQUEST"),
        ] {
            let text = &answer.body;
            assert!(text.contains("Fault") && text.contains(code), "{text}");
        }
    }
    let body = latin1(&sending(&demo, ("", "other"), "é"));
    let by_head = post(&gateway, "text/xml; charset=windows-1252", body).await;
    assert!(by_head.body.contains(taken), "{}", by_head.body);
    let ascii = sending(&demo, ("windows-1252", "other"), "e");
    let by_declaration = post(&gateway, "text/xml", ascii.into_bytes()).await;
    assert!(
        by_declaration.body.contains(taken),
        "{}",
        by_declaration.body
    );
}

#[tokio::test]
async fn contradicting_character_set_names_are_rejected() {
    let gateway = Gateway::start();
    let demo = gateway.demo();
    let utf8 = |encoding| sending(&demo, (encoding, "disagree"), "é").into_bytes();
    let ascii = |encoding| sending(&demo, (encoding, "disagree"), "e").into_bytes();
    let marked = |encoding| [b"\xef\xbb\xbf".as_slice(), &utf8(encoding)].concat();
    for (content_type, body) in [
        ("text/xml; charset=utf-8", utf8("iso-8859-1")),
        ("text/xml; charset=utf-8", ascii("iso-8859-1")),
        ("text/xml; charset=iso-8859-1", ascii("utf-8")),
        ("text/xml; charset=iso-8859-1", marked("")),
        ("text/xml; charset=us-ascii", marked("")),
        ("text/xml", marked("iso-8859-1")),
        ("text/xml; charset=utf-8; charset=latin1", ascii("")),
        ("text/xml; charset=utf-16", ascii("")),
        ("text/xml", ascii("utf-16")),
    ] {
        let refused = post(&gateway, content_type, body).await;
        assert_eq!(refused.status, 500, "{content_type}");
        assert!(
            refused.body.contains("MALFORMED_REQUEST"),
            "{}",
            refused.body
        );
    }
    assert!(messages_are_none(&gateway, &demo).await);
}

async fn messages_are_none(gateway: &Gateway, demo: &Demo) -> bool {
    let request = client()
        .post(gateway.url("/api/basic/"))
        .basic_auth(&demo.user, Some(&demo.password))
        .header("Content-Type", "application/x-www-form-urlencoded")
        .body("class=chat&method=getchats&platform=whatsapp&platformid=100");
    !Answer::of(request).await.body.contains("disagree")
}

/// Windows-1252 labelled as ISO-8859-1 is common. A euro sign is then a control character, which must not reach a person.
#[tokio::test]
async fn iso_8859_1_text_passes_the_same_checks_as_utf_8_text() {
    let gateway = Gateway::start();
    let demo = gateway.demo();
    for (message, code) in [
        ("\u{80}", "INCORRECT_PARAM"),
        ("\u{85}", "INCORRECT_PARAM"),
        ("\u{9f}", "INCORRECT_PARAM"),
        ("\u{7f}", "INCORRECT_PARAM"),
        ("\u{1}", "MALFORMED_REQUEST"),
    ] {
        let body = latin1(&sending(&demo, ("iso-8859-1", "checked"), message));
        let refused = post(&gateway, "text/xml", body).await;
        assert!(refused.body.contains(code), "{message:?}: {}", refused.body);
    }
    // Below the size limit as ISO-8859-1, above it as UTF-8.
    let long = "é".repeat(200 * 1024);
    let body = latin1(&sending(&demo, ("iso-8859-1", "checked"), &long));
    let refused = post(&gateway, "text/xml", body).await;
    assert!(
        refused.body.contains("REQUEST_TOO_LARGE"),
        "{}",
        refused.body
    );
}
