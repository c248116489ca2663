//! What values of this configuration look like, beyond what any configuration has.

use std::path::{Path, PathBuf};
use std::time::Duration;

use adapter_jwt::Algorithm;
use client::{ClientConfig, Roots};

use url::Url;

use super::JwksSource;

/// The name of an access, by the rule that holds for it everywhere.
pub(super) fn access_name(text: &str) -> Result<String, String> {
    let checked = store::check_name(text);
    checked.map_err(|rule| format!("{text} is no name; {rule}"))?;
    Ok(text.to_owned())
}

/// A host's name without a port, in small letters and without a dot at its end (RFC 1123, 2.1).
pub(super) fn host_name(text: &str) -> Result<String, String> {
    let name = text.strip_suffix('.').unwrap_or(text).to_ascii_lowercase();
    let fits_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b))
    };
    if name.len() <= 253 && name.split('.').all(fits_label) {
        Ok(name)
    } else {
        Err(format!(
            "{text} is no host's name; write it alone, without scheme, port or path"
        ))
    }
}

pub(super) fn bounded(text: &str, bytes_max: usize) -> Result<String, String> {
    if !(1..=bytes_max).contains(&text.len()) {
        return Err(format!("write 1 to {bytes_max} bytes"));
    }
    if adapter::has_forbidden_character(text, false) {
        return Err("it holds a control character".to_owned());
    }
    Ok(text.to_owned())
}

fn http_url(text: &str) -> Result<Url, String> {
    // The text itself is not told again: it may hold credentials, which is a mistake of its own.
    let url = Url::parse(text).map_err(|error| format!("it is no URL: {error}"))?;
    if !matches!(url.scheme(), "http" | "https") || url.host().is_none() {
        return Err("it is no http or https URL".to_owned());
    }
    Ok(url)
}

/// The upstream's endpoint. Credentials in it would go to logs and proxies.
pub(super) fn upstream_url(text: &str) -> Result<Url, String> {
    let url = http_url(text)?;
    if !url.username().is_empty()
        || url.password().is_some()
        || url.query().is_some()
        || url.fragment().is_some()
    {
        return Err("write the endpoint alone, without credentials, query or fragment".to_owned());
    }
    Ok(url)
}

pub(super) fn public_url(text: &str) -> Result<Url, String> {
    let url = upstream_url(text)?;
    if url.path() == "/" {
        Ok(url)
    } else {
        Err("it has a path; the ways in stand at the root".to_owned())
    }
}

pub(super) fn origin(text: &str) -> Result<String, String> {
    let url = http_url(text)?;
    let origin = url.origin().ascii_serialization();
    if origin == text {
        Ok(origin)
    } else {
        Err(format!("{text} is no origin; write {origin}"))
    }
}

pub(super) fn jwks_source(text: &str) -> Result<JwksSource, String> {
    if text.starts_with("http://") || text.starts_with("https://") {
        http_url(text).map(JwksSource::Url)
    } else {
        Ok(JwksSource::File(PathBuf::from(
            text.strip_prefix("file:").unwrap_or(text),
        )))
    }
}

/// A file of certificate authorities that is there and holds some.
pub(super) fn roots_file(path: &str) -> Result<Roots, String> {
    settings::check_trusted(Path::new(path))?;
    let roots = Roots::Files(vec![PathBuf::from(path)]);
    let timeout = Duration::from_secs(1);
    // Building a client reads the file; none is opened to anywhere.
    client::build(&ClientConfig {
        roots: roots.clone(),
        identity: None,
        connect_timeout: timeout,
        timeout,
    })?;
    Ok(roots)
}

/// Whether a file of an issuer's keys is there and holds one that can be used.
pub(super) fn jwks_file(path: &Path, algorithms: &[Algorithm]) -> Result<(), String> {
    let in_file = |what: &str| format!("{}: {what}", path.display());
    let text = settings::read_trusted(path)?;
    let set = adapter_jwt::parse_jwks(&text, algorithms).map_err(|error| in_file(error.text()))?;
    if !set.keys.is_empty() {
        return Ok(());
    }
    let why = set
        .passed_over
        .iter()
        .map(|odd| format!(" Key {}: {}", odd.place, odd.reason));
    let why: String = why.take(REJECTED_KEYS_LISTED_MAX).collect();
    Err(in_file(&format!(
        "no key of it can be used with the allowed algorithms.{why}"
    )))
}

/// Of so many keys that can't be used a configuration's mistake tells why.
const REJECTED_KEYS_LISTED_MAX: usize = 8;

/// Longest `log.level`, in bytes: a dozen modules.
const LOG_LEVEL_BYTES_MAX: usize = 512;

const LOG_LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];

/// Levels, and levels of modules, separated by commas. Nothing else that the filter would take: to it a word that is no level
/// names a module, of which everything would be shown and of all else nothing, and what is in brackets may be an expression
/// that takes it a second to read.
pub(super) fn log_level(text: &str) -> Result<String, String> {
    if text.len() > LOG_LEVEL_BYTES_MAX {
        return Err(format!("it is longer than {LOG_LEVEL_BYTES_MAX} bytes"));
    }
    let in_name = |b: u8| b.is_ascii_alphanumeric() || b"_:-".contains(&b);
    for part in text.split(',') {
        let (module, level) = part.rsplit_once('=').unwrap_or(("any", part));
        let is_right = !module.is_empty() && module.bytes().all(in_name);
        if !is_right
            || !LOG_LEVELS
                .iter()
                .any(|word| level.eq_ignore_ascii_case(word))
        {
            return Err(format!(
                "{part:?} is none of off, error, warn, info, debug, trace; a module's level is written as forward=debug"
            ));
        }
    }
    let parsed = tracing_subscriber::EnvFilter::try_new(text);
    parsed
        .map(|_| text.to_owned())
        .map_err(|error| error.to_string())
}
