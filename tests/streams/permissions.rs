//! Tests that every reader gets exactly the events that a model outside the gateway predicts.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::reading::{Stream, UNLIMITED, now, warm, write};
use crate::harness::{Answer, Gateway, SplitMix64, client, load, made};

/// Number of accesses, every day and for a release.
const ACCESSES: (usize, usize) = (5, 20);

/// The channels of every sandbox.
const CHANNELS: [(&str, &str); 5] = [
    ("webchat", "1"),
    ("webchat", "2"),
    ("whatsapp", "100"),
    ("telegram", "200"),
    ("operator", "300"),
];

/// The permitted channels of an access and the channel that it requests, drawn at random.
struct Drawn {
    name: String,
    password: String,
    platforms: Option<Vec<&'static str>>,
    channels: Option<Vec<(&'static str, &'static str)>>,
    query: Option<(&'static str, &'static str)>,
}

impl Drawn {
    fn hears(&self, channel: (&str, &str)) -> bool {
        self.platforms
            .as_ref()
            .is_none_or(|some| some.contains(&channel.0))
            && self
                .channels
                .as_ref()
                .is_none_or(|some| some.contains(&channel))
            && self.query.is_none_or(|query| query == channel)
    }
}

async fn drawn(gateway: &Gateway, chance: &mut SplitMix64, number: usize) -> Drawn {
    let mut some = |of: u64| chance.below(of) == 0;
    let platforms = some(2).then(|| {
        ["webchat", "whatsapp", "telegram", "operator"]
            .into_iter()
            .filter(|_| some(2))
            .collect::<Vec<_>>()
    });
    let channels = some(2).then(|| CHANNELS.into_iter().filter(|_| some(2)).collect::<Vec<_>>());
    let mut draft = json!({"name": format!("drawn-{number}"), "allow": ["127.0.0.0/8"]});
    if let Some(platforms) = &platforms {
        draft["platforms"] = json!(platforms);
    }
    if let Some(channels) = &channels {
        let channels = channels
            .iter()
            .map(|(platform, id)| json!({"platform": platform, "platformid": id}));
        draft["channels"] = channels.collect();
    }
    let name = format!("drawn-{number}");
    let password = made(gateway, draft).await;
    let mut drawn = Drawn {
        name,
        password,
        platforms,
        channels,
        query: None,
    };
    // A permitted channel, because a request for any other one is refused immediately.
    let allowed: Vec<_> = CHANNELS
        .into_iter()
        .filter(|channel| drawn.hears(*channel))
        .collect();
    if chance.below(3) == 0 && !allowed.is_empty() {
        drawn.query = Some(allowed[usize::try_from(chance.below(allowed.len() as u64)).unwrap()]);
    }
    drawn
}

#[expect(clippy::too_many_lines, reason = "one story, read step by step")]
#[tokio::test]
async fn each_reader_gets_exactly_the_permitted_events_that_it_requests() {
    let gateway = Gateway::configured(UNLIMITED, &[]);
    let mut warming = Stream::of(&gateway, "").await;
    warm(&gateway, &mut warming).await;
    let mut chance = SplitMix64(7);
    let mut readers = Vec::new();
    for number in 0..load(ACCESSES.0, ACCESSES.1) {
        readers.push(drawn(&gateway, &mut chance, number).await);
    }
    let cursor = now(&gateway).await;
    let mut streams = Vec::new();
    for reader in &readers {
        let query = reader.query.map_or(String::new(), |(platform, id)| {
            format!("&platform={platform}&platformid={id}")
        });
        let request = client().get(gateway.url(&format!("/api/events?cursor={cursor}{query}")));
        streams.push(Stream::open(request.basic_auth(&reader.name, Some(&reader.password))).await);
    }
    for round in 0..3 {
        for (number, channel) in CHANNELS.into_iter().enumerate() {
            write(
                &gateway,
                channel,
                &format!("34910{round}{number}"),
                "for some",
            )
            .await;
        }
    }
    // The access that sees everything shows when all events are in the log.
    let mut heard = BTreeSet::new();
    let mut whole = Stream::of(&gateway, &format!("?cursor={cursor}")).await;
    let mut all = Vec::new();
    while heard.len() < 3 * CHANNELS.len() {
        let event = whole.message().await;
        heard.insert(event["data"]["destination"].as_str().unwrap().to_owned());
        all.push(event);
    }
    let until = all.last().unwrap()["cursor"].as_str().unwrap().to_owned();
    let mut judged = 0;
    for (reader, stream) in readers.iter().zip(&mut streams) {
        let of_channel = |event: &&Value| {
            let text = |name: &str| event["data"][name].as_str().unwrap();
            reader.hears((text("platform"), text("platformid")))
        };
        let expected: Vec<_> = all
            .iter()
            .filter(of_channel)
            .map(|event| event["id"].clone())
            .collect();
        let mut of_stream = Vec::new();
        while of_stream.len() < expected.len() {
            of_stream.push(stream.message().await["id"].clone());
        }
        assert_eq!(of_stream, expected, "{} by its stream", reader.name);
        let mut form = vec![
            ("class", "chat"),
            ("method", "getevents"),
            ("cursor", &cursor),
            ("limit", "1000"),
        ];
        if let Some((platform, id)) = reader.query {
            form.extend([("platform", platform), ("platformid", id)]);
        }
        let asked = client().post(gateway.url("/api/basic/")).form(&form);
        let asked = Answer::of(asked.basic_auth(&reader.name, Some(&reader.password)))
            .await
            .json();
        let list = asked["result"]["list"]
            .as_array()
            .unwrap_or_else(|| panic!("{asked}"));
        assert_eq!(
            list.len(),
            expected.len(),
            "{} by asking: {asked}",
            reader.name
        );
        assert!(list.iter().map(|event| &event["id"]).eq(&expected));
        assert!(asked["result"]["cursor"].as_str().unwrap() >= until.as_str());
        judged += all.len();
    }
    println!("{judged} events judged for {} accesses", readers.len());
}
