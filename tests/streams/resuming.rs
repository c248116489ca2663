//! Tests that a stream that breaks anywhere is resumed after the last complete event.

use serde_json::{Value, json};

use super::reading::{Stream, UNLIMITED, ask, logged, now};
use crate::harness::{Answer, Gateway, client, load};

/// Number of events in the stream that is cut, every day and for a release.
const EVENTS: (usize, usize) = (20, 200);

/// Returns the ids of the events in the complete blocks of a text, and the last cursor among them.
fn whole(text: &str) -> (Vec<String>, Option<String>) {
    let (mut ids, mut cursor) = (Vec::new(), None);
    let blocks = text.rsplit_once("\n\n").map_or("", |(blocks, _)| blocks);
    for line in blocks.lines() {
        if let Some(id) = line.strip_prefix("id: ") {
            cursor = Some(id.to_owned());
        } else if let Some(data) = line
            .strip_prefix("data: ")
            .filter(|data| data.contains("evt_"))
        {
            let event: Value = serde_json::from_str(data).unwrap();
            ids.push(event["id"].as_str().unwrap().to_owned());
        }
    }
    (ids, cursor)
}

#[tokio::test]
async fn a_stream_cut_at_any_byte_resumes_without_loss_or_repetition() {
    let gateway = Gateway::configured(UNLIMITED, &[]);
    let (from, heard) = logged(&gateway, load(EVENTS.0, EVENTS.1)).await;
    let all: Vec<_> = heard
        .iter()
        .map(|event| event["id"].as_str().unwrap().to_owned())
        .collect();
    let mut stream = Stream::of(&gateway, &format!("?cursor={from}")).await;
    let (mut text, mut count) = (String::new(), 0);
    while count < all.len() {
        count += usize::from(stream.next().await.unwrap().message().is_some());
        text.clone_from(&stream.all);
    }
    let (first, _) = whole(&text);
    assert!(
        all.ends_with(&first) || first.ends_with(&all),
        "the log does not change"
    );
    let mut known: Option<(Option<String>, Vec<String>)> = None;
    for at in 0..=text.len() {
        if !text.is_char_boundary(at) {
            continue;
        }
        let (before, cursor) = whole(&text[..at]);
        // A reader that has no cursor yet resumes with the cursor that it began with.
        let cursor = cursor.unwrap_or_else(|| from.clone());
        let again = known
            .as_ref()
            .filter(|(known, _)| known.as_ref() == Some(&cursor));
        let after = match again {
            Some((_, after)) => after.clone(),
            None => behind(&gateway, &cursor, first.len() - before.len()).await,
        };
        assert_eq!([before, after.clone()].concat(), first, "cut at {at}");
        known = Some((Some(cursor), after));
    }
    println!(
        "a stream of {} events goes on after a cut at each of {} bytes",
        first.len(),
        text.len()
    );
}

/// Returns the ids of the next events after a cursor, as a reader that reconnects gets them.
async fn behind(gateway: &Gateway, cursor: &str, count: usize) -> Vec<String> {
    let demo = gateway.demo();
    // The header takes precedence over the cursor in the URL, with which the stream once began.
    let request = client()
        .get(gateway.url("/api/events?cursor=now"))
        .header("Last-Event-ID", cursor);
    let mut stream = Stream::open(request.basic_auth(demo.user, Some(demo.password))).await;
    let mut ids = Vec::new();
    while ids.len() < count {
        ids.push(stream.message().await["id"].as_str().unwrap().to_owned());
    }
    ids
}

#[expect(clippy::too_many_lines, reason = "one story, read step by step")]
#[tokio::test]
async fn a_stream_starts_with_the_retry_time_and_cursor_for_resuming() {
    let gateway = Gateway::configured(UNLIMITED, &[]);
    let cursor = now(&gateway).await;
    let mut stream = Stream::of(&gateway, "?cursor=now").await;
    let headers = stream.response.headers().clone();
    let header = |name: &str| {
        headers
            .get(name)
            .map_or("", |value| value.to_str().unwrap())
    };
    assert_eq!(header("content-type"), "text/event-stream");
    assert_eq!(header("cache-control"), "no-store, no-transform");
    assert_eq!(header("x-accel-buffering"), "no");
    assert_eq!(
        (header("content-encoding"), header("content-length")),
        ("", "")
    );
    let first = stream.next().await.unwrap();
    assert!((1000..=5000).contains(&first.retry.unwrap()), "{first:?}");
    assert!(first.id.as_ref().unwrap() >= &cursor, "{first:?}");
    assert_eq!((&*first.event, &*first.data), ("", ""));

    // An invalid cursor, and two headers instead of one.
    let demo = gateway.demo();
    for ids in [&["yesterday"][..], &["0000000000001", "0000000000002"]] {
        let mut request = client()
            .get(gateway.url("/api/events"))
            .basic_auth(&demo.user, Some(&demo.password));
        for id in ids {
            request = request.header("Last-Event-ID", *id);
        }
        let answer = Answer::of(request).await;
        assert_eq!(
            (answer.status, answer.json()["error"].clone()),
            (400, json!("INCORRECT_PARAM"))
        );
    }
    // No credentials are accepted in the URL.
    let url = format!("/api/events?user={}&password={}", demo.user, demo.password);
    assert_eq!(
        Answer::of(client().get(gateway.url(&url))).await.status,
        400
    );
    let both = client()
        .get(gateway.url(&url))
        .basic_auth(&demo.user, Some(&demo.password));
    assert_eq!(Answer::of(both).await.status, 400);
    let none = Answer::of(client().get(gateway.url("/api/events"))).await;
    assert!(
        none.header("www-authenticate").starts_with("Basic "),
        "{:?}",
        none.headers
    );
    let posted = client()
        .post(gateway.url("/api/events"))
        .basic_auth(&demo.user, Some(&demo.password));
    let posted = Answer::of(posted).await;
    assert_eq!(
        (posted.status, posted.header("allow")),
        (405, "GET, HEAD, OPTIONS")
    );
    let checked = client()
        .head(gateway.url("/api/events"))
        .basic_auth(&demo.user, Some(&demo.password));
    assert_eq!(Answer::of(checked).await.status, 200);
    let earliest = ask(&gateway, &[("cursor", "earliest")]).await.json();
    assert_eq!(
        earliest["result"]["reset"], "0",
        "nothing is missed by who asks for what there is"
    );
}
