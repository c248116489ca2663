//! What is live: rows as they are written, and figures, to whoever is still signed in.

use std::time::Duration;

use reqwest::Response;

use super::{Visitor, make_calls};
use crate::harness::Gateway;

/// Longest wait for an event: a busy machine, not a figure to measure.
const PATIENCE: Duration = Duration::from_secs(30);

/// Reads events until the text is there, or the stream ends.
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
async fn the_tail_shows_what_its_filters_ask_for_and_ends_with_the_session() {
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
async fn a_tail_begins_where_the_page_ended() {
    let gateway = Gateway::start();
    let visitor = Visitor::first(&gateway).await;
    make_calls(&gateway).await;
    // The page is flushed before it is read, so that these rows are there.
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
async fn the_overview_moves_and_an_open_page_holds_up_no_stop() {
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
    let (code, _) = gateway.process.ended();
    assert_eq!(code, Some(0));
    println!(
        "stopped in {} ms with two pages open",
        begun.elapsed().as_millis()
    );
    assert!(begun.elapsed() < PATIENCE / 2, "{:?}", begun.elapsed());
}
