//! Tests of the ends of streams: at the gateway's shutdown, at their maximum age, and at the end of their token.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use super::reading::{Stream, UNLIMITED, ask, now};
use crate::harness::{Gateway, Issuer, assert_within, client, client_from, load};

/// Number of streams at a gateway's shutdown, every day and for a release.
const STREAMS: (usize, usize) = (60, 1000);

#[tokio::test]
async fn shutdown_ends_all_streams_immediately_and_spreads_their_reconnects() {
    let count = load(STREAMS.0, STREAMS.1);
    let places = "[events]\nstreams_per_access = 2000\n";
    let gateway = Gateway::configured(&format!("{UNLIMITED}{places}"), &[]);
    let demo = gateway.demo();
    let mut streams = JoinSet::new();
    for number in 0..count {
        let from = [127, 0, 1, u8::try_from(number % 20 + 1).unwrap()].into();
        let request = client_from(from)
            .get(gateway.url("/api/events"))
            .basic_auth(&demo.user, Some(&demo.password));
        let mut stream = Stream::open(request).await;
        stream.next().await.unwrap();
        streams.spawn(async move {
            let (end, _) = stream.end().await;
            (end, Instant::now())
        });
    }
    let cursor = now(&gateway).await;
    let metrics = gateway.metrics().await;
    let gauge = format!("chatgate_event_streams {count}");
    assert!(metrics.lines().any(|line| line == gauge), "{metrics}");
    let pairs = [("cursor", &*cursor), ("wait", "25")];
    let waiting = ask(&gateway, &pairs);
    let began = std::cell::Cell::new(None);
    let stopping = async {
        crate::harness::until("it waits", async || {
            let one_more = format!("chatgate_event_streams {}", count + 1);
            gateway.metrics().await.lines().any(|line| line == one_more)
        })
        .await;
        began.set(Some(Instant::now()));
        gateway.process.signal("TERM");
    };
    let (answer, ()) = tokio::join!(waiting, stopping);
    assert_eq!(answer.json()["status"], "SUCCESS");
    let began = began.get().unwrap();
    let (mut longest, mut seconds) = (Duration::ZERO, HashMap::<u64, usize>::new());
    while let Some(ended) = streams.join_next().await {
        let (end, at) = ended.unwrap();
        assert_eq!((&*end.event, &*end.data), ("bye", r#"{"why":"drain"}"#));
        longest = longest.max(at.duration_since(began));
        *seconds.entry(end.retry.unwrap() / 1000).or_default() += 1;
    }
    let most = seconds.values().max().unwrap();
    println!("{count} streams ended within {longest:?}; at most {most} come again in one second");
    assert_within(longest, Duration::from_secs(2));
    assert!(
        seconds.keys().all(|second| (1..=15).contains(second)),
        "{seconds:?}"
    );
    // Of 60 streams at random over 14 seconds, a second gets more than 15 in one of 20,000 runs.
    assert!(*most <= 15.max(count / 6), "{seconds:?}");
    assert_eq!(gateway.process.ended().0, Some(0));
}

#[tokio::test]
async fn a_stream_ends_at_its_maximum_age_or_token_expiry_with_the_reason() {
    let issuer = Issuer::new();
    let life = "[events]\nstream_life = \"2s\"\n";
    let gateway = Gateway::configured(
        &format!("{UNLIMITED}{life}{}", issuer.as_configuration()),
        &[],
    );
    let mut old = Stream::of(&gateway, "").await;
    let (end, _) = old.end().await;
    assert_eq!((&*end.event, &*end.data), ("bye", r#"{"why":"life"}"#));

    let gateway = Gateway::configured(&format!("{UNLIMITED}{}", issuer.as_configuration()), &[]);
    // The permitted clock skew is half a minute.
    let token = issuer.token("demo", -28);
    let request = client().get(gateway.url("/api/events")).bearer_auth(token);
    let mut stream = Stream::open(request).await;
    let (end, _) = stream.end().await;
    assert_eq!((&*end.event, &*end.data), ("bye", r#"{"why":"token"}"#));
}
