//! Unmodified third-party clients. Most programs call the six methods that the upstream answers and read one error;
//! `streams::clients` has the programs that call `getevents`.

use std::collections::HashSet;
use std::io::{Seek, Write};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::harness::{Gateway, repository, skipped};

/// Returns the folder where `tests/setup` has put what the programs need.
pub(crate) fn prepared() -> Option<PathBuf> {
    let folder = std::env::var_os("CHATGATE_CLIENTS").map(PathBuf::from);
    if folder.is_none() {
        skipped("CHATGATE_CLIENTS is not set; run tests/setup first");
    }
    folder
}

/// Starts a gateway that accepts the tokens of an issuer that one of the programs plays.
fn gateway(issuer: Option<&Path>) -> Gateway {
    let mut toml = "[limits]\nper_address_per_minute = 1000000\n".to_owned();
    if let Some(folder) = issuer {
        let jwks = folder.join("jwks.json");
        toml.push_str(&format!(
            "[[jwt.issuers]]\nissuer = \"https://issuer.example\"\njwks = \"{}\"\naudience = [\"chatgate-tests\"]\naccesses = [\"demo\"]\ndefault_scope = \"chat\"\n",
            jwks.display()
        ));
    }
    Gateway::configured(&toml, &[])
}

pub fn run(program: &str, arguments: &[&str], environment: &[(&str, String)]) -> Option<String> {
    let folder = prepared()?;
    let ran = Command::new("sh")
        .arg(repository().join("tests/clients/run"))
        .arg(folder)
        .arg(program)
        .args(arguments)
        .envs(environment.iter().map(|(name, value)| (*name, value)))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&ran.stdout).into_owned();
    assert!(
        ran.status.success(),
        "{program}\n{said}\n{}",
        String::from_utf8_lossy(&ran.stderr)
    );
    Some(said)
}

/// Returns the output of a program in `tests/clients/telemetry` for this input, or `None` if its libraries are missing.
pub(crate) fn read_by(program: &str, arguments: &[&Path], input: &str) -> Option<String> {
    let python = prepared()?.join("telemetry/bin/python");
    if !python.exists() {
        skipped("the libraries that read metrics and the log are missing; run tests/setup");
        return None;
    }
    let mut given = tempfile::tempfile().unwrap();
    given.write_all(input.as_bytes()).unwrap();
    given.rewind().unwrap();
    let program = repository().join("tests/clients/telemetry").join(program);
    let ran = Command::new(python)
        .arg(program)
        .args(arguments)
        .stdin(given)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&ran.stderr);
    assert!(ran.status.success(), "{said}");
    Some(String::from_utf8(ran.stdout).unwrap())
}

/// Returns whether `tests/setup` could install a stack that not every release of Debian has.
fn is_there(stack: &str) -> bool {
    let Some(folder) = prepared() else {
        return false;
    };
    let missing = std::fs::read_to_string(folder.join(format!("{stack}.skipped")));
    if let Ok(reason) = &missing {
        skipped(reason.trim());
    }
    missing.is_err()
}

fn environment(gateway: &Gateway, program: &str) -> Vec<(&'static str, String)> {
    let demo = gateway.demo();
    vec![
        ("CHATGATE_URL", gateway.url("")),
        ("CHATGATE_USER", demo.user),
        ("CHATGATE_PASSWORD", demo.password),
        ("CHATGATE_CLIENT_ID", demo.client_id),
        ("CHATGATE_CLIENT_SECRET", demo.client_secret),
        ("CHATGATE_DESTINATION", program.replace(['.', '_'], "-")),
        ("CHATGATE_ACCESS", "demo".to_owned()),
    ]
}

#[track_caller]
fn check(program: &str) {
    let gateway = gateway(None);
    let Some(said) = run(program, &[], &environment(&gateway, program)) else {
        return;
    };
    assert_eq!(
        said.lines().last(),
        Some("ok 6 operations, 1 error"),
        "{program}: {said}"
    );
    let called: HashSet<_> = gateway
        .request_log()
        .iter()
        .map(|line| line["method"].as_str().unwrap().to_owned())
        .collect();
    assert!(called.len() >= 6, "{program} called only {called:?}");
    println!("{program}: {}", said.lines().last().unwrap_or_default());
}

#[track_caller]
fn check_issuer(program: &str) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().to_str().unwrap().to_owned();
    if run(program, &["keygen", &path], &[]).is_none() {
        return;
    }
    let gateway = gateway(Some(folder.path()));
    let mut environment = environment(&gateway, program);
    environment.push(("ISSUER_DIR", path.clone()));
    let said = run(program, &["call", &path], &environment).unwrap();
    assert!(
        said.lines()
            .last()
            .is_some_and(|line| line.starts_with("ok")),
        "{program}: {said}"
    );
}

#[test]
fn python_urllib_by_get_and_post() {
    check("python_urllib.py");
}

#[test]
fn php_curl_with_an_array() {
    check("php_curl.php");
}

#[test]
fn node_with_an_empty_post() {
    check("node_https.js");
}

#[test]
fn a_raw_http_1_0_socket() {
    check("raw_http10.py");
}

#[test]
fn zeep() {
    check("zeep_client.py");
}

#[test]
fn php_soap_client() {
    check("php_soap.php");
}

#[test]
fn node_soap() {
    check("node_soap.js");
}

#[test]
fn soap_lite() {
    check("soap_lite.pl");
}

#[test]
fn nusoap_in_iso_8859_1() {
    if is_there("nusoap") {
        check("nusoap.php");
    }
}

#[test]
fn axis_with_its_generated_stubs() {
    if is_there("axis") {
        check("AxisClient.java");
    }
}

#[test]
fn mono_receives_the_fault_that_its_contract_declares() {
    if !is_there("servicemodel") {
        return;
    }
    let gateway = gateway(None);
    let program = "mono_fault.cs";
    if let Some(said) = run(program, &[], &environment(&gateway, program)) {
        assert_eq!(
            said.lines().last(),
            Some("ok two faults with code and text")
        );
        println!("{program}: {said}");
    }
}

#[test]
fn pyjwt_verifies_our_tokens() {
    check("pyjwt_client.py");
}

#[test]
fn jose_verifies_our_tokens() {
    check("jose_client.js");
}

#[test]
fn the_gateway_verifies_tokens_of_pyjwt() {
    check_issuer("pyjwt_issuer.py");
}

#[test]
fn the_gateway_verifies_tokens_of_jose() {
    check_issuer("jose_issuer.js");
}
