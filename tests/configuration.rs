//! Tests of the configuration file: the example is complete and true, and all mistakes are reported together, each with its place.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::process::Command;

use gateway::config::Config;
use settings::{Flag, Sources};
use tempfile::TempDir;

use crate::harness::{Gateway, binary, repository};

pub fn example() -> String {
    std::fs::read_to_string(repository().join("config/chatgate.toml")).unwrap()
}

pub(crate) fn mistakes(file: &str) -> Vec<String> {
    let sources = Sources {
        file: file.to_owned(),
        ..Sources::default()
    };
    Config::read(&sources)
        .err()
        .unwrap_or_default()
        .iter()
        .map(ToString::to_string)
        .collect()
}

/// Enables the commented keys of the example: `# key = value` becomes `key = value`.
pub fn with_every_key(example: &str) -> String {
    let is_key = |line: &str| {
        line.split_once('=').is_some_and(|(name, _)| {
            let name = name.trim();
            !name.is_empty() && name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_')
        })
    };
    let lines = example.lines().map(|line| match line.strip_prefix("# ") {
        Some(rest) if is_key(rest) || rest.starts_with("[[") => rest,
        _ => line,
    });
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn the_example_configuration_is_valid_and_starts() {
    assert_eq!(mistakes(&example()), [] as [&str; 0]);
    let folder = tempfile::tempdir().unwrap();
    let checked = Command::new(binary())
        .args(["check", "--config"])
        .arg(repository().join("config/chatgate.toml"))
        .current_dir(folder.path())
        .output()
        .unwrap();
    assert!(
        checked.status.success(),
        "{}",
        String::from_utf8_lossy(&checked.stderr)
    );
    Gateway::configured(&example(), &[]);
}

#[test]
fn every_key_in_the_example_is_a_known_setting() {
    let whole = with_every_key(&example());
    let unknown: Vec<_> = mistakes(&whole)
        .into_iter()
        .filter(|text| text.contains("no such setting"))
        .collect();
    assert!(unknown.is_empty(), "{unknown:?}");
}

#[test]
fn every_configuration_mistake_is_reported_with_its_position() {
    let file = "[server]\nlisten = \"here\"\nalow = []\nallow = [\"10.1.2.3/8\", \"10.0.0.0/8\", \"x\"]\n\
                [limits]\nbody_bytes = \"1 megabyte\"\nconnections = 0\nguesses_per_name = 1\n[upstream]\nurl = \"https://u:p@x/\"\n\
                password = \"plain\"\n[ways.http]\nstatus = \"nice\"\n[[accesses]]\nname = \"a b\"\nallow = [\"0.0.0.0/0\"]\n";
    insta::assert_snapshot!(mistakes(file).join("\n"), @r#"
    line 2, column 10: server.listen: here is not an address; write ADDRESS:PORT, such as 127.0.0.1:8080
    line 3, column 1: server.alow: there is no such setting
    line 4, column 10: server.allow: 10.1.2.3/8 has host bits set; write 10.0.0.0/8 or 10.1.2.3/32
    line 4, column 38: server.allow: x is not a network; write ADDRESS/BITS
    line 6, column 14: limits.body_bytes: 1 megabyte is not a size; write a number of bytes, or one with KiB, MiB or GiB
    line 7, column 15: limits.connections: 0 is not a whole number from 1 to 4294967295
    line 8, column 20: limits.guesses_per_name: 1 is not a whole number from 2 to 4294967295
    line 10, column 7: upstream.url: write the endpoint alone, without credentials, query or fragment
    line 11, column 12: upstream.password: a secret must not be in the configuration file; write "env:NAME" or "file:PATH"
    line 13, column 10: ways.http.status: nice is not one of compat, mapped
    line 15, column 8: accesses.0.name: a b is not a name; use 1 to 64 letters, digits, . _ - and no dot first
    line 16, column 10: accesses.0.allow: 0.0.0.0/0 contains every address; write "any" if you mean that
    accesses.0.password: an access needs a password
    accesses.0.user: it is required
    upstream.user: an upstream needs url, user and password
    "#);
}

/// Joined with the name of its table, such a name looks like a setting.
#[test]
fn a_quoted_name_with_a_dot_is_rejected_as_unknown() {
    let file = "[\"server.tls\"]\ncert = \"c.pem\"\n[server]\n\"tls.key\" = \"k.pem\"\n[[accesses]]\n\"user.x\" = 1\n";
    let found = mistakes(file);
    for (place, name) in [
        ("line 1, column 2", r#""server.tls""#),
        ("line 4, column 1", r#"server."tls.key""#),
        ("line 6, column 1", r#"accesses.0."user.x""#),
    ] {
        let expected =
            format!("{place}: {name}: there is no such setting; write it without quotes");
        assert!(found.contains(&expected), "{expected}: {found:#?}");
    }
}

#[test]
fn shared_store_settings_are_required_with_postgres_and_rejected_without_it() {
    let reported = |file: &str, keys: &[&str]| {
        let found = mistakes(file);
        for key in keys {
            let line = format!("{key}: ");
            assert!(
                found.iter().any(|text| text.contains(&line)),
                "{key}: {found:?}"
            );
        }
        assert_eq!(found.len(), keys.len(), "{found:?}");
    };
    let alone = "[store]\nkind = \"postgres\"\n[server]\ndemo = true\n";
    reported(
        alone,
        &[
            "server.demo",
            "store.url",
            "store.seal",
            "admin.key",
            "upstream.url",
            "server.public_url",
        ],
    );
    let file = "[store]\nconnections = 9\n[replicas]\nname = \"a\"\n";
    reported(file, &["store.connections", "replicas.name"]);
    let times = "[replicas]\nlease = \"2s\"\nstale_max = \"1s\"\n";
    let found = mistakes(times).join("\n");
    assert!(found.contains("less than 5s") && found.contains("less than replicas.lease"));
    let environment = [
        (
            "CHATGATE__STORE__URL",
            "postgres://u:secret-word@db/chatgate",
        ),
        ("CHATGATE__STORE__SEAL", "c2hvcnQ="),
        ("CHATGATE__ADMIN__KEY", "short"),
    ];
    let sources = Sources {
        environment: environment
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into(),
        file: alone.to_owned(),
        ..Sources::default()
    };
    let found = Config::read(&sources).err().unwrap_or_default();
    let found: Vec<_> = found.iter().map(ToString::to_string).collect();
    let found = found.join("\n");
    assert!(
        found.contains("openssl rand") && found.contains("shorter than 32"),
        "{found}"
    );
    assert!(
        !found.contains("secret-word") && !found.contains("c2hvcnQ"),
        "{found}"
    );
}

#[test]
fn a_reload_rejects_by_name_shared_store_settings_that_need_a_restart() {
    let seal = |byte: char| format!("{}=", byte.to_string().repeat(43));
    let read = |seal: String, more: &str, before: Option<&Config>| {
        let environment = [
            (
                "CHATGATE__STORE__URL",
                "postgres://u:p@db/chatgate".to_owned(),
            ),
            ("CHATGATE__STORE__SEAL", seal),
            ("CHATGATE__ADMIN__KEY", "k".repeat(32)),
            ("CHATGATE__UPSTREAM__USER", "u".to_owned()),
            ("CHATGATE__UPSTREAM__PASSWORD", "p".to_owned()),
        ];
        let file = format!(
            "[server]\npublic_url = \"https://gate.example/\"\n[upstream]\nurl = \"https://chat.example/\"\n\
             [store]\nkind = \"postgres\"\n{more}"
        );
        let sources = Sources {
            environment: environment
                .map(|(name, value)| (name.to_owned(), value))
                .into(),
            file,
            ..Sources::default()
        };
        Config::read_after(&sources, before)
    };
    let before = read(seal('A'), "", None).unwrap();
    assert!(read(seal('A'), "", Some(&before)).is_ok());
    let more = "connections = 9\n[replicas]\nack_wait = \"3s\"\n";
    let refused = read(seal('Q'), more, Some(&before)).err().unwrap();
    for key in ["store.seal", "store.connections", "replicas.ack_wait"] {
        let is_named = |text: &String| text.contains(&format!("{key}: it can't change while"));
        assert!(
            refused
                .iter()
                .map(ToString::to_string)
                .any(|text| is_named(&text)),
            "{key}"
        );
    }
    assert_eq!(refused.len(), 3);
}

#[test]
fn a_reload_rejects_by_name_shared_count_settings_that_need_a_restart() {
    let read = |password: &str, timeout: &str, before: Option<&Config>| {
        let sources = Sources {
            environment: [("CHATGATE__SHARED__PASSWORD", password)]
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .into(),
            file: format!("[shared]\nurl = \"redis://counts\"\ntimeout = \"{timeout}\"\n"),
            ..Sources::default()
        };
        Config::read_after(&sources, before)
    };
    let before = read("one", "25ms", None).unwrap();
    assert!(read("one", "25ms", Some(&before)).is_ok());
    for (password, timeout, key) in [
        ("two", "25ms", "shared.password"),
        ("one", "30ms", "shared.timeout"),
    ] {
        let refused = read(password, timeout, Some(&before)).err().unwrap();
        let refused: Vec<_> = refused.iter().map(ToString::to_string).collect();
        assert_eq!(refused.len(), 1, "{refused:?}");
        let expected = format!("{key}: it can't change while");
        assert!(refused[0].contains(&expected), "{refused:?}");
    }
}

#[test]
fn flags_override_the_environment_and_the_environment_overrides_the_file() {
    let mut sources = Sources {
        file: "[limits]\nsoap_bytes = 1\n[server]\nlisten = \"127.0.0.1:1\"".to_owned(),
        ..Sources::default()
    };
    let read = |sources: &Sources| {
        let config = Config::read(sources).unwrap_or_else(|mistakes| panic!("{mistakes:?}"));
        (config.limits.soap_bytes, config.listen.port())
    };
    assert_eq!(read(&sources), (1, 1));
    sources
        .environment
        .insert("CHATGATE__LIMITS__SOAP_BYTES".to_owned(), "2KiB".to_owned());
    sources.environment.insert(
        "CHATGATE__SERVER__LISTEN".to_owned(),
        "127.0.0.1:2".to_owned(),
    );
    assert_eq!(read(&sources), (2048, 2));
    let (name, value) = ("--listen", "127.0.0.1:3".to_owned());
    sources.flags.insert("server.listen", Flag { name, value });
    assert_eq!(read(&sources), (2048, 3));
    sources
        .environment
        .insert("CHATGATE__SERVER__LISEN".to_owned(), String::new());
    assert!(Config::read(&sources).is_err());
}

#[test]
fn unknown_log_levels_and_oversized_numbers_are_reported() {
    let reported = |file: &str| {
        let sources = Sources {
            file: file.to_owned(),
            ..Sources::default()
        };
        let mistakes = Config::read(&sources).err().unwrap_or_default();
        let reported: Vec<_> = mistakes.iter().map(ToString::to_string).collect();
        reported.join("\n")
    };
    let words = [
        "wran",
        "chatgate",
        "3",
        "infoforward=debug,x",
        "=info",
        "info,",
        "",
    ];
    for level in words
        .into_iter()
        .chain(["gateway[span]=trace", "a[{b=\\\\w{9}}]=info"])
    {
        let file = format!("[log]\nlevel = \"{level}\"\n");
        assert!(reported(&file).contains("is not off, error"), "{level}");
    }
    for level in ["WARN", "off", "info,forward=debug", "a::b-c=off"] {
        assert_eq!(reported(&format!("[log]\nlevel = \"{level}\"\n")), "");
    }
    let large = "[log]\nlevel = 444444444444444444444\n[limits]\nbody_bytes = 0x8000000000000000\n";
    let lines = reported(large);
    for place in ["line 2, column 9", "line 4, column 14"] {
        let line = format!("{place}: the number does not fit into 64 bits");
        assert!(lines.contains(&line), "{lines}");
    }
}

#[test]
fn mistakes_that_would_fail_at_run_time_are_reported_at_load() {
    let file = "[log]\nlevel = \"foo=bar=baz\"\n[limits]\nbody_bytes = 0\nsoap_bytes = \"4MiB\"\n\
                [upstream]\nurl = \"http://u:secretcanary@\"\nroots = \"file:nowhere.pem\"\nuser = \"\"\n\
                [[accesses]]\nname = \"a\"\nuser = \"u\"\npassword = \"env:P\"\n\
                [[accesses]]\nname = \"a\"\nuser = \"u\"\npassword = \"env:P\"\n\
                [[jwt.issuers]]\nissuer = \"i\"\njwks = \"nowhere.json\"\naudience = [\"x\"]\nalgorithms = []\n";
    let environment = [("P".to_owned(), "a password".to_owned())].into();
    let sources = Sources {
        file: file.to_owned(),
        environment,
        ..Sources::default()
    };
    let reported = Config::read(&sources).err().unwrap_or_default();
    let reported: Vec<_> = reported.iter().map(ToString::to_string).collect();
    assert!(!reported.join("\n").contains("secretcanary"));
    insta::assert_snapshot!(reported.join("\n"), @r#"
    line 2, column 9: log.level: "foo=bar=baz" is not off, error, warn, info, debug or trace; write the level of a module as forward=debug
    line 4, column 14: limits.body_bytes: 0 is not between 1 byte and 67108864
    line 5, column 14: limits.soap_bytes: 4MiB is not between 1 byte and 262144
    line 7, column 7: upstream.url: it is not a URL: empty host
    line 8, column 9: upstream.roots: nowhere.pem: No such file or directory (os error 2)
    line 9, column 8: upstream.user: write 1 to 256 bytes
    line 15, column 8: accesses.1.name: another entry already has the value a
    line 16, column 8: accesses.1.user: another entry already has the value u
    line 20, column 8: jwt.issuers.0.jwks: nowhere.json: No such file or directory (os error 2)
    jwt.issuers.0.algorithms: name at least one algorithm
    upstream.password: an upstream needs url, user and password
    "#);
}

#[test]
fn a_seeded_password_must_meet_the_rules_of_the_admin_api() {
    let folder = TempDir::new().unwrap();
    let (config, file) = (folder.path().join("c.toml"), folder.path().join("two"));
    std::fs::write(&file, "first line\nsecond line\n").unwrap();
    let long = "p".repeat(1025);
    let two_lines = format!("file:{}", file.display());
    for (password, said) in [
        ("env:SHORT", "at least 8 characters"),
        ("env:LONG", "at most 1024 bytes"),
        (&two_lines, "a control character"),
    ] {
        let toml = format!(
            "[[accesses]]\nname = \"a\"\nuser = \"a\"\npassword = \"{password}\"\nallow = [\"any\"]\n"
        );
        std::fs::write(&config, toml).unwrap();
        for command in ["check", "serve"] {
            let ran = Command::new(binary())
                .args([command, "--config"])
                .arg(&config)
                .current_dir(folder.path())
                .envs([("SHORT", "x"), ("LONG", &long)])
                .output()
                .unwrap();
            let error = String::from_utf8_lossy(&ran.stderr);
            assert_eq!(ran.status.code(), Some(64), "{command}: {error}");
            assert!(error.contains(said), "{command}: {error}");
        }
    }
}

/// Runs `chatgate check` with these variables and returns its exit code and its output.
fn checked(variables: &[(&[u8], &[u8])]) -> (Option<i32>, String) {
    let variables = variables
        .iter()
        .map(|(name, value)| (OsStr::from_bytes(name), OsStr::from_bytes(value)));
    let output = Command::new(binary())
        .arg("check")
        .envs(variables)
        .output()
        .unwrap();
    let reported = String::from_utf8_lossy(&output.stderr).into_owned();
    (output.status.code(), reported)
}

#[test]
fn an_environment_variable_without_effect_is_a_mistake() {
    for (name, value, expected) in [
        (
            &b"CHATGATE__SERVER__ALLOW"[..],
            &b"192.0.2.0/24\xa0"[..],
            "CHATGATE__SERVER__ALLOW: it is not UTF-8",
        ),
        (
            b"CHATGATE__SERVER__ALLOW\xff",
            b"192.0.2.0/24",
            "it is not UTF-8",
        ),
        (
            b"CHATGATE__JWT__ISSUERS",
            b"x",
            "CHATGATE__JWT__ISSUERS: it is a list of tables",
        ),
        (b"CHATGATE__ACCESSES", b"x", "it is a list of tables"),
        (b"CHATGATE__SERVER", b"x", "there is no such setting"),
        (
            b"CHATGATE__UPSTREAM__NEXT_USER",
            b"x",
            "without upstream.url it has no effect",
        ),
        (
            b"CHATGATE__UPSTREAM__FALLBACK_URLS",
            b"http://a/",
            "without upstream.url it has no effect",
        ),
    ] {
        let (code, reported) = checked(&[(name, value)]);
        assert_eq!(code, Some(64), "{reported}");
        assert!(reported.contains(expected), "{expected}: {reported}");
    }
    // Variables that are not ours may hold anything. A wrong secret is reported as a secret.
    assert_eq!(checked(&[(b"OTHER", b"\xff")]).0, Some(0));
    let (code, reported) = checked(&[
        (b"CHATGATE__UPSTREAM__URL", b"http://a/"),
        (b"CHATGATE__UPSTREAM__USER", b"u"),
        (b"CHATGATE__UPSTREAM__PASSWORD", b"env:SECRET"),
        (b"SECRET", b"gehe\xefm"),
    ]);
    assert_eq!(code, Some(64), "{reported}");
    let expected = "the environment variable SECRET is not UTF-8";
    assert!(reported.contains(expected), "{reported}");
}

#[test]
fn conflicting_listeners_and_issuers_are_configuration_mistakes() {
    let issuer = |name: &str| {
        format!(
            "[[jwt.issuers]]\nissuer = {name:?}\njwks = \"https://127.0.0.1:1/\"\naudience = [\"a\"]\naccesses = [\"*\"]\n"
        )
    };
    let listeners = |listen: &str, admin: &str| {
        format!(
            "[server]\nlisten = {listen:?}\nadmin_listen = {admin:?}\n[upstream]\nsandbox = true\n"
        )
    };
    for (file, expected) in [
        (
            listeners("127.0.0.1:9", "127.0.0.1:9"),
            "server.admin_listen",
        ),
        (listeners("0.0.0.0:9", "127.0.0.1:9"), "server.admin_listen"),
        (listeners("127.0.0.1:9", "[::]:9"), "server.admin_listen"),
        (listeners("[::]:9", "0.0.0.0:9"), "server.admin_listen"),
        (
            format!(
                "[server]\npublic_url = \"https://g/\"\n{}",
                issuer("https://g")
            ),
            "jwt.issuers.0.issuer",
        ),
        (
            format!(
                "{}{}",
                issuer("https://other"),
                issuer("http://127.0.0.1:8080")
            ),
            "jwt.issuers.1.issuer",
        ),
    ] {
        let found = mistakes(&file);
        assert!(found.len() == 1 && found[0].contains(expected), "{found:?}");
    }
    for file in [
        listeners("127.0.0.1:0", "127.0.0.1:0"),
        listeners("127.0.0.1:9", "127.0.0.1:10"),
        listeners("127.0.0.1:9", "127.0.0.2:9"),
        listeners("0.0.0.0:9", "[::1]:9"),
        format!(
            "[server]\nlisten = \"127.0.0.1:0\"\n{}",
            issuer("http://127.0.0.1:0")
        ),
    ] {
        assert_eq!(mistakes(&file), [] as [&str; 0], "{file}");
    }
}

#[test]
fn trusting_every_proxy_requires_the_word_any_and_gives_a_warning() {
    for everybody in ["0.0.0.0/0", "::/0"] {
        let found = mistakes(&format!("[server]\ntrusted_proxies = [{everybody:?}]\n"));
        assert!(
            found.len() == 1 && found[0].contains("write \"any\""),
            "{found:?}"
        );
    }
    let (code, reported) = checked(&[(b"CHATGATE__SERVER__TRUSTED_PROXIES", b"any")]);
    assert_eq!(code, Some(0), "{reported}");
    assert!(
        reported.contains("server.trusted_proxies is \"any\""),
        "{reported}"
    );
    let (_, reported) = checked(&[(b"CHATGATE__SERVER__TRUSTED_PROXIES", b"10.0.0.0/8")]);
    assert_eq!(reported, "");
}
