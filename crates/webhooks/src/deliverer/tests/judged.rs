//! Tests of the checks that every attempt repeats: whether the access may see the event, whether the access is in force, and which
//! address the receiver's name resolves to.

use std::net::TcpListener;

use super::*;

/// A webhook with two events of one chat. The receiver has the first event and has not answered; the second event waits for the
/// answer.
struct SameChatEvents {
    sending: Sending,
    /// The number of permits is the number of answers that the receiver gives.
    permits: Arc<Semaphore>,
    got: Received,
    id: String,
}

impl SameChatEvents {
    async fn new() -> SameChatEvents {
        let sending = Sending::new().await;
        let permits = Arc::new(Semaphore::new(0));
        let (port, got) = slow_receiver(Arc::clone(&permits), |_, _| 200).await;
        let (id, _) = sending.webhook(port, &["message.received"]).await;
        for number in [0, 10] {
            let numbers = number..number + 1;
            sending.receive(EventKind::MessageReceived, numbers).await;
        }
        until(async || sending.webhooks.deliveries(&id).await.unwrap().len() == 2).await;
        until(async || ids(&got, true).len() == 1).await;
        SameChatEvents {
            sending,
            permits,
            got,
            id,
        }
    }

    /// Lets the receiver answer the first event and all later ones.
    fn release(&self) {
        self.permits.add_permits(9);
    }

    /// Returns the event ids and the numbers of the attempts, oldest first.
    async fn attempts(&self) -> Vec<(String, u32)> {
        let made = self.sending.webhooks.attempts(&self.id, 9).await.unwrap();
        let made = made.into_iter().rev();
        made.map(|one| (one.event_id, one.number)).collect()
    }
}

#[tokio::test]
async fn a_queued_event_is_dropped_when_its_channel_is_revoked() {
    let two = SameChatEvents::new().await;
    let elsewhere = Channel {
        platform: "whatsapp".to_owned(),
        platformid: "200".to_owned(),
    };
    let channels = Some(vec![elsewhere]);
    let taken = |access| Access { channels, ..access };
    two.sending.change_access(taken).await;
    two.release();
    two.sending.until_settled(&two.id).await;
    assert_eq!(ids(&two.got, true), ["evt_10"]);
    assert_eq!(two.attempts().await, [("evt_10".to_owned(), 1)]);
    // The event does not count as lost, because the access may not see it.
    let (webhook, _) = two.sending.webhooks.find(&two.id).await.unwrap();
    assert_eq!(webhook.progress.lost, 0);
}

#[tokio::test]
async fn a_queued_event_is_delivered_after_its_access_is_active_again() {
    let two = SameChatEvents::new().await;
    let switch = |active| move |access| Access { active, ..access };
    two.sending.change_access(switch(false)).await;
    two.release();
    // Wait until the first event is settled and the deliverer has checked the webhooks again.
    until(async || two.attempts().await.len() == 1).await;
    two.sending.until_seen("paused").await;
    assert_eq!(ids(&two.got, true), ["evt_10"]);
    let waiting = two.sending.webhooks.deliveries(&two.id).await.unwrap();
    assert_eq!(waiting.len(), 1);
    two.sending.change_access(switch(true)).await;
    two.sending.until_settled(&two.id).await;
    assert_eq!(ids(&two.got, true), ["evt_10", "evt_110"]);
    // A withheld event does not count as an attempt.
    let made = [("evt_10".to_owned(), 1), ("evt_110".to_owned(), 1)];
    assert_eq!(two.attempts().await, made);
}

/// Returns a listener on an inside address, at a port that public receivers use, and its address.
fn inside() -> (TcpListener, IpAddr) {
    let addresses = (1..=254).map(|last| IpAddr::from([127, 0, 77, last]));
    let mut bound = addresses.filter_map(|ip| Some((TcpListener::bind((ip, 8443)).ok()?, ip)));
    let (listener, ip) = bound.next().expect("no address of loopback is free");
    listener.set_nonblocking(true).unwrap();
    (listener, ip)
}

#[tokio::test]
async fn a_public_name_that_resolves_to_an_inside_address_is_not_contacted() {
    let sending = Sending::new().await;
    let (listener, ip) = inside();
    let environment = WebhookEnvironment {
        events: Arc::clone(&sending.events),
        own_listeners: Vec::new(),
        lookup: Arc::new(move |_| Box::pin(async move { Ok(vec![ip]) })),
        clock: Arc::new(|| 1_000_000),
    };
    let config = WebhooksConfig {
        rules: DestinationRules::default(),
        roots: Roots::Bundled,
    };
    let webhooks = Webhooks::new(Arc::clone(&sending.store), &config, environment).unwrap();
    let draft = WebhookDraft {
        url: Some("https://hooks.example.com:8443/in".to_owned()),
        ..WebhookDraft::default()
    };
    let (webhook, _) = webhooks.create("a", draft).await.unwrap();
    let tested = webhooks.test(&webhook.id).await.unwrap();
    let said = (tested.cause.as_str(), tested.status);
    assert_eq!(said, ("blocked_address", None));
    let connected = listener.accept().map(|(_, from)| from);
    let nothing = std::io::ErrorKind::WouldBlock;
    assert_eq!(connected.map_err(|error| error.kind()), Err(nothing));
}
