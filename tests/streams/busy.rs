//! Tests of more streams than there are places.

use serde_json::{Value, json};

use super::reading::{Stream, UNLIMITED, ask, now};
use crate::harness::{Answer, Gateway, client, made, rows, until};

#[tokio::test]
async fn a_stream_over_the_limit_gets_a_busy_event_that_browsers_retry() {
    let places = "[events]\nstreams = 3\nstreams_per_access = 2\n";
    let gateway = Gateway::configured(&format!("{UNLIMITED}{places}"), &[]);
    let demo = gateway.demo();
    let mut held = Vec::new();
    for _ in 0..2 {
        held.push(Stream::of(&gateway, "").await);
    }
    // A browser does not reconnect after any other status than 200.
    let mut third = Stream::of(&gateway, "").await;
    let busy = third.next().await.unwrap();
    assert_eq!(busy.event, "busy");
    assert!((10_000..=30_000).contains(&busy.retry.unwrap()), "{busy:?}");
    let refusal: Value = serde_json::from_str(&busy.data).unwrap();
    assert_eq!(refusal["error"], "RATE_LIMITED", "{refusal}");
    assert_eq!(third.next().await, None);
    // The journal has the real code of a refusal inside a stream.
    let rows = rows(&gateway, "method=getevents").await;
    let refused = rows.iter().find(|row| row["code"] == "RATE_LIMITED");
    let refused = refused.unwrap();
    assert_eq!(
        (&refused["status"], &refused["canonical"]),
        (&json!(200), &json!(429)),
        "{refused}"
    );
    let plain = client()
        .get(gateway.url("/api/events"))
        .basic_auth(&demo.user, Some(&demo.password));
    let plain = Answer::of(plain).await;
    assert_eq!((plain.status, plain.header("retry-after")), (429, "10"));
    // A call that waits takes such a place; a call that does not wait needs none.
    let cursor = now(&gateway).await;
    let waiting = ask(&gateway, &[("cursor", &cursor), ("wait", "5")]).await;
    assert_eq!(
        (waiting.status, waiting.json()["error"].clone()),
        (429, json!("RATE_LIMITED"))
    );
    assert_eq!(
        ask(&gateway, &[("cursor", &cursor)]).await.json()["status"],
        "SUCCESS"
    );

    // The last place of all is for another access; after that no place is left.
    for (name, expected) in [("other", ""), ("late", "busy")] {
        let password = made(&gateway, json!({"name": name, "allow": ["127.0.0.0/8"]})).await;
        let request = client()
            .get(gateway.url("/api/events"))
            .basic_auth(name, Some(password));
        let mut stream = Stream::open(request).await;
        let first = stream.next().await.unwrap();
        assert_eq!(first.event, expected, "{name}");
        if expected == "busy" {
            let refusal: Value = serde_json::from_str(&first.data).unwrap();
            assert_eq!(refusal["error"], "OVERLOADED", "{refusal}");
        }
        held.push(stream);
    }
    // A place that was freed can be taken again.
    held.clear();
    until("a place is free", async || {
        let mut stream = Stream::of(&gateway, "").await;
        stream.next().await.unwrap().event.is_empty()
    })
    .await;
}
