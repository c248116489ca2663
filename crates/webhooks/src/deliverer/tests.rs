//! Tests of the deliverer with receivers that fail in different ways and processes that are cut off at any time.

mod judged;
mod stage;
mod stopped;

use crate::webhook_target::WebhookTarget;
use std::collections::HashSet;
use std::fmt::Debug;
use std::net::IpAddr;
use std::sync::Mutex;

use base64::Engine;
use client::Roots;
use store::{Access, Channel, EventKind, EventRetention, WebhookState};
use tokio::net::TcpSocket;
use tokio::sync::Semaphore;
use tracing::field::Field;
use tracing::{Metadata, Subscriber, span};

use self::stage::*;
use super::*;
use crate::{
    DestinationRules, RedeliveryRequest, WebhookDraft, WebhookEnvironment, WebhooksConfig,
};

/// Maximum factor by which receivers that are away may slow down events for another receiver, and the time that other work on the
/// machine may add. An event that had to wait for a receiver that never answers would take fifteen seconds.
const TIMES_SLOWER_MAX: u32 = 20;
const BUSY: Duration = Duration::from_secs(5);

#[tokio::test]
async fn events_are_delivered_signed_once_and_in_chat_order() {
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

/// Collects the fields of all events that are logged.
#[derive(Clone, Default)]
struct LoggedFields(Arc<Mutex<Vec<String>>>);

impl Subscriber for LoggedFields {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}

    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

    fn event(&self, event: &tracing::Event<'_>) {
        let mut line = event.metadata().level().to_string();
        event.record(&mut |field: &Field, value: &dyn Debug| {
            line.push_str(&format!(" {field}={value:?}"));
        });
        self.0.lock().unwrap().push(line);
    }

    fn enter(&self, _: &span::Id) {}

    fn exit(&self, _: &span::Id) {}
}

/// The receiver rejects one event for more than half an hour of the fast clock and accepts others.
#[tokio::test]
async fn an_event_that_is_given_up_is_logged_and_counted_once() {
    let logged = LoggedFields::default();
    let _logging = tracing::subscriber::set_default(logged.clone());
    let sending = Sending::new().await;
    let (port, got) = receiver(|_, id| if id == "evt_10" { 500 } else { 200 }).await;
    let (id, _) = sending.webhook(port, &["message.received"]).await;
    sending.receive(EventKind::MessageReceived, 0..1).await;
    let others = async {
        for number in (1..).filter(|number| number % 10 > 0) {
            if sending.webhooks.stats().given_up > 0 {
                break;
            }
            sending.reached_within(&got, number..number + 1).await;
        }
    };
    let given_up = tokio::time::timeout(Duration::from_secs(60), others);
    given_up.await.expect("it is not given up");
    assert_eq!(sending.webhooks.stats().given_up, 1);
    let rows = sending.webhooks.deliveries(&id).await.unwrap();
    assert!(
        rows.iter()
            .any(|row| row.is_dead && row.event_id == "evt_10")
    );
    let logged = logged.0.lock().unwrap();
    let lines: Vec<_> = logged
        .iter()
        .filter(|line| line.contains("given up"))
        .collect();
    let [line] = lines.as_slice() else {
        panic!("{lines:?}")
    };
    for part in [
        "WARN",
        &id,
        "event=\"evt_10\"",
        "cause=\"status\"",
        "redeliver",
    ] {
        assert!(line.contains(part), "{part}: {line}");
    }
}

#[tokio::test]
async fn a_thin_delivery_omits_the_message_text() {
    let sending = Sending::new().await;
    let (port, got) = receiver(|_, _| 204).await;
    let (id, _) = sending.webhook(port, &["message.received"]).await;
    let draft = WebhookDraft {
        thin: Some(true),
        ..WebhookDraft::default()
    };
    sending
        .webhooks
        .set(WebhookTarget::any(&id), draft)
        .await
        .unwrap();
    sending.receive(EventKind::MessageReceived, 0..1).await;
    sending.until_settled(&id).await;
    let request = got.lock().unwrap()[0].0.clone();
    assert!(request.contains(r#""type":"message.received""#) && request.contains("chat0"));
    assert!(!request.contains("text 0"), "{request}");
}

#[tokio::test]
async fn an_attempt_that_panics_is_retried() {
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

/// The receiver fails for every fifth event. Whatever a process was doing when it was cut off, no event is lost, an event that
/// arrives twice has the same id both times, and chats keep their order.
#[tokio::test]
async fn processes_that_are_cut_off_lose_no_events() {
    let rounds = if is_full() { 300 } else { 15 };
    let mut sending = Sending::new().await;
    // Every fifth event is rejected once. An event that happened to be rejected five times in a row would be given up.
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
        until(async || has_enough() || sending.is_settled_or_inactive(&id).await).await;
        sending = sending.cut_off().await;
    }
    sending.until_settled(&id).await;
    check_all_in_order(&ids(&got, true), sent);
}

impl Sending {
    async fn is_settled_or_inactive(&self, id: &str) -> bool {
        self.state(id).await != WebhookState::Active
            || self.webhooks.deliveries(id).await.unwrap().is_empty()
    }
}

/// Returns the time in which a webhook sends 300 events while another receiver accepts every request and answers none.
async fn time_next_to_silent_receiver(sending: &Sending, well: &str, sent: u64) -> Duration {
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
async fn an_unreachable_receiver_has_a_bounded_backlog_and_barely_delays_others() {
    let count = if is_full() { 100_000 } else { 5_000 };
    let sending = Sending::new().await;
    // The port has no listener, and no other process can get it while it is bound.
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
    let whole = time_next_to_silent_receiver(&sending, &well, count).await;
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
    until(async || sending.transitions(&away).await.len() == 1).await;
    let transitions = sending.transitions(&away).await;
    assert!(
        transitions[0].starts_with("(webhooks): active to resting"),
        "{transitions:?}"
    );
    let stats = sending.webhooks.stats();
    assert!(stats.attempts["connect"] >= 5, "{stats:?}");
}
