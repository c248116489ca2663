//! Rejects requests from pages of other sites to paths that require no credentials. A browser on this machine can reach loopback
//! for any page that it shows, so listening on loopback alone is no protection.
//!
//! - The owner of a foreign name can make it point here (DNS rebinding). Therefore only names that nobody can own are accepted:
//!   addresses, `localhost` and its subdomains, and names without a dot, which containers use for each other.
//! - A foreign page can post a form to this server, or open a stream. Browsers report where a request comes from.

use std::net::IpAddr;

use http::header::{self, HeaderMap};
use http::uri::Authority;
use http::{Method, Request};

/// Returns the reason why the request is rejected, or `None` if it is accepted.
pub(crate) fn refusal<B>(request: &Request<B>) -> Option<&'static str> {
    let headers = request.headers();
    let Some(host) = host(headers).filter(|host| is_nobodys(host.host())) else {
        return Some("Use the address of the sandbox or localhost as the host name.\n");
    };
    let is_safe = matches!(*request.method(), Method::GET | Method::HEAD);
    let is_stream = request.uri().path().ends_with("/events");
    if (!is_safe || is_stream) && is_from_elsewhere(headers, &host) {
        return Some("The request came from a page of another site.\n");
    }
    None
}

/// Returns the Host header. Returns `None` unless there is exactly one.
fn host(headers: &HeaderMap) -> Option<Authority> {
    let mut all = headers.get_all(header::HOST).iter();
    let host = all.next()?.to_str().ok()?.parse().ok()?;
    all.next().is_none().then_some(host)
}

fn is_nobodys(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']');
    let name = host.to_ascii_lowercase();
    address.parse::<IpAddr>().is_ok() || !name.contains('.') || name.ends_with(".localhost")
}

/// Returns whether a browser reports another site as the request's origin. A client without these headers is not a browser.
fn is_from_elsewhere(headers: &HeaderMap, host: &Authority) -> bool {
    let text = |name: &str| headers.get(name).map(|value| value.to_str().unwrap_or(""));
    let site = text("sec-fetch-site");
    let origin = text("origin").map(|origin| origin.split_once("://").map_or("", |(_, at)| at));
    site.is_some_and(|site| !matches!(site, "same-origin" | "none"))
        || origin.is_some_and(|origin| !origin.eq_ignore_ascii_case(host.as_str()))
}

#[cfg(test)]
mod tests {
    use super::refusal;
    use http::Request;

    #[track_caller]
    fn check(method: &str, headers: &[(&str, &str)], is_let_in: bool) {
        let mut request = Request::builder().method(method).uri("/chat/1");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let refusal = refusal(&request.body(()).unwrap());
        assert_eq!(refusal.is_none(), is_let_in, "{method} {headers:?}");
    }

    #[test]
    fn only_addresses_and_local_host_names_are_accepted() {
        for host in [
            "127.0.0.1:8090",
            "[::1]:8090",
            "localhost",
            "LocalHost:1",
            "a.localhost",
            "sandbox:9000",
        ] {
            check("GET", &[("host", host)], true);
        }
        for host in [
            "rebound.example",
            "127.0.0.1.example.com:8090",
            "localhost.example",
            "a b",
            "",
        ] {
            check("GET", &[("host", host)], false);
        }
        check("GET", &[], false);
        check(
            "GET",
            &[("host", "localhost"), ("host", "localhost")],
            false,
        );
    }

    #[test]
    fn a_form_from_another_site_is_rejected() {
        let own = ("host", "127.0.0.1:8090");
        check("POST", &[own], true);
        check("POST", &[own, ("origin", "http://127.0.0.1:8090")], true);
        check("POST", &[own, ("sec-fetch-site", "same-origin")], true);
        for origin in ["https://evil.example", "http://127.0.0.1:8091", "null", ""] {
            check("POST", &[own, ("origin", origin)], false);
        }
        for site in ["cross-site", "same-site"] {
            check("POST", &[own, ("sec-fetch-site", site)], false);
            // A link on a foreign page may lead to this server.
            check("GET", &[own, ("sec-fetch-site", site)], true);
        }
    }
}
