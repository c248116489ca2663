//! Tests of calls by web pages of other origins: the listed ones may call, and no other may use stored credentials.

use crate::browser::browse;
use crate::harness::{Answer, Gateway, client, envelope};

/// A configuration that allows the pages of one origin.
const LISTED: &str = "[server]\ncors_origins = [\"https://app.example\"]\n";

#[tokio::test]
async fn cors_allows_only_configured_origins() {
    let gateway = Gateway::configured(LISTED, &[]);
    for (origin, allowed) in [
        ("https://app.example", "https://app.example"),
        ("https://evil.example", ""),
    ] {
        let call = client()
            .request(reqwest::Method::OPTIONS, gateway.url("/api/http/"))
            .header("Origin", origin);
        assert_eq!(
            Answer::of(call).await.header("access-control-allow-origin"),
            allowed
        );
    }
}

#[tokio::test]
async fn cors_allows_token_requests_and_the_cache_control_header() {
    let gateway = Gateway::configured(LISTED, &[]);
    for path in ["/oauth/token", "/api/jwt/"] {
        let preflight = client()
            .request(reqwest::Method::OPTIONS, gateway.url(path))
            .header("Origin", "https://app.example")
            .header("Access-Control-Request-Method", "POST")
            .header(
                "Access-Control-Request-Headers",
                "authorization, cache-control",
            );
        let answer = Answer::of(preflight).await;
        assert_eq!(answer.status, 204, "{path}");
        let methods = answer.header("access-control-allow-methods");
        assert!(methods.contains("POST"), "{path}: {methods}");
        let headers = answer.header("access-control-allow-headers");
        for header in ["authorization", "cache-control"] {
            assert!(headers.contains(header), "{path}: {headers}");
        }
    }
}

/// Returns a send by query, form and SOAP, and the check of a stream of events, without credentials.
fn calls_of_a_page(gateway: &Gateway) -> [reqwest::RequestBuilder; 4] {
    let send = [
        ("platform", "whatsapp"),
        ("platformid", "100"),
        ("destination", "346"),
        ("message", "forged"),
    ];
    let form = [&[("class", "chat"), ("method", "sendmessage")], &send[..]].concat();
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    let query = query.extend_pairs(&form).finish();
    let url = |path: &str| gateway.url(path);
    [
        client().get(url(&format!("/api/basic/?{query}"))),
        client().post(url("/api/basic/")).form(&form),
        client()
            .post(url("/api/soap/"))
            .body(envelope("sendmessage", &send)),
        client().head(url("/api/events")),
    ]
}

#[tokio::test]
async fn pages_of_other_sites_cannot_call_with_the_browsers_basic_credentials() {
    let gateway = Gateway::configured(LISTED, &[]);
    let demo = gateway.demo();
    let own = gateway.url("");
    for (site, origin, is_accepted) in [
        ("cross-site", "", false),
        ("same-site", "", false),
        ("cross-site", "https://evil.example", false),
        ("", "https://evil.example", false),
        ("", "null", false),
        ("cross-site", "https://app.example", true),
        ("same-origin", "null", true),
        ("none", "", true),
        ("", &*own, true),
        ("", "", true),
    ] {
        let headers = [("Sec-Fetch-Site", site), ("Origin", origin)];
        let headers = headers.into_iter().filter(|(_, value)| !value.is_empty());
        for call in calls_of_a_page(&gateway) {
            let call = call.basic_auth(&demo.user, Some(&demo.password));
            let call = headers
                .clone()
                .fold(call, |call, (name, value)| call.header(name, value));
            let Answer { status, body, .. } = Answer::of(call).await;
            assert_eq!(status == 200, is_accepted, "{site} {origin}: {body}");
            let is_rejected = status == 403 || body.contains("OPERATION_NOT_ALLOWED");
            assert_ne!(is_rejected, is_accepted, "{site} {origin}: {body}");
        }
    }
    // A page can send credentials that it knows itself, and a browser stores none of these.
    let account = format!("user={}&password={}", demo.user, demo.password);
    let call = format!("/api/http/?class=chat&method=getchatchannels&{account}");
    let call = client().get(gateway.url(&call));
    let answer = Answer::of(call.header("Sec-Fetch-Site", "cross-site")).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
}

#[test]
fn chromium_cannot_be_made_to_call_with_stored_credentials_by_another_site() {
    browse("cross_site_pages.js", "");
}
