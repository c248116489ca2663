//! Tests of webhooks that several replicas share.

use crate::postgres::test_server::new_database;
use crate::test_engine::connect;
use crate::webhooks::tests::{attempt, delivery, settlement, with_webhook};
use crate::{PostgresOptions, Store, WebhookSettlement, WebhookState};

/// Ends the lease of the replica that delivers, as time would.
async fn end_lease(options: &PostgresOptions) {
    let end =
        "UPDATE chatgate.leases SET lease_until = now() - interval '1 s' WHERE what = 'webhooks'";
    connect(options).await.batch_execute(end).await.unwrap();
}

#[tokio::test]
async fn a_former_deliverer_does_not_overwrite_progress() {
    let Some(options) = new_database() else {
        return;
    };
    let before = Store::open_postgres(&options).await.unwrap();
    let after = Store::open_postgres(&options).await.unwrap();
    let made = with_webhook(&before).await;
    let term = before.may_deliver().await.unwrap().unwrap();
    assert_eq!(after.may_deliver().await.unwrap(), None);
    let mut first = WebhookSettlement {
        term,
        ..settlement(&made)
    };
    first.deliveries = (1..=3).map(delivery).collect();
    let outdated = before.settle(vec![first.clone()]).await.unwrap();
    assert_eq!(outdated, Vec::<String>::new());
    // Another replica takes over, delivers one event, and moves on.
    end_lease(&options).await;
    let mut second = settlement(&made);
    second.term = after.may_deliver().await.unwrap().unwrap();
    second.progress.position += 5;
    second.settled = vec![1];
    let outdated = after.settle(vec![second.clone()]).await.unwrap();
    assert_eq!(outdated, Vec::<String>::new());
    // The first replica comes back. Of its late settlement, only the settled events and the attempts take effect.
    first.progress.state = WebhookState::Disabled;
    first.settled = vec![2];
    first.deliveries = vec![delivery(1)];
    first.attempts = vec![attempt(2, 10)];
    let check_over = async |late: &WebhookSettlement| {
        let outdated = before.settle(vec![late.clone()]).await.unwrap();
        assert_eq!(outdated, ["whk_1"]);
        let now = after.webhooks().await.unwrap().remove(0);
        assert_eq!(now.progress, second.progress);
        assert_eq!(after.deliveries("whk_1").await.unwrap(), [delivery(3)]);
    };
    check_over(&first).await;
    assert_eq!(after.attempts("whk_1", 9).await.unwrap(), [attempt(2, 10)]);
    // When the first replica delivers again, it is another term, and a settlement of the earlier term still has no effect.
    end_lease(&options).await;
    let again = before.may_deliver().await.unwrap().unwrap();
    assert!(again > second.term && second.term > term);
    check_over(&first).await;
}
