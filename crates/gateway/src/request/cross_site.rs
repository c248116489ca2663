//! Rejects calls that a web page of another site makes with the visitor's credentials (cross-site request forgery). A browser adds
//! Basic credentials to every request for the place that has once asked for them, whichever page makes the request.

use adapter::{Code, Error};
use axum::http::request::Parts;
use axum::http::{HeaderName, HeaderValue, header};

use crate::request::context::RequestContext;

/// The header in which a browser states the relation of a request's page to its target (W3C Fetch Metadata). No page can set it.
const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

const BASIC: &[u8] = b"basic";

/// Rejects a request with Basic credentials that comes from a page of another origin, unless calls from that origin are allowed.
/// Programs send none of the headers that show a page, and a page can send a bearer token only if it knows the token. `public_url`
/// is the address by which callers reach the gateway; a proxy may have replaced the Host header.
///
/// # Errors
/// OPERATION_NOT_ALLOWED.
pub(crate) fn check(context: &RequestContext, public_url: &str) -> Result<(), Error> {
    check_head(&context.head, context.cors_origin.is_some(), public_url)
}

fn check_head(head: &Parts, is_listed: bool, public_url: &str) -> Result<(), Error> {
    if is_listed {
        return Ok(());
    }
    let (mut has_basic, mut site, mut origin) = (false, None, None);
    // One pass over the few headers of a call, because three lookups cost 360 instructions more.
    for (name, value) in &head.headers {
        if name == header::AUTHORIZATION {
            has_basic |= is_basic(value);
        } else if name == header::ORIGIN {
            origin = origin.or(Some(value));
        } else if name == SEC_FETCH_SITE {
            site = site.or(Some(value));
        }
    }
    let is_from_other_origin = || match site {
        // `none` is a request that the visitor made, for example in the address bar.
        Some(site) => site != "same-origin" && site != "none",
        // Older browsers state only the origin, and not for every request.
        None => origin.is_some_and(|origin| !is_own(origin, head, public_url)),
    };
    if !has_basic || !is_from_other_origin() {
        return Ok(());
    }
    let text = "Pages of this origin may not call with the browser's credentials.";
    let error = Error::explained(Code::OperationNotAllowed, text);
    Err(error.because("a page of an origin that server.cors_origins does not name"))
}

fn is_basic(authorization: &HeaderValue) -> bool {
    let scheme = authorization.as_bytes().get(..BASIC.len());
    scheme.is_some_and(|scheme| scheme.eq_ignore_ascii_case(BASIC))
}

/// Returns whether the origin is the gateway's own, by the name under which the request arrived or by the public URL. Only host and
/// port are compared, because the gateway does not know the scheme if a proxy terminates TLS.
fn is_own(origin: &HeaderValue, head: &Parts, public_url: &str) -> bool {
    let after_scheme = |url: &str| url.split_once("://").map(|(_, rest)| rest.to_owned());
    let Some(origin) = origin.to_str().ok().and_then(after_scheme) else {
        return false;
    };
    let is_public = after_scheme(public_url)
        .is_some_and(|rest| rest.split('/').next().is_some_and(|host| host == origin));
    let named = head
        .headers
        .get(header::HOST)
        .and_then(|host| host.to_str().ok());
    let named = named.or_else(|| head.uri.authority().map(|authority| authority.as_str()));
    is_public || named.is_some_and(|host| host.eq_ignore_ascii_case(&origin))
}

#[cfg(test)]
mod tests {
    use axum::http::Request;

    use super::*;

    #[track_caller]
    fn check_headers(headers: &[(&str, &str)], is_accepted: bool) {
        let request = Request::builder().header("host", "gateway.example:8080");
        let request = headers.iter().fold(request, |request, (name, value)| {
            request.header(*name, *value)
        });
        let head = request.body(()).unwrap().into_parts().0;
        let checked = check_head(&head, false, "https://chat.example");
        assert_eq!(checked.is_ok(), is_accepted, "{headers:?}");
        assert!(check_head(&head, true, "https://chat.example").is_ok());
    }

    const BASIC: (&str, &str) = ("authorization", "Basic dTpw");

    #[test]
    fn basic_credentials_are_accepted_only_from_programs_and_own_pages() {
        check_headers(&[BASIC], true);
        for (site, is_accepted) in [
            ("same-origin", true),
            ("none", true),
            ("same-site", false),
            ("cross-site", false),
            ("", false),
        ] {
            check_headers(&[BASIC, ("sec-fetch-site", site)], is_accepted);
            check_headers(&[("sec-fetch-site", site)], true);
        }
        for (origin, is_accepted) in [
            ("http://gateway.example:8080", true),
            ("https://GATEWAY.example:8080", true),
            ("https://chat.example", true),
            ("http://gateway.example", false),
            ("https://chat.example:8443", false),
            ("https://evil.example", false),
            ("https://chat.example.evil.example", false),
            ("null", false),
            ("", false),
        ] {
            check_headers(&[BASIC, ("origin", origin)], is_accepted);
        }
        let other = ("origin", "null");
        check_headers(&[BASIC, ("sec-fetch-site", "same-origin"), other], true);
        check_headers(&[("authorization", "bAsIc x"), other], false);
        check_headers(&[("authorization", "Bearer x"), other], true);
        check_headers(&[("authorization", "Bearer x"), BASIC, other], false);
        check_headers(&[other], true);
    }
}
