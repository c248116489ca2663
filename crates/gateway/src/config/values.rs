//! What values of this configuration look like, beyond what any configuration has.

use std::path::PathBuf;

use forward::allowlist::parse_network;
use ipnet::IpNet;
use url::Url;

use super::JwksSource;
use super::reader::Reader;

pub(super) fn required<T>(
    reader: &mut Reader<'_>,
    key: &str,
    parse: impl Fn(&str) -> Result<T, String>,
) -> Option<T> {
    if reader.has(key) {
        reader.optional(key, parse)
    } else {
        reader.wrong(key, "it is needed")
    }
}

pub(super) fn choice<T: Copy>(text: &str, choices: &[(&str, T)]) -> Result<T, String> {
    choices
        .iter()
        .find(|(name, _)| *name == text)
        .map(|(_, value)| *value)
        .ok_or_else(|| {
            let names: Vec<_> = choices.iter().map(|(name, _)| *name).collect();
            format!("{text} is none of {}", names.join(", "))
        })
}

/// A network, or `any`: that everybody may call is something to be written out.
pub(super) fn access_network(text: &str) -> Result<Vec<IpNet>, String> {
    let everybody = || {
        ["0.0.0.0/0", "::/0"]
            .iter()
            .filter_map(|net| net.parse().ok())
            .collect()
    };
    if text == "any" {
        return Ok(everybody());
    }
    match parse_network(text)? {
        network if network.prefix_len() == 0 => Err(format!(
            "{text} is everybody; write \"any\" if that is meant"
        )),
        network => Ok(vec![network]),
    }
}

/// A name that can stand in a label, a path and a log: letters, digits, `.`, `_` and `-`, at most 64.
pub(super) fn access_name(text: &str) -> Result<String, String> {
    let fits = text.len() <= 64
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b));
    if fits {
        Ok(text.to_owned())
    } else {
        Err(format!(
            "{text} is no name; use up to 64 letters, digits, . _ -"
        ))
    }
}

pub(super) fn bounded(text: &str, bytes_max: usize) -> Result<String, String> {
    if text.len() <= bytes_max {
        Ok(text.to_owned())
    } else {
        Err(format!("it is longer than {bytes_max} bytes"))
    }
}

fn http_url(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|error| format!("{text} is no URL: {error}"))?;
    if !matches!(url.scheme(), "http" | "https") || url.host().is_none() {
        return Err(format!("{text} is no http or https URL"));
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
        Err(format!("{text} has a path; the ways in stand at the root"))
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
