//! Tests of the protection between a failing upstream and its callers: breakers, other endpoints, the account that replaces the
//! first one, and queues in which accesses take turns.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use adapter::Way;
use serde_json::{Value, json};

use super::raw::{Fault, Raw};
use super::{ERROR, NOT_SENT, Place, Stage, chats, code_of, delivery};
use crate::harness::{
    Answer, Gateway, UPSTREAM_PASSWORD, UPSTREAM_USER, admin, assert_within, client, load, pass,
    until,
};

/// The results of a storm's calls.
#[derive(Default)]
struct Storm {
    reads: usize,
    /// Sends that were made. The upstream got each of them once.
    sends_made: usize,
    sends_kept: usize,
    /// Time of the first call that was refused because the breaker was open.
    opened: Option<Instant>,
}

/// Calls as fast as possible until `done`: one send for every five reads.
async fn storm(stage: &Stage, caller: usize, done: &AtomicBool) -> Storm {
    let mut storm = Storm::default();
    for n in 0.. {
        if done.load(Ordering::SeqCst) {
            break;
        }
        let message = format!("{caller}-{n}");
        let channel = [("platform", "whatsapp"), ("platformid", "100")];
        let call = if n % 6 == 0 {
            let message = [("destination", "1"), ("message", &*message)];
            [&[("method", "sendmessage")], &channel[..], &message].concat()
        } else {
            storm.reads += 1;
            [&[("method", "getchats")], &channel[..]].concat()
        };
        let answer = stage.call(Way::Basic, &call).await;
        if code_of(&answer) == NOT_SENT.0 {
            storm.opened.get_or_insert_with(Instant::now);
        }
        if n % 6 == 0 {
            let arrived = stage.upstream.as_ref().unwrap().arrived(&message);
            if code_of(&answer) == NOT_SENT.0 {
                storm.sends_kept += 1;
                assert_eq!(arrived, 0, "{}", answer.body);
            } else {
                storm.sends_made += 1;
                assert_eq!(arrived, 1, "{}", answer.body);
            }
        }
    }
    storm
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outage_opens_the_breaker_and_its_end_is_noticed() {
    let stage = Stage::configured(Place::Raw(Fault::None), "attempts = 3").await;
    let stage = Arc::new(stage);
    let upstream = stage.upstream.as_ref().unwrap();
    let done = Arc::new(AtomicBool::new(false));
    let callers: Vec<_> = (0..16)
        .map(|caller| {
            let (stage, done) = (Arc::clone(&stage), Arc::clone(&done));
            tokio::spawn(async move { storm(&stage, caller, &done).await })
        })
        .collect();
    let calm = Duration::from_millis(300);
    pass(calm).await;
    let before = upstream.arrived("getchats");
    upstream.set(Fault::Status(503));
    let began = Instant::now();
    let lasts = Duration::from_secs(load(3, 60) as u64);
    pass(lasts).await;
    let arrived = upstream.arrived("getchats") - before;
    upstream.set(Fault::None);
    let ended = Instant::now();
    // A caller outside the storm, which waits for the first success.
    let read = [
        ("method", "getchats"),
        ("platform", "webchat"),
        ("platformid", "1"),
    ];
    while code_of(&stage.call(Way::Http, &read).await) != "SUCCESS" {
        assert!(ended.elapsed() < Duration::from_secs(5), "not noticed");
    }
    let noticed = ended.elapsed();
    done.store(true, Ordering::SeqCst);
    let mut all = Storm::default();
    let mut opened = Vec::new();
    for caller in callers {
        let storm = caller.await.unwrap();
        all.reads += storm.reads;
        all.sends_made += storm.sends_made;
        all.sends_kept += storm.sends_kept;
        opened.extend(storm.opened);
    }
    let opened = *opened.iter().min().unwrap() - began;
    println!(
        "{lasts:?} of 503: open after {opened:?}, closed {noticed:?} after its end; {arrived} reads arrived meanwhile, of {} made in all; \
         sends: {} made, each once, {} kept back",
        all.reads, all.sends_made, all.sends_kept
    );
    assert_within(opened, Duration::from_secs(1));
    assert_within(noticed, Duration::from_secs(5));
    assert!(arrived * 10 <= all.reads * 11, "{arrived} of {}", all.reads);
    assert!(all.sends_kept > 0 && all.sends_made > 0);
}

#[tokio::test]
async fn retries_of_failing_reads_are_limited_to_a_tenth_of_the_calls() {
    const READS: usize = 300;
    /// Number of retries in the initial budget.
    const SAVED: usize = 5;
    // Failures are too rare to open a breaker.
    let stage = Stage::configured(Place::Raw(Fault::EveryThird(503)), "attempts = 3").await;
    let mut failed = 0;
    for _ in 0..READS {
        let answer = stage.call(Way::Basic, &chats("1")).await;
        match code_of(&answer) {
            "SUCCESS" => {}
            code => {
                assert_eq!(code, ERROR.0);
                failed += 1;
            }
        }
    }
    let arrived = stage.upstream.as_ref().unwrap().arrived("getchats");
    println!("{READS} reads, of which {failed} failed; {arrived} arrived");
    let most = READS + READS / 10 + SAVED;
    assert!((READS + READS / 20..=most).contains(&arrived), "{arrived}");
}

/// Returns the upstream part of `/admin/v1/status`.
async fn upstream_status(gateway: &Gateway) -> Value {
    let status = admin(gateway, reqwest::Method::GET, "status", &Value::Null).await;
    status.json()["upstream"].clone()
}

#[tokio::test]
async fn a_fallback_endpoint_takes_over_and_the_failed_one_is_skipped() {
    let other = Raw::start(Fault::None).await;
    let fallback = format!("fallback_urls = [\"http://{}/\"]", other.address);
    let stage = Stage::configured(Place::Refused, &fallback).await;
    for n in 0..12 {
        let message = format!("over-{n}");
        let send = [
            ("method", "sendmessage"),
            ("platform", "webchat"),
            ("platformid", "1"),
            ("destination", "1"),
            ("message", &*message),
        ];
        let answer = stage.call(Way::Http, &send).await;
        assert_eq!(delivery(&answer), "sent", "{}", answer.body);
        assert_eq!(other.arrived(&message), 1);
    }
    let status = upstream_status(&stage.gateway).await;
    let states: Vec<_> = status["endpoints"]
        .as_array()
        .unwrap()
        .iter()
        .map(|endpoint| endpoint["state"].as_str().unwrap())
        .collect();
    assert_eq!(states, ["resting", "in use"], "{status}");
    // While its breaker is open, the first endpoint is not tried first.
    let answer = stage.call(Way::Http, &chats("1")).await;
    assert_eq!(
        stage.gateway.logged(answer.header("x-request-id"))["attempts"],
        1
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_account_is_replaced_by_the_next_account_and_back() {
    let next = "next_user = \"next\"\nnext_password = \"env:UPSTREAM_PASSWORD\"";
    let stage = Stage::configured(Place::Raw(Fault::Refuses(UPSTREAM_USER)), next).await;
    let upstream = stage.upstream.as_ref().unwrap();
    let log = &stage.gateway.process;
    log.wait_for("the next account", |line| {
        line.contains("is used from now on")
    });
    assert_eq!(
        code_of(&stage.call(Way::Http, &chats("1")).await),
        "SUCCESS"
    );
    assert_eq!(upstream_status(&stage.gateway).await["account"], "next");
    upstream.set(Fault::Refuses("next"));
    let refused = stage.call(Way::Http, &chats("1")).await;
    assert_eq!(code_of(&refused), "UPSTREAM_REFUSED_CREDENTIALS");
    log.wait_for("the first account", |line| {
        line.contains("the first account is used again")
    });
    assert_eq!(
        code_of(&stage.call(Way::Http, &chats("1")).await),
        "SUCCESS"
    );
    assert_eq!(upstream_status(&stage.gateway).await["account"], "first");
    // The log contains no password.
    let reported = log.lines().concat();
    assert!(!reported.contains(UPSTREAM_PASSWORD));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_next_account_that_waits_does_not_prolong_an_outage() {
    let next = "attempts = 1\nnext_user = \"next\"\nnext_password = \"env:UPSTREAM_PASSWORD\"";
    let stage = Stage::configured(Place::Raw(Fault::Status(503)), next).await;
    for _ in 0..25 {
        assert_ne!(
            code_of(&stage.call(Way::Http, &chats("1")).await),
            "SUCCESS"
        );
    }
    // From here on nobody calls until the next account is due, which is long after the breaker's first pause.
    stage.gateway.process.wait_for("the next account", |line| {
        line.contains("the next account is not tested while no endpoint is healthy")
    });
    stage.upstream.as_ref().unwrap().set(Fault::None);
    let ended = Instant::now();
    while code_of(&stage.call(Way::Http, &chats("1")).await) != "SUCCESS" {
        assert!(ended.elapsed() < Duration::from_secs(5), "not noticed");
    }
    println!(
        "served again {:?} after the end of the outage",
        ended.elapsed()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn one_access_cannot_block_the_upstream_queue_for_others() {
    let stage =
        Stage::configured(Place::Raw(Fault::SlowFirstByte), "calls = 2\nwaiting = 40").await;
    let draft = json!({"name": "modest", "allow": ["127.0.0.1"]});
    let made = admin(&stage.gateway, reqwest::Method::POST, "accesses", &draft)
        .await
        .json();
    let secret = made["password"].as_str().unwrap();
    let stage = Arc::new(stage);
    let mut greedy = tokio::task::JoinSet::new();
    for _ in 0..60 {
        let stage = Arc::clone(&stage);
        greedy.spawn(async move { code_of(&stage.call(Way::Basic, &chats("1")).await).to_owned() });
    }
    // Wait until the queue is full.
    until("the line has its length", async || {
        upstream_status(&stage.gateway).await["waiting"] == 40
    })
    .await;
    let began = Instant::now();
    let demo = stage.gateway.demo();
    let call = client()
        .post(stage.gateway.url("/api/basic/"))
        .basic_auth(&demo.user, Some(&demo.password));
    // The queue is full: the access that has filled it is refused immediately, and nothing is sent.
    let full = Answer::of(call.form(&[
        ("class", "chat"),
        ("method", "sendmessage"),
        ("platform", "webchat"),
        ("platformid", "1"),
        ("destination", "1"),
        ("message", "m"),
    ]))
    .await;
    assert_eq!(
        (full.status, code_of(&full), delivery(&full)),
        (503, "OVERLOADED", "not_sent")
    );
    assert_within(began.elapsed(), Duration::from_millis(400));
    assert!(!full.header("retry-after").is_empty());
    // An access without a call in the queue replaces the last of the other access's calls, and its turn comes after one of them.
    let began = Instant::now();
    let call = client()
        .post(stage.gateway.url("/api/basic/"))
        .basic_auth("modest", Some(secret));
    let answer = Answer::of(call.form(&[
        ("class", "chat"),
        ("method", "getchats"),
        ("platform", "webchat"),
        ("platformid", "1"),
    ]))
    .await;
    assert_eq!(code_of(&answer), "SUCCESS", "{}", answer.body);
    let served = began.elapsed();
    // Two places of a quarter of a second each: the turn comes within two of them, not after forty other calls.
    assert_within(served, Duration::from_millis(2500));
    let reported = greedy.join_all().await;
    let overloaded = reported
        .iter()
        .filter(|reported| *reported == "OVERLOADED")
        .count();
    assert!(overloaded >= 18, "{overloaded}");
}
