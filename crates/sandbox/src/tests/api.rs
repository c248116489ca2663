//! Tests of operations, of codes and their order, of unread marks, and of both ways in.

use super::*;

const SALES: &str = "platform=whatsapp&platformid=100";
const SALES_CHAT: &str = "platform=whatsapp&platformid=100&destination=34600000000";
const OK: &str = r#"{"status":"SUCCESS","result":{}}"#;

fn error(code: &str) -> String {
    format!(r#"{{"status":"ERROR","error":"{code}"}}"#)
}

#[tokio::test]
async fn an_answer_is_compact_json_with_its_content_length() {
    let sandbox = start().await;
    let heard = call(&sandbox, "sendmessage", &format!("{SALES_CHAT}&message=a")).await;
    assert_eq!((heard.status, heard.text()), (200, OK));
    let head = heard.head.to_ascii_lowercase();
    assert!(head.contains("content-type: application/json; charset=utf-8\r\n"));
    assert!(head.contains("content-length: 32\r\n"));
    sandbox.stop().await;
}

#[tokio::test]
async fn a_new_sandbox_has_five_sample_channels() {
    let sandbox = start().await;
    let channels = list(&sandbox, "getchatchannels", "").await;
    let ids: Vec<_> = channels.iter().map(|c| c["platformid"].as_str()).collect();
    assert_eq!(
        ids,
        [Some("1"), Some("2"), Some("100"), Some("200"), Some("300")]
    );
    let sales = r#"{"platformid":"100","platform":"whatsapp","name":"Sales"}"#;
    assert!(
        call(&sandbox, "getchatchannels", "")
            .await
            .text()
            .contains(sales)
    );
    sandbox.stop().await;
}

#[tokio::test]
async fn sendmessage_opens_the_chat_and_getchats_shows_the_latest_message() {
    let sandbox = start().await;
    let place = "platform=webchat&platformid=2";
    assert!(list(&sandbox, "getchats", place).await.is_empty());
    for text in ["first", "za%C5%BC%C3%B3%C5%82%C4%87%0A%22two%22"] {
        let rest = format!("{place}&destination=new&message={text}");
        assert_eq!(call(&sandbox, "sendmessage", &rest).await.text(), OK);
    }
    let chats = list(&sandbox, "getchats", place).await;
    assert_eq!(chats.len(), 1);
    assert_eq!(chats[0]["message"], "zażółć\n\"two\"");
    assert_eq!(chats[0]["destination"], "new");
    assert_eq!(chats[0]["platform"], "webchat");
    assert_eq!(chats[0]["platformid"], "2");
    assert_eq!(chats[0]["sent"], "1");
    assert_eq!(chats[0]["status"], "sent");
    assert!(chats[0]["messageid"].is_string());
    assert_eq!(
        chats[0]["datetime"].as_str().unwrap().len(),
        "2026-01-01 00:00:00".len()
    );
    assert_eq!(chats[0].as_object().unwrap().len(), 8);
    let messages = list(&sandbox, "getmessages", &format!("{place}&destination=new")).await;
    let texts: Vec<_> = messages.iter().map(|m| m["message"].as_str()).collect();
    assert_eq!(texts, [Some("first"), Some("zażółć\n\"two\"")]);
    sandbox.stop().await;
}

#[tokio::test]
async fn only_getmessages_clears_unread_marks_and_only_of_its_chat() {
    let sandbox = start().await;
    let other = r#"{"platform":"whatsapp","platformid":"100","destination":"other","message":"x"}"#;
    request(&sandbox, "POST /sandbox/receive", "", other).await;
    for _ in 0..2 {
        let unread = list(&sandbox, "getunreadmessages", SALES_CHAT).await;
        assert_eq!(unread.len(), 1);
        assert_eq!(unread[0]["issent"], "0");
        assert_eq!(unread[0]["status"], "received");
        assert!(unread[0].get("sent").is_none());
    }
    assert_eq!(list(&sandbox, "getchats", SALES).await.len(), 2);
    let messages = list(&sandbox, "getmessages", SALES_CHAT).await;
    assert_eq!(messages.len(), 2);
    assert!(messages[0].get("issent").is_none());
    let heard = call(&sandbox, "getunreadmessages", SALES_CHAT).await;
    assert_eq!(heard.text(), r#"{"status":"SUCCESS","result":{"list":[]}}"#);
    let rest = format!("{SALES}&destination=other");
    assert_eq!(list(&sandbox, "getunreadmessages", &rest).await.len(), 1);
    sandbox.stop().await;
}

const FILE: &str = "type=image&fileurl=https%3A%2F%2Fexample.com%2Fa.png";

/// Makes calls with these parameters, and checks that each is rejected with its code.
async fn check_codes(cases: &[(&str, &str, &str)]) {
    let sandbox = start().await;
    for (method, rest, code) in cases {
        let heard = call(&sandbox, method, rest).await;
        let refusal = error(code);
        assert_eq!(
            (heard.status, heard.text()),
            (200, refusal.as_str()),
            "{method} {rest}"
        );
    }
    sandbox.stop().await;
}

#[tokio::test]
async fn an_unknown_platform_and_id_pair_returns_channel_not_found() {
    let nine = "platform=whatsapp&platformid=9&destination=1";
    let code = "CHANNEL_NOT_FOUND";
    check_codes(&[
        ("sendmessage", &format!("{nine}&message=a"), code),
        (
            "sendmessage",
            "platform=telegram&platformid=100&destination=1&message=a",
            code,
        ),
        (
            "sendmessage",
            "platform=fax&platformid=100&destination=1&message=a",
            code,
        ),
        ("sendfile", &format!("{nine}&{FILE}"), code),
        ("getchats", nine, code),
        ("getmessages", nine, code),
        ("getunreadmessages", nine, code),
    ])
    .await;
}

#[tokio::test]
async fn sendfile_and_message_lists_return_chat_not_found_without_a_chat() {
    let nobody = format!("{SALES}&destination=nobody");
    let code = "CHAT_NOT_FOUND";
    check_codes(&[
        ("sendfile", &format!("{nobody}&{FILE}"), code),
        ("getmessages", &nobody, code),
        ("getunreadmessages", &nobody, code),
    ])
    .await;
}

#[tokio::test]
async fn missing_and_wrong_values_return_their_codes() {
    let link = "fileurl=https://example.com/a";
    check_codes(&[
        ("sendmessage", SALES_CHAT, "MISSING_COMPULSORY_PARAM"),
        (
            "sendmessage",
            &format!("{SALES_CHAT}&message="),
            "MISSING_COMPULSORY_PARAM",
        ),
        ("getunreadmessages", SALES, "MISSING_COMPULSORY_PARAM"),
        (
            "sendfile",
            &format!("{SALES_CHAT}&type=gif&{link}"),
            "INCORRECT_FILETYPE",
        ),
        (
            "sendfile",
            &format!("{SALES_CHAT}&type=image&fileurl=ftp://a.b/"),
            "INCORRECT_FILEURL",
        ),
        (
            "sendfile",
            &format!("{SALES_CHAT}&{FILE}&thumburl=nonsense"),
            "INCORRECT_THUMBURL",
        ),
        ("sendpigeon", "", "INCORRECT_METHOD"),
    ])
    .await;
}

#[tokio::test]
async fn a_file_is_listed_with_its_message() {
    let sandbox = start().await;
    let file = format!("{SALES_CHAT}&{FILE}&message=look");
    assert_eq!(call(&sandbox, "sendfile", &file).await.text(), OK);
    let last = list(&sandbox, "getmessages", SALES_CHAT)
        .await
        .pop()
        .unwrap();
    assert_eq!(
        (&last["message"], &last["sent"]),
        (&Value::from("look"), &Value::from("1"))
    );
    sandbox.stop().await;
}

#[tokio::test]
async fn mistakes_are_reported_in_the_contracts_order() {
    let sandbox = start().await;
    for (query, code) in [
        ("", "MISSING_USER"),
        ("user=&password=x", "MISSING_USER"),
        ("user=x", "MISSING_PASSWORD"),
        ("user=x&password=x", "MISSING_CLASS"),
        ("user=x&password=x&class=x", "MISSING_METHOD"),
        (
            "user=x&password=x&class=x&method=x",
            "INCORRECT_USER_PASSWORD",
        ),
        (
            "user=demo&password=p%C3%A4s&class=x&method=x",
            "INCORRECT_USER_PASSWORD",
        ),
        (
            "user=dem&password=p%C3%A4ss&class=x&method=x",
            "INCORRECT_USER_PASSWORD",
        ),
        (&format!("{ACCOUNT}&class=x&method=x"), "INCORRECT_CLASS"),
        (
            &format!("{ACCOUNT}&class=chat&method=x"),
            "INCORRECT_METHOD",
        ),
        (
            &format!("{ACCOUNT}&class=chat&method=getchats&platform=x"),
            "MISSING_COMPULSORY_PARAM",
        ),
        (
            &format!("{ACCOUNT}&class=chat&method=getchats&platform=x&platformid=1"),
            "CHANNEL_NOT_FOUND",
        ),
    ] {
        for path in ["/api/http/", "/api/http"] {
            let by_get = request(&sandbox, &format!("GET {path}?{query}"), "", "").await;
            let form = "Content-Type: application/x-www-form-urlencoded\r\n";
            let by_post = request(&sandbox, &format!("POST {path}"), form, query).await;
            for heard in [by_get, by_post] {
                assert_eq!(
                    (heard.status, heard.text()),
                    (200, error(code).as_str()),
                    "{query}"
                );
            }
        }
    }
    sandbox.stop().await;
}

#[tokio::test]
async fn the_basic_way_reads_the_authorization_header_and_challenges_with_401() {
    let sandbox = start().await;
    let call = "class=chat&method=getchatchannels";
    for (header, query, status, code) in [
        ("", call, 401, "MISSING_USER"),
        ("Authorization: Bearer x\r\n", call, 401, "MISSING_USER"),
        (
            "Authorization: Basic ZGVtbw==\r\n",
            call,
            401,
            "MISSING_PASSWORD",
        ),
        (
            "Authorization: Basic ZGVtbzp4\r\n",
            call,
            401,
            "INCORRECT_USER_PASSWORD",
        ),
        (
            "Authorization: Basic !\r\n",
            call,
            401,
            "INCORRECT_USER_PASSWORD",
        ),
        ("Authorization: Basic !\r\n", "", 200, "MISSING_CLASS"),
        (
            "Authorization: Basic ZGVtbzpww6Rzcw==\r\n",
            "class=x&method=y",
            200,
            "INCORRECT_CLASS",
        ),
        (
            "Authorization: Basic ZGVtbzpww6Rzcw==\r\n",
            "user=demo",
            400,
            "INCORRECT_PARAM",
        ),
    ] {
        let heard = request(&sandbox, &format!("GET /api/basic?{query}"), header, "").await;
        assert_eq!(
            (heard.status, heard.text()),
            (status, error(code).as_str()),
            "{header}"
        );
        let challenge = "www-authenticate: Basic realm=\"sandbox\", charset=\"UTF-8\"";
        assert_eq!(heard.head.contains(challenge), status == 401);
    }
    let right = "Authorization: Basic ZGVtbzpww6Rzcw==\r\n";
    let heard = request(&sandbox, &format!("GET /api/basic/?{call}"), right, "").await;
    assert_eq!(heard.json()["status"], "SUCCESS");
    sandbox.stop().await;
}

#[tokio::test]
async fn hostile_requests_get_a_response_other_than_success() {
    let sandbox = start().await;
    let big = "x".repeat(1024 * 1024 + 1);
    for (line, headers, body, status) in [
        ("POST /api/http/", "", big.as_str(), 413),
        ("POST /api/http/", "Content-Type: text/plain\r\n", "x", 415),
        (
            "POST /api/http/",
            "Content-Type: application/json\r\n",
            "[[[[",
            400,
        ),
        (
            "POST /api/http/",
            "Content-Type: multipart/form-data\r\n",
            "x",
            400,
        ),
        ("GET /api/http/?user=%ff", "", "", 400),
        ("GET /api/http/?user=a&user=a", "", "", 400),
        ("DELETE /api/http/", "", "", 405),
        ("GET /api/http//", "", "", 404),
        ("GET /", "", "", 303),
        ("GET /nothing", "", "", 404),
        ("GET /api/soap/", "", "", 404),
        ("POST /sandbox/sent", "", "", 405),
        ("GET /sandbox/receive", "", "", 405),
        ("DELETE /sandbox/faults", "", "", 405),
    ] {
        let heard = request(&sandbox, line, headers, body).await;
        assert_eq!(heard.status, status, "{line}");
    }
    let broken: [&[u8]; 4] = [
        b"\x00\xff\r\n\r\n",
        b"GET /api/http/?user=\xff\xfe HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        b"GET /api/basic/?class=chat&method=getchats HTTP/1.1\r\nAuthorization: Basic \xff\r\nConnection: close\r\n\r\n",
        b"POST /api/http/ HTTP/1.1\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\nzz\r\n\r\n",
    ];
    for bytes in broken {
        let status = exchange(&sandbox, bytes).await.status;
        assert_ne!(status, 200, "{}", bytes.escape_ascii());
    }
    let old =
        format!("GET /api/http/?{ACCOUNT}&class=chat&method=getchatchannels HTTP/1.0\r\n\r\n");
    assert_eq!(
        exchange(&sandbox, old.as_bytes()).await.json()["status"],
        "SUCCESS"
    );
    sandbox.stop().await;
}

#[tokio::test]
async fn a_hundred_concurrent_sends_are_all_stored() {
    let sandbox = std::sync::Arc::new(start().await);
    let mut sends = tokio::task::JoinSet::new();
    for number in 0..100 {
        let sandbox = std::sync::Arc::clone(&sandbox);
        sends.spawn(async move {
            let rest = format!("{SALES}&destination=crowd&message={number}");
            call(&sandbox, "sendmessage", &rest).await.text().to_owned()
        });
    }
    assert!(sends.join_all().await.iter().all(|answer| answer == OK));
    let messages = list(
        &sandbox,
        "getmessages",
        &format!("{SALES}&destination=crowd"),
    )
    .await;
    let mut numbers: Vec<u32> = messages
        .iter()
        .map(|m| m["message"].as_str().unwrap().parse().unwrap())
        .collect();
    numbers.sort_unstable();
    assert!(numbers.into_iter().eq(0..100));
    assert_eq!(arrivals(&sandbox).await["stored"], 100);
}

#[tokio::test]
async fn stored_messages_survive_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("chats.db");
    let first = start_on(Some(&file)).await;
    let rest = format!("{SALES_CHAT}&message=kept");
    assert_eq!(call(&first, "sendmessage", &rest).await.text(), OK);
    let before = call(&first, "getmessages", SALES_CHAT).await.body;
    first.stop().await;

    let second = start_on(Some(&file)).await;
    assert_eq!(call(&second, "getmessages", SALES_CHAT).await.body, before);
    assert!(
        list(&second, "getunreadmessages", SALES_CHAT)
            .await
            .is_empty()
    );
    assert_eq!(list(&second, "getchatchannels", "").await.len(), 5);
    second.stop().await;
}

#[tokio::test]
async fn stop_closes_idle_connections_and_the_port() {
    let sandbox = start().await;
    let address = sandbox.address();
    assert_eq!(sandbox.url(), format!("http://{address}"));
    let mut idle = TcpStream::connect(address).await.unwrap();
    idle.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        .await
        .unwrap();
    let mut first = [0; 12];
    idle.read_exact(&mut first).await.unwrap();
    sandbox.stop().await;
    let mut rest = Vec::new();
    idle.read_to_end(&mut rest).await.unwrap();
    assert!(TcpStream::connect(address).await.is_err());
}
