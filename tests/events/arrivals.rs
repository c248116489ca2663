//! Records the messages that readers received, and writes messages for them.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::harness::Answer;
use crate::streams::reading::SALES;

/// Writes a message in a chat of the sales channel, as a customer would.
pub(super) async fn receive(client: &reqwest::Client, sandbox: &str, chat: &str, text: &str) {
    let message =
        json!({"platform": SALES.0, "platformid": SALES.1, "destination": chat, "message": text});
    let request = client.post(format!("{sandbox}/sandbox/receive"));
    let answer = Answer::of(request.body(message.to_string())).await;
    assert_eq!(answer.status, 201, "{}", answer.body);
}

/// The messages `sent TIME NUMBER` that one reader received. The time is in microseconds since `began`.
pub(super) struct Arrivals {
    began: Instant,
    /// The events' ids, by number.
    pub(super) ids: HashMap<usize, String>,
    /// Numbers in the order of their first arrival.
    order: Vec<usize>,
    waits: Vec<Duration>,
    /// The number of messages that arrived again, under the same id.
    pub(super) doubles: usize,
}

impl Arrivals {
    pub(super) fn new(began: Instant) -> Arrivals {
        Arrivals {
            began,
            ids: HashMap::new(),
            order: Vec::new(),
            waits: Vec::new(),
            doubles: 0,
        }
    }

    /// Records an event and the row in it.
    pub(super) fn take(&mut self, event: &Value, row: &Value) {
        let text = row["message"].as_str().unwrap_or_default();
        let Some((sent, number)) = text.strip_prefix("sent ").and_then(|t| t.split_once(' '))
        else {
            return;
        };
        assert_eq!(event["type"], "message.received", "{event}");
        let number = number.parse().unwrap();
        let id = event["id"].as_str().unwrap().to_owned();
        if let Some(known) = self.ids.get(&number) {
            assert_eq!(known, &id, "a double has the id of the first");
            self.doubles += 1;
            return;
        }
        let sent = Duration::from_micros(sent.parse().unwrap());
        self.waits.push(self.began.elapsed().saturating_sub(sent));
        self.ids.insert(number, id);
        self.order.push(number);
    }

    pub(super) fn count(&self) -> usize {
        self.order.len()
    }

    /// Returns the time within which half of the messages arrived, and 99 of 100.
    pub(super) fn waits(&self) -> (Duration, Duration) {
        let mut waits = self.waits.clone();
        waits.sort();
        (waits[waits.len() / 2], waits[waits.len() * 99 / 100])
    }

    /// Checks that all numbers of each chat have arrived in order.
    pub(super) fn check_order(&self, chat_of: impl Fn(usize) -> usize, count: usize) {
        let mut sorted = self.order.clone();
        sorted.sort_by_key(|number| (chat_of(*number), *number));
        let mut came = self.order.clone();
        came.sort_by_key(|number| chat_of(*number));
        assert_eq!(came, sorted, "by chat");
        assert_eq!(sorted.len(), count);
    }
}
