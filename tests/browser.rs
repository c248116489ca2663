//! Runs Debian's Chromium, driven by the programs in `tests/clients`.

use std::process::Command;

use crate::harness::{Gateway, repository};
use crate::real_clients::prepared;

/// Runs a program in front of a gateway and its sandbox.
pub(crate) fn browse(program: &str, toml: &str) {
    let Some(folder) = prepared() else {
        return;
    };
    let gateway = Gateway::configured(
        &format!("{toml}[limits]\nper_address_per_minute = 1000000\n"),
        &[],
    );
    let demo = gateway.demo();
    let ran = Command::new("sh")
        .arg(repository().join("tests/clients/run"))
        .arg(folder)
        .arg(program)
        .env("CHATGATE_URL", gateway.url(""))
        .env("CHATGATE_SANDBOX", gateway.sandbox_url())
        .env("CHATGATE_USER", demo.user)
        .env("CHATGATE_PASSWORD", demo.password)
        .env("CHATGATE_CLIENT_ID", demo.client_id)
        .env("CHATGATE_CLIENT_SECRET", demo.client_secret)
        .env(
            "CHATGATE_SCREENSHOTS",
            repository().join("target/screenshots"),
        )
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&ran.stdout).into_owned();
    assert!(
        ran.status.success(),
        "{program}\n{said}\n{}",
        String::from_utf8_lossy(&ran.stderr)
    );
    println!("{said}");
    assert!(
        said.lines()
            .last()
            .is_some_and(|line| line.starts_with("ok")),
        "{said}"
    );
}
