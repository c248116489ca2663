//! Tests that for each shape of an upstream, events fulfill the guarantee of their depth.

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use store::{Event, EventChannel, EventKind, EventRetention, Position, Store};
use tokio::task::JoinSet;

use super::model::{CHANNEL, Datetimes, Ids, Model, Shape, chat_name, text};
use crate::config::{EventDepth, EventsConfig};
use crate::counts::EventCounts;
use crate::diff::ListKind;
use crate::hub::EventHub;
use crate::id::EventIds;
use crate::observation_queue::{Observation, RecorderHandle};
use crate::poll::{ChannelState, Poller};
use crate::recorder::Recorder;
use crate::stream_limiter::StreamLimits;
use crate::upstream::{CallBudget, request};

/// Returns the number of messages per shape: enough to cover each of its cases, or the full number if requested.
fn messages() -> usize {
    if is_full() { 2000 } else { 60 }
}

fn is_full() -> bool {
    std::env::var_os("CHATGATE_LOAD").is_some_and(|load| load == "full")
}

const CHATS: u64 = 5;

/// Returns the maximum number of late messages in a run: five from the first lists, whose sort order is still unknown, and one in
/// 200 that arrives while chats are listed, so that a later message is seen first.
fn late_max(messages: u64) -> usize {
    5 + usize::try_from(messages / 200).unwrap()
}

pub(super) fn config(depth: EventDepth) -> EventsConfig {
    EventsConfig {
        enabled: true,
        depth,
        poll_min: Duration::from_secs(1),
        poll_max: Duration::from_secs(5),
        calls_per_second: NonZeroU32::MAX,
        interest: Duration::from_secs(60),
        keeps_texts: true,
        retention: EventRetention {
            age: Duration::from_secs(345_600),
            bytes: 1 << 30,
        },
        streams: StreamLimits {
            all: 1,
            per_access: 1,
        },
        stream_life: Duration::from_secs(60),
    }
}

fn shapes() -> Vec<Shape> {
    let mut shapes = Vec::new();
    for number in 0..24 {
        shapes.push(Shape {
            unread_clears: number % 2 == 1,
            messages_clear: number / 2 % 2 == 1,
            ids: [Ids::Numeric, Ids::Opaque, Ids::None][number / 4 % 3],
            newest_first: number / 12 == 1,
            datetimes: [Datetimes::Seconds, Datetimes::OneSecond, Datetimes::None][number % 3],
        });
    }
    shapes
}

/// One run of a shape: the model, the poller, and the messages.
struct Run {
    model: Arc<Model>,
    poller: Poller,
    state: Option<ChannelState>,
    hub: Arc<EventHub>,
    chance: u64,
    /// The received messages of each chat, each with the newest position at that time.
    received: HashMap<usize, Vec<(String, Position)>>,
    /// All messages of each chat, in their order.
    written: HashMap<usize, Vec<String>>,
}

impl Run {
    async fn begin(shape: Shape, seed: u64, store: &Arc<Store>) -> Run {
        let hub = Arc::new(EventHub::new(Position::ZERO));
        let counts = Arc::<EventCounts>::default();
        let ids = EventIds::new(b"test");
        let (recorder, task) = Recorder::new(
            Arc::clone(store),
            Arc::clone(&hub),
            ids,
            Arc::clone(&counts),
        );
        tokio::spawn(task.run());
        let model = Arc::new(Model::new(shape));
        let depth = if shape.unread_clears {
            EventDepth::Hint
        } else {
            EventDepth::Unread
        };
        let poller = Poller {
            store: Arc::clone(store),
            upstream: Arc::<Model>::clone(&model),
            budget: Arc::new(CallBudget::new()),
            recorder,
            counts,
            config: Arc::new(config(depth)),
        };
        Run {
            model,
            poller,
            state: None,
            hub,
            chance: seed,
            received: HashMap::new(),
            written: HashMap::new(),
        }
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.chance = self
            .chance
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (self.chance >> 33) % bound
    }

    fn recorder(&self) -> &RecorderHandle {
        &self.poller.recorder
    }

    async fn look(&mut self) {
        let [platform, platformid] = CHANNEL;
        let listing = request(
            "getchats",
            &[("platform", platform), ("platformid", platformid)],
        )
        .unwrap();
        let look = self
            .poller
            .clone()
            .poll(channel(), listing, self.state.take(), None);
        self.state = look.await.state;
    }

    /// Simulates a caller that reads a chat, and observes the answer.
    async fn read(&mut self, method: &str, chat: usize) {
        let [platform, platformid] = CHANNEL;
        let destination = chat_name(chat);
        let values = [
            ("platform", platform),
            ("platformid", platformid),
            ("destination", &destination),
        ];
        let result = self
            .model
            .answer(&request(method, &values).unwrap())
            .unwrap();
        let kind = if method == "getmessages" {
            ListKind::Whole
        } else {
            ListKind::Unread
        };
        let observed = Observation::List {
            channel: channel(),
            destination,
            kind,
            result,
            keeps_texts: true,
        };
        assert!(self.recorder().keep(observed).await);
    }

    fn note(&mut self, chat: usize, is_sent: bool, text: String) {
        let written = self.written.entry(chat).or_default();
        written.push(text.clone());
        if !is_sent {
            let newest = self.hub.newest();
            self.received.entry(chat).or_default().push((text, newest));
        }
    }

    fn add(&mut self, chat: usize, is_sent: bool) {
        let text = self.model.add(chat, is_sent);
        self.note(chat, is_sent, text);
    }

    /// Polls while messages arrive: after the chats are listed and before their messages are fetched.
    async fn poll_while_messages_arrive(&mut self) {
        let first = self.model.next();
        let chat = self.below(CHATS) as usize;
        let coming: Vec<_> = (0..self.below(4))
            .map(|_| (chat, self.below(4) == 0))
            .collect();
        self.model.after_listing.lock().unwrap().clone_from(&coming);
        self.look().await;
        for (number, (chat, is_sent)) in (first..).zip(coming) {
            self.note(chat, is_sent, text(number));
        }
    }

    async fn step(&mut self) {
        let chat = self.below(CHATS) as usize;
        match self.below(20) {
            0..10 => self.add(chat, false),
            10..13 => self.add(chat, true),
            13 => self.read("getmessages", chat).await,
            14 => self.read("getunreadmessages", chat).await,
            15 => {
                // Simulates a new process, which knows only the stored state.
                self.state = None;
            }
            16 => self.look().await,
            _ => self.poll_while_messages_arrive().await,
        }
    }
}

fn channel() -> EventChannel {
    let [platform, platformid] = CHANNEL.map(str::to_owned);
    EventChannel {
        account: "model".to_owned(),
        platform,
        platformid,
    }
}

fn text_of(event: &Event) -> Option<String> {
    let row: serde_json::Value = serde_json::from_str(event.row.as_ref()?).unwrap();
    Some(row["message"].as_str()?.to_owned())
}

async fn all(store: &Store) -> Vec<Arc<Event>> {
    let page = store
        .events_after(Position::ZERO, usize::MAX >> 2, usize::MAX)
        .await
        .unwrap();
    assert!(!page.more);
    page.events
}

async fn check(shape: Shape, seed: u64) {
    let folder = tempfile::tempdir().unwrap();
    let store = Arc::new(
        Store::open(&folder.path().join("chatgate.db"))
            .await
            .unwrap(),
    );
    let mut run = Run::begin(shape, seed, &store).await;
    let history: Vec<String> = (0..21).map(|n| run.model.add(n % 3, n % 7 == 4)).collect();
    run.look().await;
    assert!(
        all(&store).await.is_empty(),
        "what is there at first is history"
    );
    for _ in 0..2 * messages() {
        run.step().await;
    }
    run.look().await;
    let events = all(&store).await;
    let (shown_times, by_chat) = shown(&events);
    assert!(
        shown_times.values().all(|times| *times == 1),
        "{shape:?}: {shown_times:?}"
    );
    if shape.datetimes == Datetimes::Seconds {
        // These messages are from a second before that of every chat's last message. Within that second the result is uncertain.
        let old = &history[..7];
        assert!(
            old.iter().all(|text| !shown_times.contains_key(text)),
            "{shape:?}: history was new"
        );
    }
    let mut late = 0;
    for (chat, received) in &run.received {
        let missed = received
            .iter()
            .filter(|(text, _)| !shown_times.contains_key(text));
        let missed: Vec<_> = missed.collect();
        if shape.unread_clears {
            check_hints(shape, &events, *chat, &missed);
            continue;
        }
        assert!(missed.is_empty(), "{shape:?} lost {missed:?}");
        let shown = by_chat.get(&chat_name(*chat)).cloned().unwrap_or_default();
        let is_shown = |text: &&String| shown.contains(text);
        let in_order = received.iter().map(|(text, _)| text).filter(is_shown);
        late += received.len() - in_order.count();
        let written = &run.written[chat];
        let expected: Vec<_> = written.iter().filter(is_shown).collect();
        let shown = shown.iter().filter(|text| written.contains(text));
        assert_eq!(
            shown.collect::<Vec<_>>(),
            expected,
            "{shape:?}: a chat's order"
        );
    }
    let messages = run.model.next();
    eprintln!("{messages} messages of {shape:?}: {late} late");
    assert!(late <= late_max(messages), "{shape:?}: {late} late");
}

/// Returns how often each text was shown, and for each chat the texts that were not late, in their order.
fn shown(events: &[Arc<Event>]) -> (HashMap<String, usize>, HashMap<String, Vec<String>>) {
    let mut shown_times: HashMap<String, usize> = HashMap::new();
    let mut by_chat: HashMap<String, Vec<String>> = HashMap::new();
    for event in events {
        if matches!(
            event.kind,
            EventKind::MessageReceived | EventKind::MessageSent
        ) {
            let text = text_of(event).unwrap();
            *shown_times.entry(text.clone()).or_default() += 1;
            if !event.late {
                by_chat
                    .entry(event.destination.clone().unwrap())
                    .or_default()
                    .push(text);
            }
        }
    }
    (shown_times, by_chat)
}

/// Checks that each missed message is followed by an event that its chat has changed.
fn check_hints(shape: Shape, events: &[Arc<Event>], chat: usize, missed: &[&(String, Position)]) {
    for (text, newest) in missed {
        let is_changed = |event: &Arc<Event>| {
            event.kind == EventKind::ChatChanged
                && event.position > *newest
                && event.destination == Some(chat_name(chat))
        };
        let has_changed = events.iter().any(is_changed);
        assert!(has_changed, "{shape:?}: {text} was missed in silence");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_upstream_shape_reports_each_message_once_or_its_chat_as_changed() {
    let seeds = (1..).zip(shapes());
    let checks: JoinSet<()> = seeds.map(|(seed, shape)| check(shape, seed)).collect();
    checks.join_all().await;
}
