//! Tests of the log: its fields are those of the table, and Vector reads every line with the program that we deliver.

use std::collections::{BTreeMap, BTreeSet};

use proc_macro2::{TokenStream, TokenTree};
use serde_json::Value;
use telemetry::{LOG_FIELDS, LogFieldKind};

use crate::harness::{Answer, Gateway, Sandbox, UPSTREAM_ENVIRONMENT, client, repository};
use crate::real_clients::read_by;

/// The fields that every line has.
const OWN: [&str; 4] = ["timestamp", "level", "message", "target"];

/// The macros that write a line.
const LEVELS: [&str; 5] = ["error", "warn", "info", "debug", "trace"];

/// Collects the names of the fields that code writes.
fn gather(code: TokenStream, names: &mut BTreeSet<String>) {
    let tokens: Vec<_> = code.into_iter().collect();
    let words: Vec<_> = tokens.iter().map(ToString::to_string).collect();
    for (at, token) in tokens.iter().enumerate() {
        let TokenTree::Group(group) = token else {
            continue;
        };
        let inner = group.stream();
        match &words[at.saturating_sub(5)..at] {
            [.., name, mark] if name == "name" && mark == "!" => {
                names.insert(inner.to_string().trim_matches('"').to_owned());
            }
            [krate, _, _, level, mark]
                if krate == "tracing" && LEVELS.contains(&&**level) && mark == "!" =>
            {
                let words: Vec<_> = inner.clone().into_iter().map(|t| t.to_string()).collect();
                let arguments = words.split(|word| word == ",");
                // The text follows the fields, and the text's own arguments follow the text.
                let fields = arguments.take_while(|argument| !argument[0].starts_with('"'));
                let fields = fields.filter(|argument| argument[0] != "target");
                let place = |field: &[String]| usize::from(["%", "?"].contains(&&*field[0]));
                names.extend(fields.map(|field| field[place(field)].clone()));
            }
            _ => {}
        }
        gather(inner, names);
    }
}

#[test]
fn the_log_fields_in_the_code_match_the_documented_table() {
    let mut written: BTreeSet<String> = OWN.map(str::to_owned).into();
    for (path, text) in crate::tidy::sources() {
        let is_code =
            path.starts_with("crates") && path.components().any(|part| part.as_os_str() == "src");
        if is_code && !crate::tidy::is_test(&path) {
            let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
            gather(code.parse().unwrap(), &mut written);
        }
    }
    let said: BTreeSet<String> = LOG_FIELDS.iter().map(|row| row.name.to_owned()).collect();
    assert_eq!(written, said);
    assert_eq!(said.len(), LOG_FIELDS.len());
}

/// Returns the quoted texts between a mark and an end in Vector's program.
fn quoted(program: &str, mark: &str, end: &str) -> Vec<String> {
    let list = program
        .split_once(mark)
        .unwrap()
        .1
        .split_once(end)
        .unwrap()
        .0;
    let texts = list.split('"').skip(1).step_by(2);
    texts.map(str::to_owned).collect()
}

#[test]
fn the_vector_program_lists_the_names_and_kinds_of_the_table() {
    let program = std::fs::read_to_string(repository().join("deploy/vector/chatgate.vrl")).unwrap();
    for (mark, kind) in [
        ("numbers = [", LogFieldKind::Number),
        ("flags = [", LogFieldKind::Flag),
    ] {
        let rows = LOG_FIELDS.iter().filter(|row| row.kind == kind);
        let names: Vec<_> = rows.map(|row| row.name).collect();
        assert_eq!(quoted(&program, mark, "]"), names);
    }
    // The peer has two names, one for its address and one for its port.
    let own = |row: &&telemetry::LogField| row.open_telemetry == format!("chatgate.{}", row.name);
    let rows = LOG_FIELDS
        .iter()
        .filter(|row| !own(row) && row.name != "peer");
    let rows = rows.filter(|row| row.open_telemetry.contains('.'));
    let names: Vec<_> = rows
        .flat_map(|row| [row.name, row.open_telemetry])
        .collect();
    assert_eq!(quoted(&program, "names = {", "}"), names);
}

/// Checks that each field of a line by the gateway itself is of the table's kind.
fn check_kinds(line: &Value) {
    let target = line["target"].as_str().unwrap_or_default();
    for (name, value) in line.as_object().unwrap() {
        let Some(row) = LOG_FIELDS.iter().find(|row| row.name == name) else {
            continue;
        };
        let is_right = match row.kind {
            LogFieldKind::Text => value.is_string(),
            LogFieldKind::Number => value.is_number(),
            LogFieldKind::Flag => value.is_boolean(),
        };
        assert!(
            is_right || !target.starts_with("chatgate::"),
            "{name} in {line}"
        );
    }
}

/// Makes calls to a gateway that logs in this format, one of them with values that try to mislead a reader. Returns all its lines.
async fn lines(format: &str) -> Vec<String> {
    let sandbox = Sandbox::start();
    let log = format!("[log]\nlevel = \"trace\"\nformat = \"{format}\"\n");
    let toml = format!("{}{log}", sandbox.as_upstream());
    let gateway = Gateway::configured(&toml, &[UPSTREAM_ENVIRONMENT]);
    let demo = gateway.demo();
    let read = |method: &str| {
        let form = format!("class=chat&method={method}");
        client().post(gateway.url("/api/basic/")).body(form)
    };
    let misleading = read("getchatchannels")
        .basic_auth(&demo.user, Some(&demo.password))
        .header(
            "User-Agent",
            "a=\"b\\\" level=ERROR \\ {\"target\":\"x\"} =",
        )
        .header("X-Request-ID", "misleading");
    assert_eq!(Answer::of(misleading).await.status, 200);
    let wrong = read("getchats").basic_auth(&demo.user, Some("wrong\n\"="));
    Answer::of(wrong).await;
    Answer::of(client().get(gateway.url("/%0a%22?x=%0d%0a=\""))).await;
    gateway.process.signal("TERM");
    gateway.process.ended().1
}

#[tokio::test]
async fn vector_parses_every_line_and_finds_the_same_fields_in_both_formats() {
    let program = repository().join("deploy/vector/chatgate.vrl");
    let mut of_format = Vec::new();
    for format in ["json", "logfmt"] {
        let lines = lines(format).await;
        let Some(events) = read_by("vector.py", &[&program], &lines.join("\n")) else {
            return;
        };
        let events: Vec<Value> = serde_json::from_str(&events).unwrap();
        assert_eq!(events.len(), lines.len());
        for (line, event) in lines.iter().zip(&events) {
            // The greeting is for people and is not in the log's format.
            let is_of_log = line.starts_with(if format == "json" { "{" } else { "timestamp=" });
            assert_eq!(event["scope"]["name"].is_string(), is_of_log, "{line}");
            assert!(event["severity_number"].is_number(), "{line}");
            if format == "json" && is_of_log {
                check_kinds(&serde_json::from_str(line).unwrap());
            }
        }
        let of_call = |event: &&Value| {
            event["attributes"]["chatgate.caller_request_id"] == "misleading"
                && event["scope"]["name"] == "chatgate::request"
        };
        let event = events.iter().find(of_call).unwrap();
        assert_eq!(
            (&event["body"], &event["severity_text"]),
            (&"request".into(), &"INFO".into())
        );
        let attributes: BTreeMap<String, Value> =
            serde_json::from_value(event["attributes"].clone()).unwrap();
        assert_eq!(attributes["http.response.status_code"], 200);
        assert_eq!(attributes["network.peer.address"], "127.0.0.1");
        assert_eq!(
            attributes["user_agent.original"],
            "a=\"b\\\" level=ERROR \\ {\"target\":\"x\"} ="
        );
        of_format.push(attributes);
    }
    let names =
        |attributes: &BTreeMap<String, Value>| attributes.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&of_format[0]), names(&of_format[1]));
}
