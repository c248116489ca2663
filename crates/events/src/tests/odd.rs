//! Tests that no odd datetime, closed chat or refused list of an upstream silences messages, or brings history back.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use adapter::{Code, Error, Request, Response};
use jiff::Timestamp;
use serde_json::{Value, json};
use store::{Access, ChangeAuthor, EventKind, Position, Store};

use super::model::CHANNEL;
use super::nobody::with_events;
use super::shapes::config;
use crate::config::EventDepth;
use crate::interests::now_ms;
use crate::service::Events;
use crate::upstream::{PollAnswer, PolledUpstream};
use crate::watcher::Watcher;

const HOUR: i64 = 3600;
const DAY: i64 = 24 * HOUR;

/// An upstream with one channel, whose unread marks nobody clears.
#[derive(Default)]
pub(super) struct OddUpstream {
    /// The rows of each chat.
    chats: Mutex<BTreeMap<String, Vec<Value>>>,
    /// The chat whose unread messages are refused.
    refused: Mutex<Option<&'static str>>,
}

impl OddUpstream {
    /// Adds a message with a datetime that is so many seconds ahead of the clock. The text of a sent message begins with `s`.
    pub(super) fn add(&self, chat: &str, text: &str, ahead: i64) {
        let at = Timestamp::from_second(now_ms() / 1000 + ahead).unwrap();
        let (sent, status) = if text.starts_with('s') {
            ("1", "sent")
        } else {
            ("0", "received")
        };
        let row = json!({
            "destination": chat, "messageid": text, "message": text, "sent": sent, "status": status,
            "datetime": at.strftime("%F %T").to_string(),
        });
        let mut chats = self.chats.lock().unwrap();
        chats.entry(chat.to_owned()).or_default().push(row);
    }

    /// Deletes the last message of a chat.
    pub(super) fn delete_last(&self, chat: &str) {
        let mut chats = self.chats.lock().unwrap();
        chats.get_mut(chat).unwrap().pop().unwrap();
    }

    /// Sets the status of the last message of a chat.
    pub(super) fn set_status(&self, chat: &str, status: &str) {
        let mut chats = self.chats.lock().unwrap();
        chats.get_mut(chat).unwrap().last_mut().unwrap()["status"] = status.into();
    }

    fn close(&self, chat: &str) {
        self.chats.lock().unwrap().remove(chat).unwrap();
    }

    pub(super) fn answer(&self, request: &Request) -> Result<Response, Error> {
        let chats = self.chats.lock().unwrap();
        let chat = request.value("destination").unwrap_or_default();
        let list: Vec<Value> = match request.operation().method {
            "getchatchannels" => vec![json!({"platform": CHANNEL[0], "platformid": CHANNEL[1]})],
            "getchats" => chats
                .values()
                .filter_map(|rows| rows.last().cloned())
                .collect(),
            _ if *self.refused.lock().unwrap() == Some(chat) => Vec::new(),
            "getunreadmessages" => {
                let rows = chats.get(chat).into_iter().flatten();
                rows.filter(|row| row["sent"] == "0").cloned().collect()
            }
            _ => chats.get(chat).cloned().unwrap_or_default(),
        };
        if list.is_empty() {
            return Err(Error::refused(Code::ChatNotFound));
        }
        Ok(Response::of(&json!({ "list": list }).to_string()).unwrap())
    }
}

impl PolledUpstream for OddUpstream {
    fn ask<'a>(&'a self, request: &'a Request) -> PollAnswer<'a> {
        Box::pin(async move { self.answer(request) })
    }

    fn is_busy(&self) -> bool {
        false
    }

    fn has_changed(&self, _request: &Request) {}

    fn account(&self) -> String {
        "odd".to_owned()
    }
}

/// The events of the upstream for one listener.
pub(super) struct OddEvents {
    pub(super) upstream: Arc<OddUpstream>,
    pub(super) events: Arc<Events>,
    pub(super) watcher: Watcher,
    read_to: Position,
    _folder: tempfile::TempDir,
}

impl OddEvents {
    /// Starts with a first poll of the channel, which has these chats.
    async fn start_with_chats(chats: &[(&str, i64)]) -> OddEvents {
        OddEvents::start(EventDepth::Unread, chats).await
    }

    /// Starts at this depth with a first poll of the channel, which has these chats.
    pub(super) async fn start(depth: EventDepth, chats: &[(&str, i64)]) -> OddEvents {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("chatgate.db")).await;
        let store = Arc::new(store.unwrap());
        let access = with_events(Access::new("listens", "listens", "cga_listens"));
        store
            .put_accesses(ChangeAuthor::new("test", 1), &[access])
            .await
            .unwrap();
        let events = Events::open(&store, config(depth)).await;
        let events = events.unwrap();
        let upstream = Arc::<OddUpstream>::default();
        for (at, (chat, ahead)) in chats.iter().enumerate() {
            let earlier = chats[..at].iter().filter(|(other, _)| other == chat);
            upstream.add(chat, &format!("{chat}{}", earlier.count()), *ahead);
        }
        events.start_recorder(Arc::<OddUpstream>::clone(&upstream));
        events.interests.touch("cga_listens");
        let mut heard = OddEvents {
            watcher: Watcher::new(Arc::clone(&events), Arc::<OddUpstream>::clone(&upstream)),
            upstream,
            events,
            read_to: Position::ZERO,
            _folder: folder,
        };
        // The first round lists the channels, the second polls them.
        heard.watcher.round().await;
        assert_eq!(heard.next().await, "", "the first poll finds history");
        heard
    }

    /// Polls the channel and returns the new events, like [`OddEvents::new_events`].
    pub(super) async fn next(&mut self) -> String {
        self.watcher.age(Duration::ZERO);
        self.watcher.round().await;
        self.new_events().await
    }

    /// Returns the texts of the new messages, each with `?` if messages before it may be missing, and of the last messages of
    /// changed chats, each with `*`.
    pub(super) async fn new_events(&mut self) -> String {
        let page = self.events.reader.page(self.read_to, 100).await.unwrap();
        self.read_to = page.read_up_to(self.read_to);
        let texts = page.events.iter().map(|event| {
            let row: Value = serde_json::from_str(event.row.as_ref().unwrap()).unwrap();
            let flag = match event.kind {
                EventKind::ChatChanged => "*",
                EventKind::MessageReceived | EventKind::MessageSent if event.gap => "?",
                EventKind::MessageReceived | EventKind::MessageSent => "",
                kind => panic!("{kind:?}"),
            };
            format!("{}{flag}", row["message"].as_str().unwrap())
        });
        texts.collect::<Vec<_>>().join(" ")
    }

    /// Returns the new messages after this message has arrived.
    pub(super) async fn after(&mut self, chat: &str, text: &str, ahead: i64) -> String {
        self.upstream.add(chat, text, ahead);
        self.next().await
    }
}

#[tokio::test]
async fn a_future_datetime_hides_no_new_messages() {
    let mut heard = OddEvents::start_with_chats(&[("a", -HOUR), ("b", 1000 * DAY)]).await;
    // The last message of a chat at the first poll is in the future.
    assert_eq!(heard.after("b", "b1", 0).await, "b1");
    assert_eq!(heard.after("b", "b2", 1).await, "b2");
    // The last message of a chat is in the future while other chats begin.
    assert_eq!(heard.after("a", "a1", 1000 * DAY).await, "a1");
    for (text, expected) in [("c1", "c1?"), ("c2", "c2"), ("c3", "c3")] {
        assert_eq!(heard.after("c", text, 2).await, expected);
    }
    assert_eq!(heard.after("a", "a2", 3).await, "a2");
    // An old chat that reappears is none that begins.
    assert_eq!(heard.after("d", "d1", -7 * DAY).await, "");
    assert_eq!(heard.after("d", "d2", 4).await, "d2?");
}

#[tokio::test]
async fn an_upstream_clock_that_is_set_back_hides_no_new_messages() {
    let mut heard = OddEvents::start_with_chats(&[("a", 0), ("b", -DAY)]).await;
    assert_eq!(heard.after("b", "b1", 1).await, "b1");
    assert_eq!(heard.after("c", "c1", 2 - HOUR).await, "c1?");
    assert_eq!(heard.after("a", "a1", 3 - HOUR).await, "a1");
    heard.upstream.add("a", "a2", 4 - HOUR);
    assert_eq!(heard.after("a", "a3", 5 - HOUR).await, "a2 a3");
    assert_eq!(heard.after("b", "b2", 6 - HOUR).await, "b2");
    assert_eq!(heard.after("c", "c2", 7 - HOUR).await, "c2");
}

#[tokio::test]
async fn a_new_chat_is_reported_after_all_other_chats_are_closed() {
    let mut heard = OddEvents::start_with_chats(&[("a", -HOUR)]).await;
    heard.upstream.close("a");
    assert_eq!(heard.next().await, "");
    assert_eq!(heard.after("b", "b1", 0).await, "b1?");
    assert_eq!(heard.after("b", "b2", 1).await, "b2");
    heard.upstream.close("b");
    // Chats of another account.
    for number in 0..20 {
        let ahead = if number < 9 { 0 } else { -7 * DAY };
        heard.upstream.add(&format!("c{number}"), "old", ahead);
    }
    assert_eq!(heard.next().await, "");
}

#[tokio::test]
async fn a_chat_whose_unread_messages_are_rejected_does_not_stall_its_channel() {
    let mut heard = OddEvents::start_with_chats(&[("a", -HOUR)]).await;
    *heard.upstream.refused.lock().unwrap() = Some("b");
    assert_eq!(heard.after("b", "b1", 0).await, "b1?");
    assert_eq!(heard.after("a", "a1", 1).await, "a1");
    // A name that no call can carry.
    assert_eq!(heard.after(&"9".repeat(600), "c1", 2).await, "c1?");
    // Together more than the time after which a channel without successful polls has stalled.
    for _ in 0..2 {
        heard.watcher.age(Duration::from_secs(40));
        heard.watcher.round().await;
    }
    assert_eq!(heard.next().await, "");
    assert_eq!(heard.events.status().stalled, 0);
}

#[tokio::test]
async fn the_first_chat_of_a_channel_is_reported() {
    let mut heard = OddEvents::start_with_chats(&[]).await;
    assert_eq!(heard.after("a", "a1", 0).await, "a1?");
    assert_eq!(heard.after("a", "a2", 1).await, "a2");
}

#[tokio::test]
async fn a_deleted_last_message_brings_no_old_unread_messages_back() {
    let history = [
        ("a", -40 * DAY),
        ("a", -3 * HOUR),
        ("a", -2 * HOUR),
        ("a", -60),
    ];
    let mut heard = OddEvents::start_with_chats(&history).await;
    heard.upstream.delete_last("a");
    // As if the upstream's clock was set back: messages since yesterday may be new.
    assert_eq!(heard.next().await, "a1? a2");
    assert_eq!(heard.after("a", "a4", 0).await, "a4");
}

#[tokio::test]
async fn the_history_of_a_channel_without_chats_at_its_first_poll_is_not_reported() {
    for (chats, new) in [(3, "new?"), (12, "new")] {
        let mut heard = OddEvents::start_with_chats(&[]).await;
        for number in 0..chats {
            let chat = format!("c{number}");
            heard.upstream.add(&chat, "old", (number - 51) * DAY);
        }
        assert_eq!(heard.next().await, "", "{chats} chats");
        assert_eq!(heard.after("c2", "new", 0).await, new);
        assert_eq!(heard.after("d", "d1", 1).await, "d1?");
    }
}
