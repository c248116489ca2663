//! Tests of events: messages that arrive at the upstream reach readers once, in order and soon, whatever is killed in between, and
//! other callers notice nothing of it.

mod arrivals;
mod erased;
mod fleet;
mod killed;
mod unnoticed;

use std::time::{Duration, Instant};

use serde_json::Value;

use crate::harness::{Gateway, Sandbox, UPSTREAM_ENVIRONMENT, client, load, pass, stays};
use crate::streams::reading::{Stream, UNLIMITED, ask, now, warm};
use arrivals::{Arrivals, receive};

/// Number of messages whose delay is measured, every day and for a release.
const MESSAGES: (usize, usize) = (40, 600);

/// Maximum delay in milliseconds of half of the messages and of 99 in 100: on a busy machine, and for a release.
const HALF_WITHIN: (usize, usize) = (3000, 700);
const MOST_WITHIN: (usize, usize) = (10_000, 1400);

/// The number of messages that each follow a pause, the length of a pause in seconds, and the maximum delay of such a message in
/// milliseconds. A channel without activity is polled every five seconds.
const AFTER_PAUSES: (usize, usize) = (1, 10);
const PAUSE_S: (usize, usize) = (13, 60);
const AFTER_PAUSE_WITHIN: (usize, usize) = (15_000, 5700);

/// The time in seconds for which the test checks that nothing is requested.
const WATCHED: (usize, usize) = (4, 600);

#[tokio::test(flavor = "multi_thread")]
async fn every_message_becomes_one_event_in_order_and_in_time() {
    let gateway = Gateway::configured(UNLIMITED, &[]);
    let from = now(&gateway).await;
    let mut stream = Stream::of(&gateway, &format!("?cursor={from}")).await;
    warm(&gateway, &mut stream).await;
    let (count, began, sandbox) = (
        load(MESSAGES.0, MESSAGES.1),
        Instant::now(),
        gateway.sandbox_url(),
    );
    let writing = async {
        let client = client();
        for number in 0..count {
            pass(Duration::from_millis(50 + number as u64 * 37 % 250)).await;
            let text = format!("sent {} {number}", began.elapsed().as_micros());
            receive(&client, &sandbox, &format!("3480000{}", number % 5), &text).await;
        }
    };
    let streamed = async {
        let mut heard = Arrivals::new(began);
        while heard.count() < count {
            let event = stream.message().await;
            heard.take(&event, &event["data"]);
        }
        heard
    };
    let asking = async {
        let (mut heard, mut cursor) = (Arrivals::new(began), from.clone());
        while heard.count() < count {
            let answer = ask(&gateway, &[("cursor", &cursor), ("wait", "10")]).await;
            let result = answer.json()["result"].take();
            for event in result["list"].as_array().unwrap() {
                heard.take(event, event);
            }
            result["cursor"].as_str().unwrap().clone_into(&mut cursor);
        }
        heard
    };
    let ((), streamed, asked) = tokio::join!(writing, streamed, asking);
    for (reader, heard) in [("a stream", &streamed), ("getevents", &asked)] {
        let (half, most) = heard.waits();
        println!(
            "{count} messages by {reader}: half within {half:.0?}, 99 of 100 within {most:.0?}"
        );
        assert_eq!(heard.doubles, 0, "{reader}");
        heard.check_order(|number| number % 5, count);
        assert!(half <= Duration::from_millis(load(HALF_WITHIN.0, HALF_WITHIN.1) as u64));
        assert!(most <= Duration::from_millis(load(MOST_WITHIN.0, MOST_WITHIN.1) as u64));
    }
    assert_eq!(streamed.ids, asked.ids);
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_pause_a_message_arrives_with_the_next_poll() {
    let gateway = Gateway::configured(UNLIMITED, &[]);
    let cursor = now(&gateway).await;
    let mut stream = Stream::of(&gateway, &format!("?cursor={cursor}")).await;
    warm(&gateway, &mut stream).await;
    let (count, pause, mut longest) = (
        load(AFTER_PAUSES.0, AFTER_PAUSES.1),
        load(PAUSE_S.0, PAUSE_S.1),
        Duration::ZERO,
    );
    let (client, sandbox) = (client(), gateway.sandbox_url());
    for number in 0..count {
        // At a different point between two polls each time.
        pass(Duration::from_millis((pause * 1000 + number * 733) as u64)).await;
        let (text, began) = (format!("after a pause {number}"), Instant::now());
        receive(&client, &sandbox, "34800000", &text).await;
        while stream.message().await["data"]["message"] != *text {}
        longest = longest.max(began.elapsed());
    }
    println!(
        "{count} messages by a stream, each after {pause} s without any: within {longest:.1?}"
    );
    let most = load(AFTER_PAUSE_WITHIN.0, AFTER_PAUSE_WITHIN.1);
    assert!(longest <= Duration::from_millis(most as u64), "{longest:?}");
}

/// Returns the configuration of a gateway over its own sandbox, with this answer to whether unread lists clear marks.
fn over(sandbox: &Sandbox, clears: &str, events: &str) -> String {
    let upstream = sandbox.as_upstream();
    format!("{upstream}unread_clears = \"{clears}\"\n{UNLIMITED}[events]\n{events}")
}

fn base(sandbox: &Sandbox) -> String {
    format!("http://{}", sandbox.address)
}

#[tokio::test]
async fn the_upstream_is_polled_only_while_a_listener_is_connected() {
    let sandbox = Sandbox::start();
    let gateway = Gateway::configured(&over(&sandbox, "no", ""), &[UPSTREAM_ENVIRONMENT]);
    let before = sandbox.sent().await["requests"].clone();
    let client = client();
    let mut number = 0;
    let lasting = Duration::from_secs(load(WATCHED.0, WATCHED.1) as u64);
    stays(lasting, "nothing is asked", async || {
        number += 1;
        receive(
            &client,
            &base(&sandbox),
            "34800000",
            &format!("unheard {number}"),
        )
        .await;
        sandbox.sent().await["requests"] == before
    })
    .await;
    // As soon as somebody listens, the gateway polls.
    let cursor = now(&gateway).await;
    let mut stream = Stream::of(&gateway, &format!("?cursor={cursor}")).await;
    stream.next().await.unwrap();
    crate::harness::until("a look", async || {
        sandbox.sent().await["methods"]["getchats"] != 0
    })
    .await;
}

#[tokio::test]
async fn if_reads_clear_unread_marks_only_chat_changed_is_reported() {
    let sandbox = Sandbox::start();
    let events = "poll_min = \"100ms\"\npoll_max = \"200ms\"\ncalls_per_second = 100\n";
    let gateway = Gateway::configured(&over(&sandbox, "yes", events), &[UPSTREAM_ENVIRONMENT]);
    let cursor = now(&gateway).await;
    let mut stream = Stream::of(&gateway, &format!("?cursor={cursor}")).await;
    let (client, base) = (client(), base(&sandbox));
    let (mut last, mut heard) = (std::collections::HashMap::new(), 0);
    for number in 0..60 {
        let (chat, text) = (format!("3480000{}", number % 5), format!("hint {number}"));
        receive(&client, &base, &chat, &text).await;
        last.insert(chat, Value::from(text));
        // Slowly at first, until the gateway polls.
        pass(Duration::from_millis(if number < 10 { 300 } else { 20 })).await;
    }
    while !last.is_empty() {
        let event = stream.message().await;
        assert_eq!(event["type"], "chat.changed", "{event}");
        heard += 1;
        let chat = event["data"]["destination"].as_str().unwrap();
        if last.get(chat) == Some(&event["data"]["message"]) {
            last.remove(chat);
        }
    }
    let methods = sandbox.sent().await["methods"].take();
    println!("{heard} times a chat has changed: {methods}");
    for method in ["getunreadmessages", "getmessages"] {
        assert_eq!(methods[method], 0, "{methods}");
    }
}
