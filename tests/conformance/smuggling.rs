//! Requests whose end two readers could place differently, invalid heads, and `Expect: 100-continue`.

use tokio::task::JoinSet;

use super::probe::{Probe, Seen, State, ask};
use crate::harness::Gateway;

/// The request that an attacker wants to have answered as a separate one.
const SMUGGLED: &str = "GET /api/http/ HTTP/1.1\r\nHost: smuggled\r\n\r\n";

/// Sends each request on its own connection, all at the same time, and returns the answers in the order of the requests.
async fn all(gateway: Gateway, requests: Vec<Vec<u8>>) -> (Gateway, Vec<Seen>) {
    let gateway = std::sync::Arc::new(gateway);
    let mut running = JoinSet::new();
    for (index, request) in requests.into_iter().enumerate() {
        let gateway = std::sync::Arc::clone(&gateway);
        running.spawn(async move { (index, ask(&gateway, &request).await) });
    }
    let mut seen = running.join_all().await;
    seen.sort_by_key(|(index, _)| *index);
    let gateway = std::sync::Arc::into_inner(gateway).unwrap();
    (gateway, seen.into_iter().map(|(_, seen)| seen).collect())
}

/// Header lines that make the end of the request ambiguous or are not header lines at all.
const LINES: [&[u8]; 36] = [
    b"Transfer-Encoding: xchunked",
    b"Transfer-Encoding: identity",
    b"Transfer-Encoding: gzip",
    b"Transfer-Encoding: gzip, chunked",
    b"Transfer-Encoding: chunked, gzip",
    b"Transfer-Encoding: chunked, chunked",
    b"Transfer-Encoding: chunked, identity",
    b"Transfer-Encoding: chunked;q=1",
    b"Transfer-Encoding: \"chunked\"",
    b"Transfer-Encoding: chunk",
    b"Transfer-Encoding:",
    b"Transfer-Encoding: \x0bchunked",
    b"Transfer-Encoding: \x0cchunked",
    b"Transfer-Encoding: chunked\x00",
    b"Transfer-Encoding: chunked\x0b",
    b"Transfer-Encoding : chunked",
    b"Transfer-Encoding\t: chunked",
    b" Transfer-Encoding: chunked",
    b"Transfer-Encoding:\r\n chunked",
    b"X: y\rTransfer-Encoding: chunked",
    b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity",
    b"Transfer-Encoding: identity\r\nTransfer-Encoding: chunked",
    b"Transfer\xe9Encoding: chunked",
    b"Content-Length: 5\r\nContent-Length: 6",
    b"Content-Length: 5, 6",
    b"Content-Length: 5, 5",
    b"Content-Length: +5",
    b"Content-Length: -5",
    b"Content-Length: 0x5",
    b"Content-Length: 5 5",
    b"Content-Length: 5_0",
    b"Content-Length: 5.0",
    b"Content-Length:",
    b"Content-Length: 99999999999999999999",
    b"Host: other",
    b": x",
];

/// Invalid chunked bodies.
const CHUNKS: [&[u8]; 14] = [
    b"+5\r\nhello\r\n0\r\n\r\n",
    b"-5\r\nhello\r\n0\r\n\r\n",
    b"0x5\r\nhello\r\n0\r\n\r\n",
    b"5_0\r\nhello\r\n0\r\n\r\n",
    b" 5\r\nhello\r\n0\r\n\r\n",
    b"\r\n5\r\nhello\r\n0\r\n\r\n",
    b"g\r\nhello\r\n0\r\n\r\n",
    b"5\rhello\r\n0\r\n\r\n",
    b"5\r\nhello0\r\n\r\n",
    b"5\r\nhello!!\r\n0\r\n\r\n",
    b"5\r\nhello\n0\r\n\r\n",
    b"FFFFFFFFFFFFFFFF0\r\nhello\r\n0\r\n\r\n",
    b"5;a\nb\r\nhello\r\n0\r\n\r\n",
    b"5;a\rb\r\nhello\r\n0\r\n\r\n",
];

#[tokio::test]
async fn a_request_with_an_ambiguous_end_gets_one_400_and_a_closed_connection() {
    let mut requests: Vec<Vec<u8>> = Vec::new();
    for line in LINES {
        let head = [
            b"POST /api/http/ HTTP/1.1\r\nHost: x\r\n",
            line,
            b"\r\n\r\n",
        ]
        .concat();
        requests.push([&head, b"0\r\n\r\n".as_slice(), SMUGGLED.as_bytes()].concat());
    }
    for chunks in CHUNKS {
        let head = b"POST /api/http/ HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n";
        requests.push([head, chunks, SMUGGLED.as_bytes()].concat());
    }
    let old = "POST /api/http/ HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n";
    requests.push(format!("{old}{SMUGGLED}").into_bytes());
    let (_gateway, seen) = all(Gateway::start(), requests.clone()).await;
    for (request, seen) in requests.iter().zip(&seen) {
        let shown = request.escape_ascii();
        assert_eq!(
            (seen.status(), seen.state),
            (Some(400), State::Closed),
            "{shown}: {}",
            seen.text
        );
        assert_eq!(
            seen.text.matches("HTTP/1.").count(),
            1,
            "{shown}: {}",
            seen.text
        );
    }
    println!(
        "smuggling: {} shapes, each answered 400 once and closed",
        requests.len()
    );
}

#[tokio::test]
async fn content_length_with_transfer_encoding_gets_one_answer_in_either_order() {
    // The HTTP server below our code drops the length before our code sees it, so we can only close the connection.
    let lines = [
        "Content-Length: 5\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\nContent-Length: 5",
    ];
    let requests = lines.map(|lines| {
        format!("POST /api/http/ HTTP/1.1\r\nHost: x\r\n{lines}\r\n\r\n0\r\n\r\n{SMUGGLED}")
            .into_bytes()
    });
    let (_gateway, seen) = all(Gateway::start(), requests.to_vec()).await;
    for seen in seen {
        assert_eq!(
            (seen.answers(), seen.state),
            (1, State::Closed),
            "{}",
            seen.text
        );
        assert_eq!(seen.header("connection"), Some("close"));
    }
}

#[tokio::test]
async fn invalid_targets_methods_and_heads_get_their_own_status() {
    let cases = [
        ("OPTIONS * HTTP/1.1\r\nHost: x", 204),
        ("GET * HTTP/1.1\r\nHost: x", 400),
        (
            "CONNECT example.com:443 HTTP/1.1\r\nHost: example.com:443",
            405,
        ),
        ("GET /caf\u{e9} HTTP/1.1\r\nHost: x", 400),
        ("GET /a\\b HTTP/1.1\r\nHost: x", 400),
        ("GET /a%2 HTTP/1.1\r\nHost: x", 400),
        ("GET /a%00b HTTP/1.1\r\nHost: x", 404),
        ("GET /a b HTTP/1.1\r\nHost: x", 400),
        ("GET http://x/api/http/ HTTP/1.1\r\nHost: x", 200),
        ("GET /api/http/ HTTP/1.1\r\nHost: x, y", 400),
        ("GET /api/http/ HTTP/1.1\r\nHost: x,y", 400),
        ("GET /api/http/ HTTP/9.9\r\nHost: x", 400),
        ("get /api/http/ HTTP/1.1\r\nHost: x", 405),
        ("GET\t/api/http/ HTTP/1.1\r\nHost: x", 400),
    ];
    let mut cases: Vec<_> = cases
        .map(|(head, status)| (head.to_owned(), vec![status]))
        .into();
    let long = |bytes: usize| "x".repeat(bytes);
    let get = "GET /api/http/ HTTP/1.1\r\nHost: x";
    cases.push((format!("{get}\r\nX-Long: {}", long(60_000)), vec![200]));
    for bytes in [66_000, 100_000, 1_000_000] {
        cases.push((format!("{get}\r\nX-Long: {}", long(bytes)), vec![400, 431]));
    }
    cases.push((format!("{get}{}", "\r\nX: y".repeat(101)), vec![431]));
    cases.push((
        format!("GET /{} HTTP/1.1\r\nHost: x", long(70_000)),
        vec![400, 414, 431],
    ));
    for bytes in [33, 50_000] {
        let head = format!("{} /api/http/ HTTP/1.1\r\nHost: x", long(bytes));
        cases.push((head, vec![400]));
    }
    let requests = cases
        .iter()
        .map(|(head, _)| format!("{head}\r\n\r\n").into_bytes());
    let (gateway, seen) = all(Gateway::start(), requests.collect()).await;
    for ((head, expected), seen) in cases.iter().zip(&seen) {
        let shown: String = head.chars().take(80).collect();
        let status = seen.status().unwrap_or_default();
        assert!(expected.contains(&status), "{shown}: {}", seen.text);
        assert!(
            !matches!(status, 204 | 405) || seen.header("allow").is_some(),
            "{shown}"
        );
    }
    // The log does not contain an unknown target or method at full length.
    assert!(
        gateway
            .process
            .lines()
            .iter()
            .all(|line| line.len() < 8 * 1024)
    );
}

#[tokio::test]
async fn expect_100_gets_continue_if_the_head_is_acceptable() {
    let gateway = Gateway::start();
    let demo = gateway.demo();
    let form = format!(
        "class=chat&method=getchatchannels&user={}&password={}",
        demo.user, demo.password
    );
    let head = |version: &str, expect: &str| {
        format!(
            "POST /api/http/ HTTP/{version}\r\nHost: x\r\n{expect}Content-Length: {}\r\n\r\n",
            form.len()
        )
    };
    for expect in ["Expect: 100-continue\r\n", "expect: 100-Continue\r\n"] {
        let mut probe = Probe::connect(&gateway).await;
        let asked = probe.ask(head("1.1", expect).as_bytes()).await;
        assert_eq!(
            (asked.text.as_str(), asked.state),
            ("HTTP/1.1 100 Continue\r\n\r\n", State::Open)
        );
        let answer = probe.ask(form.as_bytes()).await;
        assert!(
            answer.status() == Some(200) && answer.body().contains("SUCCESS"),
            "{}",
            answer.text
        );
        // The connection is at the right position: the next bytes are read as one request.
        let next = probe
            .ask(format!("{}{form}", head("1.1", "")).as_bytes())
            .await;
        assert!(
            next.answers() == 1 && next.body().contains("SUCCESS"),
            "{}",
            next.text
        );
    }
    // An HTTP/1.0 caller would mistake an interim answer for the final one.
    let old = ask(
        &gateway,
        format!("{}{form}", head("1.0", "Expect: 100-continue\r\n")).as_bytes(),
    )
    .await;
    assert!(
        !old.text.contains("100 Continue") && old.body().contains("SUCCESS"),
        "{}",
        old.text
    );
}

/// Returns a head whose sender holds back ten bytes until it gets `100 Continue`.
fn waiting(line: &str, method: &str, path: &str) -> String {
    format!(
        "{method} {path} HTTP/1.1\r\nHost: x\r\n{line}Expect: 100-continue\r\nContent-Length: 10\r\n\r\n"
    )
}

#[tokio::test]
async fn expect_100_is_rejected_without_continue_if_the_head_is_not_acceptable() {
    let toml = "[server]\ntrusted_proxies = [\"127.0.0.1/32\"]\ndeny = [\"203.0.113.0/24\"]\n[limits]\nper_address_per_minute = 2\n";
    let gateway = Gateway::configured(toml, &[]);
    let cases = [
        (
            waiting("X-Forwarded-For: 203.0.113.9\r\n", "POST", "/api/http/"),
            403,
        ),
        (
            waiting("X-Forwarded-For: nobody\r\n", "POST", "/api/jwt/"),
            403,
        ),
        (waiting("Host: y\r\n", "POST", "/api/http/"), 400),
        (
            waiting("X-Forwarded-For: 192.0.2.1\r\n", "PUT", "/api/basic/"),
            405,
        ),
        (
            waiting("X-Forwarded-For: 192.0.2.2\r\n", "POST", "/nowhere"),
            404,
        ),
        (
            waiting("X-Forwarded-For: 192.0.2.3\r\n", "POST", "/api/soap/")
                .replace("Length: 10", "Length: 10000000"),
            500,
        ),
    ];
    for (request, status) in &cases {
        let seen = ask(&gateway, request.as_bytes()).await;
        assert!(
            !seen.text.contains("100 Continue"),
            "{request}: {}",
            seen.text
        );
        assert_eq!(seen.status(), Some(*status), "{request}: {}", seen.text);
        // The body was never requested, so it must not be read as a request.
        assert_eq!(seen.state, State::Closed, "{request}");
    }
    // An address that has used up its calls.
    let caller = "X-Forwarded-For: 192.0.2.9\r\n";
    for _ in 0..2 {
        ask(
            &gateway,
            format!("GET /api/http/ HTTP/1.1\r\nHost: x\r\n{caller}\r\n").as_bytes(),
        )
        .await;
    }
    let seen = ask(&gateway, waiting(caller, "POST", "/api/http/").as_bytes()).await;
    assert!(
        seen.status() == Some(429) && !seen.text.contains("100 Continue"),
        "{}",
        seen.text
    );
    println!(
        "expect: {} refusals without 100 and without the body",
        cases.len() + 1
    );
}

const TYPED: &str = "Content-Type: text/csv\r\n";
const BASIC: &str = "Authorization: Basic dTpw\r\n";
const TWICE: &str = "Authorization: Basic dTpw\r\nAuthorization: Basic dTpw\r\n";

#[tokio::test]
async fn an_absolute_target_must_name_the_host_of_the_host_header() {
    let gateway = Gateway::start();
    for (target, host, status) in [
        ("http://a.example", "a.example", 200),
        ("https://a.example:443", "a.example:443", 200),
        ("http://b.example", "a.example", 400),
        ("http://a.example:80", "a.example", 400),
        ("http://a.example", "", 400),
        ("http://u:p@a.example", "a.example", 400),
        ("http://u:p@a.example", "u:p@a.example", 400),
        ("http://a.example:123456", "a.example:123456", 400),
        ("ftp://a.example", "a.example", 400),
    ] {
        let head = format!(
            "GET {target}/.well-known/jwks.json HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"
        );
        let seen = ask(&gateway, head.as_bytes()).await;
        assert_eq!(seen.status(), Some(status), "{head}{}", seen.text);
    }
}

#[tokio::test]
async fn expect_100_without_credentials_or_with_a_wrong_type_is_rejected_early() {
    let gateway = Gateway::start();
    let decided = [
        ("", "/api/basic/", 401, "MISSING_USER"),
        (
            "Authorization: Basic Og==\r\n",
            "/api/basic/",
            401,
            "MISSING_USER",
        ),
        (
            "Authorization: Basic dTo=\r\n",
            "/api/basic/",
            401,
            "MISSING_PASSWORD",
        ),
        (
            "Authorization: Bearer x\r\n",
            "/api/basic/",
            401,
            "MISSING_USER",
        ),
        (BASIC, "/api/basic/?user=u", 400, "INCORRECT_PARAM"),
        ("", "/api/jwt/", 401, "MISSING_TOKEN"),
        (BASIC, "/api/jwt/", 401, "MISSING_TOKEN"),
        (TYPED, "/api/http/", 415, "UNSUPPORTED_MEDIA_TYPE"),
        (TYPED, "/api/basic/", 415, "UNSUPPORTED_MEDIA_TYPE"),
        (TYPED, "/api/jwt/", 415, "UNSUPPORTED_MEDIA_TYPE"),
        (TYPED, "/api/soap/", 500, "UNSUPPORTED_MEDIA_TYPE"),
        (TYPED, "/oauth/token", 415, "invalid_request"),
        ("", "/oauth/token?scope=chat", 400, "invalid_request"),
        (TWICE, "/oauth/token", 400, "invalid_request"),
        ("", "/api/http/?user=a&user=b", 400, "INCORRECT_PARAM"),
        (BASIC, "/api/http/?user=u", 400, "INCORRECT_PARAM"),
        (
            "Content-Encoding: gzip\r\n",
            "/api/http/",
            415,
            "UNSUPPORTED_MEDIA_TYPE",
        ),
    ];
    for (line, path, status, word) in decided {
        let seen = ask(&gateway, waiting(line, "POST", path).as_bytes()).await;
        assert!(
            !seen.text.contains("100 Continue"),
            "{line}{path}: {}",
            seen.text
        );
        assert_eq!(seen.status(), Some(status), "{line}{path}: {}", seen.text);
        assert!(seen.text.contains(word), "{line}{path}: {}", seen.text);
        assert_eq!(seen.state, State::Closed, "{line}{path}");
    }
}

#[tokio::test]
async fn expect_100_gets_continue_if_the_body_may_identify_the_caller() {
    let gateway = Gateway::start();
    // The gateway asks for the body if the body may still name the caller or the header may be right.
    for (line, path) in [
        ("", "/api/http/"),
        ("", "/api/soap/"),
        ("", "/oauth/token"),
        (BASIC, "/api/basic/"),
        ("Authorization: Basic !\r\n", "/api/basic/"),
        ("Authorization: Bearer x\r\n", "/api/jwt/"),
    ] {
        let mut probe = Probe::connect(&gateway).await;
        let seen = probe.ask(waiting(line, "POST", path).as_bytes()).await;
        assert_eq!(seen.text, "HTTP/1.1 100 Continue\r\n\r\n", "{line}{path}");
    }
}
