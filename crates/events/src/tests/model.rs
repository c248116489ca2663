//! A model of the upstream with configurable semantics.

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use adapter::{Code, Error, Request, Response};
use serde_json::{Value, json};
use tokio::sync::Notify;

use crate::upstream::{PollAnswer, PolledUpstream};

/// The ids of messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ids {
    Numeric,
    Opaque,
    None,
}

/// The precision of datetimes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Datetimes {
    Seconds,
    OneSecond,
    None,
}

/// The semantics of an upstream.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shape {
    pub(super) unread_clears: bool,
    pub(super) messages_clear: bool,
    pub(super) ids: Ids,
    pub(super) newest_first: bool,
    pub(super) datetimes: Datetimes,
}

struct ModelMessage {
    number: u64,
    chat: usize,
    is_sent: bool,
    is_unread: bool,
}

/// A model of the upstream with one channel.
pub(super) struct Model {
    shape: Shape,
    messages: Mutex<Vec<ModelMessage>>,
    /// The messages that arrive right after the next listing of the chats: the chat of each, and whether it is sent.
    pub(super) after_listing: Mutex<Vec<(usize, bool)>>,
    pub(super) calls: AtomicU64,
    /// True if the model answers no calls.
    pub(super) is_down: AtomicBool,
    /// True if the next call panics.
    pub(super) panics_once: AtomicBool,
    /// True if the end of the next poll panics.
    pub(super) panics_at_end: AtomicBool,
    /// Notified when the end of a poll panics.
    pub(super) panicked: Notify,
}

/// The model's channel.
pub(super) const CHANNEL: [&str; 2] = ["whatsapp", "100"];

impl Model {
    pub(super) fn new(shape: Shape) -> Model {
        Model {
            shape,
            messages: Mutex::default(),
            after_listing: Mutex::default(),
            calls: AtomicU64::new(0),
            is_down: AtomicBool::new(false),
            panics_once: AtomicBool::new(false),
            panics_at_end: AtomicBool::new(false),
            panicked: Notify::new(),
        }
    }

    /// Adds a message to this chat. Returns its text.
    pub(super) fn add(&self, chat: usize, is_sent: bool) -> String {
        let mut messages = self.messages.lock().unwrap();
        let number = messages.len() as u64;
        messages.push(ModelMessage {
            number,
            chat,
            is_sent,
            is_unread: !is_sent,
        });
        text(number)
    }

    /// Returns the number of the next message.
    pub(super) fn next(&self) -> u64 {
        self.messages.lock().unwrap().len() as u64
    }

    /// Returns the answer to a call of a caller or a poll.
    pub(super) fn answer(&self, request: &Request) -> Result<Response, Error> {
        let answer = self.answer_now(request);
        if request.operation().method == "getchats" {
            for (chat, is_sent) in self.after_listing.lock().unwrap().drain(..) {
                self.add(chat, is_sent);
            }
        }
        answer
    }

    fn answer_now(&self, request: &Request) -> Result<Response, Error> {
        self.calls.fetch_add(1, Ordering::Relaxed);
        if self.is_down.load(Ordering::Relaxed) {
            return Err(Error::refused(Code::UpstreamUnavailable));
        }
        let mut messages = self.messages.lock().unwrap();
        let destination = request.value("destination");
        let is_of = |message: &ModelMessage| Some(chat_name(message.chat).as_str()) == destination;
        let mut list: Vec<Value> = match request.operation().method {
            "getchatchannels" => {
                let [platform, platformid] = CHANNEL;
                vec![json!({"platform": platform, "platformid": platformid, "name": "model"})]
            }
            "getchats" => {
                let numbers = messages
                    .iter()
                    .map(|message| (message.chat, message.number));
                let last: HashMap<usize, u64> = numbers.collect();
                let is_last = |message: &&ModelMessage| last[&message.chat] == message.number;
                messages
                    .iter()
                    .filter(is_last)
                    .map(|message| self.row(message, "sent"))
                    .collect()
            }
            "getmessages" => {
                let listed = messages.iter().filter(|message| is_of(message));
                listed.map(|message| self.row(message, "sent")).collect()
            }
            "getunreadmessages" => {
                let listed = messages
                    .iter()
                    .filter(|message| is_of(message) && message.is_unread);
                listed.map(|message| self.row(message, "issent")).collect()
            }
            _ => return Err(Error::refused(Code::IncorrectMethod)),
        };
        let clears = match request.operation().method {
            "getmessages" => self.shape.messages_clear,
            "getunreadmessages" => self.shape.unread_clears,
            _ => false,
        };
        if clears {
            messages
                .iter_mut()
                .filter(|message| is_of(message))
                .for_each(|message| message.is_unread = false);
        }
        if self.shape.newest_first {
            list.reverse();
        }
        Ok(Response::of(&json!({ "list": list }).to_string()).unwrap())
    }

    fn row(&self, message: &ModelMessage, sent: &str) -> Value {
        let [platform, platformid] = CHANNEL;
        let number = message.number;
        let mut row = json!({
            "platform": platform, "platformid": platformid, "destination": chat_name(message.chat),
            "message": text(number), "status": if message.is_sent { "sent" } else { "received" },
        });
        row[sent] = if message.is_sent { "1" } else { "0" }.into();
        match self.shape.ids {
            Ids::Numeric => row["messageid"] = number.to_string().into(),
            // The ids are in no order.
            Ids::Opaque => {
                row["messageid"] =
                    format!("{:x}", number.wrapping_mul(0x9e37_79b9_7f4a_7c15)).into()
            }
            Ids::None => {}
        }
        // Each second has seven messages.
        match self.shape.datetimes {
            Datetimes::Seconds => {
                row["datetime"] = format!(
                    "2026-01-01 {:02}:{:02}:{:02}",
                    number / 25_200,
                    number / 420 % 60,
                    number / 7 % 60
                )
                .into()
            }
            Datetimes::OneSecond => row["datetime"] = "2026-01-01 00:00:00".into(),
            Datetimes::None => {}
        }
        row
    }
}

/// Returns the text of the message with this number.
pub(super) fn text(number: u64) -> String {
    format!("text {number}")
}

pub(super) fn chat_name(chat: usize) -> String {
    format!("3460000000{chat}")
}

impl PolledUpstream for Model {
    fn ask<'a>(&'a self, request: &'a Request) -> PollAnswer<'a> {
        Box::pin(async move {
            assert!(!self.panics_once.swap(false, Ordering::Relaxed), "a defect");
            self.answer(request)
        })
    }

    fn is_busy(&self) -> bool {
        let panics = self.panics_at_end.swap(false, Ordering::Relaxed);
        if panics {
            self.panicked.notify_one();
        }
        assert!(!panics, "a defect");
        false
    }

    fn has_changed(&self, _request: &Request) {}

    fn account(&self) -> String {
        "model".to_owned()
    }
}
