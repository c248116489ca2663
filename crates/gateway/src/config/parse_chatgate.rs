//! Parsers for values that only this configuration has.

use url::Url;

/// Parses the name of an access. The store defines the rule for such names.
pub(super) fn access_name(text: &str) -> Result<String, String> {
    let checked = store::check_name(text);
    checked.map_err(|rule| format!("{text} is not a name; {rule}"))?;
    Ok(text.to_owned())
}

/// Parses a host name without a port. Returns it in lower case and without a final dot (RFC 1123, 2.1).
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
            "{text} is not a host name; write the name alone, without scheme, port or path"
        ))
    }
}

pub(super) fn bounded(text: &str, bytes_max: usize) -> Result<String, String> {
    if !(1..=bytes_max).contains(&text.len()) {
        return Err(format!("write 1 to {bytes_max} bytes"));
    }
    if adapter::has_forbidden_character(text, false) {
        return Err("it contains a control character".to_owned());
    }
    Ok(text.to_owned())
}

pub(super) fn http_url(text: &str) -> Result<Url, String> {
    // The error does not repeat the text, because the text may contain credentials.
    let url = Url::parse(text).map_err(|error| format!("it is not a URL: {error}"))?;
    if !matches!(url.scheme(), "http" | "https") || url.host().is_none() {
        return Err("it is not an http or https URL".to_owned());
    }
    Ok(url)
}

/// Parses the upstream's endpoint. Rejects credentials in it, because they would get into logs and proxies.
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
        Err("it has a path; write it without one, because the ways in are at the root".to_owned())
    }
}

pub(super) fn origin(text: &str) -> Result<String, String> {
    let url = http_url(text)?;
    let origin = url.origin().ascii_serialization();
    if origin == text {
        Ok(origin)
    } else {
        Err(format!("{text} is not an origin; write {origin}"))
    }
}
