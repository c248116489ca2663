//! Fixtures for the tests of the deliverer: the delivering part of a gateway, receivers, and incoming messages.

use std::collections::{BTreeMap, HashSet};
use std::net::IpAddr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering};

use client::{Lookup, Roots};
use events::{EventDepth, EventsConfig, StreamLimits};
use secrecy::ExposeSecret;
use store::{
    Access, ChangeAuthor, EventChannel, EventKind, EventRetention, NewEvent, ObservedChannel,
    ObservedChat, ObservedMessage, Store, WebhookState,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

use crate::attempt::position;
use crate::deliverer::*;
use crate::{DestinationRules, WebhookDraft, WebhookEnvironment, WebhooksConfig};

/// The delivering part of a gateway, with its own store. Its clock runs a thousand times as fast.
pub(super) struct Sending {
    pub(super) folder: tempfile::TempDir,
    pub(super) store: Arc<Store>,
    pub(super) events: Arc<Events>,
    pub(super) webhooks: Arc<Webhooks>,
    pub(super) task: JoinHandle<()>,
    pub(super) clock: Arc<AtomicI64>,
}

impl Sending {
    pub(super) async fn new() -> Sending {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("chatgate.db"))
            .await
            .unwrap();
        let mut access = Access::new("a", "a", "cga_a");
        access.methods = vec!["getevents".into()];
        store
            .put_accesses(ChangeAuthor::new("me", 7), &[access])
            .await
            .unwrap();
        drop(store);
        let clock = Arc::new(AtomicI64::new(1_000_000));
        Sending::begun(folder, clock).await
    }

    pub(super) async fn begun(folder: tempfile::TempDir, clock: Arc<AtomicI64>) -> Sending {
        let store = Store::open(&folder.path().join("chatgate.db"))
            .await
            .unwrap();
        let store = Arc::new(store);
        let events = Events::open(&store, config()).await.unwrap();
        let began = (std::time::Instant::now(), clock.load(Ordering::SeqCst));
        let shared = Arc::clone(&clock);
        let environment = WebhookEnvironment {
            events: Arc::clone(&events),
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
            environment,
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

    /// Cuts this process off, and starts another one over the same store.
    pub(super) async fn cut_off(self) -> Sending {
        self.task.abort();
        // The task may have ended in any way.
        let _ = self.task.await;
        self.store.close().await;
        Sending::begun(self.folder, self.clock).await
    }

    pub(super) async fn webhook(&self, port: u16, types: &[&str]) -> (String, String) {
        self.webhook_at(("127.0.0.1", port), types).await
    }

    /// Changes the access. Later attempts use the changed rights.
    pub(super) async fn change_access(&self, change: impl FnOnce(Access) -> Access) {
        let changed = |access: Option<&Access>| Ok(access.cloned().map(change));
        self.store
            .change_access(ChangeAuthor::new("me", 8), "a", changed)
            .await
            .unwrap();
    }

    pub(super) async fn webhook_at(
        &self,
        (host, port): (&str, u16),
        types: &[&str],
    ) -> (String, String) {
        let draft = WebhookDraft {
            url: Some(format!("http://{host}:{port}/in")),
            types: Some(types.iter().map(|name| (*name).to_owned()).collect()),
            ..WebhookDraft::default()
        };
        let (made, secret) = self.webhooks.create("a", draft).await.unwrap();
        (made.id, secret.expose_secret().to_owned())
    }

    /// Makes these messages arrive, in ten chats. The numbers must be new, because the ids contain them.
    pub(super) async fn receive(&self, kind: EventKind, numbers: std::ops::Range<u64>) {
        self.receive_at(self.webhooks.now_ms(), kind, numbers).await;
    }

    /// Makes messages arrive at the time `now` of the clock that assigns positions.
    pub(super) async fn receive_at(
        &self,
        now: i64,
        kind: EventKind,
        numbers: std::ops::Range<u64>,
    ) {
        for start in numbers.clone().step_by(1000) {
            let some = start..(start + 1000).min(numbers.end);
            let chats = (0..10).map(|chat| ObservedChat {
                destination: format!("chat{chat}"),
                messages: some
                    .clone()
                    .filter(|n| n % 10 == chat)
                    .map(|n| message(kind, n))
                    .collect(),
                ..ObservedChat::default()
            });
            let observation = ObservedChannel {
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
                .record_observed(vec![observation], now)
                .await
                .unwrap();
            self.events.hub.publish(new.into_iter().map(Arc::new));
        }
    }

    /// Makes messages arrive one after the other, each after the previous one has reached the receiver. Returns the 99th percentile
    /// of the times to the receiver.
    pub(super) async fn reached_within(
        &self,
        got: &Received,
        numbers: std::ops::Range<u64>,
    ) -> Duration {
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

    /// Waits until the deliverer has seen its only webhook in this state.
    pub(super) async fn until_seen(&self, state: &str) {
        until(async || self.webhooks.stats().states.get(state) == Some(&1)).await;
    }

    pub(super) async fn state(&self, id: &str) -> WebhookState {
        self.webhooks.find(id).await.unwrap().0.progress.state
    }

    /// Returns the recorded state changes of the webhook, oldest first, each with its author.
    pub(super) async fn transitions(&self, id: &str) -> Vec<String> {
        let name = format!("webhook {id}");
        let changes = self.store.changes("a", 100).await.unwrap();
        let turn = |change: &store::Change| {
            let from = change.before.as_ref()?.get(&name)?.as_str()?;
            let to = change.after.as_ref()?.get(&name)?.as_str()?;
            Some(format!("{}: {from} to {to}", change.actor))
        };
        changes.iter().rev().filter_map(turn).collect()
    }

    /// Waits until a webhook has no pending deliveries.
    pub(super) async fn until_settled(&self, id: &str) {
        until(async || {
            let webhook = self.webhooks.find(id).await.unwrap().0;
            let newest = self.events.hub.newest();
            let has_read = position(webhook.progress.position) >= newest;
            has_read && self.webhooks.deliveries(id).await.unwrap().is_empty()
        })
        .await;
    }
}

/// Returns a lookup that resolves every name to this machine, but panics at the first query.
pub(super) fn panics_once() -> Lookup {
    let has_panicked = Arc::new(AtomicBool::new(false));
    Arc::new(move |_| {
        let has_panicked = Arc::clone(&has_panicked);
        Box::pin(async move {
            assert!(has_panicked.swap(true, Ordering::SeqCst), "a defect");
            Ok(vec![IpAddr::from([127, 0, 0, 1])])
        })
    })
}

/// Waits until the condition is true: at most a minute, or ten minutes under full load.
pub(super) async fn until(is_so: impl AsyncFn() -> bool) {
    let until = Instant::now() + Duration::from_secs(if is_full() { 600 } else { 60 });
    loop {
        if is_so().await {
            return;
        }
        assert!(Instant::now() < until, "it is not so within the time");
        tokio::task::yield_now().await;
    }
}

pub(super) fn config() -> EventsConfig {
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

pub(super) fn message(kind: EventKind, number: u64) -> ObservedMessage {
    ObservedMessage {
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

/// Returns whether the tests run under full load.
pub(super) fn is_full() -> bool {
    std::env::var_os("CHATGATE_LOAD").is_some_and(|load| load == "full")
}

/// The requests that a receiver got, in order, each with whether it was answered with a success.
pub(super) type Received = Arc<Mutex<Vec<(String, bool)>>>;

/// Starts a receiver. `answer` returns the status for the number of the request and the event id.
pub(super) async fn receiver(
    answer: impl Fn(usize, &str) -> u16 + Send + Sync + 'static,
) -> (u16, Received) {
    let at_once = Arc::new(Semaphore::new(Semaphore::MAX_PERMITS));
    slow_receiver(at_once, answer).await
}

/// Starts a receiver that takes one permit for each answer.
pub(super) async fn slow_receiver(
    permits: Arc<Semaphore>,
    answer: impl Fn(usize, &str) -> u16 + Send + Sync + 'static,
) -> (u16, Received) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let got = Received::default();
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

pub(super) async fn read(mut connection: TcpStream) -> Option<(TcpStream, String)> {
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

pub(super) async fn respond(mut connection: TcpStream, status: u16) -> Option<()> {
    let head = format!("HTTP/1.1 {status} Said\r\ncontent-length: 0\r\n\r\n");
    connection.write_all(head.as_bytes()).await.ok()
}

pub(super) fn header<'t>(request: &'t str, name: &str) -> &'t str {
    let lines = request.lines().take_while(|line| !line.is_empty());
    let mut named = lines.filter_map(|line| line.split_once(": "));
    named
        .find(|(known, _)| known.eq_ignore_ascii_case(name))
        .map_or("", |(_, value)| value)
}

pub(super) fn ids(got: &Received, successes: bool) -> Vec<String> {
    let got = got.lock().unwrap();
    let got = got.iter().filter(|(_, is_ok)| *is_ok || !successes);
    got.map(|(request, _)| header(request, "webhook-id").to_owned())
        .collect()
}

/// Returns the numbers of the events in the order of their first arrival, by chat.
pub(super) fn first_by_chat(ids: &[String]) -> BTreeMap<u64, Vec<u64>> {
    let (mut seen, mut chats) = (HashSet::new(), BTreeMap::<_, Vec<_>>::new());
    for id in ids.iter().filter(|id| seen.insert(id.as_str())) {
        let number: u64 = id.strip_prefix("evt_1").unwrap().parse().unwrap();
        chats.entry(number % 10).or_default().push(number);
    }
    chats
}

pub(super) fn check_all_in_order(ids: &[String], count: u64) {
    let chats = first_by_chat(ids);
    let whole: usize = chats.values().map(Vec::len).sum();
    assert_eq!(whole as u64, count, "lost");
    for (chat, numbers) in chats {
        assert!(numbers.is_sorted(), "chat {chat}: {numbers:?}");
    }
}
