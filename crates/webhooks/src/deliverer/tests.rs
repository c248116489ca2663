//! Receivers that answer as they like, and processes that are cut off at any instant.

mod judged;
mod stopped;

use std::collections::{BTreeMap, HashSet};
use std::net::IpAddr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering};

use base64::Engine;
use client::{Lookup, Roots};
use events::{EventDepth, EventsConfig, StreamLimits};
use secrecy::ExposeSecret;
use store::{
    Access, Channel, EventChannel, EventKind, EventRetention, NewEvent, SeenChat, SeenMessage,
    Sighting, Store, WebhookState,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

use super::*;
use crate::attempt::position;
use crate::state::state_of;
use crate::{Again, DestinationRules, Surroundings, WebhookDraft, WebhooksConfig};

/// A gateway's part that delivers, over a store of its own. Its clock runs a thousand times as fast.
struct Sending {
    folder: tempfile::TempDir,
    store: Arc<Store>,
    events: Arc<Events>,
    webhooks: Arc<Webhooks>,
    task: JoinHandle<()>,
    clock: Arc<AtomicI64>,
}

impl Sending {
    async fn new() -> Sending {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("chatgate.db"))
            .await
            .unwrap();
        let mut access = Access::new("a", "a", "cga_a");
        access.methods = vec!["getevents".into()];
        store.put_accesses(("me", 7), &[access]).await.unwrap();
        drop(store);
        let clock = Arc::new(AtomicI64::new(1_000_000));
        Sending::begun(folder, clock).await
    }

    async fn begun(folder: tempfile::TempDir, clock: Arc<AtomicI64>) -> Sending {
        let store = Store::open(&folder.path().join("chatgate.db"))
            .await
            .unwrap();
        let store = Arc::new(store);
        let events = Events::open(&store, config()).await.unwrap();
        let began = (std::time::Instant::now(), clock.load(Ordering::SeqCst));
        let shared = Arc::clone(&clock);
        let surroundings = Surroundings {
            own_listeners: Vec::new(),
            lookup: panics_once(),
            clock: Arc::new(move || {
                let now = began.1 + began.0.elapsed().as_micros() as i64;
                shared.fetch_max(now, Ordering::SeqCst).max(now)
            }),
        };
        let rules = DestinationRules {
            allow_networks: vec!["127.0.0.0/8".parse().unwrap()],
            ..DestinationRules::default()
        };
        let roots = Roots::Bundled;
        let webhooks = Webhooks::new(
            Arc::clone(&store),
            &WebhooksConfig { rules, roots },
            surroundings,
        );
        let webhooks = Arc::new(webhooks.unwrap());
        let task = tokio::spawn(deliver(Arc::clone(&webhooks), Arc::clone(&events)));
        Sending {
            folder,
            store,
            events,
            webhooks,
            task,
            clock,
        }
    }

    /// Another process over the same store, after this one was cut off.
    async fn cut_off(self) -> Sending {
        self.task.abort();
        // However it ended, it has ended.
        let _ = self.task.await;
        self.store.close().await;
        Sending::begun(self.folder, self.clock).await
    }

    async fn webhook(&self, port: u16, types: &[&str]) -> (String, String) {
        self.webhook_at(("127.0.0.1", port), types).await
    }

    /// Changes the access, whose requests are judged by it from then on.
    async fn change_access(&self, change: impl FnOnce(Access) -> Access) {
        let changed = |access: Option<&Access>| Ok(access.cloned().map(change));
        self.store
            .change_access(("me", 8), "a", changed)
            .await
            .unwrap();
    }

    async fn webhook_at(&self, (host, port): (&str, u16), types: &[&str]) -> (String, String) {
        let draft = WebhookDraft {
            url: Some(format!("http://{host}:{port}/in")),
            types: Some(types.iter().map(|name| (*name).to_owned()).collect()),
            ..WebhookDraft::default()
        };
        let (made, secret) = self.webhooks.create("a", draft).await.unwrap();
        (made.id, secret.expose_secret().to_owned())
    }

    /// Has so many messages come in, in ten chats; their ids begin with a number that was not there.
    async fn receive(&self, kind: EventKind, numbers: std::ops::Range<u64>) {
        self.receive_at(self.webhooks.now_ms(), kind, numbers).await;
    }

    /// Likewise, by the clock of whoever gives positions.
    async fn receive_at(&self, now: i64, kind: EventKind, numbers: std::ops::Range<u64>) {
        for start in numbers.clone().step_by(1000) {
            let some = start..(start + 1000).min(numbers.end);
            let chats = (0..10).map(|chat| SeenChat {
                destination: format!("chat{chat}"),
                messages: some
                    .clone()
                    .filter(|n| n % 10 == chat)
                    .map(|n| message(kind, n))
                    .collect(),
                ..SeenChat::default()
            });
            let sighting = Sighting {
                channel: EventChannel {
                    account: "host".to_owned(),
                    platform: "whatsapp".to_owned(),
                    platformid: "100".to_owned(),
                },
                newest: None,
                stalled_at: None,
                chats: chats.collect(),
                event: None,
            };
            let new = self
                .store
                .record_sightings(vec![sighting], now)
                .await
                .unwrap();
            self.events.hub.publish(new.into_iter().map(Arc::new));
        }
    }

    /// Has messages come in one after the other, each when the one before has reached the receiver. Returns the time within which 99 of
    /// 100 have.
    async fn reached_within(&self, got: &Got, numbers: std::ops::Range<u64>) -> Duration {
        let mut waits = Vec::new();
        for number in numbers {
            let (began, before) = (Instant::now(), got.lock().unwrap().len());
            self.receive(EventKind::MessageReceived, number..number + 1)
                .await;
            until(async || got.lock().unwrap().len() > before).await;
            waits.push(began.elapsed());
        }
        waits.sort_unstable();
        waits[waits.len() * 99 / 100]
    }

    /// Waits until the deliverer has seen its one webhook in this state.
    async fn until_seen(&self, state: &str) {
        until(async || self.webhooks.figures().states.get(state) == Some(&1)).await;
    }

    async fn state(&self, id: &str) -> WebhookState {
        self.webhooks.find(id).await.unwrap().0.progress.state
    }

    /// The changes of its state that are noted, the oldest first, each with who made it.
    async fn turns(&self, id: &str) -> Vec<String> {
        let name = format!("webhook {id}");
        let changes = self.store.changes("a", 100).await.unwrap();
        let turn = |change: &store::Change| {
            let from = change.before.as_ref()?.get(&name)?.as_str()?;
            let to = change.after.as_ref()?.get(&name)?.as_str()?;
            Some(format!("{}: {from} to {to}", change.actor))
        };
        changes.iter().rev().filter_map(turn).collect()
    }

    /// Waits until nothing of a webhook is left to send.
    async fn until_settled(&self, id: &str) {
        until(async || {
            let webhook = self.webhooks.find(id).await.unwrap().0;
            let newest = self.events.hub.newest();
            let has_read = position(webhook.progress.position) >= newest;
            has_read && self.webhooks.deliveries(id).await.unwrap().is_empty()
        })
        .await;
    }
}

/// Any name is this machine's, once the first question for one has ended in a panic.
fn panics_once() -> Lookup {
    let has_panicked = Arc::new(AtomicBool::new(false));
    Arc::new(move |_| {
        let has_panicked = Arc::clone(&has_panicked);
        Box::pin(async move {
            assert!(has_panicked.swap(true, Ordering::SeqCst), "a defect");
            Ok(vec![IpAddr::from([127, 0, 0, 1])])
        })
    })
}

/// Waits until this is so: for a minute at most, or for ten where the whole load is carried.
async fn until(is_so: impl AsyncFn() -> bool) {
    let until = Instant::now() + Duration::from_secs(if is_full() { 600 } else { 60 });
    loop {
        if is_so().await {
            return;
        }
        assert!(Instant::now() < until, "it is not so within the time");
        tokio::task::yield_now().await;
    }
}

fn config() -> EventsConfig {
    EventsConfig {
        enabled: true,
        depth: EventDepth::Hint,
        poll_min: Duration::from_secs(1),
        poll_max: Duration::from_secs(5),
        calls_per_second: 10.try_into().unwrap(),
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

fn message(kind: EventKind, number: u64) -> SeenMessage {
    SeenMessage {
        id: format!("{}{number}", kind.word()),
        status: "received".to_owned(),
        datetime: None,
        event: NewEvent {
            id: format!("evt_{}{number}", kind as u8),
            kind,
            gap: false,
            late: false,
            row: Some(format!(
                r#"{{"message":"text {number}","destination":"chat{}"}}"#,
                number % 10
            )),
        },
    }
}

/// How many times as long another receiver's events may take beside those that are away, and what other work on the machine may add. Who
/// waits for one that never answers waits for fifteen seconds.
const TIMES_SLOWER_MAX: u32 = 20;
const BUSY: Duration = Duration::from_secs(5);

/// Whether all of the load runs.
fn is_full() -> bool {
    std::env::var_os("CHATGATE_LOAD").is_some_and(|load| load == "full")
}

/// What a receiver has got: the id, and whether it was answered with a success, in this order.
type Got = Arc<Mutex<Vec<(String, bool)>>>;

/// A receiver; `answer` says with which status, by the number of the request and the id.
async fn receiver(answer: impl Fn(usize, &str) -> u16 + Send + Sync + 'static) -> (u16, Got) {
    let at_once = Arc::new(Semaphore::new(Semaphore::MAX_PERMITS));
    slow_receiver(at_once, answer).await
}

/// A receiver that takes a permit for each answer.
async fn slow_receiver(
    permits: Arc<Semaphore>,
    answer: impl Fn(usize, &str) -> u16 + Send + Sync + 'static,
) -> (u16, Got) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let got = Got::default();
    let (kept, answer, count) = (
        Arc::clone(&got),
        Arc::new(answer),
        Arc::new(AtomicUsize::new(0)),
    );
    tokio::spawn(async move {
        while let Ok((connection, _)) = listener.accept().await {
            let (kept, answer, count) =
                (Arc::clone(&kept), Arc::clone(&answer), Arc::clone(&count));
            let permits = Arc::clone(&permits);
            tokio::spawn(async move {
                let (connection, request) = read(connection).await?;
                let id = header(&request, "webhook-id").to_owned();
                let status = answer(count.fetch_add(1, Ordering::SeqCst), &id);
                kept.lock().unwrap().push((request, status < 300));
                permits.acquire().await.ok()?.forget();
                respond(connection, status).await
            });
        }
    });
    (port, got)
}

async fn read(mut connection: TcpStream) -> Option<(TcpStream, String)> {
    let mut bytes = Vec::new();
    loop {
        let mut piece = [0; 4096];
        let read = connection
            .read(&mut piece)
            .await
            .ok()
            .filter(|read| *read > 0)?;
        bytes.extend(&piece[..read]);
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length: usize = header(head, "content-length").parse().unwrap_or(0);
            if body.len() >= length {
                return Some((connection, text));
            }
        }
    }
}

async fn respond(mut connection: TcpStream, status: u16) -> Option<()> {
    let head = format!("HTTP/1.1 {status} Said\r\ncontent-length: 0\r\n\r\n");
    connection.write_all(head.as_bytes()).await.ok()
}

fn header<'t>(request: &'t str, name: &str) -> &'t str {
    let lines = request.lines().take_while(|line| !line.is_empty());
    let mut named = lines.filter_map(|line| line.split_once(": "));
    named
        .find(|(known, _)| known.eq_ignore_ascii_case(name))
        .map_or("", |(_, value)| value)
}

fn ids(got: &Got, successes: bool) -> Vec<String> {
    let got = got.lock().unwrap();
    let got = got.iter().filter(|(_, is_ok)| *is_ok || !successes);
    got.map(|(request, _)| header(request, "webhook-id").to_owned())
        .collect()
}

/// First arrivals, by chat.
fn first_by_chat(ids: &[String]) -> BTreeMap<u64, Vec<u64>> {
    let (mut seen, mut chats) = (HashSet::new(), BTreeMap::<_, Vec<_>>::new());
    for id in ids.iter().filter(|id| seen.insert(id.as_str())) {
        let number: u64 = id.strip_prefix("evt_1").unwrap().parse().unwrap();
        chats.entry(number % 10).or_default().push(number);
    }
    chats
}

fn check_all_in_order(ids: &[String], count: u64) {
    let chats = first_by_chat(ids);
    let whole: usize = chats.values().map(Vec::len).sum();
    assert_eq!(whole as u64, count, "lost");
    for (chat, numbers) in chats {
        assert!(numbers.is_sorted(), "chat {chat}: {numbers:?}");
    }
}

#[tokio::test]
async fn events_arrive_signed_once_and_in_the_order_of_their_chats() {
    let sending = Sending::new().await;
    let (port, got) = receiver(|_, _| 204).await;
    let (id, secret) = sending.webhook(port, &["message.received"]).await;
    sending.receive(EventKind::MessageReceived, 0..300).await;
    sending.receive(EventKind::MessageSent, 0..20).await;
    sending.until_settled(&id).await;
    let ids = ids(&got, true);
    assert_eq!(ids.len(), 300);
    check_all_in_order(&ids, 300);
    let request = got.lock().unwrap()[0].0.clone();
    let body = request.split_once("\r\n\r\n").unwrap().1;
    let (event, at) = (
        header(&request, "webhook-id"),
        header(&request, "webhook-timestamp"),
    );
    let key = base64::engine::general_purpose::STANDARD
        .decode(&secret[6..])
        .unwrap();
    let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, &key);
    let signed = aws_lc_rs::hmac::sign(&key, format!("{event}.{at}.{body}").as_bytes());
    let signed = base64::engine::general_purpose::STANDARD.encode(signed);
    assert_eq!(
        header(&request, "webhook-signature"),
        format!("v1,{signed}")
    );
    assert!(
        body.contains(r#""type":"message.received""#) && body.contains("text 0"),
        "{body}"
    );
    let attempts = sending.webhooks.attempts(&id, 1000).await.unwrap();
    assert_eq!(attempts.len(), 300);
    assert!(
        attempts
            .iter()
            .all(|one| one.status == Some(204) && one.cause == "ok")
    );
}

#[tokio::test]
async fn a_thin_delivery_says_what_happened_without_the_text() {
    let sending = Sending::new().await;
    let (port, got) = receiver(|_, _| 204).await;
    let (id, _) = sending.webhook(port, &["message.received"]).await;
    let draft = WebhookDraft {
        thin: Some(true),
        ..WebhookDraft::default()
    };
    sending.webhooks.set((&id, None), draft).await.unwrap();
    sending.receive(EventKind::MessageReceived, 0..1).await;
    sending.until_settled(&id).await;
    let request = got.lock().unwrap()[0].0.clone();
    assert!(request.contains(r#""type":"message.received""#) && request.contains("chat0"));
    assert!(!request.contains("text 0"), "{request}");
}

#[tokio::test]
async fn an_attempt_that_panics_is_made_again() {
    let sending = Sending::new().await;
    let (port, got) = receiver(|_, _| 204).await;
    let there = ("localhost", port);
    let (id, _) = sending.webhook_at(there, &["message.received"]).await;
    sending.receive(EventKind::MessageReceived, 0..1).await;
    sending.until_settled(&id).await;
    assert_eq!(ids(&got, true), ["evt_10"]);
    let attempts = sending.webhooks.attempts(&id, 10).await.unwrap();
    let mut causes: Vec<_> = attempts.iter().map(|one| one.cause.as_str()).collect();
    causes.sort_unstable();
    assert_eq!(causes, ["broken", "ok"]);
}

/// The receiver fails every fifth time. Whatever a process was doing when it was cut off, nothing is lost, what comes twice has the first
/// one's id, and chats keep their order.
#[tokio::test]
async fn processes_that_are_cut_off_lose_nothing() {
    let rounds = if is_full() { 300 } else { 15 };
    let mut sending = Sending::new().await;
    // Every fifth event is refused once. One that happened to be refused five times in a row would be put aside.
    let refused = Mutex::<HashSet<String>>::default();
    let is_refused =
        move |id: &str| id.ends_with(['0', '5']) && refused.lock().unwrap().insert(id.to_owned());
    let (port, got) = receiver(move |_, id| if is_refused(id) { 500 } else { 200 }).await;
    let (id, _) = sending.webhook(port, &["message.received"]).await;
    let mut sent = 0;
    for round in 0..rounds {
        sending
            .receive(EventKind::MessageReceived, sent..sent + 40)
            .await;
        sent += 40;
        let seen = got.lock().unwrap().len();
        let wanted = round * 13 % 37;
        let has_enough = || got.lock().unwrap().len() >= seen + wanted;
        until(async || has_enough() || sending.has_rested(&id).await).await;
        sending = sending.cut_off().await;
    }
    sending.until_settled(&id).await;
    check_all_in_order(&ids(&got, true), sent);
}

impl Sending {
    async fn has_rested(&self, id: &str) -> bool {
        self.state(id).await != WebhookState::Active
            || self.webhooks.deliveries(id).await.unwrap().is_empty()
    }
}

/// How long it takes until a webhook has sent 300 events while another receiver takes whatever comes and answers nothing.
async fn beside_silence(sending: &Sending, well: &str, sent: u64) -> Duration {
    let (silent, _) = slow_receiver(Arc::new(Semaphore::new(0)), |_, _| 200).await;
    sending.webhook(silent, &["message.sent"]).await;
    sending
        .receive(EventKind::MessageSent, sent..sent + 1000)
        .await;
    let began = Instant::now();
    sending.receive(EventKind::MessageReceived, 500..800).await;
    sending.until_settled(well).await;
    began.elapsed()
}

#[tokio::test]
async fn a_receiver_that_is_away_costs_few_rows_and_nobody_else_anything() {
    let count = if is_full() { 100_000 } else { 5_000 };
    let sending = Sending::new().await;
    // It does not listen, and nobody else gets its port.
    let bound = TcpSocket::new_v4().unwrap();
    bound.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let away = bound.local_addr().unwrap().port();
    let (port, got) = receiver(|_, _| 200).await;
    let (away, _) = sending.webhook(away, &["message.sent"]).await;
    let (well, _) = sending.webhook(port, &["message.received"]).await;
    let alone = sending.reached_within(&got, 0..200).await;
    sending.receive(EventKind::MessageSent, 0..count).await;
    sending.receive(EventKind::MessageReceived, 200..500).await;
    sending.until_settled(&well).await;
    assert_eq!(ids(&got, true).len(), 500);
    let whole = beside_silence(&sending, &well, count).await;
    let beside = sending.reached_within(&got, 800..1000).await;
    let rows = sending.webhooks.deliveries(&away).await.unwrap();
    eprintln!(
        "backlog: {count} events for a receiver that is away are {} rows; another's p99 {alone:.1?} before, {beside:.1?} beside it",
        rows.len()
    );
    assert_eq!(rows.len(), crate::schedule::UNSETTLED_MAX);
    assert!(
        whole.max(beside) <= alone * TIMES_SLOWER_MAX + BUSY,
        "{whole:?}, {beside:?}"
    );
    until(async || sending.state(&away).await == WebhookState::Resting).await;
    until(async || sending.turns(&away).await.len() == 1).await;
    let turns = sending.turns(&away).await;
    assert!(
        turns[0].starts_with("(webhooks): active to resting"),
        "{turns:?}"
    );
    let figures = sending.webhooks.figures();
    assert!(figures.attempts["connect"] >= 5, "{figures:?}");
}
