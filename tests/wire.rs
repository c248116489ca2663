//! Tests of HTTP itself: old clients, unusual methods, broken hosts, and what each way in accepts as a request.

use reqwest::Method;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::browser::browse;
use crate::harness::{Answer, Gateway, client, envelope};

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
async fn the_wsdl_contains_the_public_url_regardless_of_the_host_header() {
    let gateway = Gateway::configured("[server]\npublic_url = \"https://chat.example.com\"\n", &[]);
    for query in ["?wsdl", "?WSDL", "?singleWsdl&wsdl"] {
        let answer = Answer::of(
            client()
                .get(gateway.url(&format!("/api/soap/{query}")))
                .header("Host", "evil.example"),
        )
        .await;
        assert_eq!(
            (answer.status, answer.header("content-type")),
            (200, "text/xml; charset=utf-8")
        );
        assert_eq!(
            answer
                .body
                .matches("location=\"https://chat.example.com/api/soap/\"")
                .count(),
            2,
            "{}",
            answer.body
        );
    }
    let plain = Answer::of(client().get(gateway.url("/api/soap/"))).await;
    assert!(plain.status == 500 && plain.body.contains("HTTP_METHOD_NOT_ALLOWED"));
}

#[tokio::test]
async fn each_soap_version_has_its_own_wsdl() {
    let gateway = Gateway::start();
    let ask = async |method: Method, query: &str| {
        let url = gateway.url(&format!("/api/soap/?{query}"));
        Answer::of(client().request(method, url)).await
    };
    for (query, own, other) in [
        ("wsdl=1.1", "ChatSoap11", "soap12:"),
        ("WSDL=1.2", "ChatSoap12", "ChatSoap11"),
    ] {
        let wsdl = ask(Method::GET, query).await;
        assert_eq!(
            (wsdl.status, wsdl.header("content-type")),
            (200, "text/xml; charset=utf-8")
        );
        assert_eq!(wsdl.body.matches("<wsdl:port ").count(), 1, "{}", wsdl.body);
        assert!(wsdl.body.contains(own) && !wsdl.body.contains(other));
        let head = ask(Method::HEAD, query).await;
        let length = |answer: &Answer| answer.header("content-length").to_owned();
        assert_eq!((head.status, length(&head)), (200, length(&wsdl)));
    }
    for query in ["wsdl=2.0", "wsdl=1.1&wsdl=1.2"] {
        let unknown = ask(Method::GET, query).await;
        assert_eq!(unknown.status, 500);
        assert!(unknown.body.contains("<s:Fault>"), "{}", unknown.body);
        assert!(unknown.body.contains("INCORRECT_PARAM"), "{}", unknown.body);
        assert!(unknown.body.contains("?wsdl=1.1"), "{}", unknown.body);
    }
}

#[tokio::test]
async fn soap_answers_use_the_version_of_the_request() {
    let gateway = Gateway::start();
    let demo = gateway.demo();
    let eleven = envelope(
        "getchatchannels",
        &[("user", &demo.user), ("password", &demo.password)],
    );
    let twelve = eleven.replace(
        "http://schemas.xmlsoap.org/soap/envelope/",
        "http://www.w3.org/2003/05/soap-envelope",
    );
    for (xml, content_type) in [
        (eleven, "text/xml; charset=utf-8"),
        (twelve, "application/soap+xml; charset=utf-8"),
    ] {
        let call = client()
            .post(gateway.url("/api/soap"))
            .header("Content-Type", content_type)
            .body(xml.clone());
        let answer = Answer::of(call).await;
        assert_eq!(
            (answer.status, answer.header("content-type")),
            (200, content_type)
        );
        assert_eq!(
            answer.body.matches("<c:item>").count(),
            5,
            "{}",
            answer.body
        );
        let wrong = xml.replace(&demo.password, "wrong");
        let fault = Answer::of(
            client()
                .post(gateway.url("/api/soap"))
                .header("Content-Type", content_type)
                .body(wrong),
        )
        .await;
        let expected = if content_type.starts_with("text") {
            500
        } else {
            400
        };
        assert_eq!(
            (fault.status, fault.header("content-type")),
            (expected, content_type)
        );
    }
}

#[tokio::test]
async fn a_disabled_way_in_has_no_path_and_cors_allows_only_configured_origins() {
    let toml = "[server]\ncors_origins = [\"https://app.example\"]\n[ways.jwt]\nenabled = false\n";
    let gateway = Gateway::configured(toml, &[]);
    for path in ["/api/jwt/", "/oauth/token", "/.well-known/jwks.json"] {
        assert_eq!(
            Answer::of(client().get(gateway.url(path))).await.status,
            404,
            "{path}"
        );
    }
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
    let toml = "[server]\ncors_origins = [\"https://app.example\"]\n";
    let gateway = Gateway::configured(toml, &[]);
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
    let toml = "[server]\ncors_origins = [\"https://app.example\"]\n";
    let gateway = Gateway::configured(toml, &[]);
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

#[tokio::test]
async fn a_message_that_has_expired_is_rejected_if_its_sender_requires_the_check() {
    let gateway = Gateway::start();
    let demo = gateway.demo();
    let credentials = [("user", &*demo.user), ("password", &*demo.password)];
    let call = envelope("getchatchannels", &credentials);
    let wss = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity";
    for (mandatory, expires, status) in [
        ("1", "2020-01-01T00:00:00Z", 500),
        ("0", "2020-01-01T00:00:00Z", 200),
        ("1", "2999-01-01T00:00:00Z", 200),
    ] {
        let header = format!(
            "<s:Header><w:Security xmlns:w=\"{wss}-secext-1.0.xsd\" xmlns:u=\"{wss}-utility-1.0.xsd\" \
             s:mustUnderstand=\"{mandatory}\"><u:Timestamp><u:Expires>{expires}</u:Expires></u:Timestamp></w:Security></s:Header><s:Body>"
        );
        let body = call.replacen("<s:Body>", &header, 1);
        let answer = Answer::of(client().post(gateway.url("/api/soap/")).body(body)).await;
        assert_eq!(
            answer.status, status,
            "{mandatory} {expires}: {}",
            answer.body
        );
        let code = "<c:code>MALFORMED_REQUEST</c:code>";
        assert_eq!(answer.body.contains(code), status == 500, "{}", answer.body);
    }
}
