//! The page about events: streams, queries, and programs that read events.

use adapter::EVENT_TYPES;
use askama::Template;

use crate::interface::PublicInterface;

/// An example of a stream.
const STREAM: &str = r#"retry: 2719
:
id: 01k3b5nx40000

id: 01k3b5p0c8000
data: {"id":"evt_5k…","type":"message.received","timestamp":"2026-11-28T21:04:05.123Z","cursor":"01k3b5p0c8000",…}

:
"#;

#[derive(Template)]
#[template(path = "docs/events.html")]
pub(crate) struct EventsPage<'a> {
    url: &'a str,
    stream_example: &'static str,
    types: [(&'static str, &'static str); EVENT_TYPES.len()],
    readers: [ShownReader; 4],
    receivers: [ShownReader; 4],
}

struct ShownReader {
    title: &'static str,
    file: &'static str,
    text: &'static str,
}

impl<'a> EventsPage<'a> {
    pub(crate) fn new(interface: &PublicInterface<'a>) -> EventsPage<'a> {
        let reader = |title, file, text| ShownReader { title, file, text };
        EventsPage {
            url: interface.url,
            stream_example: STREAM,
            types: EVENT_TYPES.map(|name| (name, meaning(name))),
            readers: [
                reader(
                    "JavaScript",
                    "reader.js",
                    include_str!("../readers/reader.js"),
                ),
                reader("Python", "reader.py", include_str!("../readers/reader.py")),
                reader("PHP", "reader.php", include_str!("../readers/reader.php")),
                reader("Go", "reader.go", include_str!("../readers/reader.go")),
            ],
            receivers: [
                reader(
                    "JavaScript",
                    "receiver.js",
                    include_str!("../receivers/receiver.js"),
                ),
                reader(
                    "Python",
                    "receiver.py",
                    include_str!("../receivers/receiver.py"),
                ),
                reader(
                    "PHP",
                    "receiver.php",
                    include_str!("../receivers/receiver.php"),
                ),
                reader(
                    "Go",
                    "receiver.go",
                    include_str!("../receivers/receiver.go"),
                ),
            ],
        }
    }
}

fn meaning(name: &str) -> &'static str {
    match name {
        "chat.changed" => {
            "A chat has a new last message, which is in the data. There may be more new messages: call getmessages."
        }
        "message.received" => "A message was received.",
        "message.sent" => "A message was sent, through the API or by an operator.",
        "message.status" => "A message was delivered or read, or its delivery failed.",
        "channel.stalled" => {
            "The gateway could not poll a channel for a minute. Until it can, missing events do not mean that nothing happened."
        }
        "channel.resumed" => "The gateway can poll the channel again.",
        _ => "",
    }
}
