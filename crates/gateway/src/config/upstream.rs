//! Reads the settings of the upstream: its endpoints, its accounts, and the limits of the client that calls it.

use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::time::Duration;

use client::{ClientConfig, Roots};
use forward::{UpstreamAccount, UpstreamAuth, UpstreamConfig, UpstreamLimits};
use settings::{Reader, ValueKind, parse};

use super::exposure::check_sandbox;
use super::limits::BODY_BYTES_LIMIT;
use super::parse_chatgate::{bounded, upstream_url};

/// Maximum value of the limit on attempts per call. The wait doubles with each attempt.
const ATTEMPTS_MAX: u32 = 10;

pub(super) fn upstream_limits(reader: &mut Reader<'_>) -> UpstreamLimits {
    UpstreamLimits {
        attempts_max: reader.value("upstream.attempts", "3", ValueKind::Count(1), |text| {
            parse::count_within(text, 1..=ATTEMPTS_MAX).map(NonZeroU32::get)
        }),
        calls_max: reader.count("upstream.calls", "256").get() as usize,
        waiting_max: reader.count("upstream.waiting", "1024").get() as usize,
        wait_max: reader.timeout("upstream.wait", "5s"),
        connect_timeout: reader.timeout("upstream.connect_timeout", "3s"),
        connection_life: reader.timeout("upstream.connection_life", "5m"),
        timeout: reader.timeout("upstream.timeout", "15s"),
        response_bytes: reader.size_up_to("upstream.response_bytes", "4MiB", BODY_BYTES_LIMIT),
        roots: reader.text("upstream.roots", "bundled", parse_roots),
    }
}

/// Parses the certificate authorities to trust.
pub(super) fn parse_roots(text: &str) -> Result<Roots, String> {
    Ok(match text {
        "bundled" => Roots::Bundled,
        "system" => Roots::System,
        text => match text.strip_prefix("file:") {
            Some(path) => roots_file(path)?,
            None => return Err(format!("{text} is not bundled, system or file:PATH")),
        },
    })
}

/// Checks that a file is readable and contains at least one certificate authority.
fn roots_file(path: &str) -> Result<Roots, String> {
    // Read here first, because the client reads the file without a deadline.
    settings::read_trusted_bytes(Path::new(path))?;
    let roots = Roots::Files(vec![PathBuf::from(path)]);
    let timeout = Duration::from_secs(1);
    // Building a client reads the file without connecting to anything.
    client::build(&ClientConfig {
        roots: roots.clone(),
        identity: None,
        connect_timeout: timeout,
        timeout,
    })?;
    Ok(roots)
}

pub(super) fn upstream(
    reader: &mut Reader<'_>,
    limits: &UpstreamLimits,
    listen: SocketAddr,
) -> Option<UpstreamConfig> {
    check_sandbox(reader, listen);
    let url = reader.optional_text("upstream.url", upstream_url);
    let fallback_urls = reader.texts("upstream.fallback_urls", &[], upstream_url);
    let orders = [("order", false), ("spread", true)];
    let spread = reader.choice("upstream.balance", "order", &orders);
    let (user, password) = account(reader, ["upstream.user", "upstream.password"]);
    let next_names = ["upstream.next_user", "upstream.next_password"];
    let (next_user, next_password) = account(reader, next_names);
    for (name, other) in [(0, 1), (1, 0)] {
        if reader.is_set(next_names[name]) && !reader.is_set(next_names[other]) {
            reader.reject(next_names[other], "an account needs user and password");
        }
    }
    let auths = [("form", UpstreamAuth::Form), ("basic", UpstreamAuth::Basic)];
    let auth = reader.choice("upstream.auth", "form", &auths);
    for (name, user) in [("upstream.user", &user), ("upstream.next_user", &next_user)] {
        if auth == UpstreamAuth::Basic && user.as_ref().is_some_and(|user| user.contains(':')) {
            reader.reject(
                name,
                "Basic authentication can't carry a user name with a colon",
            );
        }
    }
    let names = ["url", "user", "password"].map(|name| format!("upstream.{name}"));
    let absent: Vec<_> = names.iter().filter(|name| !reader.is_set(name)).collect();
    let absent_all = absent.len() == names.len();
    if !absent_all {
        for name in absent {
            reader.reject(name, "an upstream needs url, user and password");
        }
    }
    let without_url = next_names.into_iter().chain(["upstream.fallback_urls"]);
    for name in without_url.filter(|_| absent_all) {
        if reader.is_set(name) && (name != "upstream.fallback_urls" || !fallback_urls.is_empty()) {
            reader.reject(name, "without upstream.url it has no effect");
        }
    }
    Some(UpstreamConfig {
        url: url?,
        fallback_urls,
        round_robin: spread,
        account: UpstreamAccount {
            user: user?,
            password: password?.into(),
        },
        next_account: next_user
            .zip(next_password)
            .map(|(user, password)| UpstreamAccount {
                user,
                password: password.into(),
            }),
        auth,
        limits: limits.clone(),
    })
}

/// Reads the user name and the password of an account, as far as they are set.
fn account(reader: &mut Reader<'_>, names: [&str; 2]) -> (Option<String>, Option<String>) {
    let user = reader.optional_text(names[0], |text| bounded(text, adapter::USER_BYTES_MAX));
    let password = reader.secret(names[1]);
    if password.as_ref().is_some_and(String::is_empty) {
        reader.reject(names[1], "it is empty");
    }
    (user, password)
}
