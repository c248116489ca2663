//! Tests of the checks in front of the operators' side: the requested host, wrong keys, and the number of open pages.

use reqwest::Method;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::{Visitor, first_key, sign_in, viewer_key};
use crate::harness::{Answer, Gateway, admin, client, until};
use crate::tls::{Files, Pair, trusting};

/// Returns the status of a request with these header lines, and the whole answer.
async fn asked(gateway: &Gateway, path: &str, lines: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(gateway.admin).await.unwrap();
    let version = if lines.contains("Host") { "1.1" } else { "1.0" };
    let request = format!("GET {path} HTTP/{version}\r\n{lines}Connection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    (answer[9..12].parse().unwrap(), answer)
}

#[tokio::test]
async fn a_request_for_an_unlisted_host_is_rejected_with_421() {
    let toml = "[server]\nadmin_hosts = [\"ops.example.com\", \"Chatgate-Admin\"]\n";
    let gateway = Gateway::configured(toml, &[]);
    let port = gateway.admin.port();
    let own = [
        format!("Host: 127.0.0.1:{port}\r\n"),
        "Host: 10.0.0.7\r\n".to_owned(),
        "Host: [::1]\r\n".to_owned(),
        format!("Host: LOCALHOST:{port}\r\n"),
        "Host: ops.example.com\r\n".to_owned(),
        "Host: chatgate-admin:8081\r\n".to_owned(),
        // Old probes send no Host, which no browser does.
        String::new(),
    ];
    let others = [
        format!("Host: rebound.example:{port}\r\n"),
        "Host: 127.0.0.1.rebound.example\r\n".to_owned(),
        "Host: ops.example.com.rebound.example\r\n".to_owned(),
        format!("Host: 127.0.0.1:{port}\r\nHost: rebound.example\r\n"),
        "Host: \r\n".to_owned(),
    ];
    let key = format!("Authorization: Bearer {}\r\n", first_key(&gateway));
    let paths = [
        ("/livez", 200),
        ("/readyz", 200),
        ("/metrics", 200),
        ("/admin/v1/status", 200),
        ("/console/sign-in", 200),
        ("/nothing", 404),
    ];
    for (path, status) in paths {
        for host in &own {
            let answer = asked(&gateway, path, &format!("{host}{key}")).await;
            assert_eq!(answer.0, status, "{path} {host:?}: {}", answer.1);
        }
        for host in &others {
            let (status, text) = asked(&gateway, path, &format!("{host}{key}")).await;
            assert_eq!(status, 421, "{path} {host:?}: {text}");
            assert!(text.contains("server.admin_hosts"), "{text}");
            assert!(!text.contains("chatgate_requests_total"), "{text}");
        }
    }
    // A whole URL as the request target names a host as well.
    let (status, _) = asked(&gateway, "http://rebound.example/metrics", &own[0]).await;
    assert_eq!(status, 421);
}

#[tokio::test]
async fn a_right_key_signs_in_after_many_wrong_keys() {
    let gateway = Gateway::start();
    let key = first_key(&gateway);
    let (mut refused, mut reported) = (0, 0);
    for n in 0..80 {
        match sign_in(&gateway, &format!("cgk_{n}"), None).await.status {
            401 => reported += 1,
            429 => refused += 1,
            other => panic!("{other}"),
        }
    }
    // If the minute changes in between, the count starts again.
    assert!(
        (30..=60).contains(&reported) && refused >= 20,
        "{reported}, {refused}"
    );
    let right = sign_in(&gateway, &key, None).await;
    assert_eq!(right.status, 303, "{}", right.body);
    let lines = gateway.process.lines();
    let written = lines
        .iter()
        .filter(|line| line.contains("a wrong admin key at the console"));
    assert!(written.count() <= 60);
}

#[tokio::test]
async fn an_undecodable_path_returns_404_only_to_authenticated_operators() {
    let gateway = Gateway::start();
    let url = |path: &str| format!("http://{}{path}", gateway.admin);
    for (method, path) in [
        (Method::GET, "/admin/v1/accesses/%ff"),
        (Method::PATCH, "/admin/v1/accesses/%ff"),
        (Method::DELETE, "/admin/v1/admin-keys/%ff"),
        (Method::GET, "/admin/v1/receipts/x/%ff"),
    ] {
        for (key, status) in [(None, 401), (Some(first_key(&gateway)), 404)] {
            let request = client().request(method.clone(), url(path));
            let answer = Answer::of(match key {
                Some(key) => request.bearer_auth(key),
                None => request,
            });
            let answer = answer.await;
            assert_eq!(answer.status, status, "{path}: {}", answer.body);
            assert_eq!(answer.header("content-type"), "application/problem+json");
        }
    }
    let visitor = Visitor::of(&gateway, &first_key(&gateway)).await;
    for (method, path) in [
        (Method::GET, "/console/accesses/%ff"),
        (Method::POST, "/console/accesses/%ff/rotate"),
        (Method::GET, "/console/journal/rows/%ff"),
    ] {
        let ask = || client().request(method.clone(), url(path));
        let outside = Answer::of(ask()).await;
        assert_eq!(outside.status, 303, "{path}: {}", outside.body);
        let inside = Answer::of(ask().header("cookie", &visitor.cookie)).await;
        assert_eq!(inside.status, 404, "{path}: {}", inside.body);
        assert!(inside.header("content-type").starts_with("text/html"));
    }
    let asset = Answer::of(client().get(url("/console/assets/%ff"))).await;
    assert_eq!(asset.status, 404, "{}", asset.body);
}

#[tokio::test]
async fn one_viewer_cannot_use_up_the_open_page_limit_of_others() {
    let gateway = Gateway::start();
    let viewer = Visitor::of(&gateway, &viewer_key(&gateway).await).await;
    let open = async |visitor: &Visitor<'_>| {
        let url = format!("http://{}/console/events", gateway.admin);
        let request = client().get(url).header("cookie", &visitor.cookie);
        request.send().await.unwrap()
    };
    let mut held = Vec::new();
    for n in 0..24 {
        let answer = open(&viewer).await;
        assert_eq!(
            answer.status().as_u16(),
            if n < 16 { 200 } else { 503 },
            "{n}"
        );
        held.push(answer);
    }
    let operator = Visitor::first(&gateway).await;
    assert_eq!(open(&operator).await.status().as_u16(), 200);
    // Closing a page frees its place.
    drop(held);
    until("a place comes back", async || {
        open(&viewer).await.status() == 200
    })
    .await;
}

#[tokio::test]
async fn over_tls_the_session_cookie_has_the_host_prefix_and_hsts_is_set() {
    let (pair, files) = (Pair::new(), Files::new());
    let gateway = files.start_with(&files.section("admin_tls", &pair), &[]);
    let by_tls = trusting(&pair)
        .redirect(reqwest::redirect::Policy::none())
        .build()
        .unwrap();
    let url = |path: &str| format!("https://{}{path}", gateway.admin);
    for path in [
        "/livez",
        "/metrics",
        "/admin/v1/status",
        "/console/sign-in",
        "/x",
    ] {
        let answer = Answer::of(by_tls.get(url(path))).await;
        assert_eq!(
            answer.header("strict-transport-security"),
            "max-age=31536000",
            "{path}"
        );
    }
    let key = first_key(&gateway);
    let form = [("key", key.as_str())];
    let signed_in = Answer::of(by_tls.post(url("/console/sign-in")).form(&form)).await;
    let line = signed_in.header("set-cookie").to_owned();
    assert!(line.starts_with("__Host-chatgate_session=cgs_"), "{line}");
    let attributes: Vec<_> = line.split("; ").skip(1).collect();
    assert_eq!(
        attributes,
        ["HttpOnly", "SameSite=Strict", "Secure", "Path=/"]
    );
    let cookie = line.split(';').next().unwrap();
    let page = |cookie: &str| Answer::of(by_tls.get(url("/console/")).header("cookie", cookie));
    assert_eq!(page(cookie).await.status, 200);
    // A cookie without the prefix, which any neighboring host could set, is not accepted as a session.
    let plain = cookie.trim_start_matches("__Host-");
    assert_eq!(page(plain).await.status, 303);

    let gateway = Gateway::start();
    let signed_in = sign_in(&gateway, &first_key(&gateway), None).await;
    assert!(
        signed_in
            .header("set-cookie")
            .starts_with("chatgate_session=")
    );
    assert_eq!(signed_in.header("strict-transport-security"), "");
    let alive = admin(&gateway, Method::GET, "status", &json!(null)).await;
    assert_eq!(alive.header("strict-transport-security"), "");
}
