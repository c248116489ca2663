//! Tests of live pages: rows as they are written, and figures, for everybody who is still signed in.

use std::time::Duration;

use reqwest::Response;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::{Visitor, browse, first_key, make_calls};
use crate::harness::{Gateway, UPSTREAM_ENVIRONMENT, accepted, upstream};
use crate::sends::{posted, read_request, send_form};

/// Longest wait for an event. It allows for a busy machine and is not a measured figure.
const PATIENCE: Duration = Duration::from_secs(30);

/// Reads events until they contain this text or the stream ends.
async fn read_until(response: &mut Response, wanted: &str) -> String {
    let mut text = String::new();
    let reading = async {
        while !text.contains(wanted) {
            match response.chunk().await.unwrap() {
                Some(chunk) => text.push_str(&String::from_utf8_lossy(&chunk)),
                None => break,
            }
        }
    };
    tokio::time::timeout(PATIENCE, reading)
        .await
        .expect("an event in time");
    text
}

#[tokio::test]
async fn a_tail_shows_the_rows_of_its_filter_and_ends_with_the_session() {
    let gateway = Gateway::start();
    let visitor = Visitor::first(&gateway).await;
    let mut all = visitor.get("/console/journal/events").send().await.unwrap();
    let mut some = visitor
        .get("/console/journal/events?status=INCORRECT_METHOD")
        .send()
        .await
        .unwrap();
    assert_eq!(all.headers()["content-type"], "text/event-stream");
    read_until(&mut all, ":").await;
    read_until(&mut some, ":").await;
    make_calls(&gateway).await;
    let seen = read_until(&mut all, "INCORRECT_USER_PASSWORD").await;
    assert!(
        seen.contains("sendmessage") && seen.contains("event: rows"),
        "{seen}"
    );
    let seen = read_until(&mut some, "event: note").await;
    assert!(seen.contains("INCORRECT_METHOD"), "{seen}");
    assert!(
        !seen.contains("sendmessage") && !seen.contains("INCORRECT_USER"),
        "{seen}"
    );
    visitor.send("/console/sign-out-everywhere", &[]).await;
    for tail in [&mut all, &mut some] {
        let end = read_until(tail, "event: bye").await;
        assert!(end.contains("event: bye"), "{end}");
        assert!(
            tail.chunk().await.unwrap().is_none(),
            "and nothing after it"
        );
    }
}

#[tokio::test]
async fn a_tail_continues_after_the_newest_row_of_the_page() {
    let gateway = Gateway::start();
    let visitor = Visitor::first(&gateway).await;
    make_calls(&gateway).await;
    // The journal is flushed before the page reads it, so the page contains these rows.
    let page = visitor.page("/console/journal").await.body;
    let newest = page
        .split("data-row=\"")
        .nth(1)
        .unwrap()
        .split('"')
        .next()
        .unwrap();
    make_calls(&gateway).await;
    visitor.page("/console/journal").await;
    let path = format!("/console/journal/events?after={newest}");
    let mut tail = visitor.get(&path).send().await.unwrap();
    let seen = read_until(&mut tail, "event: note").await;
    assert_eq!(seen.matches("data-row=").count(), 5, "{seen}");
}

#[tokio::test]
async fn the_overview_updates_live_and_open_pages_do_not_delay_shutdown() {
    let gateway = Gateway::start();
    let visitor = Visitor::first(&gateway).await;
    let mut overview = visitor.get("/console/events").send().await.unwrap();
    let mut tail = visitor.get("/console/journal/events").send().await.unwrap();
    make_calls(&gateway).await;
    let seen = read_until(&mut overview, "INCORRECT_METHOD").await;
    assert!(seen.contains("Availability this month"), "{seen}");
    read_until(&mut tail, "event: rows").await;
    drop(visitor);
    gateway.process.signal("TERM");
    let begun = std::time::Instant::now();
    let (code, lines) = gateway.process.ended();
    assert_eq!(code, Some(0), "{lines:#?}");
    println!(
        "stopped in {} ms with two pages open",
        begun.elapsed().as_millis()
    );
    assert!(begun.elapsed() < PATIENCE / 2, "{:?}", begun.elapsed());
}

/// A send that has reached the upstream, which answers only when the test says so.
struct OpenSend {
    caller: TcpStream,
    upstream: TcpStream,
}

impl OpenSend {
    async fn begin(gateway: &Gateway, listener: &TcpListener) -> OpenSend {
        let mut caller = TcpStream::connect(gateway.public).await.unwrap();
        let request = posted(&send_form(&gateway.demo(), "waits"), "waits");
        caller.write_all(request.as_bytes()).await.unwrap();
        let mut upstream = accepted(listener).await;
        read_request(&mut upstream).await;
        OpenSend { caller, upstream }
    }

    async fn end(mut self) {
        let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 20\r\nConnection: close\r\n\r\n{\"status\":\"SUCCESS\"}";
        self.upstream.write_all(answer).await.unwrap();
        let read = self.caller.read(&mut [0; 1024]).await.unwrap();
        assert_ne!(read, 0, "the caller is answered");
    }
}

/// Returns the rows of a page or of events, each with its number.
fn rows(text: &str) -> Vec<(&str, &str)> {
    let rows = text.split("data-row=\"").skip(1);
    rows.map(|row| row.split_once('"').unwrap()).collect()
}

#[tokio::test]
async fn a_live_page_updates_a_send_in_progress_once_when_it_ends() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let toml = upstream(listener.local_addr().unwrap());
    let gateway = Gateway::configured(&toml, &[UPSTREAM_ENVIRONMENT]);
    let visitor = Visitor::first(&gateway).await;
    let on_page = OpenSend::begin(&gateway, &listener).await;
    let page = visitor.page("/console/journal?live=1").await.body;
    let (first, line) = rows(&page)[0];
    assert!(line.contains("in progress"), "{page}");
    let connect = page.split("sse-connect=\"").nth(1).unwrap();
    let path = connect.split('"').next().unwrap();

    // This send begins after the page was read and before the page opens its event stream.
    let caught_up = OpenSend::begin(&gateway, &listener).await;
    visitor.page("/console/journal").await;
    let mut tail = visitor.get(path).send().await.unwrap();
    let seen = read_until(&mut tail, "event: note").await;
    let (second, line) = rows(&seen)[0];
    assert!(line.contains("in progress") && second > first, "{seen}");
    assert_eq!(rows(&seen).len(), 1, "{seen}");

    for (send, id) in [(on_page, first), (caught_up, second)] {
        send.end().await;
        let seen = read_until(&mut tail, "event: note").await;
        let ended = rows(&seen);
        assert_eq!((ended.len(), ended[0].0), (1, id), "{seen}");
        assert!(ended[0].1.contains("SUCCESS"), "{seen}");
        let note = read_until(&mut tail, "\n\n").await;
        assert!((seen + &note).contains("1 send ended."), "{note}");
    }
    // Each send ends once: the next row is a call.
    make_calls(&gateway).await;
    let seen = read_until(&mut tail, "event: note").await;
    let again = rows(&seen);
    assert!(again.iter().all(|(id, _)| *id > second), "{seen}");
}

#[tokio::test]
async fn a_send_that_ends_while_the_page_reconnects_is_updated_afterwards() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let toml = upstream(listener.local_addr().unwrap());
    let gateway = Gateway::configured(&toml, &[UPSTREAM_ENVIRONMENT]);
    let visitor = Visitor::first(&gateway).await;
    let open = OpenSend::begin(&gateway, &listener).await;
    visitor.page("/console/journal").await;
    // Reconnects as a browser does that lost its connection: after the last event that it received.
    let again = async |after: &str| {
        let request = visitor.get("/console/journal/events");
        let request = request.header("last-event-id", after);
        let mut tail = request.send().await.unwrap();
        read_until(&mut tail, "event: note").await
    };
    let seen = again("0").await;
    assert!(seen.contains("in progress"), "{seen}");
    let after = seen.split("id: ").nth(1).unwrap();
    let after = after.lines().next().unwrap();
    open.end().await;
    visitor.page("/console/journal").await;
    let seen = again(after).await;
    let ended = rows(&seen);
    assert_eq!(ended.len(), 1, "{seen}");
    assert!(ended[0].1.contains("SUCCESS"), "{seen}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_replaces_the_row_of_an_open_send_when_the_send_ends() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let seen_open = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let toml = upstream(listener.local_addr().unwrap());
    let gateway = Gateway::configured(&toml, &[UPSTREAM_ENVIRONMENT]);
    let open = OpenSend::begin(&gateway, &listener).await;
    let environment = [
        ("CONSOLE_URL", format!("http://{}", gateway.admin)),
        ("CONSOLE_KEY", first_key(&gateway)),
        (
            "CONSOLE_SEEN",
            seen_open.local_addr().unwrap().port().to_string(),
        ),
    ];
    let ending = tokio::spawn(async move {
        accepted(&seen_open).await;
        open.end().await;
    });
    tokio::task::spawn_blocking(move || browse("console_live.js", &environment))
        .await
        .unwrap();
    ending.abort();
}
