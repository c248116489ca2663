//! Tests of the configuration's schema, and of the check of a file against it.

use std::collections::BTreeMap;
use std::process::Command;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::configuration::{example, with_every_key};
use crate::harness::{binary, run};

#[test]
fn config_schema_is_printed_without_opening_a_file() {
    let folder = TempDir::new().unwrap();
    // A pipe without a writer blocks a process that opens it.
    let names = ["anything", "true", "false", "1s", "1KiB", "0", "1", "2"];
    let made = Command::new("mkfifo")
        .args(names)
        .current_dir(&folder)
        .status();
    assert!(made.unwrap().success());
    let ran = Command::new("timeout")
        .args(["20", binary(), "config-schema"])
        .current_dir(&folder)
        .output()
        .unwrap();
    assert_eq!(ran.status.code(), Some(0), "it waits for a file");
    let elsewhere = run(&["config-schema"]);
    assert_eq!(String::from_utf8(ran.stdout).unwrap(), elsewhere.output);
    let bytes = &elsewhere.json()["properties"]["journal"]["properties"]["bytes"];
    assert_eq!(bytes["pattern"], "^[0-9]+ *(KiB|MiB|GiB)?$");
}

#[test]
fn check_json_lists_mistakes_with_their_positions() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("chatgate.toml");
    let check = |text: &str| {
        std::fs::write(&file, text).unwrap();
        run(&[
            "check",
            "--json",
            "--listen",
            "nowhere",
            "--config",
            file.to_str().unwrap(),
        ])
    };
    let wrong = check("[server]\nalow = []\n");
    assert_eq!(
        (wrong.code, wrong.error.as_str()),
        (Some(64), "chatgate: there are 2 mistakes\n")
    );
    assert_eq!(
        wrong.json(),
        json!([
            { "line": 2, "column": 1, "source": null, "text": "server.alow: there is no such setting" },
            { "line": null, "column": null, "source": "--listen",
              "text": "server.listen: nowhere is not an address; write ADDRESS:PORT, such as 127.0.0.1:8080" },
        ])
    );
    let right = run(&["check", "--json"]);
    assert_eq!((right.code, right.json()), (Some(0), json!([])));
}

/// Collects each key of a schema that is not a table, by its dotted name. Elements of arrays of tables have their array's name.
fn keys_of_schema<'a>(prefix: &str, schema: &'a Value, found: &mut BTreeMap<String, &'a Value>) {
    assert_eq!(schema["additionalProperties"], json!(false), "{prefix}");
    for (name, schema) in schema["properties"].as_object().unwrap() {
        let key = format!("{prefix}{name}");
        let inner = format!("{key}.");
        if schema["properties"].is_object() {
            keys_of_schema(&inner, schema, found);
        } else if schema["items"]["properties"].is_object() {
            assert!(
                schema["description"].is_string(),
                "{key} has no description"
            );
            keys_of_schema(&inner, &schema["items"], found);
        } else {
            found.insert(key, schema);
        }
    }
}

/// Collects each key of a file with its value.
fn keys_of_file(prefix: &str, table: &toml::Table, found: &mut BTreeMap<String, Value>) {
    for (name, value) in table {
        let key = format!("{prefix}{name}");
        let inner = format!("{key}.");
        match value {
            toml::Value::Table(table) => keys_of_file(&inner, table, found),
            toml::Value::Array(list) if list.iter().any(toml::Value::is_table) => {
                keys_of_file(&inner, list[0].as_table().unwrap(), found);
            }
            value => {
                found.insert(key, serde_json::to_value(value).unwrap());
            }
        }
    }
}

/// Returns whether a value has a schema's type and is one of its words.
fn fits(value: &Value, schema: &Value) -> bool {
    let name = match value {
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::Array(_) => "array",
        _ => "string",
    };
    let types = &schema["type"];
    let is_of_type = types == name || types.as_array().is_some_and(|t| t.contains(&name.into()));
    let is_a_word = schema["enum"]
        .as_array()
        .is_none_or(|words| words.contains(value));
    let mut elements = value.as_array().into_iter().flatten();
    is_of_type && is_a_word && elements.all(|element| fits(element, &schema["items"]))
}

#[test]
fn the_schema_matches_the_keys_and_defaults_of_the_example() {
    let schema = run(&["config-schema"]).json();
    assert_eq!(
        schema["$schema"],
        "https://json-schema.org/draft/2020-12/schema"
    );
    let mut in_schema = BTreeMap::new();
    keys_of_schema("", &schema, &mut in_schema);
    let (mut all, mut defaults) = (BTreeMap::new(), BTreeMap::new());
    keys_of_file("", &with_every_key(&example()).parse().unwrap(), &mut all);
    keys_of_file("", &example().parse().unwrap(), &mut defaults);
    assert_eq!(
        in_schema.keys().collect::<Vec<_>>(),
        all.keys().collect::<Vec<_>>()
    );
    for (key, schema) in &in_schema {
        let description = schema["description"].as_str().unwrap_or_default();
        assert!(
            description.ends_with('.') && description.len() > 12,
            "{key}: {description}"
        );
        assert!(
            fits(&all[key], schema),
            "{key}: {} does not fit {schema}",
            all[key]
        );
        // A key that is not commented out in the example has its default there.
        if let Some(default) = defaults.get(key) {
            assert_eq!(&schema["default"], default, "{key}");
        }
    }
    let required = &schema["properties"]["jwt"]["properties"]["issuers"]["items"]["required"];
    assert_eq!(required, &json!(["issuer", "jwks"]));
    assert_eq!(in_schema["jwt.issuers.refresh"]["default"], "5m");
    assert_eq!(
        in_schema["log.format"]["enum"],
        json!(["json", "logfmt", "text"])
    );
}
