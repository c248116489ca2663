//! Tests of the pages, as a browser without JavaScript and foreign pages see them.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::{Heard, call, list, request, start};
use crate::Sandbox;

const CHANNEL: &str = "platform=webchat&platformid=1";

async fn get(sandbox: &Sandbox, path: &str, headers: &str) -> Heard {
    request(sandbox, &format!("GET {path}"), headers, "").await
}

async fn post(sandbox: &Sandbox, path: &str, headers: &str, body: &str) -> Heard {
    request(sandbox, &format!("POST {path}"), headers, body).await
}

/// Makes a first visit. Returns the Cookie header for further requests, and the visitor's name.
async fn visit(sandbox: &Sandbox) -> (String, String) {
    let page = get(sandbox, "/chat/1", "").await;
    assert_eq!(page.status, 200, "{}", page.text());
    let lines = page.head.lines();
    let mut set = lines.filter_map(|line| line.strip_prefix("set-cookie: "));
    let set = set.next().unwrap().to_owned();
    assert!(set.contains("; HttpOnly; SameSite=Strict"), "{set}");
    let pair = set.split(';').next().unwrap();
    let name = pair.split_once('=').unwrap().1.to_owned();
    assert!(page.text().contains(&name), "{}", page.text());
    (format!("Cookie: {pair}\r\n"), name)
}

#[tokio::test]
async fn a_visitor_chats_through_a_plain_html_form() {
    let sandbox = start().await;
    let (cookie, name) = visit(&sandbox).await;
    let posted = post(
        &sandbox,
        "/chat/1",
        &cookie,
        "message=Gr%C3%BC%C3%9Fe+%26+mehr",
    )
    .await;
    assert_eq!(posted.status, 303);
    assert!(
        posted.head.contains("location: /chat/1\r\n"),
        "{}",
        posted.head
    );
    let place = format!("{CHANNEL}&destination={name}");
    let unread = list(&sandbox, "getunreadmessages", &place).await;
    assert_eq!(unread.len(), 1);
    assert_eq!(unread[0]["message"], "Grüße & mehr");
    assert_eq!(unread[0]["issent"], "0");
    call(
        &sandbox,
        "sendmessage",
        &format!("{place}&message=%3Cb%3EYes%3C/b%3E"),
    )
    .await;
    let page = get(&sandbox, "/chat/1", &cookie).await;
    let text = page.text();
    assert!(text.contains("Grüße &#38; mehr"), "{text}");
    assert!(text.contains("&#60;b&#62;Yes&#60;/b&#62;"), "{text}");
    assert!(!text.contains("<b>"), "{text}");
    // Another visitor does not see any of these messages.
    let (other, _) = visit(&sandbox).await;
    assert!(
        !get(&sandbox, "/chat/1", &other)
            .await
            .text()
            .contains("mehr")
    );
}

#[tokio::test]
async fn viewing_pages_clears_no_unread_marks() {
    let sandbox = start().await;
    let (cookie, name) = visit(&sandbox).await;
    post(&sandbox, "/chat/1", &cookie, "message=Hello").await;
    let overview = get(&sandbox, "/operator/", "").await;
    assert!(overview.text().contains("1 unread"), "{}", overview.text());
    let at = overview.text().find(&name).unwrap();
    let before = &overview.text()[..at];
    let id = before.rsplit("/operator/chat/").next().unwrap();
    let path = format!("/operator/chat/{}", id.split('"').next().unwrap());
    assert!(get(&sandbox, &path, "").await.text().contains("Hello"));
    get(&sandbox, "/chat/1", &cookie).await;
    let place = format!("{CHANNEL}&destination={name}");
    assert_eq!(list(&sandbox, "getunreadmessages", &place).await.len(), 1);
    assert_eq!(
        post(&sandbox, &path, "", "message=Good+day").await.status,
        303
    );
    let all = list(&sandbox, "getmessages", &place).await;
    assert_eq!(all[1]["message"], "Good day");
    assert_eq!(all[1]["sent"], "1");
}

#[tokio::test]
async fn a_rejected_message_is_returned_in_the_form_with_the_reason() {
    let sandbox = start().await;
    let (cookie, _) = visit(&sandbox).await;
    let bell = post(&sandbox, "/chat/1", &cookie, "message=%3Cding%3E%07").await;
    assert_eq!(bell.status, 400);
    assert!(bell.text().contains("role=\"alert\""), "{}", bell.text());
    assert!(bell.text().contains("&#60;ding&#62;"), "{}", bell.text());
    let long = format!("message={}", "x".repeat(16 * 1024 + 1));
    assert_eq!(post(&sandbox, "/chat/1", &cookie, &long).await.status, 400);
    let empty = post(&sandbox, "/chat/1", &cookie, "message=").await;
    assert_eq!(empty.status, 400);
}

#[tokio::test]
async fn a_forged_visitor_name_is_replaced() {
    let sandbox = start().await;
    for forged in [
        "visitor-1",
        "visitor-<b>0123456789abc",
        "visitor-0123456789ABCDEF",
        "x",
        "",
    ] {
        let cookie = format!("Cookie: sandbox_visitor={forged}\r\n");
        let page = get(&sandbox, "/chat/1", &cookie).await;
        assert!(page.head.contains("set-cookie: sandbox_visitor=visitor-"));
        assert!(!page.head.contains(&format!("={forged};")), "{}", page.head);
        let posted = post(&sandbox, "/chat/1", &cookie, "message=Hello").await;
        assert_eq!(posted.status, 303);
    }
    let chats = list(&sandbox, "getchats", CHANNEL).await;
    assert_eq!(chats.len(), 1, "only the sample: {chats:?}");
}

#[tokio::test]
async fn foreign_hosts_and_origins_are_rejected_without_credentials() {
    let sandbox = start().await;
    let rebound = "GET / HTTP/1.1\r\nHost: rebound.example\r\nConnection: close\r\n\r\n";
    for path in ["/chat/1", "/operator/", "/sandbox/sent", "/sandbox/faults"] {
        let text = rebound.replacen('/', path, 1);
        let heard = super::exchange(&sandbox, text.as_bytes()).await;
        assert_eq!(heard.status, 403, "{path}");
    }
    let elsewhere = "Origin: https://evil.example\r\n";
    let message = r#"{"platform":"webchat","platformid":"1","destination":"x","message":"x"}"#;
    let (cookie, _) = visit(&sandbox).await;
    for (path, body) in [
        ("/chat/1", "message=x"),
        ("/operator/chat/1", "message=x"),
        ("/sandbox/receive", message),
    ] {
        let heard = post(&sandbox, path, &format!("{cookie}{elsewhere}"), body).await;
        assert_eq!(heard.status, 403, "{path}");
        let own = format!("{cookie}Origin: http://x\r\nSec-Fetch-Site: same-origin\r\n");
        let heard = post(&sandbox, path, &own, body).await;
        assert!(
            matches!(heard.status, 201 | 303),
            "{path}: {}",
            heard.status
        );
    }
    // The API is protected by its credentials, so it may be called under any host name.
    let named = format!(
        "GET /api/http/?{}&class=chat&method=getchatchannels HTTP/1.1\r\nHost: sandbox.example\r\nConnection: close\r\n\r\n",
        super::ACCOUNT
    );
    assert_eq!(
        super::exchange(&sandbox, named.as_bytes()).await.status,
        200
    );
}

#[tokio::test]
async fn every_page_has_strict_security_headers() {
    let sandbox = start().await;
    for path in [
        "/chat/",
        "/chat/1",
        "/operator/",
        "/operator/chat/1",
        "/assets/web.js",
        "/nothing",
    ] {
        let page = get(&sandbox, path, "").await;
        for header in [
            "content-security-policy: default-src 'none'; ",
            "x-content-type-options: nosniff",
            "x-frame-options: DENY",
            "referrer-policy: same-origin",
            "cross-origin-resource-policy: same-origin",
        ] {
            assert!(
                page.head.contains(header),
                "{path} has no {header}: {}",
                page.head
            );
        }
        assert!(!page.head.contains("unsafe"), "{}", page.head);
    }
    assert_eq!(get(&sandbox, "/chat/nine", "").await.status, 404);
    assert_eq!(get(&sandbox, "/operator/chat/999", "").await.status, 404);
    assert_eq!(request(&sandbox, "PUT /chat/1", "", "").await.status, 405);
    assert_eq!(
        request(&sandbox, "POST /operator/", "", "").await.status,
        405
    );
}

/// Opens a stream and reads until it contains this text.
async fn events_until(
    sandbox: &Sandbox,
    path: &str,
    headers: &str,
    what: &str,
) -> (TcpStream, String) {
    let mut stream = TcpStream::connect(sandbox.address()).await.unwrap();
    let text = format!("GET {path} HTTP/1.1\r\nHost: x\r\n{headers}\r\n");
    stream.write_all(text.as_bytes()).await.unwrap();
    let heard = until(&mut stream, what).await;
    (stream, heard)
}

async fn until(stream: &mut TcpStream, what: &str) -> String {
    let mut heard = Vec::new();
    while !String::from_utf8_lossy(&heard).contains(what) {
        let mut piece = [0; 4096];
        let read = stream.read(&mut piece).await.unwrap();
        assert_ne!(
            read,
            0,
            "ended without {what}: {}",
            String::from_utf8_lossy(&heard)
        );
        heard.extend_from_slice(&piece[..read]);
    }
    String::from_utf8(heard).unwrap()
}

#[tokio::test]
async fn a_stream_sends_new_messages_and_resumes_after_the_last_event_id() {
    let sandbox = start().await;
    let (cookie, name) = visit(&sandbox).await;
    let place = format!("{CHANNEL}&destination={name}");
    let send = |text: &str| format!("{place}&message={text}");
    call(&sandbox, "sendmessage", &send("One")).await;
    let path = "/chat/1/events?after=0";
    let (mut stream, first) = events_until(&sandbox, path, &cookie, "One").await;
    assert!(first.contains("text/event-stream"), "{first}");
    call(
        &sandbox,
        "sendmessage",
        &send("Two%0D%0Alines%0Ddata:%20no"),
    )
    .await;
    let second = until(&mut stream, "no</p>").await;
    assert!(
        second.contains("data: lines\ndata: data: no</p>"),
        "{second}"
    );
    let id = second.split("id: ").nth(1).unwrap();
    let id: i64 = id.lines().next().unwrap().parse().unwrap();
    drop(stream);
    call(&sandbox, "sendmessage", &send("Three")).await;
    let again = format!("{cookie}Last-Event-ID: {id}\r\n");
    let (_stream, rest) = events_until(&sandbox, path, &again, "Three").await;
    assert!(!rest.contains("One") && !rest.contains("Two"), "{rest}");
    // Without the visitor's cookie, or for a page of another site, there is no stream.
    let heard = get(&sandbox, path, "").await;
    assert_eq!(heard.status, 404);
    let elsewhere = format!("{cookie}Sec-Fetch-Site: cross-site\r\n");
    assert_eq!(get(&sandbox, path, &elsewhere).await.status, 403);
}

#[tokio::test]
async fn event_streams_are_limited_and_end_when_the_sandbox_stops() {
    let sandbox = start().await;
    let mut open = Vec::new();
    for _ in 0..crate::app_state::WATCHERS_MAX {
        open.push(
            events_until(&sandbox, "/operator/events", "", "visitor-1")
                .await
                .0,
        );
    }
    assert_eq!(get(&sandbox, "/operator/events", "").await.status, 503);
    let (cookie, _) = visit(&sandbox).await;
    assert_eq!(
        post(&sandbox, "/chat/1", &cookie, "message=x").await.status,
        303
    );
    until(&mut open[0], "1 unread").await;
    sandbox.stop().await;
    let mut rest = Vec::new();
    open[0].read_to_end(&mut rest).await.unwrap();
    assert!(rest.ends_with(b"0\r\n\r\n"), "ended as it should");
}
