//! Two gateways over one database, of which one polls and one delivers, while the one that does either is killed again and again.
//! Readers at either gateway and a receiver of webhooks that fails now and then get every message.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::{Value, json};
use tokio::sync::watch;

use super::arrivals::{Arrivals, receive};
use super::killed::Reader;
use crate::crash::seed;
use crate::harness::{
    Fleet, HttpSink, SplitMix64, admin, client, load, made, pass, skipped, until,
};
use crate::streams::reading::UNLIMITED;

/// Number of kills, every day and for a release. The other gateway takes over within ten seconds.
const KILLS: (usize, usize) = (2, 40);

/// The number of chats, and the pause between two messages.
const CHATS: usize = 50;
const PAUSE: Duration = Duration::from_millis(50);

/// Longest time between two kills in milliseconds, so that kills fall before and after the other gateway has taken over.
const LIFE_MS: u64 = 15_000;

/// One delivery in this many is refused, each event at most once.
const FAILS_ONE_IN: u64 = 5;

/// Returns the index in the fleet of the gateway that polls or delivers.
fn holder(fleet: &Fleet, what: &str) -> Option<usize> {
    let name = fleet.sql(&format!(
        "SELECT r.name FROM chatgate.leases l JOIN chatgate.replicas r ON r.id = l.holder WHERE l.what = '{what}'"
    ));
    name.trim().strip_prefix("replica-")?.parse().ok()
}

/// Returns the deliveries that the receiver accepted, in order of arrival.
fn delivered(sink: &HttpSink, began: Instant) -> Arrivals {
    let mut heard = Arrivals::new(began);
    for request in sink.requests() {
        let event: Value = serde_json::from_slice(&request.body).unwrap();
        assert_eq!(event["id"], request.headers["webhook-id"].as_str());
        if request.status == 200 {
            heard.take(&event, &event["data"]);
        }
    }
    heard
}

#[expect(clippy::too_many_lines, reason = "one story, read step by step")]
#[tokio::test(flavor = "multi_thread")]
async fn killing_the_polling_or_delivering_replica_loses_no_event() {
    let (kills, seed) = (load(KILLS.0, KILLS.1), seed());
    let mut chance = SplitMix64(seed);
    let toml = format!(
        "unread_clears = \"no\"\n{UNLIMITED}[events]\npoll_min = \"100ms\"\npoll_max = \"500ms\"\ncalls_per_second = 200\n\
         [webhooks]\nallow_networks = [\"127.0.0.0/8\"]\n"
    );
    let Some(mut fleet) = Fleet::of(2, &toml) else {
        return skipped("PostgreSQL");
    };
    let (sink, base) = (HttpSink::start("").await, super::base(fleet.sandbox()));
    let began = Instant::now();
    let password = made(
        &fleet.gateways[0],
        json!({"name": "shop", "allow": ["127.0.0.0/8"]}),
    )
    .await;
    let draft = json!({"access": "shop", "url": format!("http://{}/", sink.address), "types": ["message.received"]});
    let webhook = admin(&fleet.gateways[0], Method::POST, "webhooks", draft).await;
    assert_eq!(webhook.status, 201, "{}", webhook.body);
    // Messages that exist at the first poll are history and make no events.
    until("a first message", async || {
        receive(&client(), &base, "34800000", "first").await;
        !sink.requests().is_empty()
    })
    .await;
    let places = |fleet: &Fleet| {
        fleet
            .gateways
            .iter()
            .map(|gateway| gateway.public)
            .collect()
    };
    let (moved, place) = watch::channel(places(&fleet));
    let reader = |turns| {
        let heard = Arc::new(Mutex::new(Arrivals::new(began)));
        let reader = Reader {
            gateways: place.clone(),
            turns,
            client: client(),
            credentials: ("shop".to_owned(), password.clone()),
            // Each reader reads from the beginning. `earliest` is a word that a cursor may be.
            cursor: "earliest".to_owned(),
            heard: Arc::clone(&heard),
        };
        (reader, heard)
    };
    let ((streams, streamed), (asks, asked)) = (reader(0), reader(1));
    let readers = [tokio::spawn(streams.stream()), tokio::spawn(asks.ask())];
    let (mut refusals, mut refused) = (chance.branch(), HashSet::new());
    sink.answer_by(move |request| {
        let event = &request.headers["webhook-id"];
        let fails = refusals.one_in(FAILS_ONE_IN) && refused.insert(event.clone());
        if fails { 500 } else { 200 }
    });
    let is_over = Arc::<AtomicBool>::default();
    let writing = tokio::spawn({
        let (is_over, mut chance) = (Arc::clone(&is_over), chance.branch());
        async move {
            let (client, mut chats) = (client(), Vec::new());
            while !is_over.load(Ordering::Relaxed) {
                let chat = usize::try_from(chance.below(CHATS as u64)).unwrap();
                let text = format!("sent {} {}", began.elapsed().as_micros(), chats.len());
                receive(&client, &base, &format!("3490{chat:05}"), &text).await;
                chats.push(chat);
                pass(PAUSE).await;
            }
            chats
        }
    });
    let mut held = [0, 0];
    for kill in 0..kills {
        pass(Duration::from_millis(chance.below(LIFE_MS))).await;
        let what = ["webhooks", "polling"][kill % 2];
        let at = tokio::task::block_in_place(|| holder(&fleet, what));
        held[kill % 2] += usize::from(at.is_some());
        let at = at.unwrap_or(kill % 2);
        tokio::task::block_in_place(|| {
            let next = fleet.replica(&format!("replica-{at}"));
            // Dropping a gateway kills it with SIGKILL.
            drop(std::mem::replace(&mut fleet.gateways[at], next));
        });
        moved.send_replace(places(&fleet));
    }
    is_over.store(true, Ordering::Relaxed);
    let chats = writing.await.unwrap();
    let all = chats.len();
    assert!(
        held.iter().all(|held| *held > 0),
        "somebody held a lease: {held:?}"
    );
    for (name, heard) in [("the stream", &streamed), ("getevents", &asked)] {
        let has_all = async || heard.lock().unwrap().count() >= all;
        until(&format!("seed {seed}: all {all} by {name}"), has_all).await;
        let heard = heard.lock().unwrap();
        heard.check_order(|number| chats[number], all);
        println!(
            "fleet, seed {seed}: {kills} kills, {all} messages by {name}, {} doubles",
            heard.doubles
        );
    }
    let mut count = delivered(&sink, began).count();
    while count < all {
        let before = count;
        let what = format!("seed {seed}: {before} of {all} delivered; one more");
        until(&what, async || {
            count = delivered(&sink, began).count();
            count > before
        })
        .await;
    }
    let heard = delivered(&sink, began);
    heard.check_order(|number| chats[number], all);
    println!(
        "fleet, seed {seed}: {kills} kills, {all} messages by a webhook, {} doubles",
        heard.doubles
    );
    let streamed = streamed.lock().unwrap();
    assert_eq!(streamed.ids, asked.lock().unwrap().ids);
    assert_eq!(streamed.ids, heard.ids);
    readers.iter().for_each(tokio::task::JoinHandle::abort);
}
