//! What is judged anew at each attempt: what the access may see, whether it is in force, and where the receiver's name leads.

use std::net::TcpListener;

use super::*;

/// A webhook with two events of one chat: the first is at the receiver, which has not answered, and the second waits for that.
struct TwoOfAChat {
    sending: Sending,
    /// The receiver answers as often as these say.
    permits: Arc<Semaphore>,
    got: Got,
    id: String,
}

impl TwoOfAChat {
    async fn new() -> TwoOfAChat {
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
        TwoOfAChat {
            sending,
            permits,
            got,
            id,
        }
    }

    /// The receiver answers the first, and all that come.
    fn release(&self) {
        self.permits.add_permits(9);
    }

    /// The numbers of the attempts that were made, the oldest first.
    async fn attempts(&self) -> Vec<(String, u32)> {
        let made = self.sending.webhooks.attempts(&self.id, 9).await.unwrap();
        let made = made.into_iter().rev();
        made.map(|one| (one.event_id, one.number)).collect()
    }
}

#[tokio::test]
async fn an_event_that_waits_is_dropped_when_its_channel_is_taken_away() {
    let two = TwoOfAChat::new().await;
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
    // It was not lost: nobody was to get it.
    let (webhook, _) = two.sending.webhooks.find(&two.id).await.unwrap();
    assert_eq!(webhook.progress.lost, 0);
}

#[tokio::test]
async fn an_event_that_waits_comes_once_its_access_is_in_force_again() {
    let two = TwoOfAChat::new().await;
    let switch = |active| move |access| Access { active, ..access };
    two.sending.change_access(switch(false)).await;
    two.release();
    // The first is settled, and the deliverer has looked since.
    until(async || two.attempts().await.len() == 1).await;
    two.sending.until_seen("paused").await;
    assert_eq!(ids(&two.got, true), ["evt_10"]);
    let waiting = two.sending.webhooks.deliveries(&two.id).await.unwrap();
    assert_eq!(waiting.len(), 1);
    two.sending.change_access(switch(true)).await;
    two.sending.until_settled(&two.id).await;
    assert_eq!(ids(&two.got, true), ["evt_10", "evt_110"]);
    // What was withheld was no attempt.
    let made = [("evt_10".to_owned(), 1), ("evt_110".to_owned(), 1)];
    assert_eq!(two.attempts().await, made);
}

/// A listener inside at a port that receivers of the world have, and its address.
fn inside() -> (TcpListener, IpAddr) {
    let addresses = (1..=254).map(|last| IpAddr::from([127, 0, 77, last]));
    let mut bound = addresses.filter_map(|ip| Some((TcpListener::bind((ip, 8443)).ok()?, ip)));
    let (listener, ip) = bound.next().expect("no address of loopback is free");
    listener.set_nonblocking(true).unwrap();
    (listener, ip)
}

#[tokio::test]
async fn a_name_of_the_world_that_leads_inside_is_dialled_by_no_delivery() {
    let sending = Sending::new().await;
    let (listener, ip) = inside();
    let surroundings = Surroundings {
        own_listeners: Vec::new(),
        lookup: Arc::new(move |_| Box::pin(async move { Ok(vec![ip]) })),
        clock: Arc::new(|| 1_000_000),
    };
    let config = WebhooksConfig {
        rules: DestinationRules::default(),
        roots: Roots::Bundled,
    };
    let webhooks = Webhooks::new(Arc::clone(&sending.store), &config, surroundings).unwrap();
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
