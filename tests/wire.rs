//! Tests of HTTP itself: old clients, unusual methods, broken hosts, and what each way in accepts as a request.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::harness::{Answer, Gateway, client};

/// Sends bytes on a new connection and reads until the gateway closes it.
async fn raw(gateway: &Gateway, request: &str) -> String {
    let mut stream = TcpStream::connect(gateway.public).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    String::from_utf8(answer).unwrap()
}

fn status(answer: &str) -> &str {
    answer.split(' ').nth(1).unwrap_or_default()
}

fn body(answer: &str) -> &str {
    answer.split_once("\r\n\r\n").map_or("", |(_, body)| body)
}

#[tokio::test]
async fn an_http_1_0_client_gets_a_content_length_and_a_closed_connection() {
    let gateway = Gateway::start();
    let demo = gateway.demo();
    let target = format!(
        "/api/http?class=chat&method=getchatchannels&user={}&password={}",
        demo.user, demo.password
    );
    let answer = raw(&gateway, &format!("GET {target} HTTP/1.0\r\n\r\n")).await;
    assert_eq!(status(&answer), "200");
    let length = body(&answer).len();
    assert!(
        answer
            .to_ascii_lowercase()
            .contains(&format!("content-length: {length}\r\n")),
        "{answer}"
    );
    assert!(!answer.to_ascii_lowercase().contains("transfer-encoding"));
    assert!(
        body(&answer).starts_with(r#"{"status":"SUCCESS","result":{"list":["#)
            && !body(&answer).contains('\n')
    );
}

#[tokio::test]
async fn raw_utf_8_in_a_query_is_accepted() {
    let gateway = Gateway::start();
    let demo = gateway.demo();
    let call = "class=chat&method=sendmessage&platform=webchat&platformid=1&destination=utf8&message=zażółć+gęślą+😀";
    let credentials = format!("user={}&password={}", demo.user, demo.password);
    let request = format!(
        "GET /api/http/?{call}&{credentials} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    );
    assert!(body(&raw(&gateway, &request).await).contains("SUCCESS"));
    let read = "class=chat&method=getmessages&platform=webchat&platformid=1&destination=utf8";
    let answer =
        Answer::of(client().get(gateway.url(&format!("/api/http/?{read}&{credentials}")))).await;
    assert_eq!(
        answer.json()["result"]["list"][0]["message"],
        "zażółć gęślą 😀"
    );
}

#[tokio::test]
async fn an_invalid_host_header_is_rejected_in_the_callers_dialect() {
    let gateway = Gateway::start();
    let close = "Connection: close\r\n\r\n";
    for host in [
        "",
        "Host: a\r\nHost: a\r\n",
        "Host:\r\n",
        "Host: u@x\r\n",
        "Host: x/y\r\n",
        "Host: x y\r\n",
        "Host: x:y\r\n",
    ] {
        let answer = raw(
            &gateway,
            &format!("GET /api/http/ HTTP/1.1\r\n{host}{close}"),
        )
        .await;
        assert_eq!(status(&answer), "400", "{host}");
        assert!(body(&answer).contains("MALFORMED_REQUEST"), "{answer}");
    }
    let soap = raw(
        &gateway,
        &format!("POST /api/soap/ HTTP/1.1\r\nContent-Length: 0\r\n{close}"),
    )
    .await;
    assert!(
        status(&soap) == "500" && body(&soap).contains("<c:code>MALFORMED_REQUEST</c:code>"),
        "{soap}"
    );
}

#[tokio::test]
async fn a_connection_closes_after_a_chunked_request() {
    let gateway = Gateway::start();
    let chunked = "POST /api/http/ HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nclass\r\n0\r\n\r\n";
    let answer = raw(
        &gateway,
        &format!("{chunked}GET /api/http/ HTTP/1.1\r\nHost: x\r\n\r\n"),
    )
    .await;
    assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "{answer}");
    assert!(answer.to_ascii_lowercase().contains("connection: close"));
}

#[tokio::test]
async fn options_head_and_other_methods_follow_the_contract() {
    let gateway = Gateway::start();
    let demo = gateway.demo();
    for path in ["/api/http/", "/api/basic", "/api/jwt/", "/api/soap/"] {
        let options =
            Answer::of(client().request(reqwest::Method::OPTIONS, gateway.url(path))).await;
        assert_eq!(
            (options.status, options.header("allow")),
            (204, "GET, HEAD, POST, OPTIONS"),
            "{path}"
        );
        assert_eq!(options.header("access-control-allow-origin"), "");
        let put = Answer::of(client().put(gateway.url(path))).await;
        assert_eq!(put.header("allow"), "GET, HEAD, POST, OPTIONS");
        assert!(put.body.contains("HTTP_METHOD_NOT_ALLOWED"), "{}", put.body);
    }
    let send =
        "class=chat&method=sendmessage&platform=whatsapp&platformid=100&destination=head&message=x";
    let head = |credentials: &str| {
        client()
            .head(gateway.url(&format!("/api/http/?{send}&{credentials}")))
            .header("X-Request-ID", "head")
    };
    let right_pair = format!("user={}&password={}", demo.user, demo.password);
    let right = Answer::of(head(&right_pair)).await;
    assert_eq!(
        (
            right.status,
            right.body.as_str(),
            right.header("cache-status")
        ),
        (200, "", "")
    );
    let row = gateway.logged("head");
    assert_eq!(
        (&row["upstream_ms"], &row["delivery"]),
        (&serde_json::Value::Null, &serde_json::json!(""))
    );
    // As raw bytes, because an HTTP client reads no body after HEAD: nothing may follow the head.
    for credentials in ["user=demo&password=wrong", "platform=fax", &right_pair] {
        let path = format!("/api/http/?{send}&{credentials}");
        let request = format!("HEAD {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        let answer = raw(&gateway, &request).await;
        assert!(
            answer.ends_with("\r\n\r\n") && answer.matches("\r\n\r\n").count() == 1,
            "{answer}"
        );
        // A refusal has the same length by GET. The length of an answer that was never fetched is unknown.
        let announces = answer.to_ascii_lowercase().contains("content-length:");
        assert_eq!(announces, credentials != right_pair, "{answer}");
    }
    let read = "class=chat&method=getmessages&platform=whatsapp&platformid=100&destination=head";
    let read = Answer::of(client().get(gateway.url(&format!(
        "/api/http/?{read}&user={}&password={}",
        demo.user, demo.password
    ))));
    assert_eq!(
        read.await.json()["error"],
        "CHAT_NOT_FOUND",
        "a HEAD went upstream"
    );
}

#[tokio::test]
async fn documents_are_cacheable_unless_their_url_may_contain_credentials() {
    let gateway = Gateway::start();
    for (path, keeping) in [
        ("/.well-known/jwks.json", "public, max-age=300"),
        ("/api/soap/?wsdl", "public, max-age=300"),
        ("/docs/", "public, max-age=300"),
        ("/.well-known/jwks.json?password=p", "no-store"),
        ("/.well-known/oauth-authorization-server?user=u", "no-store"),
        ("/api/soap/?wsdl&user=u&password=p", "no-store"),
        ("/docs/?password=p", "no-store"),
    ] {
        let answer = Answer::of(client().get(gateway.url(path))).await;
        assert_eq!(
            (
                answer.status,
                answer.header("cache-control"),
                answer.header("vary")
            ),
            (200, keeping, "origin"),
            "{path}"
        );
    }
}

#[tokio::test]
async fn unknown_paths_return_not_found_and_every_answer_has_a_request_id() {
    let gateway = Gateway::start();
    for path in [
        "/",
        "/api",
        "/api/http/x",
        "/livez",
        "/metrics",
        "/admin/v1/status",
        "/sandbox/sent",
        "/API/HTTP/",
    ] {
        let answer = Answer::of(client().get(gateway.url(path))).await;
        assert_eq!(
            (answer.status, answer.json()["error"].as_str()),
            (404, Some("NOT_FOUND")),
            "{path}"
        );
        assert_eq!(answer.header("x-request-id").len(), 36);
    }
    let given = Answer::of(
        client()
            .get(gateway.url("/"))
            .header("X-Request-ID", "my-id_1.2"),
    )
    .await;
    assert_eq!(
        (
            given.header("x-request-id"),
            given.json()["request_id"].as_str()
        ),
        ("my-id_1.2", Some("my-id_1.2"))
    );
}

#[tokio::test]
async fn every_answer_has_nosniff_and_trace_is_rejected() {
    let gateway = Gateway::start();
    let public = [
        "/",
        "/api/http/",
        "/api/basic/",
        "/api/jwt/",
        "/api/soap/",
        "/api/soap/?wsdl",
        "/oauth/token",
        "/.well-known/jwks.json",
        "/.well-known/oauth-authorization-server",
        "/docs/",
    ];
    let operators = [
        "/livez",
        "/readyz",
        "/metrics",
        "/admin/v1/status",
        "/admin/v1/nothing",
        "/console/",
    ];
    let public = public.map(|path| gateway.url(path));
    let operators = operators.map(|path| format!("http://{}{path}", gateway.admin));
    for url in public.iter().chain(&operators) {
        for method in [
            reqwest::Method::GET,
            reqwest::Method::OPTIONS,
            reqwest::Method::TRACE,
        ] {
            let answer = Answer::of(client().request(method.clone(), url)).await;
            assert_eq!(
                answer.header("x-content-type-options"),
                "nosniff",
                "{method} {url}"
            );
            assert!(
                method != reqwest::Method::TRACE || answer.status >= 300,
                "{url} answers TRACE with {}",
                answer.status
            );
        }
    }
}

#[tokio::test]
async fn an_oversized_body_gets_413_and_an_incomplete_one_times_out() {
    let gateway = Gateway::configured(
        "[limits]\nbody_bytes = \"1KiB\"\nrequest_timeout = \"1s\"\n",
        &[],
    );
    let huge = "POST /api/http/ HTTP/1.1\r\nHost: x\r\nContent-Length: 10000000000\r\nConnection: close\r\n\r\n";
    assert_eq!(status(&raw(&gateway, huge).await), "413");
    let expecting = huge.replace("Connection", "Expect: 100-continue\r\nConnection");
    let answer = raw(&gateway, &expecting).await;
    assert!(
        !answer.contains("100 Continue") && status(&answer) == "413",
        "{answer}"
    );
    let chunks = "400\r\n".to_owned() + &"x".repeat(1024) + "\r\n1\r\nx\r\n0\r\n\r\n";
    let chunked = format!(
        "POST /api/http/ HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}"
    );
    assert_eq!(status(&raw(&gateway, &chunked).await), "413");
    let never =
        "POST /api/http/ HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\nConnection: close\r\n\r\nabc";
    let answer = raw(&gateway, never).await;
    assert!(
        status(&answer) == "400" && body(&answer).contains("MALFORMED_REQUEST"),
        "{answer}"
    );
}

#[tokio::test]
async fn a_disabled_way_in_has_no_path() {
    let gateway = Gateway::configured("[ways.jwt]\nenabled = false\n", &[]);
    for path in ["/api/jwt/", "/oauth/token", "/.well-known/jwks.json"] {
        assert_eq!(
            Answer::of(client().get(gateway.url(path))).await.status,
            404,
            "{path}"
        );
    }
}

#[tokio::test]
async fn token_and_key_paths_name_their_allowed_methods() {
    let gateway = Gateway::start();
    for (path, allow) in [
        ("/oauth/token", "POST, OPTIONS"),
        ("/.well-known/jwks.json", "GET, HEAD"),
    ] {
        let answer = Answer::of(client().put(gateway.url(path))).await;
        assert_eq!(
            (answer.status, answer.header("allow")),
            (405, allow),
            "{path}"
        );
    }
}

#[tokio::test]
async fn an_answer_arrives_while_a_rejected_body_is_still_being_written() {
    let gateway = Gateway::start();
    let mut stream = TcpStream::connect(gateway.public).await.unwrap();
    let length = 20 * 1024 * 1024;
    let head = format!("POST /api/http/ HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    // Old clients write everything before they read anything.
    stream.write_all(&vec![b'x'; length]).await.unwrap();
    let mut answer = vec![0; 12];
    stream.read_exact(&mut answer).await.unwrap();
    assert_eq!(answer, b"HTTP/1.1 413");
}

#[tokio::test]
async fn an_unknown_path_is_not_logged() {
    let gateway = Gateway::start();
    let path = "/api/http/%3Fuser=shop&password=PATHCANARY";
    Answer::of(
        client()
            .get(gateway.url(path))
            .header("X-Request-ID", "lost"),
    )
    .await;
    assert_eq!(gateway.logged("lost")["path"], "(unknown)");
    assert!(!gateway.process.lines().join("\n").contains("PATHCANARY"));
}

#[tokio::test]
async fn a_transfer_coding_other_than_chunked_is_rejected() {
    let gateway = Gateway::start();
    let request =
        "POST /api/http/ HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n";
    let answer = raw(&gateway, request).await;
    assert!(
        status(&answer) == "400" && body(&answer).contains("MALFORMED_REQUEST"),
        "{answer}"
    );
}
