//! Reads the settings of the counts that replicas share in Valkey or Redis.

use std::path::Path;
use std::time::Duration;

use settings::{Reader, ValueKind, parse, read_trusted_bytes};
use shared::{ValkeyOptions, ValkeyUrl};

use super::shared_store::SettingHashes;

/// Maximum time that a call waits for a count. With a longer wait, a server that hangs would delay all calls.
const TIMEOUT_MAX: Duration = Duration::from_secs(1);

/// The settings that have no effect without a server.
const KEYS_OF_SERVER: [&str; 4] = [
    "shared.user",
    "shared.password",
    "shared.sentinel_password",
    "shared.ca",
];

/// Reads how the server of shared counts is reached. The options are `None` if each process counts for itself. Only a restart can
/// change the hashed settings.
pub(super) fn shared_counts(reader: &mut Reader<'_>) -> (Option<ValkeyOptions>, SettingHashes) {
    let url = reader.optional_text("shared.url", ValkeyUrl::parse);
    let user = reader.optional_text("shared.user", parse::text);
    let password = reader.secret("shared.password");
    let sentinel_password = reader.secret("shared.sentinel_password");
    let authorities = reader.optional_text("shared.ca", |path| {
        let pem = read_trusted_bytes(Path::new(path))?;
        server::tls::certificates(&pem)?;
        Ok(pem)
    });
    let timeout = reader.value("shared.timeout", "25ms", ValueKind::Time, |text| {
        let timeout = parse::timeout(text)?;
        match timeout {
            timeout if timeout <= TIMEOUT_MAX => Ok(timeout),
            _ => Err(format!("{text} is more than 1s")),
        }
    });
    if !reader.is_set("shared.url") {
        for key in KEYS_OF_SERVER {
            if reader.is_set(key) {
                reader.reject(key, "it has no effect without shared.url");
            }
        }
    }
    let mut pinned = SettingHashes::default();
    pinned.note("shared.url", &url);
    pinned.note("shared.user", &user);
    pinned.note("shared.password", &password);
    pinned.note("shared.sentinel_password", &sentinel_password);
    pinned.note("shared.ca", &authorities);
    pinned.note("shared.timeout", timeout);
    let options = url.map(|url| ValkeyOptions {
        url,
        user,
        password: password.map(Into::into),
        sentinel_password: sentinel_password.map(Into::into),
        authorities,
        timeout,
    });
    (options, pinned)
}
