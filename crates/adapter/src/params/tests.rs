//! Tests of the wire forms that real clients send, and of ambiguous forms, which must not be guessed at. `check(input, expected)`.

use http::{HeaderMap, HeaderValue};

use super::*;

fn read(query: &str, content_type: Option<&str>, body: &str) -> Result<Params, Code> {
    let mut headers = HeaderMap::new();
    if let Some(content_type) = content_type {
        headers.insert("content-type", HeaderValue::from_str(content_type).unwrap());
    }
    let body = Bytes::copy_from_slice(body.as_bytes());
    Params::read(&Wire {
        query,
        headers: &headers,
        body: &body,
    })
    .map_err(|error| error.code())
}

#[track_caller]
fn check(params: Result<Params, Code>, name: &str, expected: Result<Option<&str>, Code>) {
    let taken = params.and_then(|mut params| params.take(name).map_err(|error| error.code()));
    assert_eq!(
        taken.as_ref().map(Option::as_deref),
        expected.as_ref().copied()
    );
}

const FORM: Option<&str> = Some("application/x-www-form-urlencoded; charset=UTF-8");
const JSON: Option<&str> = Some("application/json");
const MULTIPART: Option<&str> = Some("multipart/form-data; boundary=\"x y\"");

#[test]
fn query_and_body_are_decoded_as_urlencoded_forms() {
    check(
        read("message=a+b%2Bc%26d", None, ""),
        "message",
        Ok(Some("a b+c&d")),
    );
    check(
        read("message=zażółć", None, ""),
        "message",
        Ok(Some("zażółć")),
    );
    check(
        read("message=100%&class", None, ""),
        "message",
        Ok(Some("100%")),
    );
    check(read("message=a=b", None, ""), "message", Ok(Some("a=b")));
    check(
        read("&&message=x&0=Array&", None, ""),
        "message",
        Ok(Some("x")),
    );
    check(read("thumburl=", None, ""), "thumburl", Ok(None));
    check(read("", FORM, "message=+x+"), "message", Ok(Some(" x ")));
    check(read("", None, "message=x"), "message", Ok(Some("x")));
    check(
        read("message=%ff", None, ""),
        "message",
        Err(Code::MalformedRequest),
    );
    check(
        read("stray=%ff&message=x", None, ""),
        "message",
        Ok(Some("x")),
    );
    check(read("user[]=x", None, ""), "user", Ok(None));
    check(
        read("", Some("text/plain"), "message=x"),
        "message",
        Err(Code::UnsupportedMediaType),
    );
    check(
        read("message=x", Some("text/plain"), ""),
        "message",
        Ok(Some("x")),
    );
}

#[test]
fn duplicate_values_must_agree_and_duplicate_credentials_are_rejected() {
    check(
        read("message=x", FORM, "message=x"),
        "message",
        Ok(Some("x")),
    );
    check(
        read("message=x", FORM, "message=y"),
        "message",
        Err(Code::IncorrectParam),
    );
    check(
        read("message=&message=y", None, ""),
        "message",
        Err(Code::IncorrectParam),
    );
    check(
        read("stray=1&stray=2&message=x", None, ""),
        "message",
        Ok(Some("x")),
    );
    let twice = read("user=x", FORM, "user=x")
        .unwrap()
        .take_credential("user");
    assert_eq!(twice.unwrap_err().code(), Code::IncorrectParam);
    // An empty value does not hide the other value.
    for query in ["user=&user=x", "user=x&user=", "password=&password=x"] {
        let beside = read(query, None, "").unwrap().refuse_credentials();
        assert_eq!(beside.unwrap_err().code(), Code::IncorrectParam, "{query}");
    }
    let classes = read("class=&class=chat&method=getchats", None, "");
    assert!(classes.unwrap().require_class_and_method().is_ok());
}

#[test]
fn only_json_objects_with_string_or_number_values_are_accepted() {
    check(
        read("", JSON, r#"{"message":"a\u0062\n","x":[1]}"#),
        "message",
        Ok(Some("ab\n")),
    );
    check(
        read("", JSON, r#"{"platformid":100}"#),
        "platformid",
        Ok(Some("100")),
    );
    check(
        read("", JSON, r#"{"platformid":1.50e3}"#),
        "platformid",
        Ok(Some("1.50e3")),
    );
    check(
        read("", JSON, r#"{"message":null}"#),
        "message",
        Err(Code::IncorrectParam),
    );
    check(
        read("", JSON, r#"{"message":["x"]}"#),
        "message",
        Err(Code::IncorrectParam),
    );
    check(
        read("", JSON, r#"["message"]"#),
        "message",
        Err(Code::MalformedRequest),
    );
    check(
        read("", JSON, r#"{"message":"x"} x"#),
        "message",
        Err(Code::MalformedRequest),
    );
    check(
        read("", JSON, r#"{"message":"x",}"#),
        "message",
        Err(Code::MalformedRequest),
    );
    check(
        read("", JSON, r#"{"message":"\ud800"}"#),
        "message",
        Err(Code::MalformedRequest),
    );
    let doubled = read("", JSON, r#"{"stray":1,"stray":1,"message":"x"}"#).unwrap();
    assert_eq!(
        doubled.refuse_doubled_keys().unwrap_err().code(),
        Code::IncorrectParam
    );
    check(
        read("", JSON, r#"{"user":"x","user":"x"}"#),
        "user",
        Err(Code::IncorrectParam),
    );
}

#[test]
fn multipart_forms_are_read_and_files_in_place_of_parameters_are_rejected() {
    let part = |head: &str, value: &str| {
        format!("--x y\r\nContent-Disposition: form-data; {head}\r\n\r\n{value}\r\n")
    };
    let end = "--x y--\r\n";
    let one = part("name=\"message\"", " a\r\nb ") + end;
    check(read("", MULTIPART, &one), "message", Ok(Some(" a\r\nb ")));
    let file = part("name=\"password\"; filename=\"p\"", "x") + end;
    check(
        read("", MULTIPART, &file),
        "password",
        Err(Code::IncorrectParam),
    );
    let file = part("name=\"message\"; filename*=UTF-8''a", "x") + end;
    check(
        read("", MULTIPART, &file),
        "message",
        Err(Code::IncorrectParam),
    );
    let file = part("name=\"user\"; filename*=UTF-8''a", "x") + end;
    check(
        read("", MULTIPART, &file),
        "user",
        Err(Code::IncorrectParam),
    );
    let unfinished = part("name=\"message\"", "x");
    check(
        read("", MULTIPART, &unfinished),
        "message",
        Err(Code::MalformedRequest),
    );
    let nested = part(
        "name=\"message\"\r\nContent-Type: multipart/mixed; boundary=z",
        "x",
    ) + end;
    check(
        read("", MULTIPART, &nested),
        "message",
        Err(Code::MalformedRequest),
    );
    check(
        read("", Some("multipart/form-data"), &one),
        "message",
        Err(Code::MalformedRequest),
    );
    let stray_file = part("name=\"upload\"; filename=\"p\"", "x") + &one;
    check(
        read("", MULTIPART, &stray_file),
        "message",
        Ok(Some(" a\r\nb ")),
    );
}

#[test]
fn multipart_header_names_and_tokens_are_case_insensitive() {
    let body = |head: &str| format!("--x\r\n{head}\r\n\r\nv\r\n--x--\r\n");
    let plain = body("Content-Disposition: form-data; name=\"message\"");
    for media_type in [
        "multipart/form-data; boundary=x",
        "MULTIPART/FORM-DATA; BOUNDARY=x",
        "Multipart/Form-Data;Boundary=\"x\"",
        "multipart/form-data ;\tboundary=x; charset=UTF-8;",
        "multipart/form-data; CHARSET=utf-8; odd; boundary = \"x\"",
    ] {
        let found = read("", Some(media_type), &plain);
        check(found, "message", Ok(Some("v")));
    }
    let media_type = Some("multipart/form-data; boundary=x");
    for head in [
        "CONTENT-DISPOSITION: FORM-DATA; NAME=\"message\"",
        "content-disposition: Form-Data; Name=message",
        "Content-Disposition:form-data;name=message;",
        "Content-Disposition: form-data ; name = \"mess\\age\" ; odd",
    ] {
        check(read("", media_type, &body(head)), "message", Ok(Some("v")));
    }
    let with = |rest: &str| body(&format!("Content-Disposition: form-data; {rest}"));
    for (rest, expected) in [
        ("Name=message; FileName=\"a\"", Code::IncorrectParam),
        ("Name=message; FILENAME*=UTF-8''a", Code::IncorrectParam),
        ("name=user; name=message", Code::MalformedRequest),
        ("name=message; Name=message", Code::MalformedRequest),
        ("name=\"message", Code::MalformedRequest),
        (
            "name=message\r\nContent-Type: MultiPart/mixed; boundary",
            Code::MalformedRequest,
        ),
    ] {
        let found = read("", media_type, &with(rest));
        check(found, "message", Err(expected));
    }
    // The value of `name` is the caller's text and is case-sensitive.
    check(
        read("", media_type, &with("name=Message")),
        "message",
        Ok(None),
    );
    for twice in [
        "multipart/form-data; boundary=x; boundary=y",
        "multipart/form-data; boundary=",
    ] {
        let found = read("", Some(twice), &plain);
        check(found, "message", Err(Code::MalformedRequest));
    }
}

#[test]
fn media_types_are_case_insensitive() {
    for (media_type, body) in [
        ("Application/JSON; Charset=utf-8", "{\"message\":\"v\"}"),
        ("APPLICATION/X-WWW-FORM-URLENCODED", "message=v"),
    ] {
        check(read("", Some(media_type), body), "message", Ok(Some("v")));
    }
}

#[test]
fn values_in_another_charset_are_rejected_unless_they_are_ascii() {
    let part = |media_type: &str, value: &str| {
        let head = "Content-Disposition: form-data; name=message";
        format!("--x\r\n{head}\r\nContent-Type: {media_type}\r\n\r\n{value}\r\n--x--\r\n")
    };
    let latin1 = "; charset=ISO-8859-1";
    let form = format!("application/x-www-form-urlencoded{latin1}");
    let json = format!("application/json{latin1}");
    let multipart = "multipart/form-data; boundary=x";
    let refused = || Err(Code::UnsupportedMediaType);
    for (media_type, body, expected) in [
        (&*form, "message=%C3%A9", refused()),
        (&form, "message=\u{e9}", refused()),
        (&form, "message=%22a%22", Ok(Some("\"a\""))),
        (&json, "{\"message\":\"\u{e9}\"}", refused()),
        (
            &json,
            "{\"message\":\"\\u00e9 %C3\"}",
            Ok(Some("\u{e9} %C3")),
        ),
        (
            multipart,
            &part(&format!("text/plain{latin1}"), "\u{e9}"),
            refused(),
        ),
        (
            multipart,
            &part(&format!("text/plain{latin1}"), "%C3"),
            Ok(Some("%C3")),
        ),
        (
            multipart,
            &part("text/plain; charset=utf-8", "\u{e9}"),
            Ok(Some("\u{e9}")),
        ),
        (
            &format!("{multipart}{latin1}"),
            &part("text/plain", "\u{e9}"),
            refused(),
        ),
        (
            "application/x-www-form-urlencoded; charset=utf-16",
            "message=a",
            refused(),
        ),
    ] {
        check(read("", Some(media_type), body), "message", expected);
    }
}

#[test]
fn only_the_identity_content_encoding_is_accepted() {
    for (coding, is_taken) in [
        ("", true),
        ("Identity", true),
        ("identity, ,IDENTITY,", true),
        ("gzip", false),
        ("identity, gzip", false),
    ] {
        let mut headers = HeaderMap::new();
        headers.insert("content-encoding", HeaderValue::from_static(coding));
        let read = Params::read(&Wire {
            query: "",
            headers: &headers,
            body: &Bytes::from_static(b"message=v"),
        });
        assert_eq!(read.is_ok(), is_taken, "{coding:?}");
    }
}

#[test]
fn a_query_with_more_than_256_pairs_is_rejected() {
    assert!(read(&"a=b&".repeat(256), None, "").is_ok());
    assert_eq!(
        read(&"a=b&".repeat(257), None, "").unwrap_err(),
        Code::MalformedRequest
    );
}

#[test]
fn a_multipart_part_with_duplicate_headers_or_an_encoded_value_is_rejected() {
    let media_type = Some("multipart/form-data; boundary=x");
    let body = |head: &str| format!("--x\r\n{head}\r\n\r\nv\r\n--x--\r\n");
    // If a header appears twice, two readers would each use another one. The same holds for a name that appears twice.
    let name = "Content-Disposition: form-data; name=message";
    let other = "content-disposition: form-data; name=x";
    let file = "Content-Disposition: form-data; name=message; filename=a";
    let encoded = |word: &str| format!("{name}\r\nContent-Transfer-Encoding: {word}");
    for head in [
        format!("{name}\r\n{other}"),
        format!("{other}\r\nContent-Type: text/plain\r\n{name}"),
        format!("{file}\r\n{name}"),
        format!("{name}\r\nContent-Type: text/plain\r\nContent-Type: text/plain"),
        encoded("base64"),
        encoded("Quoted-Printable"),
        format!("{}\r\nContent-Transfer-Encoding: 8bit", encoded("base64")),
    ] {
        let found = read("", media_type, &body(&head));
        check(found, "message", Err(Code::MalformedRequest));
        // The same holds wherever the part is, and with white space after its delimiter.
        let padded = format!(
            "--x\r\nContent-Disposition: form-data; name=type\r\n\r\nv\r\n--x \t\r\n{head}\r\n\r\nv\r\n--x--\r\n"
        );
        let found = read("", media_type, &padded);
        check(found, "message", Err(Code::MalformedRequest));
        // Text that only looks like a delimiter, within a line of a value, does not hide the part after it.
        let hidden = padded.replace("\r\n\r\nv\r\n--x \t", "\r\n\r\nv --x\r\nA: b\r\n--x \t");
        let found = read("", media_type, &hidden);
        check(found, "message", Err(Code::MalformedRequest));
    }
    for head in [
        encoded("BINARY"),
        encoded("8bit"),
        format!("{name}\r\nX-A: 1\r\nX-A: 2"),
    ] {
        check(read("", media_type, &body(&head)), "message", Ok(Some("v")));
    }
}
