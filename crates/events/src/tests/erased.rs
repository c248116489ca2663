//! Tests that what was erased does not become an event again, although the upstream still lists it.

use std::sync::Arc;

use forward::CallObserver;
use store::{ChangeAuthor, EventChannel, Journal};

use super::model::CHANNEL;
use super::odd::{OddEvents, OddUpstream};
use crate::config::EventDepth;
use crate::upstream::{PolledUpstream, request};
use crate::watcher::Watcher;

const DEPTHS: [EventDepth; 2] = [EventDepth::Hint, EventDepth::Unread];

/// The erased chat.
const CHAT: &str = "34600111222";

/// Another chat.
const OTHER: &str = "34600111223";

/// A day, in seconds.
const DAY: i64 = 24 * 60 * 60;

/// Starts with a chat whose messages `a1` to `a3` have become known since the first poll, and erases it. Its last message, `s1`,
/// was sent, and has the datetime of the message before it.
async fn erased_chat(depth: EventDepth) -> OddEvents {
    let mut heard = OddEvents::start(depth, &[(CHAT, -DAY), (OTHER, -DAY)]).await;
    for (text, ahead) in [("a1", -50), ("a2", -40), ("a3", -30), ("s1", -30)] {
        heard.after(CHAT, text, ahead).await;
    }
    erase(&heard).await;
    heard
}

async fn erase(heard: &OddEvents) {
    let store = Arc::clone(&heard.events.store);
    let journal = Journal::start(&store).await.unwrap();
    store.erase_destination(("test", 1), CHAT).await.unwrap();
    journal.stop().await;
}

/// Returns the new events after a caller has listed the messages of the chat.
async fn listed(heard: &mut OddEvents, method: &str) -> String {
    let values = [
        ("platform", CHANNEL[0]),
        ("platformid", CHANNEL[1]),
        ("destination", CHAT),
    ];
    let asked = request(method, &values).unwrap();
    let response = heard.upstream.answer(&asked).unwrap();
    heard
        .events
        .observe(&asked, &response)
        .unwrap()
        .await
        .unwrap();
    heard.new_events().await
}

/// Asserts that neither polls nor callers' lists cause an event or bring the destination back into the store.
async fn assert_silent(heard: &mut OddEvents) {
    assert_eq!(heard.next().await, "");
    for method in ["getmessages", "getunreadmessages"] {
        assert_eq!(listed(heard, method).await, "", "{method}");
    }
    let channel = EventChannel {
        account: heard.upstream.account(),
        platform: CHANNEL[0].to_owned(),
        platformid: CHANNEL[1].to_owned(),
    };
    let memory = heard.events.store.channel_memory(&channel).await;
    let tips = memory.unwrap().unwrap().tips;
    assert!(tips.contains_key(OTHER) && !tips.contains_key(CHAT));
}

#[tokio::test]
async fn erased_messages_do_not_come_back_by_polls_and_lists() {
    for depth in DEPTHS {
        let mut heard = erased_chat(depth).await;
        assert_silent(&mut heard).await;
        // The status of an erased message is no event either, nor is an erased message that becomes the last one again.
        heard.upstream.set_status(CHAT, "read");
        assert_silent(&mut heard).await;
        heard.upstream.delete_last(CHAT);
        assert_silent(&mut heard).await;
    }
}

#[tokio::test]
async fn erased_messages_do_not_come_back_after_a_pause_or_a_restart() {
    for depth in DEPTHS {
        let mut heard = erased_chat(depth).await;
        // Listeners pause, because the only access is suspended for a while.
        let store = Arc::clone(&heard.events.store);
        let mut access = (**store.accesses().named("listens").unwrap()).clone();
        for active in [false, true] {
            access.active = active;
            let accesses = std::slice::from_ref(&access);
            store
                .put_accesses(ChangeAuthor::new("test", 1), accesses)
                .await
                .unwrap();
            heard.watcher.round().await;
            assert_eq!(heard.events.status().watched, u64::from(active));
        }
        assert_silent(&mut heard).await;
        let upstream = Arc::<OddUpstream>::clone(&heard.upstream);
        heard.watcher = Watcher::new(Arc::clone(&heard.events), upstream);
        heard.watcher.round().await;
        assert_silent(&mut heard).await;
    }
}

#[tokio::test]
async fn new_messages_of_an_erased_chat_are_reported_alone() {
    for restarts in [false, true] {
        let mut heard = erased_chat(EventDepth::Unread).await;
        if restarts {
            let upstream = Arc::<OddUpstream>::clone(&heard.upstream);
            heard.watcher = Watcher::new(Arc::clone(&heard.events), upstream);
            heard.watcher.round().await;
        }
        assert_eq!(heard.after(CHAT, "a4", 0).await, "a4");
        assert_eq!(heard.after(CHAT, "a5", 1).await, "a5");
        assert_eq!(listed(&mut heard, "getmessages").await, "");
        // What has come since can be erased as well.
        erase(&heard).await;
        assert_silent(&mut heard).await;
    }
    let mut heard = erased_chat(EventDepth::Hint).await;
    // Several chats change between two polls.
    heard.upstream.add(OTHER, "b1", 0);
    let mut changed: Vec<_> = Vec::new();
    let new = heard.after(CHAT, "a4", 0).await;
    changed.extend(new.split(' '));
    changed.sort_unstable();
    assert_eq!(changed, ["a4*", "b1*"]);
    assert_eq!(listed(&mut heard, "getmessages").await, "a4");
    assert_eq!(heard.after(CHAT, "a5", 1).await, "a5*");
}

#[tokio::test]
async fn messages_that_only_a_callers_list_has_shown_stay_erased() {
    for depth in DEPTHS {
        let mut heard = OddEvents::start(depth, &[(CHAT, -DAY), (OTHER, -DAY)]).await;
        heard.upstream.add(CHAT, "a1", -2);
        heard.upstream.add(CHAT, "a2", -1);
        assert_eq!(listed(&mut heard, "getunreadmessages").await, "a1 a2");
        // No poll has found them before the erasure.
        erase(&heard).await;
        assert_silent(&mut heard).await;
    }
}

#[tokio::test]
async fn a_future_datetime_does_not_silence_an_erased_chat_for_longer_than_two_days() {
    for depth in DEPTHS {
        let mut heard = OddEvents::start(depth, &[(CHAT, -DAY), (OTHER, -DAY)]).await;
        heard.after(CHAT, "a1", 1000 * DAY).await;
        erase(&heard).await;
        assert_silent(&mut heard).await;
        let flag = if depth == EventDepth::Hint { "*" } else { "" };
        assert_eq!(heard.after(CHAT, "a2", 3 * DAY).await, format!("a2{flag}"));
    }
}
