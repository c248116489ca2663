//! Tests of programs without running them: their literals read back as the values, every literal is complete, and no program
//! reveals a secret or skips a check.

use adapter::{OPERATIONS, Operation, Way};
use proptest::prelude::*;

use crate::{LANGUAGES, Language, Sample, SampleCaller, SampleError, sample};

const CALLER: SampleCaller<'static> = SampleCaller {
    url: "https://chat.example.com/",
    user: "o'hara \"$(id)\"",
    client_id: "cga_1",
};

fn written(language: &str, way: Way, method: &str, values: &[(&str, &str)]) -> Sample {
    let language = Language::named(language).unwrap();
    let operation = Operation::named(method).unwrap();
    sample(language, way, operation, &CALLER, values).unwrap()
}

/// Returns every program.
fn all() -> impl Iterator<Item = (&'static Language, Way, &'static Operation, String)> {
    let pairs = LANGUAGES
        .into_iter()
        .flat_map(|language| language.ways().map(move |way| (language, way)));
    pairs.flat_map(|(language, way)| {
        OPERATIONS.iter().map(move |operation| {
            let text = sample(language, way, operation, &CALLER, &[]).unwrap().text;
            (language, way, operation, text)
        })
    })
}

#[test]
fn every_program_contains_its_call_and_no_template_marks() {
    for (language, way, operation, text) in all() {
        let name = format!("{} {} {}", language.name, way.name(), operation.method);
        for parameter in operation.parameters.iter().filter(|p| p.compulsory) {
            assert!(text.contains(parameter.name), "{name}: {text}");
        }
        assert!(text.contains(operation.method), "{name}: {text}");
        assert!(text.contains("chat.example.com/api/"), "{name}: {text}");
        for left in ["{{", "{%", "%}"] {
            assert!(!text.contains(left), "{name} holds {left}: {text}");
        }
        assert!(text.ends_with('\n') && !text.contains("\n\n\n\n"), "{name}");
    }
}

#[test]
fn only_sends_carry_an_idempotency_key() {
    for (language, _, operation, text) in all() {
        let is_send = operation.method.starts_with("send");
        assert_eq!(
            text.contains("idempotency_key"),
            is_send,
            "{} {}",
            language.name,
            operation.method
        );
    }
}

#[test]
fn every_program_reads_its_secret_from_outside_and_has_a_timeout() {
    for (language, way, _, text) in all() {
        let name = format!("{} {}: {text}", language.name, way.name());
        let is_android = language.name == "android";
        assert!(
            is_android || text.contains(crate::call::secret_variable(way)),
            "{name}"
        );
        let lower = text.to_lowercase();
        let bounds = ["timeout", "max-time", "timeoutinterval"];
        assert!(bounds.iter().any(|bound| lower.contains(bound)), "{name}");
        let judged = text.contains("SUCCESS") || lower.contains("fault");
        assert!(judged, "{name}");
    }
}

/// The names of the ways in which languages skip a certificate check.
const WAYS_OUT: [&str; 16] = [
    "insecure",
    " -k ",
    "no-check-certificate",
    "verifypeer",
    "verify_peer",
    "verifyhost",
    "verify_none",
    "verify=false",
    "_create_unverified",
    "rejectunauthorized",
    "node_tls_reject",
    "insecureskipverify",
    "servercertificatevalidationcallback",
    "trustmanager",
    "allowsanyhttpscertificate",
    "13056",
];

#[test]
fn no_program_skips_certificate_checks() {
    for (language, _, _, text) in all() {
        let text = text.to_lowercase();
        let found = WAYS_OUT.iter().find(|way_out| text.contains(**way_out));
        assert_eq!(found, None, "{}", language.name);
    }
}

#[test]
fn sample_rejects_invalid_input_with_the_reason() {
    let language = Language::named("php").unwrap();
    let operation = Operation::named("sendmessage").unwrap();
    let refused = |values: &[(&str, &str)]| {
        sample(language, Way::Http, operation, &CALLER, values).unwrap_err()
    };
    assert_eq!(
        refused(&[("thumburl", "x")]),
        SampleError::NoParameter("thumburl".to_owned())
    );
    assert_eq!(
        refused(&[("message", &"x".repeat(16385))]),
        SampleError::TooLong("message", 16384)
    );
    assert_eq!(
        refused(&[("message", "\u{0}")]),
        SampleError::Forbidden("message")
    );
    assert_eq!(
        refused(&[("destination", "a\nb")]),
        SampleError::Forbidden("destination")
    );
    let go = Language::named("go").unwrap();
    let soap = sample(go, Way::Soap, operation, &CALLER, &[]);
    assert!(matches!(soap, Err(SampleError::NoWay(_))), "{soap:?}");
}

#[test]
fn an_optional_parameter_appears_only_with_a_value() {
    let without = written("python", Way::Http, "sendfile", &[]).text;
    assert!(!without.contains("thumburl"), "{without}");
    let given = [("thumburl", "https://example.com/t.png"), ("message", "")];
    let with = written("python", Way::Http, "sendfile", &given).text;
    assert!(with.contains("\"thumburl\": \"https://example.com/t.png\""));
    assert!(!with.contains("\"message\""), "{with}");
}

/// Reads a literal between double quotes as Kotlin or Swift does.
fn read_double_quoted(literal: &str, interpolates: &str) -> String {
    let inner = literal.strip_prefix('"').unwrap();
    let inner = inner.strip_suffix('"').unwrap();
    assert!(!inner.contains(['\n', '\r', '\t']), "{literal}");
    let mut units: Vec<u16> = Vec::new();
    let mut rest = inner.chars();
    while let Some(c) = rest.next() {
        assert!(c != '"' && !interpolates.contains(c), "{literal}");
        if c != '\\' {
            units.extend(c.encode_utf16(&mut [0; 2]).iter());
            continue;
        }
        match rest.next().unwrap() {
            'n' => units.push(10),
            'r' => units.push(13),
            't' => units.push(9),
            'u' if rest.as_str().starts_with('{') => {
                let (digits, left) = rest.as_str()[1..].split_once('}').unwrap();
                let c = char::from_u32(u32::from_str_radix(digits, 16).unwrap()).unwrap();
                units.extend(c.encode_utf16(&mut [0; 2]).iter());
                rest = left.chars();
            }
            'u' => {
                let (digits, left) = rest.as_str().split_at(4);
                units.push(u16::from_str_radix(digits, 16).unwrap());
                rest = left.chars();
            }
            c @ ('"' | '\\' | '$') => units.push(u16::try_from(u32::from(c)).unwrap()),
            c => panic!("\\{c} means something else in {literal}"),
        }
    }
    String::from_utf16(&units).unwrap()
}

/// Reads a T-SQL or PL/SQL expression: literals with doubled quotes and calls of `CHR` or `NCHAR`, joined by `plus`. With `escape`,
/// a backslash precedes four digits.
fn read_sql(expression: &str, (opens, closes): (&str, &str), plus: &str, escape: bool) -> String {
    let mut units: Vec<u16> = Vec::new();
    let mut rest = expression.trim();
    loop {
        if let Some(called) = rest.strip_prefix("NCHAR(").or(rest.strip_prefix("CHR(")) {
            let (number, left) = called.split_once(')').unwrap();
            units.push(number.parse().unwrap());
            rest = left;
        } else {
            rest = rest
                .strip_prefix(opens)
                .unwrap_or_else(|| panic!("{expression}"));
            let mut end = None;
            let mut quote = false;
            for (at, c) in rest.char_indices() {
                match (quote, c) {
                    (false, '\'') => quote = true,
                    (true, '\'') => {
                        units.push(39);
                        quote = false;
                    }
                    (true, _) => {
                        end = Some(at - 1);
                        break;
                    }
                    (false, c) => {
                        assert!(!c.is_control(), "{expression}");
                        units.extend(c.encode_utf16(&mut [0; 2]).iter());
                    }
                }
            }
            let end = end.unwrap_or(rest.len() - 1);
            rest = rest[end..].strip_prefix(closes).unwrap();
        }
        let Some(left) = rest.trim_start().strip_prefix(plus) else {
            assert_eq!(rest, "");
            break;
        };
        rest = left.trim_start();
    }
    let text = String::from_utf16(&units).unwrap();
    if escape { unescaped(&text) } else { text }
}

/// Decodes escapes as `UNISTR` does.
fn unescaped(text: &str) -> String {
    let mut units: Vec<u16> = Vec::new();
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        if let Some(left) = rest.strip_prefix("\\\\") {
            units.push(92);
            rest = left;
        } else if let Some(left) = rest.strip_prefix('\\') {
            units.push(u16::from_str_radix(&left[..4], 16).unwrap());
            rest = &left[4..];
        } else {
            units.extend(c.encode_utf16(&mut [0; 2]).iter());
            rest = &rest[c.len_utf8()..];
        }
    }
    String::from_utf16(&units).unwrap()
}

/// Returns every text that is enclosed by two marks.
fn between<'a>(text: &'a str, opens: &str, closes: &str) -> Vec<&'a str> {
    let starts = text.match_indices(opens).map(|(at, mark)| at + mark.len());
    starts
        .map(|start| {
            let end = text[start..].find(closes).unwrap();
            &text[start..start + end]
        })
        .collect()
}

const LANGUAGES_AS_TEXT: [&str; 4] = ["android", "swift", "sqlserver", "oracle"];

/// Returns the message that the program would send, decoded from the program's text by the language's own rules.
fn read_back(language: &str, message: &str) -> String {
    let text = written(language, Way::Basic, "sendmessage", &[("message", message)]).text;
    match language {
        "android" => read_double_quoted(between(&text, "\"message\" to ", ",\n")[0], "$"),
        "swift" => read_double_quoted(between(&text, "(\"message\", ", "),\n")[0], ""),
        "sqlserver" => {
            let sets = between(&text, "SET @message += ", ";\n");
            let read = |piece: &&str| read_sql(piece, ("N'", "'"), "+", false);
            assert_eq!(
                text.matches("$(").count(),
                1,
                "only the secret is sqlcmd's: {text}"
            );
            assert!(text.is_ascii(), "{text}");
            sets.iter().map(read).collect()
        }
        "oracle" => {
            let start = text.find("add_name('message');").unwrap();
            let end = text[start..].find("-- Use one key").unwrap();
            let pieces = between(&text[start..start + end], "add_value(", ");\n");
            let read = |piece: &&str| read_sql(piece, ("TO_CHAR(UNISTR('", "'))"), "||", true);
            assert!(text.is_ascii(), "{text}");
            pieces.iter().map(read).collect()
        }
        other => panic!("{other} runs"),
    }
}

/// Maximum length of a line that SQL*Plus reads. `sqlcmd` reads far longer lines.
const LINE_BYTES_MAX: usize = 2499;
/// Maximum number of characters of a literal: `N'…'` beyond 4,000 has another type, and UNISTR accepts 4,000 bytes in plain SQL.
const LITERAL_CHARACTERS_MAX: usize = 4000;

#[track_caller]
fn check_limits(language: &str, message: &str) {
    let text = written(language, Way::Http, "sendmessage", &[("message", message)]).text;
    for line in text.lines() {
        assert!(line.len() <= LINE_BYTES_MAX, "{language}: {line}");
        for literal in line.split('\'') {
            assert!(
                literal.len() <= LITERAL_CHARACTERS_MAX,
                "{language}: {line}"
            );
        }
    }
}

#[test]
fn the_longest_messages_fit_the_literal_and_line_limits() {
    let bytes = 16 * 1024;
    for language in ["sqlserver", "oracle"] {
        for piece in ["x", "'", "\n", "a\n", "$(", "\\", "&", "ł", "漢", "😀"] {
            let message = piece.repeat(bytes / piece.len());
            check_limits(language, &message);
            assert_eq!(read_back(language, &message), message, "{language}");
        }
    }
    // Delphi limits a line to 1,023 characters and a literal to 255.
    let emoji = "😀".repeat(bytes / 4);
    let text = written("delphi", Way::Http, "sendmessage", &[("message", &emoji)]).text;
    assert!(text.lines().all(|line| line.len() < 1023));
}

#[test]
fn sqlplus_does_not_substitute_ampersands_in_messages() {
    let text = written("oracle", Way::Http, "sendmessage", &[("message", "a & b")]).text;
    let off = text.rfind("SET DEFINE OFF").unwrap();
    assert!(text.find("a & b").unwrap() > off);
    assert_eq!(
        text[..off].matches('&').count(),
        1,
        "only the secret: {text}"
    );
}

/// Generates texts that a call may contain, with many characters that are difficult in literals.
fn texts() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just("'".to_owned()),
        Just("\"".to_owned()),
        Just("\\".to_owned()),
        Just("$(".to_owned()),
        Just("${x}".to_owned()),
        Just("\\u0041".to_owned()),
        Just("\r\n".to_owned()),
        Just("\t".to_owned()),
        Just("&x".to_owned()),
        Just("😀\u{2028}".to_owned()),
        "[ -~]{1,4}",
        "\\PC{1,4}",
    ];
    proptest::collection::vec(piece, 1..120).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn literals_of_programs_that_cannot_run_here_decode_to_the_message(text in texts()) {
        for language in LANGUAGES_AS_TEXT {
            prop_assert_eq!(read_back(language, &text), text.clone(), "{}", language);
        }
    }
}
