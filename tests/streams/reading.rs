//! A reader of streams that shares no code with the gateway, and functions that write messages in chats.

use std::time::Duration;

use reqwest::Response;
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::harness::{Answer, Gateway, PATIENCE, client};

/// The calls must not reach a limit.
pub(crate) const UNLIMITED: &str = "[limits]\nper_address_per_minute = 100000000\n";

/// One block of a stream, parsed as in WHATWG HTML 9.2.6.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) event: String,
    pub(crate) data: String,
    pub(crate) id: Option<String>,
    pub(crate) retry: Option<u64>,
}

impl Frame {
    fn of(block: &str) -> Frame {
        let mut frame = Frame::default();
        for line in block.lines() {
            let (name, value) = line.split_once(':').unwrap_or((line, ""));
            let value = value.strip_prefix(' ').unwrap_or(value);
            match name {
                "event" => frame.event = value.to_owned(),
                "data" => frame.data.push_str(value),
                "id" => frame.id = Some(value.to_owned()),
                "retry" => frame.retry = value.parse().ok(),
                _ => {}
            }
        }
        frame
    }

    /// Returns the block's event, if there is one.
    pub(crate) fn message(&self) -> Option<Value> {
        let is_message = self.event.is_empty() && !self.data.is_empty();
        is_message.then(|| serde_json::from_str(&self.data).unwrap())
    }
}

/// A stream that is being read.
pub(crate) struct Stream {
    pub(crate) response: Response,
    /// The received part of the next block.
    begun: Vec<u8>,
    /// All received blocks.
    pub(crate) all: String,
}

impl Stream {
    /// Opens a stream.
    pub(crate) async fn open(request: reqwest::RequestBuilder) -> Stream {
        let request = request.header("Accept", "text/event-stream");
        let response = timeout(PATIENCE, request.send()).await.unwrap().unwrap();
        assert_eq!(response.status(), 200);
        Stream::begun(response)
    }

    /// Makes a stream from an answer.
    pub(crate) fn begun(response: Response) -> Stream {
        Stream {
            response,
            begun: Vec::new(),
            all: String::new(),
        }
    }

    /// Opens a stream of the demo access by Basic.
    pub(crate) async fn of(gateway: &Gateway, query: &str) -> Stream {
        let demo = gateway.demo();
        let request = client().get(gateway.url(&format!("/api/events{query}")));
        Stream::open(request.basic_auth(demo.user, Some(demo.password))).await
    }

    /// Returns the next block, or `None` at the end.
    pub(crate) async fn next(&mut self) -> Option<Frame> {
        timeout(PATIENCE, self.read()).await.expect("nothing comes")
    }

    /// Returns the next block if it arrives within this time.
    pub(crate) async fn within(&mut self, time: Duration) -> Option<Frame> {
        timeout(time, self.read()).await.ok().flatten()
    }

    async fn read(&mut self) -> Option<Frame> {
        loop {
            let end = self.begun.windows(2).position(|two| two == b"\n\n");
            if let Some(end) = end {
                let block: Vec<u8> = self.begun.drain(..end + 2).collect();
                let block = std::str::from_utf8(&block).unwrap();
                self.all.push_str(block);
                return Some(Frame::of(block));
            }
            let piece = self.response.chunk().await.ok().flatten()?;
            self.begun.extend_from_slice(&piece);
        }
    }

    /// Returns the next event.
    pub(crate) async fn message(&mut self) -> Value {
        loop {
            let Some(frame) = self.next().await else {
                panic!("the stream has ended: {}", self.all);
            };
            if let Some(message) = frame.message() {
                return message;
            }
        }
    }

    /// Reads to the end. Returns the last block, and whether an event came before it.
    pub(crate) async fn end(&mut self) -> (Frame, bool) {
        let (mut last, mut heard) = (Frame::default(), false);
        while let Some(frame) = self.next().await {
            heard |= frame.message().is_some();
            last = frame;
        }
        (last, heard)
    }
}

/// Writes a message in a chat of a channel, as a customer would.
pub(crate) async fn write(gateway: &Gateway, channel: (&str, &str), destination: &str, text: &str) {
    write_at(&gateway.sandbox_url(), channel, destination, text).await;
}

/// Does the same at the sandbox at this address.
async fn write_at(sandbox: &str, channel: (&str, &str), destination: &str, text: &str) {
    let message = json!({"platform": channel.0, "platformid": channel.1, "destination": destination, "message": text});
    let url = format!("{sandbox}/sandbox/receive");
    let answer = Answer::of(client().post(url).body(message.to_string())).await;
    assert_eq!(answer.status, 201, "{}", answer.body);
}

/// The channel of most tests.
pub(crate) const SALES: (&str, &str) = ("whatsapp", "100");

/// Requests events for the demo access by HTTP parameters.
pub(crate) async fn ask(gateway: &Gateway, pairs: &[(&str, &str)]) -> Answer {
    let demo = gateway.demo();
    let mut form = vec![
        ("class", "chat"),
        ("method", "getevents"),
        ("user", &demo.user),
        ("password", &demo.password),
    ];
    form.extend(pairs);
    Answer::of(client().post(gateway.url("/api/http/")).form(&form)).await
}

/// Returns the current cursor.
pub(crate) async fn now(gateway: &Gateway) -> String {
    let answer = ask(gateway, &[]).await.json();
    assert_eq!(answer["result"]["list"], json!([]), "{answer}");
    answer["result"]["cursor"].as_str().unwrap().to_owned()
}

/// Writes this many messages, each in its own chat, and reads their events in the order of the log. Returns the cursor before them,
/// and the events.
pub(crate) async fn logged(gateway: &Gateway, count: usize) -> (String, Vec<Value>) {
    let cursor = now(gateway).await;
    // The channels are polled since then; earlier messages are history.
    let mut stream = Stream::of(gateway, &format!("?cursor={cursor}")).await;
    warm(gateway, &mut stream).await;
    let from = now(gateway).await;
    for number in 0..count {
        write(
            gateway,
            SALES,
            &format!("34600{number:06}"),
            &format!("Message {number} <&> ü 😀"),
        )
        .await;
    }
    let mut heard: Vec<Value> = Vec::new();
    while count > distinct(&heard) {
        heard.push(stream.message().await);
    }
    // Drops events of earlier messages.
    heard.retain(|event| event["cursor"].as_str().unwrap() > from.as_str());
    (from, heard)
}

fn distinct(heard: &[Value]) -> usize {
    let chats = heard
        .iter()
        .map(|event| event["data"]["destination"].as_str().unwrap_or_default());
    let chats = chats.filter(|chat| chat.starts_with("34600") && chat.len() == 11);
    chats.collect::<std::collections::HashSet<_>>().len()
}

/// Writes messages until an event arrives; from then on the channel is polled.
pub(crate) async fn warm(gateway: &Gateway, stream: &mut Stream) {
    warm_at(&gateway.sandbox_url(), stream).await;
}

/// Does the same at the sandbox at this address. Returns the number of messages that it took.
pub(crate) async fn warm_at(sandbox: &str, stream: &mut Stream) -> usize {
    for number in 0.. {
        assert!(number < 20, "no event comes");
        let text = format!("Warm {number}");
        write_at(sandbox, SALES, "34700000000", &text).await;
        while let Some(frame) = stream.within(Duration::from_secs(3)).await {
            if frame.message().is_some() {
                return number + 1;
            }
        }
    }
    0
}
