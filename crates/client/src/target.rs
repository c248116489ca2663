//! The destination of requests to an upstream, prepared once.

use http::header::{ACCEPT, ACCEPT_ENCODING, CONTENT_TYPE, HOST};
use http::{HeaderMap, HeaderValue, Uri, Version};
use rustls::pki_types::ServerName;
use url::Url;

/// The destination of requests: the URL in each form that a protocol needs, and the headers that all requests have.
#[derive(Clone, Debug)]
pub struct Target {
    /// Index of the target in its client.
    pub(crate) index: usize,
    /// The whole URL, as connections and HTTP/2 need it.
    pub(crate) absolute: Uri,
    /// Path and query, as HTTP/1.1 needs it (RFC 9112, 3.2.1).
    pub(crate) origin: Uri,
    /// The name for which the certificate has to be valid; `None` without TLS.
    pub(crate) server_name: Option<ServerName<'static>>,
    /// The headers of all requests. Adding them one by one to each request would cost more.
    headers: HeaderMap,
}

impl Target {
    /// Prepares a URL as the target with this index in its client.
    ///
    /// # Errors
    /// A sentence, when the URL names no host, or a host for which no certificate can be valid.
    pub fn new(index: usize, url: &Url) -> Result<Target, String> {
        let unusable = || "the upstream's URL can't be used".to_owned();
        let absolute: Uri = url.as_str().parse().map_err(|_| unusable())?;
        let origin = absolute.path_and_query().ok_or_else(unusable)?;
        let authority = absolute.authority().ok_or_else(unusable)?.as_str();
        // User information would be a credential in a header. The configuration does not accept it in a URL.
        let host = authority.rsplit('@').next().unwrap_or(authority);
        let server_name = match url.scheme() {
            "https" => {
                let name = url.host_str().ok_or_else(unusable)?;
                let name = name
                    .trim_start_matches('[')
                    .trim_end_matches(']')
                    .to_owned();
                Some(ServerName::try_from(name).map_err(|_| unusable())?)
            }
            _ => None,
        };
        let mut headers = HeaderMap::new();
        headers.insert(HOST, HeaderValue::try_from(host).map_err(|_| unusable())?);
        let form = HeaderValue::from_static("application/x-www-form-urlencoded");
        headers.insert(CONTENT_TYPE, form);
        headers.insert(ACCEPT, HeaderValue::from_static("*/*"));
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("gzip"));
        Ok(Target {
            index,
            origin: Uri::from(origin.clone()),
            absolute,
            server_name,
            headers,
        })
    }

    /// Returns the URL and the headers of a request with this version of HTTP. HTTP/2 has the host only in the URL (RFC 9113,
    /// 8.3.1).
    pub(crate) fn head(&self, version: Version) -> (Uri, HeaderMap) {
        let mut headers = self.headers.clone();
        if version == Version::HTTP_2 {
            headers.remove(HOST);
            return (self.absolute.clone(), headers);
        }
        (self.origin.clone(), headers)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(url: &str, origin: &str, host: &str, name: Option<&str>) {
        let target = Target::new(0, &url.parse().unwrap()).unwrap();
        assert_eq!(target.origin, origin);
        assert_eq!(target.headers[HOST], host);
        assert_eq!(
            target
                .server_name
                .map(|name| name.to_str().into_owned())
                .as_deref(),
            name
        );
    }

    #[test]
    fn a_url_is_split_into_origin_host_and_tls_server_name() {
        check(
            "http://chat.example/api/http/",
            "/api/http/",
            "chat.example",
            None,
        );
        check("http://127.0.0.1:8082/", "/", "127.0.0.1:8082", None);
        check(
            "https://chat.example:8443/a?b=c",
            "/a?b=c",
            "chat.example:8443",
            Some("chat.example"),
        );
        check("https://[::1]:8443/", "/", "[::1]:8443", Some("::1"));
    }

    #[test]
    fn http_2_has_the_host_in_the_url_and_http_1_in_the_header() {
        let target = Target::new(0, &"https://chat.example/a".parse().unwrap()).unwrap();
        let (url, headers) = target.head(Version::HTTP_2);
        assert_eq!(url, "https://chat.example/a");
        assert!(!headers.contains_key(HOST));
        let (url, headers) = target.head(Version::HTTP_11);
        assert_eq!(url, "/a");
        assert!(headers.contains_key(HOST));
    }
}
