//! Judges the configuration file. Input: its text.

use std::collections::BTreeMap;

use gateway::config::{ChangedKeys, Config};
use settings::{ConfigError, Sources};

/// The value of the secret `env:CANARY`, which no error may repeat.
const CANARY: &str = "canary-7f3a";

pub(crate) fn judge(input: &[u8]) {
    let Ok(file) = std::str::from_utf8(input) else {
        return;
    };
    // Settings name files, and some special files never end.
    if ["/dev", "/proc", "/sys", "\\u", "\\U", "\\x"]
        .iter()
        .any(|part| file.contains(part))
    {
        return;
    }
    let read = |file: &str| Config::read(&sources(file));
    let parsed = file.parse::<toml::Table>();
    match read(file) {
        Ok(config) => {
            assert!(parsed.is_ok(), "a file that is no TOML was taken");
            bounds(&config);
            let again = Config::read_after(&sources(file), Some(&config));
            assert!(
                again.is_ok(),
                "a file can't follow itself: {:?}",
                again.err()
            );
            let longer = format!("{file}\n# The end.\n");
            assert!(read(&longer).is_ok(), "a remark changes something");
            let changed = Config::changed(&sources(file), &sources(&longer));
            assert_eq!(changed, ChangedKeys::default());
            let stranger = format!("nobody_asked_for_this = 1\n{file}");
            assert!(read(&stranger).is_err(), "an unknown key was taken");
        }
        Err(errors) => {
            assert!(!errors.is_empty(), "refused without a reason");
            let lines = file.split('\n').count();
            for error in &errors {
                describes(error, lines);
            }
            let again: Vec<_> = read(file).err().unwrap_or_default();
            assert_eq!(again, errors);
        }
    }
}

fn sources(file: &str) -> Sources {
    Sources {
        file: file.to_owned(),
        environment: BTreeMap::from([("CANARY".to_owned(), CANARY.to_owned())]),
        ..Sources::default()
    }
}

/// Checks properties that every accepted configuration has.
fn bounds(config: &Config) {
    assert!(config.limits.body_bytes > 0 && config.limits.soap_bytes > 0);
    assert!(config.limits.connections > 0 && config.limits.connections_per_address > 0);
    assert!(!config.limits.header_timeout.is_zero());
    assert!(!config.limits.request_timeout.is_zero());
    for access in &config.accesses {
        let name = &access.name;
        assert!(!name.is_empty() && name.len() <= 64);
        assert!(!access.user.is_empty());
    }
    if let Some(url) = &config.public_url {
        assert!(matches!(url.scheme(), "http" | "https") && url.path() == "/");
    }
}

/// Checks that an error has a text without secrets, and a line that exists in the file.
fn describes(error: &ConfigError, lines: usize) {
    let text = error.to_string();
    assert!(!text.is_empty() && !text.contains(CANARY), "{text}");
    let json = error.to_json();
    assert!(json["text"].as_str().is_some_and(|text| !text.is_empty()));
    if let Some(line) = json["line"].as_u64() {
        assert!(
            (1..=lines as u64).contains(&line),
            "{text} in {lines} lines"
        );
    }
}
