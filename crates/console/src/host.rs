//! Checks the name by which a request addresses the operators' listener. A foreign page can point its own name at this listener
//! (DNS rebinding), and could then read everything that needs no key and send any request. Nobody can own an address or
//! `localhost`, so these are accepted; any other name has to be listed in `server.admin_hosts`.

use std::net::IpAddr;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::uri::Authority;
use http::{HeaderValue, Request, StatusCode, header};

use crate::problem::Problem;
use crate::state::Console;

/// One year of TLS only, as ASVS 5.0 3.4.1 requires.
const TRANSPORT_SECURITY: &str = "max-age=31536000";

/// Rejects requests to other names, and adds the HSTS header if the listener has TLS.
pub(crate) async fn guard(
    State(console): State<Arc<Console>>,
    request: Request<Body>,
    next: Next,
) -> Response {
    let is_listed = |name: &str| console.gateway.is_admin_host(name);
    let mut response = match check_host(&request, is_listed) {
        Ok(()) => next.run(request).await,
        Err(problem) => problem.into_response(),
    };
    if console.gateway.admin_has_tls() {
        let value = HeaderValue::from_static(TRANSPORT_SECURITY);
        response
            .headers_mut()
            .insert(header::STRICT_TRANSPORT_SECURITY, value);
    }
    response
}

/// Checks the host of a request. Accepts a request without a host, because HTTP/1.0 programs send none, while every browser sends
/// one.
fn check_host<B>(request: &Request<B>, is_listed: impl Fn(&str) -> bool) -> Result<(), Problem> {
    let mut lines = request.headers().get_all(header::HOST).iter();
    let (line, more) = (lines.next(), lines.next());
    let read = |value: &HeaderValue| value.to_str().ok()?.parse::<Authority>().ok();
    let named = line.map(read).into_iter();
    // HTTP/2 names the host in a pseudo-header, and the target of a request may be a whole URL.
    let mut all = named.chain(request.uri().authority().cloned().map(Some));
    let is_ours = |host: Option<Authority>| {
        let host = host.filter(|host| !host.as_str().contains('@'));
        host.is_some_and(|host| may_be_named(host.host(), &is_listed))
    };
    if more.is_none() && all.all(is_ours) {
        return Ok(());
    }
    let text = "The operators' listener does not accept this host name. Use its address or localhost, or add the name to \
                server.admin_hosts.";
    Err(Problem::new(
        StatusCode::MISDIRECTED_REQUEST,
        "unknown_host",
        text,
    ))
}

fn may_be_named(host: &str, is_listed: &impl Fn(&str) -> bool) -> bool {
    let inner = host.strip_prefix('[').and_then(|h| h.strip_suffix(']'));
    if inner.unwrap_or(host).parse::<IpAddr>().is_ok() {
        return true;
    }
    let name = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
    name == "localhost" || is_listed(&name)
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::check_host;

    #[track_caller]
    fn check(target: &str, hosts: &[&str], is_let_in: bool) {
        let mut request = Request::builder().uri(target);
        for host in hosts {
            request = request.header("host", *host);
        }
        let checked = check_host(&request.body(()).unwrap(), |name| name == "ops.example.com");
        assert_eq!(checked.is_ok(), is_let_in, "{target} {hosts:?}");
    }

    #[test]
    fn check_host_accepts_only_addresses_localhost_and_listed_names() {
        for host in [
            "127.0.0.1:8081",
            "10.1.2.3",
            "[::1]:8081",
            "[fd00::7]",
            "localhost",
            "LOCALHOST:1",
            "localhost.",
            "ops.example.com",
            "Ops.Example.com.:8081",
        ] {
            check("/metrics", &[host], true);
        }
        for host in [
            "rebound.example",
            "127.0.0.1.example.com:8081",
            "localhost.example.com",
            "a.ops.example.com",
            "ops.example.com..",
            "u@localhost",
            "a b",
            "",
            ":8081",
        ] {
            check("/metrics", &[host], false);
        }
        check("/metrics", &[], true);
        check("/metrics", &["localhost", "localhost"], false);
        check("http://rebound.example/metrics", &["localhost"], false);
        check("http://rebound.example/metrics", &[], false);
        check("https://ops.example.com/metrics", &[], true);
    }
}
