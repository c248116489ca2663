//! Tests of gateways that are killed while messages arrive and a receiver fails now and then.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::harness::{
    Gateway, HttpSink, Sandbox, SplitMix64, SunkRequest, UPSTREAM_ENVIRONMENT, admin, client, load,
    made, pass, until,
};

/// The number of messages in the life of one gateway, and the number of chats. A chat waits for its oldest message, so with more
/// chats the receiver's failures delay fewer messages.
const MESSAGES: u64 = 20;
const CHATS: u64 = 20;

/// Maximum pause between two messages, in milliseconds.
const PAUSE_MS: u64 = 20;

/// One delivery in this many is refused, each event at most once, because the second pause after a failure is longer than a test
/// may take.
const FAILS_ONE_IN: u64 = 5;

/// Maximum life of a gateway in milliseconds, counted from readiness: until after its last message.
const LIFE_MS: u64 = 600;

async fn receive(sandbox: &Sandbox, chat: u64, text: &str) {
    let message = json!({"platform": "whatsapp", "platformid": "100", "destination": format!("3460000{chat:04}"),
        "message": text});
    let request = client().post(format!("http://{}/sandbox/receive", sandbox.address));
    let answer = request.body(message.to_string()).send().await.unwrap();
    assert_eq!(answer.status(), 201);
}

/// Writes messages one after the other, each with its chat and its number as its text.
async fn receive_messages(sandbox: Arc<Sandbox>, first: u64, mut chance: SplitMix64) {
    for number in first..first + MESSAGES {
        let chat = number % CHATS;
        receive(&sandbox, chat, &format!("{chat} {number}")).await;
        pass(Duration::from_millis(chance.below(PAUSE_MS))).await;
    }
}

/// Makes a receiver refuse random deliveries.
fn fail_random_deliveries(sink: &HttpSink, mut chance: SplitMix64) {
    let mut refused = HashSet::new();
    sink.answer_by(move |request| {
        let event = &request.headers["webhook-id"];
        let fails = chance.one_in(FAILS_ONE_IN) && refused.insert(event.clone());
        if fails { 500 } else { 200 }
    });
}

/// Returns the event, the chat and the number of a delivery, or `None` for the first message, which only shows that everything is
/// ready.
fn read(request: &SunkRequest) -> Option<(String, u64, u64)> {
    let body: Value = serde_json::from_slice(&request.body).unwrap();
    let (chat, number) = body["data"]["message"].as_str()?.split_once(' ')?;
    let event = request.headers["webhook-id"].clone();
    Some((event, chat.parse().unwrap(), number.parse().unwrap()))
}

/// Returns the numbers of the messages that were delivered and accepted.
fn delivered(sink: &HttpSink) -> BTreeSet<u64> {
    let well = sink.requests().into_iter();
    let well = well.filter(|request| request.status == 200);
    well.filter_map(|request| Some(read(&request)?.2)).collect()
}

/// Waits for all messages, as long as one more keeps arriving in time.
async fn until_all_are_delivered(sink: &HttpSink, sent: u64) {
    loop {
        let before = delivered(sink);
        if before.len() as u64 == sent {
            return;
        }
        let missing = (0..sent).filter(|number| !before.contains(number));
        let missing: Vec<u64> = missing.take(10).collect();
        let what = format!("{} of {sent} came, not {missing:?}; one more", before.len());
        until(&what, async || delivered(sink).len() > before.len()).await;
    }
}

/// Checks that repeated deliveries have the first one's id, refused or not, and that the first deliveries of each chat are in
/// order.
fn check(requests: &[SunkRequest]) {
    let (mut ids, mut newest) = (HashMap::new(), BTreeMap::new());
    for (id, chat, number) in requests.iter().filter_map(read) {
        let first = ids.entry(number).or_insert_with(|| id.clone());
        assert_eq!(*first, id, "message {number} came under two ids");
        if newest.get(&chat).is_none_or(|newest| *newest < number) {
            let next = newest
                .insert(chat, number)
                .map_or(chat, |last| last + CHATS);
            assert_eq!(number, next, "chat {chat}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failing_receiver_gets_every_message_despite_gateway_kills() {
    let (kills, sandbox) = (load(5, 300) as u64, Arc::new(Sandbox::start()));
    let (sink, mut chance) = (HttpSink::start("").await, SplitMix64(crate::crash::seed()));
    println!("seed {}", chance.0);
    let toml = format!(
        "{}unread_clears = \"no\"\n[events]\npoll_min = \"50ms\"\npoll_max = \"200ms\"\ncalls_per_second = 1000\n{}",
        sandbox.as_upstream(),
        super::CONFIGURATION
    );
    let folder = Arc::new(TempDir::new().unwrap());
    let start = || Gateway::over(Arc::clone(&folder), &toml, &[UPSTREAM_ENVIRONMENT]);
    let mut gateway = start();
    let methods = json!(["getchats", "getevents"]);
    let access = json!({"name": "shop", "allow": ["127.0.0.0/8"], "methods": methods});
    made(&gateway, access).await;
    let draft = json!({"access": "shop", "url": format!("http://{}/", sink.address),
        "types": ["message.received"]});
    let webhook = admin(&gateway, Method::POST, "webhooks", draft).await;
    assert_eq!(webhook.status, 201, "{}", webhook.body);
    // Messages that exist at the first poll are history and make no events.
    until("a first message", async || {
        receive(&sandbox, 0, "first").await;
        !sink.requests().is_empty()
    })
    .await;
    fail_random_deliveries(&sink, chance.branch());
    for life in 0..kills {
        let some = receive_messages(Arc::clone(&sandbox), life * MESSAGES, chance.branch());
        let receiving = tokio::spawn(some);
        pass(Duration::from_millis(chance.below(LIFE_MS))).await;
        // Dropping the gateway kills it with SIGKILL.
        drop(gateway);
        gateway = start();
        receiving.await.unwrap();
    }
    until_all_are_delivered(&sink, kills * MESSAGES).await;
    let requests = sink.requests();
    check(&requests);
    let is_taken = |request: &SunkRequest| request.status == 200 && read(request).is_some();
    let (taken, rest): (Vec<_>, Vec<_>) = requests.into_iter().partition(is_taken);
    check(&taken);
    let refused = rest.iter().filter(|request| request.status == 500).count();
    let sent = kills * MESSAGES;
    let doubles = taken.len() as u64 - sent;
    println!("{kills} kills, {sent} messages, {refused} refused, {doubles} taken twice");
}
