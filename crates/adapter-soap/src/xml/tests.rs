//! Tests of the XML layer with its own rules and with the W3C's suite.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use proptest::prelude::*;
use serde_json::Value;

use super::source::BYTES_MAX;
use super::*;
use crate::tests::skipped::skipped;

#[track_caller]
fn check(document: &str, well_formed: bool) {
    let result = check_document(document.as_bytes());
    assert_eq!(result.is_ok(), well_formed, "{document}: {result:?}");
}

#[track_caller]
fn check_text(document: &str, expected: &str) {
    let source = Source::read(document.as_bytes(), None).unwrap();
    let document = parse(&source).unwrap();
    assert_eq!(document.root.text, expected);
}

#[track_caller]
fn check_attribute(document: &str, expected: &str) {
    let source = Source::read(document.as_bytes(), None).unwrap();
    let document = parse(&source).unwrap();
    assert_eq!(document.root.attribute("", "a"), Some(expected));
}

#[track_caller]
fn check_reason(document: &[u8], expected: &str) {
    assert_eq!(check_document(document).unwrap_err().reason, expected);
}

fn utf16(text: &str, unit: fn(u16) -> [u8; 2]) -> Vec<u8> {
    let marked = format!("\u{feff}{text}");
    marked.encode_utf16().flat_map(unit).collect()
}

#[test]
fn a_document_must_have_one_root_and_no_text_outside_it() {
    check("<a/>", true);
    check(" \r\n<!--c--><?p i?><a></a ><?p?>\t", true);
    for broken in [
        "",
        " ",
        "<!--c-->",
        "a",
        "<a/>b",
        "b<a/>",
        "<a/><b/>",
        "<a/>&amp;",
        "<a/><![CDATA[]]>",
    ] {
        check(broken, false);
    }
}

#[test]
fn missing_or_mismatched_end_tags_are_rejected() {
    for broken in [
        "<a>",
        "<a><b></a></b>",
        "<a></b>",
        "</a>",
        "<a/></a>",
        "<a></ a>",
        "<a></a",
        "<a><b/>",
        "<a/",
        "<a",
    ] {
        check(broken, false);
    }
    check("<a><b></b\n></a>", true);
}

#[test]
fn element_names_follow_the_fifth_edition_of_xml() {
    for name in [
        "a",
        "_",
        "é",
        "a-b.c1",
        "a·",
        "ͽ",
        "Ⰰ",
        "\u{200c}",
        "\u{10000}",
    ] {
        check(&format!("<{name}/>"), true);
    }
    for name in [
        "1",
        "-a",
        ".a",
        "a@",
        "a$",
        "·a",
        "×",
        "a÷",
        ";",
        "\u{2190}",
        "a b",
        ":",
        ":a",
        "a:",
        "a:b:c",
        "\u{f0000}",
    ] {
        check(&format!("<{name}/>"), false);
    }
}

#[test]
fn attributes_must_be_separated_quoted_and_unique() {
    for broken in [
        r#"<a b="1"c="2"/>"#,
        r#"<a b="1" b="2"/>"#,
        r#"<a b/>"#,
        r#"<a b=1/>"#,
        r#"<a b="1'/>"#,
        r#"<a b="<"/>"#,
        r#"<a b="&"/>"#,
        r#"<a b="&x;"/>"#,
        r#"<a "b"="1"/>"#,
        r#"<a/ b="1">"#,
        r#"<a b="1" / >"#,
        r#"<a xmlns:p="u" xmlns:q="u" p:b="1" q:b="2"/>"#,
        r#"<a xmlns:p="u" xmlns:p="v"/>"#,
    ] {
        check(broken, false);
    }
    check(
        r#"<a b = '1' c="'>'" xmlns:p="u" xmlns:q="v" p:b="1" q:b="2" />"#,
        true,
    );
}

#[test]
fn namespace_prefixes_must_be_bound_correctly() {
    for broken in [
        "<p:a/>",
        r#"<a p:b="1"/>"#,
        r#"<a xmlns:p=""/>"#,
        r#"<a xmlns:="u"/>"#,
        r#"<a xmlns:xmlns="u"/>"#,
        r#"<a xmlns:p="http://www.w3.org/2000/xmlns/"/>"#,
        r#"<a xmlns="http://www.w3.org/2000/xmlns/"/>"#,
        r#"<a xmlns:xml="u"/>"#,
        r#"<a xmlns:p="http://www.w3.org/XML/1998/namespace"/>"#,
        r#"<a xmlns="http://www.w3.org/XML/1998/namespace"/>"#,
        r#"<xmlns:a/>"#,
        r#"<a><b xmlns:p="u"/><p:b/></a>"#,
    ] {
        check(broken, false);
    }
    check(
        r#"<p:a xmlns:p="u" xml:lang="x"><b xmlns=""/><b xmlns="v"><p:c/></b></p:a>"#,
        true,
    );
    check(
        r#"<a xmlns:xml="http://www.w3.org/XML/1998/namespace"/>"#,
        true,
    );
}

#[test]
fn the_xml_declaration_must_come_first_and_be_well_formed() {
    for declaration in [
        "<?xml version='1.0'?>",
        "<?xml version=\"1.0\" encoding=\"utf-8\" standalone='no' ?>",
        "<?xml\nversion = '1.0'\n?>",
        "<?xml version='1.0' encoding='US-ASCII'?>",
        "<?xml version='1.0' encoding='ISO-8859-1'?>",
        "<?xml  version='1.0'\nencoding='latin1' standalone='yes'?>",
        "\u{feff}<?xml version='1.0' encoding='UTF-8'?>",
    ] {
        check(&format!("{declaration}<a/>"), true);
    }
    for declaration in [
        " <?xml version='1.0'?>",
        "<!----><?xml version='1.0'?>",
        "<?xml?>",
        "<?xml encoding='UTF-8'?>",
        "<?xml version='1.0' standalone='yes' encoding='UTF-8'?>",
        "<?xml encoding='UTF-8' version='1.0'?>",
        "<?xml version='2.0'?>",
        "<?xml version='1.'?>",
        "<?xml version='1.0 '?>",
        "<?xml version='1.0'encoding='UTF-8'?>",
        "<?xml version='1.0' standalone='YES'?>",
        "<?xml version='1.0' encoding='ISO-8859-15'?>",
        "<?xml version='1.0' encoding='windows-1252'?>",
        "<?xml version='1.0' encoding='UTF-16'?>",
        "<?xml version='1.0' encoding='UTF-7'?>",
        "<?xml version='1.0' encoding=''?>",
        "<?xml version='1.0' version='1.0'?>",
        "<?xml version='1.0' other='x'?>",
        "<?XML version='1.0'?>",
    ] {
        check(&format!("{declaration}<a/>"), false);
    }
    check("<?xml version='1.0' encoding='us-ascii'?><a>é</a>", false);
    check("<a/><?xml version='1.0'?>", false);
}

#[test]
fn malformed_comments_instructions_and_cdata_sections_are_rejected() {
    for broken in [
        "<a><!-- a -- b --></a>",
        "<a><!----->\u{20}</a>",
        "<a><!--></a>",
        "<a><!---></a>",
        "<a><!-></a>",
        "<a>]]></a>",
        "<a>]]]></a>",
        "<a><![CDATA[</a>",
        "<a><![cdata[]]></a>",
        "<a><? p?></a>",
        "<a><?p></a>",
        "<a><?p:q?></a>",
        "<a><?xMl?></a>",
        "<a><?p</a>",
        "<!ELEMENT a ANY><a/>",
    ] {
        check(broken, false);
    }
    check(
        "<a><!----><!-- - --><?p ?x?><![CDATA[]]]]><![CDATA[>]]></a>",
        true,
    );
}

#[test]
fn only_predefined_entities_and_legal_character_references_are_accepted() {
    for broken in [
        "&nbsp;",
        "&AMP;",
        "&;",
        "&#;",
        "&#x;",
        "&#xg;",
        "&#+65;",
        "&#X41;",
        "&#0;",
        "&#8;",
        "&#xD800;",
        "&#xFFFE;",
        "&#x110000;",
        "&#99999999999999999999;",
        "&amp",
        "& amp;",
        "&#65 ;",
        "&",
        "\u{1}",
        "\u{ffff}",
    ] {
        check(&format!("<a>{broken}</a>"), false);
        check(&format!("<a b='{broken}'/>"), false);
    }
    check_text(
        "<a>&lt;&gt;&amp;&apos;&quot;&#65;&#x1F600;&#000000000065;</a>",
        "<>&'\"A😀A",
    );
}

#[test]
fn a_doctype_is_rejected_in_every_form() {
    for document in [
        "<!DOCTYPE a><a/>",
        "<!doctype a><a/>",
        "<!DOCTYPE a [<!ENTITY x 'y'>]><a>&x;</a>",
        "<!DOCTYPE a SYSTEM 'file:///etc/passwd'><a/>",
        "<a><!DOCTYPE a></a>",
        "<a/><!DOCTYPE a>",
    ] {
        check(document, false);
    }
}

#[test]
fn element_text_is_joined_and_never_trimmed() {
    check_text("<a>ad<!-- -->min</a>", "admin");
    check_text("<a> x &amp; <![CDATA[<y>]]> </a>", " x & <y> ");
    check_text("<a>1<b>2</b>3</a>", "13");
    check_text(
        "<a>1\r\n2\r3\n4<![CDATA[\r\n\r]]>&#13;&#xD;\r&#10;</a>",
        "1\n2\n3\n4\n\n\r\r\n\n",
    );
}

#[test]
fn attribute_values_are_normalised() {
    check_attribute(
        "<a a=' 1\r\n2\t3\n4\r5 &#13;&#10;&#9;&lt;&#60; '/>",
        " 1 2 3 4 5 \r\n\t<< ",
    );
}

#[test]
fn utf8_and_utf16_are_read_with_byte_order_marks() {
    let document = "<?xml version='1.0' encoding='utf-16'?><a>é😀</a>";
    assert_eq!(check_document(&utf16(document, u16::to_le_bytes)), Ok(()));
    assert_eq!(check_document(&utf16(document, u16::to_be_bytes)), Ok(()));
    assert_eq!(check_document(&utf16("<a/>", u16::to_be_bytes)), Ok(()));
    assert_eq!(check_document("\u{feff}<a/>".as_bytes()), Ok(()));
    check_reason(
        "\u{feff}\u{feff}<a/>".as_bytes(),
        "There is text outside of the root element.",
    );
    check_reason(
        &utf16("<a/>", u16::to_le_bytes)[..9],
        "The document is not UTF-16.",
    );
    check_reason(
        b"\xff\xfe<\0a\0>\0\0\xd8<\0/\0a\0>\0",
        "The document is not UTF-16.",
    );
    check_reason(
        b"<\0a\0/\0>\0",
        "The document contains a character that XML forbids.",
    );
    check_reason(b"<a>\xc3\x28</a>", "The document is not UTF-8.");
    check_reason(b"<a>\xed\xa0\x80</a>", "The document is not UTF-8.");
    check_reason(b"<a>\xc0\x80</a>", "The document is not UTF-8.");
    let lying = "<?xml version='1.0' encoding='utf-8'?><a/>";
    check_reason(
        &utf16(lying, u16::to_le_bytes),
        "The declared encoding is not the encoding of the document.",
    );
}

#[test]
fn encoding_precedence_is_byte_order_mark_then_charset_then_declaration() {
    let text = |charset: Option<&str>, bytes: &[u8]| {
        let charset = charset.map(|name| Charset::named(name).unwrap());
        let source = Source::read(bytes, charset).map_err(|error| error.reason)?;
        Ok::<_, &str>(source.text.into_owned())
    };
    let declared = b"<?xml version='1.0' encoding='latin1'?><a>\xc3\xa9</a>";
    let plain = &declared[declared.len() - 9..];
    assert_eq!(text(None, plain).unwrap(), "<a>é</a>");
    assert_eq!(text(Some("latin1"), plain).unwrap(), "<a>Ã©</a>");
    assert!(text(None, declared).unwrap().ends_with("<a>Ã©</a>"));
    assert!(text(Some("utf-8"), declared).unwrap().ends_with("<a>é</a>"));
    let marked = [b"\xef\xbb\xbf", plain].concat();
    assert_eq!(text(Some("latin1"), &marked).unwrap(), "<a>é</a>");
    assert_eq!(
        text(Some("ascii"), plain).unwrap_err(),
        "The document is not US-ASCII."
    );
    assert_eq!(
        text(Some("utf-16"), plain).unwrap_err(),
        "A UTF-16 document must begin with a byte order mark."
    );
}

#[test]
fn each_iso_8859_1_byte_is_read_as_its_unicode_character() {
    for byte in 0..=u8::MAX {
        let document = [
            b"<?xml version='1.0' encoding='iso-8859-1'?><a b='".as_slice(),
            &[byte],
            b"'/>",
        ];
        let document = document.concat();
        let is_taken = check_document(&document).is_ok();
        let c = char::from(byte);
        assert_eq!(is_taken, is_char(c) && !"'<&".contains(c), "{byte:#x}");
        if is_taken && !c.is_ascii() {
            let source = Source::read(&document, None).unwrap();
            let root = parse(&source).unwrap().root;
            assert_eq!(root.attribute("", "b"), Some(&*c.to_string()));
        }
    }
}

#[test]
fn the_document_size_limit_also_applies_to_the_decoded_text() {
    let document = |count: usize| {
        let mut bytes = b"<a>".to_vec();
        bytes.resize(3 + count, 0xe9);
        bytes.extend(b"</a>");
        check_document_in(&bytes, Some("latin1"))
    };
    assert_eq!(document((BYTES_MAX - 7) / 2), Ok(()));
    assert!(
        document((BYTES_MAX - 7) / 2 + 1)
            .unwrap_err()
            .is_too_large()
    );
}

#[test]
fn limits_of_depth_attributes_namespaces_and_size_are_exact() {
    let nested = |depth: usize| "<a>".repeat(depth) + &"</a>".repeat(depth);
    check(&nested(32), true);
    check(&nested(33), false);
    let attributed = |count: usize| {
        let attributes: String = (0..count).map(|n| format!(" a{n}=''")).collect();
        format!("<a{attributes}/>")
    };
    check(&attributed(64), true);
    check(&attributed(65), false);
    let bound = |count: usize| {
        let bind = |n| format!(" xmlns:p{n}='u{n}'");
        let (outer, inner): (String, String) =
            ((0..40).map(bind).collect(), (40..count).map(bind).collect());
        format!("<a{outer}><b{inner}/><b{inner}/></a>")
    };
    check(&bound(64), true);
    check(&bound(65), false);
    let sized = |bytes: usize| format!("<a>{}</a>", "x".repeat(bytes - 7));
    check(&sized(BYTES_MAX), true);
    check(&sized(BYTES_MAX + 1), false);
}

#[test]
fn a_parse_error_is_one_line_without_content_of_the_document() {
    let error = check_document(b"<a>secret</b>").unwrap_err();
    assert_eq!(
        error.to_string(),
        "An end tag does not match its start tag. (At or after byte 9.)"
    );
}

/// Reads a file of test data that is not part of the project.
fn vectors(name: &str) -> Option<Value> {
    let Some(folder) = std::env::var_os("CHATGATE_VECTORS") else {
        skipped("CHATGATE_VECTORS is not set");
        return None;
    };
    let text = std::fs::read_to_string(std::path::Path::new(&folder).join(name)).unwrap();
    Some(serde_json::from_str(&text).unwrap())
}

#[test]
fn the_w3c_xml_suite_without_doctype_is_judged_correctly() {
    let Some(suite) = vectors("xml-no-doctype.json") else {
        return;
    };
    let mut wrong = Vec::new();
    let documents = suite["documents"].as_array().unwrap();
    for document in documents {
        let bytes = BASE64_STANDARD
            .decode(document["bytes_base64"].as_str().unwrap())
            .unwrap();
        if check_document(&bytes).is_ok() != document["well_formed"].as_bool().unwrap() {
            wrong.push(document["id"].as_str().unwrap());
        }
    }
    assert!(
        wrong.is_empty(),
        "{} of {}: {wrong:?}",
        wrong.len(),
        documents.len()
    );
}

#[test]
fn the_w3c_xml_suite_with_doctype_is_rejected() {
    let Some(suite) = vectors("xml-doctype.json") else {
        return;
    };
    for document in suite["documents"].as_array().unwrap() {
        let bytes = BASE64_STANDARD
            .decode(document["bytes_base64"].as_str().unwrap())
            .unwrap();
        assert!(check_document(&bytes).is_err(), "{}", document["id"]);
    }
}

proptest! {
    #[test]
    fn arbitrary_markup_never_panics_the_xml_parser(text in r#"(<|>|/|!|-|\[|\]|\?|&|;|#|x|=|"|'| |a|:|xml|xmlns|CDATA|DOCTYPE|é|\r|\n){0,40}"#) {
        let _ = check_document(text.as_bytes());
    }

    #[test]
    fn escaped_text_round_trips_through_the_xml_parser(text in any::<String>()) {
        let mut document = "<a>".to_owned();
        crate::escape::push_escaped(&mut document, &text);
        document.push_str("</a>");
        let carried: String = text.chars().map(|c| if is_char(c) { c } else { '\u{fffd}' }).collect();
        let source = Source::read(document.as_bytes(), None).unwrap();
        prop_assert_eq!(&parse(&source).unwrap().root.text, &carried);
    }
}
