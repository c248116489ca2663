//! What every engine guarantees for webhooks.

use super::*;
use crate::test_engine::{TestEngine, on_every_engine};
use crate::{
    Access, ChangeAuthor, EventChannel, EventKind, NewEvent, ObservedChannel, Store, StoreError,
};

on_every_engine!(
    webhooks_and_their_secrets_survive_a_restart,
    deleting_an_access_deletes_its_webhooks,
    an_outdated_settlement_does_not_overwrite_an_operators_change,
    deliveries_can_be_settled_given_up_and_redelivered,
    attempts_and_dead_deliveries_are_bounded,
    skipped_deliveries_stay_skipped_after_a_late_settlement,
    an_unreadable_webhook_can_only_be_deleted_and_does_not_affect_others,
);

fn webhook(id: &str) -> Webhook {
    webhook_of(id, "cga_a")
}

/// Makes a webhook of the access with this client id.
pub(crate) fn webhook_of(id: &str, client_id: &str) -> Webhook {
    Webhook {
        id: id.to_owned(),
        version: 0,
        client_id: client_id.to_owned(),
        settings: WebhookSettings {
            url: "https://hooks.example.com/in".to_owned(),
            types: vec!["message.received".to_owned()],
            thin: true,
            note: "orders".to_owned(),
        },
        secrets: vec![WebhookSecret {
            text: format!("whsec_canary{id}").into(),
            created: 5,
            until: Some(9),
        }],
        progress: WebhookProgress {
            state: WebhookState::Active,
            cause: String::new(),
            state_at: 5,
            position: 7 << 40,
            failing_since: None,
            failures: 0,
            next_at: 0,
            gone_at: None,
            lost: 0,
        },
        is_unreadable: false,
    }
}

pub(crate) fn delivery(position: u64) -> WebhookDelivery {
    WebhookDelivery {
        position,
        event_id: format!("evt_{position}"),
        is_dead: false,
        attempts: 0,
        first_at: 0,
        next_at: 0,
        cause: String::new(),
    }
}

pub(crate) fn attempt(position: u64, at: i64) -> WebhookAttempt {
    WebhookAttempt {
        position,
        event_id: format!("evt_{position}"),
        at,
        number: 1,
        status: Some(500),
        cause: "status".to_owned(),
        ms: 3,
    }
}

pub(crate) fn settlement(of: &Webhook) -> WebhookSettlement {
    WebhookSettlement {
        id: of.id.clone(),
        version: of.version,
        term: 1,
        progress: of.progress.clone(),
        settled: Vec::new(),
        deliveries: Vec::new(),
        attempts: Vec::new(),
    }
}

/// Adds an access and its webhook to a store.
pub(crate) async fn with_webhook(store: &Store) -> Webhook {
    let access = Access::new("a", "a", "cga_a");
    store
        .put_accesses(ChangeAuthor::new("me", 7), &[access])
        .await
        .unwrap();
    put(store, webhook("whk_1")).await;
    store.webhooks().await.unwrap().remove(0)
}

/// Opens a store with an access and its webhook, in the term of this process.
async fn open_with_webhook(engine: &TestEngine) -> (Store, Webhook) {
    let store = engine.open().await;
    let made = with_webhook(&store).await;
    store.may_deliver().await.unwrap();
    (store, made)
}

async fn put(store: &Store, webhook: Webhook) {
    let (id, client_id) = (webhook.id.clone(), webhook.client_id.clone());
    let put = move |_: &[Webhook]| Ok::<_, StoreError>(Some(webhook));
    store.change_webhook((&id, &client_id), put).await.unwrap();
}

async fn webhooks_and_their_secrets_survive_a_restart(engine: TestEngine) {
    let (store, _) = open_with_webhook(&engine).await;
    put(&store, webhook("whk_2")).await;
    store.close().await;
    let store = engine.open().await;
    let expected = ["whk_1", "whk_2"].map(|id| Webhook {
        version: 1,
        ..webhook(id)
    });
    assert_eq!(store.webhooks().await.unwrap(), expected);
    assert!(!format!("{expected:?}").contains("canary"));
    let delete = |all: &[Webhook]| {
        assert_eq!(all.len(), 2);
        Ok::<_, StoreError>(None)
    };
    store
        .change_webhook(("whk_1", "cga_a"), delete)
        .await
        .unwrap();
    assert_eq!(store.webhooks().await.unwrap()[0].id, "whk_2");
}

async fn deleting_an_access_deletes_its_webhooks(engine: TestEngine) {
    let (store, made) = open_with_webhook(&engine).await;
    let mut settled = settlement(&made);
    settled.deliveries = vec![delivery(1)];
    store.settle(vec![settled]).await.unwrap();
    // An access that is created again under the same name is another access.
    let anew = Access::new("a", "a", "cga_anew");
    store
        .put_accesses(ChangeAuthor::new("me", 8), &[anew])
        .await
        .unwrap();
    assert_eq!(store.webhooks().await.unwrap(), []);
    assert_eq!(store.deliveries("whk_1").await.unwrap(), []);
    let of_new = Webhook {
        client_id: "cga_anew".to_owned(),
        ..webhook("whk_2")
    };
    put(&store, of_new).await;
    let deleted = store.change_access(ChangeAuthor::new("me", 9), "a", |_| Ok(None));
    deleted.await.unwrap();
    assert_eq!(store.webhooks().await.unwrap(), []);
    let late = webhook("whk_3");
    let put = move |_: &[Webhook]| Ok::<_, StoreError>(Some(late));
    assert!(store.change_webhook(("whk_3", "cga_a"), put).await.is_err());
}

async fn an_outdated_settlement_does_not_overwrite_an_operators_change(engine: TestEngine) {
    let (store, made) = open_with_webhook(&engine).await;
    let mut settled = settlement(&made);
    settled.progress.state = WebhookState::Resting;
    settled.progress.failures = 5;
    settled.progress.failing_since = Some(77);
    assert_eq!(
        store.settle(vec![settled.clone()]).await.unwrap(),
        Vec::<String>::new()
    );
    let resting = store.webhooks().await.unwrap().remove(0);
    assert_eq!(resting.progress, settled.progress);
    let mut paused = resting.clone();
    paused.progress.state = WebhookState::Paused;
    put(&store, paused.clone()).await;
    let mut gone = settlement(&webhook("whk_9"));
    gone.deliveries = vec![delivery(3)];
    gone.attempts = vec![attempt(3, 3)];
    settled.settled = vec![1];
    let beyond = delivery(made.progress.position + 2);
    settled.deliveries = vec![beyond.clone()];
    let outdated = store.settle(vec![settled, gone]).await.unwrap();
    assert_eq!(outdated, ["whk_1", "whk_9"]);
    let now = store.webhooks().await.unwrap().remove(0);
    assert_eq!(now.progress, paused.progress);
    assert_eq!(store.deliveries("whk_1").await.unwrap(), [beyond]);
}

async fn deliveries_can_be_settled_given_up_and_redelivered(engine: TestEngine) {
    let (store, made) = open_with_webhook(&engine).await;
    let mut settled = settlement(&made);
    settled.deliveries = (1..=3).map(delivery).collect();
    settled.attempts = vec![attempt(1, 10)];
    store.settle(vec![settled.clone()]).await.unwrap();
    let dead = WebhookDelivery {
        is_dead: true,
        attempts: 5,
        first_at: 10,
        next_at: 99,
        cause: "status".to_owned(),
        ..delivery(2)
    };
    settled.settled = vec![1];
    settled.deliveries = vec![dead.clone()];
    settled.attempts = vec![attempt(2, 11)];
    store.settle(vec![settled]).await.unwrap();
    assert_eq!(
        store.deliveries("whk_1").await.unwrap(),
        [dead, delivery(3)]
    );
    let attempts = store.attempts("whk_1", 9).await.unwrap();
    assert_eq!(attempts, [attempt(2, 11), attempt(1, 10)]);
    let again = async |which| store.redeliver("whk_1", which).await.unwrap();
    assert_eq!(again(Redelivery::Dead).await, 1);
    assert_eq!(again(Redelivery::Dead).await, 0);
    // An event of the log that was never attempted is queued, but not one that the log does not contain.
    let logged = WebhookDelivery {
        event_id: "evt_new".to_owned(),
        ..delivery(event(&store).await)
    };
    let again_one = async |id: &str| again(Redelivery::Event(id.to_owned())).await;
    assert_eq!(again_one("evt_new").await, 1);
    assert_eq!(again_one("evt_1").await, 0);
    let revived = WebhookDelivery {
        cause: "status".to_owned(),
        ..delivery(2)
    };
    assert_eq!(
        store.deliveries("whk_1").await.unwrap(),
        [revived, delivery(3), logged]
    );
    assert_eq!(store.webhooks().await.unwrap()[0].version, made.version + 4);
}

async fn attempts_and_dead_deliveries_are_bounded(engine: TestEngine) {
    let (store, made) = open_with_webhook(&engine).await;
    let most = ATTEMPTS_KEPT.cast_unsigned();
    let mut settled = settlement(&made);
    settled.attempts = (0..most + 5).map(|n| attempt(n, 100)).collect();
    settled.deliveries = (0..most + 5)
        .map(|n| WebhookDelivery {
            is_dead: true,
            ..delivery(n)
        })
        .collect();
    store.settle(vec![settled.clone()]).await.unwrap();
    let attempts = store.attempts("whk_1", 5000).await.unwrap();
    assert_eq!(
        (attempts.len() as u64, attempts[0].position),
        (most, most + 4)
    );
    let dead = store.deliveries("whk_1").await.unwrap();
    assert_eq!((dead.len() as u64, dead[0].position), (most, 5));
    settled.deliveries.clear();
    settled.attempts = vec![attempt(1, 101 + ATTEMPTS_KEPT_MS)];
    store.settle(vec![settled]).await.unwrap();
    assert_eq!(store.attempts("whk_1", 5000).await.unwrap().len(), 1);
}

/// Adds an event to the log, and returns its position.
async fn event(store: &Store) -> u64 {
    let event = NewEvent {
        id: "evt_new".to_owned(),
        kind: EventKind::ChannelStalled,
        gap: false,
        late: false,
        row: None,
    };
    let observation = ObservedChannel {
        channel: EventChannel {
            account: "host".to_owned(),
            platform: "whatsapp".to_owned(),
            platformid: "100".to_owned(),
        },
        newest: None,
        stalled_at: None,
        chats: Vec::new(),
        event: Some(event),
    };
    let events = store
        .record_observed(vec![observation], 1000)
        .await
        .unwrap();
    events[0].position.number().unsigned_abs()
}

async fn skipped_deliveries_stay_skipped_after_a_late_settlement(engine: TestEngine) {
    let (store, made) = open_with_webhook(&engine).await;
    let newest = event(&store).await;
    let mut settled = settlement(&made);
    settled.progress.position = 9;
    let dead = WebhookDelivery {
        is_dead: true,
        ..delivery(3)
    };
    settled.deliveries = vec![delivery(1), delivery(2), dead.clone()];
    store.settle(vec![settled.clone()]).await.unwrap();
    let left = store.deliveries("whk_1").await.unwrap();
    let before = store.webhooks().await.unwrap().remove(0);
    // A caller that finds another state than it saw skips nothing.
    let refuse = |_: &[Webhook]| Err(StoreError::new("it has changed"));
    let refused = store.skip_deliveries(("whk_1", "cga_a"), refuse).await;
    refused.unwrap_err();
    assert_eq!(store.deliveries("whk_1").await.unwrap(), left);
    assert_eq!(store.webhooks().await.unwrap(), [before]);
    let resume = |all: &[Webhook]| {
        let mut webhook = all[0].clone();
        webhook.progress.cause = "resumed".to_owned();
        Ok::<_, StoreError>(Some(webhook))
    };
    let skipped = store.skip_deliveries(("whk_1", "cga_a"), resume).await;
    let skipped = skipped.unwrap().unwrap();
    let there = store.webhooks().await.unwrap();
    assert_eq!(there, std::slice::from_ref(&skipped));
    assert_eq!(skipped.progress.position, newest);
    assert_eq!(skipped.progress.cause, "resumed");
    assert_eq!(skipped.version, made.version + 1);
    assert_eq!(
        store.deliveries("whk_1").await.unwrap(),
        std::slice::from_ref(&dead)
    );
    // The delivering process does not know of the skip yet, and settles an old delivery and a new one.
    settled.deliveries = vec![delivery(1), delivery(newest + 1)];
    assert_eq!(store.settle(vec![settled]).await.unwrap(), ["whk_1"]);
    assert_eq!(
        store.deliveries("whk_1").await.unwrap(),
        [dead, delivery(newest + 1)]
    );
}

async fn an_unreadable_webhook_can_only_be_deleted_and_does_not_affect_others(engine: TestEngine) {
    let (store, made) = open_with_webhook(&engine).await;
    put(&store, webhook("whk_2")).await;
    let other = store.webhooks().await.unwrap().remove(1);
    for (newer, back) in [
        (
            "document = replace(document, '{', '{\"rule\":1,')",
            "document = replace(document, '\"rule\":1,', '')",
        ),
        ("state = 'dreaming'", "state = 'active'"),
    ] {
        let update = |set: &str| format!("UPDATE webhooks SET {set} WHERE id = 'whk_1'");
        engine.execute(&update(newer)).await;
        let webhooks = store.webhooks().await.unwrap();
        assert_eq!(webhooks[1], other);
        let (unreadable, progress) = (&webhooks[0], &webhooks[0].progress);
        assert!(unreadable.is_unreadable && !progress.state.is_served());
        assert!(progress.cause.contains("can't read"), "{}", progress.cause);
        let first = |there: &[Webhook]| Ok::<_, StoreError>(Some(there[0].clone()));
        assert!(
            store
                .change_webhook(("whk_1", "cga_a"), first)
                .await
                .is_err()
        );
        let second = |there: &[Webhook]| Ok::<_, StoreError>(Some(there[1].clone()));
        let changed = store.change_webhook(("whk_2", "cga_a"), second).await;
        assert_eq!(changed.unwrap().unwrap().settings, other.settings);
        engine.execute("UPDATE webhooks SET version = 1").await;
        engine.execute(&update(back)).await;
        assert_eq!(
            store.webhooks().await.unwrap(),
            [made.clone(), other.clone()]
        );
    }
    engine
        .execute("UPDATE webhooks SET state = 'dreaming' WHERE id = 'whk_1'")
        .await;
    let delete = |_: &[Webhook]| Ok::<_, StoreError>(None);
    store
        .change_webhook(("whk_1", "cga_a"), delete)
        .await
        .unwrap();
    assert_eq!(store.webhooks().await.unwrap(), [other]);
}
