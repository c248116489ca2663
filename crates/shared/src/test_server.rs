//! Starts a server for a test.

#[expect(dead_code, reason = "the end-to-end tests use the rest")]
#[path = "../../../tests/harness/valkey.rs"]
mod server;
#[expect(
    dead_code,
    unreachable_pub,
    reason = "the end-to-end tests use the rest"
)]
#[path = "../../../tests/harness/wait.rs"]
mod wait;

use std::io::Write;
use std::time::Duration;

use crate::{CountKeys, SharedCounts, ValkeyOptions, ValkeyUrl};

pub(crate) use server::Valkey;
pub(crate) use wait::until;

/// Longer than a call would wait, because this machine may be busy.
const TIMEOUT: Duration = Duration::from_secs(1);

/// Starts a separate server. Returns `None` if Valkey is missing; prints that, and fails under CI.
pub(crate) fn start() -> Option<Valkey> {
    let server = Valkey::start();
    if server.is_none() {
        let said = "skipped: Valkey is missing; run tests/setup";
        assert!(std::env::var_os("CI").is_none(), "{said}");
        let _ = writeln!(std::io::stderr(), "{said}");
    }
    server
}

/// Returns options for the server.
pub(crate) fn options(server: &Valkey) -> ValkeyOptions {
    ValkeyOptions {
        url: ValkeyUrl::parse(&server.url()).unwrap(),
        user: None,
        password: None,
        sentinel_password: None,
        authorities: None,
        timeout: TIMEOUT,
    }
}

/// Returns counts that use the server.
pub(crate) async fn counts(server: &Valkey) -> SharedCounts {
    SharedCounts::start(options(server), CountKeys::new(b"secret")).await
}
