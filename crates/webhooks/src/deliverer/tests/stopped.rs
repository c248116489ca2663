//! Tests of webhooks that stop, resume, or start: no event is left out, sent twice at the same time, or sent too early.

use super::*;
use crate::webhook_target::WebhookTarget;
use store::ChangeAuthor;

#[tokio::test]
async fn a_webhook_pauses_with_its_access_and_resumes_without_losing_events() {
    let sending = Sending::new().await;
    let (port, got) = receiver(|_, _| 200).await;
    let (id, _) = sending.webhook(port, &["message.received"]).await;
    let switch = async |active| {
        let change = |access| Access { active, ..access };
        sending.change_access(change).await;
        sending.webhooks.changed().notify_one();
    };
    switch(false).await;
    sending.receive(EventKind::MessageReceived, 0..10).await;
    let (webhook, access) = sending.webhooks.find(&id).await.unwrap();
    let (state, _) = sending.webhooks.state_of(&webhook, &access);
    assert_eq!(state, WebhookState::Paused);
    assert!(ids(&got, true).is_empty());
    switch(true).await;
    sending.until_settled(&id).await;
    check_all_in_order(&ids(&got, true), 10);
    // An operator pauses the webhook. Later an event that was already delivered is sent again on request, with the same id.
    sending.webhooks.pause("ann", &id).await.unwrap();
    sending.receive(EventKind::MessageReceived, 10..20).await;
    assert_eq!(ids(&got, true).len(), 10);
    sending.webhooks.resume("ann", &id).await.unwrap();
    sending.until_settled(&id).await;
    assert_eq!(ids(&got, true).len(), 20);
    assert_eq!(
        sending.transitions(&id).await,
        [
            "ann: active to paused: by an operator",
            "ann: paused: by an operator to active",
        ]
    );
    let again = RedeliveryRequest::Event("evt_15".to_owned());
    assert_eq!(
        sending.webhooks.redeliver(&id, again).await.unwrap(),
        Some(1)
    );
    until(async || ids(&got, true).len() == 21).await;
    assert_eq!(ids(&got, true)[20], "evt_15");
    let test = sending.webhooks.test(&id).await.unwrap();
    assert_eq!((test.status, test.cause.as_str()), (Some(200), "ok"));
    // Deleting the access deletes the webhook.
    sending
        .store
        .change_access(ChangeAuthor::new("me", 9), "a", |_| Ok(None))
        .await
        .unwrap();
    assert!(sending.webhooks.find(&id).await.is_err());
}

#[tokio::test]
async fn redelivery_since_a_time_sends_events_again_with_the_same_ids() {
    let sending = Sending::new().await;
    let (port, got) = receiver(|_, _| 200).await;
    let (id, _) = sending.webhook(port, &["message.received"]).await;
    let at = sending.webhooks.now_ms();
    sending
        .receive_at(at, EventKind::MessageReceived, 0..10)
        .await;
    sending.until_settled(&id).await;
    let redeliver = async |since| {
        let queued = sending
            .webhooks
            .redeliver(&id, RedeliveryRequest::Since(since))
            .await;
        assert_eq!(queued.unwrap(), None);
    };
    redeliver(at).await;
    sending.until_settled(&id).await;
    let sorted = |mut ids: Vec<String>| {
        ids.sort_unstable();
        ids
    };
    let all = ids(&got, true);
    assert_eq!(all.len(), 20);
    let (first, again) = all.split_at(10);
    assert_eq!(sorted(again.to_vec()), sorted(first.to_vec()));
    // A time in the future must not skip any events.
    redeliver(sending.webhooks.now_ms() + 86_400_000).await;
    sending.receive(EventKind::MessageReceived, 10..11).await;
    sending.until_settled(&id).await;
    assert_eq!(ids(&got, true)[20..], ["evt_110"]);
}

#[tokio::test]
async fn a_new_webhook_gets_every_later_event_despite_a_slow_clock() {
    let sending = Sending::new().await;
    let (port, got) = receiver(|_, _| 200).await;
    let (id, _) = sending.webhook(port, &["message.received"]).await;
    let behind = sending.webhooks.now_ms() - 500_000;
    sending
        .receive_at(behind, EventKind::MessageReceived, 0..10)
        .await;
    sending.until_settled(&id).await;
    check_all_in_order(&ids(&got, true), 10);
}

#[tokio::test]
async fn a_webhook_resumed_from_now_sends_no_earlier_events() {
    let sending = Sending::new().await;
    // The first twenty events are always rejected.
    let (port, got) = receiver(|_, id| if id.len() == 8 { 200 } else { 500 }).await;
    let (id, _) = sending.webhook(port, &["message.received"]).await;
    sending.receive(EventKind::MessageReceived, 0..20).await;
    let count = async || sending.webhooks.deliveries(&id).await.unwrap().len();
    until(async || count().await == 20).await;
    sending
        .webhooks
        .skip("ann", WebhookTarget::any(&id))
        .await
        .unwrap();
    assert_eq!(count().await, 0);
    sending.receive(EventKind::MessageReceived, 900..910).await;
    sending.until_settled(&id).await;
    assert_eq!(ids(&got, true).len(), 10);
}

/// A webhook that was paused while its first delivery was in progress.
struct Stopped {
    sending: Sending,
    /// The number of permits is the number of answers that the receiver gives.
    permits: Arc<Semaphore>,
    got: Received,
    id: String,
}

async fn paused_during_delivery() -> Stopped {
    let sending = Sending::new().await;
    let permits = Arc::new(Semaphore::new(0));
    let (port, got) = slow_receiver(Arc::clone(&permits), |_, _| 200).await;
    let (id, _) = sending.webhook(port, &["message.received"]).await;
    sending.receive(EventKind::MessageReceived, 0..1).await;
    until(async || ids(&got, true).len() == 1).await;
    sending.webhooks.pause("ann", &id).await.unwrap();
    sending.until_seen("paused").await;
    Stopped {
        sending,
        permits,
        got,
        id,
    }
}

#[tokio::test]
async fn a_delivery_in_progress_is_settled_after_its_webhook_is_paused() {
    let Stopped {
        sending,
        permits,
        got,
        id,
    } = paused_during_delivery().await;
    permits.add_permits(1);
    until(async || sending.webhooks.attempts(&id, 9).await.unwrap().len() == 1).await;
    assert_eq!(sending.webhooks.deliveries(&id).await.unwrap(), []);
    permits.add_permits(9);
    sending.webhooks.resume("ann", &id).await.unwrap();
    sending.receive(EventKind::MessageReceived, 1..2).await;
    sending.until_settled(&id).await;
    assert_eq!(ids(&got, true), ["evt_10", "evt_11"]);
}

#[tokio::test]
async fn a_resumed_webhook_does_not_repeat_an_attempt_in_progress() {
    let Stopped {
        sending,
        permits,
        got,
        id,
    } = paused_during_delivery().await;
    sending.webhooks.resume("ann", &id).await.unwrap();
    sending.until_seen("active").await;
    // This event belongs to another chat, so that it does not wait for the first event.
    sending.receive(EventKind::MessageReceived, 1..2).await;
    until(async || ids(&got, true).len() == 2).await;
    permits.add_permits(9);
    sending.until_settled(&id).await;
    assert_eq!(ids(&got, true), ["evt_10", "evt_11"]);
}

#[tokio::test]
async fn the_first_delivery_after_lost_events_reports_a_gap() {
    let sending = Sending::new().await;
    let (port, got) = receiver(|_, _| 200).await;
    let (id, _) = sending.webhook(port, &["message.received"]).await;
    sending.webhooks.pause("ann", &id).await.unwrap();
    sending.until_seen("paused").await;
    sending.receive(EventKind::MessageReceived, 0..10).await;
    let nothing = EventRetention {
        age: Duration::ZERO,
        bytes: 1 << 30,
    };
    let now = sending.webhooks.now_ms() + 1;
    sending.store.trim_events(now, &nothing).await.unwrap();
    // The first event still in the log is not for the webhook.
    sending.receive(EventKind::MessageSent, 0..1).await;
    sending.receive(EventKind::MessageReceived, 20..30).await;
    // Restart the process, because its memory still contains the events that were removed from the log.
    let sending = sending.cut_off().await;
    sending.webhooks.resume("ann", &id).await.unwrap();
    sending.until_settled(&id).await;
    check_all_in_order(&ids(&got, true), 10);
    assert_eq!(sending.webhooks.find(&id).await.unwrap().0.progress.lost, 1);
    let got = got.lock().unwrap();
    let says_so = |request: &String| request.contains(r#""gap":"possible""#);
    let gaps = got.iter().filter(|(request, _)| says_so(request)).count();
    assert_eq!(gaps, 1);
}

#[tokio::test]
async fn webhooks_pause_while_events_are_off_and_resume_afterwards() {
    let sending = Sending::new().await;
    let (port, got) = receiver(|_, _| 200).await;
    let (id, _) = sending.webhook(port, &["message.received"]).await;
    sending.until_seen("active").await;
    let switch = |enabled| {
        let mut config = config();
        config.enabled = enabled;
        sending.events.configure(config);
    };
    switch(false);
    sending.until_seen("paused").await;
    sending.receive(EventKind::MessageReceived, 0..10).await;
    let (webhook, access) = sending.webhooks.find(&id).await.unwrap();
    let state = sending.webhooks.state_of(&webhook, &access);
    let expected = (WebhookState::Paused, "events are off (events.enabled)");
    assert_eq!(state, expected);
    assert!(ids(&got, true).is_empty());
    switch(true);
    sending.until_settled(&id).await;
    check_all_in_order(&ids(&got, true), 10);
}
