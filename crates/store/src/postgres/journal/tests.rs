//! Tests of sends when replicas die, compete with each other, or are cut off from the database.

mod erasure;
mod killed;
mod refused;
mod retention;
mod simulation;

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::test_engine::{TestEngine, connect};
use crate::{
    Claim, Intent, Journal, JournalFilter, JournalOrder, JournalRow, Obstacle, OpenResult,
    PostgresOptions, Receipt, ReceiptRoom, ReceiptState, Settlement, Store, StoreError,
};

/// Time limit for events that happen by themselves: the intervals of the reaper and of the sweep, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

struct Replica {
    store: Arc<Store>,
    journal: Arc<Journal>,
}

impl Replica {
    async fn start(options: &PostgresOptions) -> Replica {
        let store = Arc::new(Store::open_postgres(options).await.unwrap());
        let journal = Journal::start(&store).await.unwrap();
        Replica { store, journal }
    }

    async fn open(&self, key: impl std::fmt::Display) -> Result<OpenResult, StoreError> {
        self.journal
            .open(row(), Some(claim(key)), Instant::now())
            .await
    }

    async fn intent(&self, key: impl std::fmt::Display) -> Intent {
        match self.open(key).await.unwrap() {
            OpenResult::Intent(intent) => intent,
            OpenResult::Obstacle(obstacle) => panic!("{obstacle:?}"),
        }
    }

    async fn rows(&self) -> Vec<JournalRow> {
        let (all, from) = (JournalFilter::default(), (JournalOrder::OldestFirst, None));
        self.store
            .journal_page(&all, from, 10_000)
            .await
            .unwrap()
            .rows
    }

    async fn receipt(&self, key: &str) -> Option<Receipt> {
        self.store.receipts("client", key).await.unwrap().pop()
    }

    /// Waits like [`Replica::settled_rows`], with all other replicas dead.
    async fn settled_rows_after_others_died(&self, options: &PostgresOptions) -> Vec<JournalRow> {
        until(async || {
            // Repeated, because replicas that are actually alive renew their leases.
            expire_all_other_leases(options, self).await;
            let rows = self.rows().await;
            (!rows.is_empty() && rows.iter().all(|row| !row.open)).then_some(rows)
        })
        .await
    }

    /// Waits until there are rows and all of them have an outcome.
    async fn settled_rows(&self) -> Vec<JournalRow> {
        until(async || {
            let rows = self.rows().await;
            (!rows.is_empty() && rows.iter().all(|row| !row.open)).then_some(rows)
        })
        .await
    }
}

/// Repeats a question until there is an answer.
async fn until<T>(mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    let asking = async {
        loop {
            if let Some(answer) = ask().await {
                return answer;
            }
        }
    };
    timeout(PATIENCE, asking).await.expect("it comes about")
}

/// Waits until a statement waits for a lock on this table.
async fn until_waiting(options: &PostgresOptions, table: &str) {
    let client = connect(options).await;
    let waiting = format!(
        "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'chatgate.{table}'::regclass"
    );
    until(async || {
        let waiting: i64 = client.query_one(&waiting, &[]).await.unwrap().get(0);
        (waiting > 0).then_some(())
    })
    .await;
}

async fn database() -> Option<PostgresOptions> {
    match TestEngine::postgres().await? {
        TestEngine::Postgres(options) => Some(*options),
        TestEngine::Sqlite(_) => None,
    }
}

fn row() -> JournalRow {
    JournalRow {
        at_ms: 1_700_000_000_000,
        access: Some("shop".to_owned()),
        ..JournalRow::default()
    }
}

fn sent_row() -> JournalRow {
    JournalRow {
        delivery: Some("sent".into()),
        status: Some(200),
        ..row()
    }
}

fn claim(key: impl std::fmt::Display) -> Claim {
    Claim {
        client_id: "client".to_owned(),
        method: "sendmessage",
        key: key.to_string(),
        fingerprint: [0; 32],
        request_id: "send".to_owned(),
        now: 1_700_000_000,
        kept_since: 1_600_000_000,
        room: ReceiptRoom {
            per_access: 1 << 30,
            all: 1 << 30,
        },
    }
}

fn sent() -> Settlement {
    Settlement::Sent("{}".to_owned())
}

/// Ends the leases of all other replicas, and makes all sends old.
async fn expire_all_other_leases(options: &PostgresOptions, replica: &Replica) {
    let own = replica.store.postgres().ids().replica().id;
    let bury = format!(
        "UPDATE chatgate.replicas SET lease_until = now() - interval '1 s' WHERE id <> {own};
         UPDATE chatgate.intents SET at = now() - interval '1 min'"
    );
    connect(options).await.batch_execute(&bury).await.unwrap();
}

#[tokio::test]
async fn one_of_two_replicas_claims_a_key_and_the_other_gets_its_receipt() {
    let Some(options) = database().await else {
        return;
    };
    let (a, b) = (
        Replica::start(&options).await,
        Replica::start(&options).await,
    );
    for key in 0..100 {
        let (first, second) = tokio::join!(a.open(key), b.open(key));
        let mut intents = 0;
        for opened in [first.unwrap(), second.unwrap()] {
            match opened {
                OpenResult::Intent(intent) => {
                    intents += 1;
                    drop(intent.settle(sent_row(), sent()));
                }
                OpenResult::Obstacle(Obstacle::Known(receipt)) => {
                    assert_ne!(receipt.state, ReceiptState::Unknown);
                }
                OpenResult::Obstacle(obstacle) => panic!("{obstacle:?}"),
            }
        }
        assert_eq!(intents, 1, "{key}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn replicas_that_claim_keys_in_opposite_orders_do_not_deadlock() {
    let Some(options) = database().await else {
        return;
    };
    let (a, b) = (
        Replica::start(&options).await,
        Replica::start(&options).await,
    );
    let (a, b) = (Arc::new(a), Arc::new(b));
    for round in 0..10 {
        let mut sends = JoinSet::new();
        for n in 0..50 {
            let (a, b) = (Arc::clone(&a), Arc::clone(&b));
            sends.spawn(async move { a.open(format!("{round}-{n}")).await });
            sends.spawn(async move { b.open(format!("{round}-{}", 49 - n)).await });
        }
        let opened = sends.join_all().await;
        let is_intent = |opened: &Result<OpenResult, StoreError>| {
            matches!(opened.as_ref().unwrap(), OpenResult::Intent(_))
        };
        assert_eq!(opened.iter().filter(|opened| is_intent(opened)).count(), 50);
    }
}

#[tokio::test]
async fn a_key_repeated_in_a_batch_is_claimed_once() {
    let Some(options) = database().await else {
        return;
    };
    let replica = Arc::new(Replica::start(&options).await);
    let lock = TestEngine::Postgres(Box::new(options)).lock().await;
    // The first send is written alone; the others wait together for the next statement.
    let mut sends = JoinSet::new();
    for n in 0..7 {
        let replica = Arc::clone(&replica);
        sends.spawn(async move { (n, replica.open(if n == 0 { "other" } else { "key" }).await) });
    }
    until(async || {
        // A query that the lock does not block.
        replica.store.changes("nobody", 1).await.unwrap();
        (replica.journal.queued() == 14).then_some(())
    })
    .await;
    drop(lock);
    let (mut intents, mut known) = (Vec::new(), 0);
    for (n, opened) in sends.join_all().await {
        match opened.unwrap() {
            OpenResult::Intent(intent) => intents.push((n, intent)),
            OpenResult::Obstacle(Obstacle::Known(receipt))
                if receipt.state == ReceiptState::Open =>
            {
                known += 1;
            }
            OpenResult::Obstacle(obstacle) => panic!("{obstacle:?}"),
        }
    }
    assert_eq!((intents.len(), known), (2, 5));
}

#[tokio::test]
async fn sends_of_a_dead_replica_become_unknown_and_a_late_sent_outcome_counts() {
    let Some(options) = database().await else {
        return;
    };
    let (a, b) = (
        Replica::start(&options).await,
        Replica::start(&options).await,
    );
    let (sent_late, freed_late) = (a.intent("sent").await, a.intent("freed").await);
    let rows = b.settled_rows_after_others_died(&options).await;
    assert_eq!(rows.len(), 2);
    for row in &rows {
        assert_eq!(row.delivery.as_deref(), Some("unknown"));
        assert_eq!(row.access.as_deref(), Some("shop"));
        assert!(row.cause.as_deref().unwrap().contains("replica ended"));
    }
    assert_eq!(
        b.receipt("sent").await.unwrap().state,
        ReceiptState::Unknown
    );
    // The first replica was only paused.
    sent_late.settle(sent_row(), sent()).await.unwrap();
    freed_late.settle(row(), Settlement::Free).await.unwrap();
    assert_eq!(b.receipt("sent").await.unwrap().state, ReceiptState::Sent);
    assert_eq!(
        b.receipt("freed").await.unwrap().state,
        ReceiptState::Unknown
    );
    let deliveries = b.rows().await.into_iter().map(|row| row.delivery.unwrap());
    assert_eq!(deliveries.collect::<Vec<_>>(), ["sent", "unknown"]);
}

#[tokio::test]
async fn a_commit_that_appears_after_its_client_died_is_closed_as_unknown() {
    let Some(options) = database().await else {
        return;
    };
    let b = Replica::start(&options).await;
    let lock = {
        let a = Replica::start(&options).await;
        // From now on the replica's statements are prepared.
        a.intent("before")
            .await
            .settle(sent_row(), sent())
            .await
            .unwrap();
        let lock = TestEngine::Postgres(Box::new(options.clone())).lock().await;
        // The statement waits like a commit that waits for a standby, and continues without the replica.
        let waits = timeout(Duration::from_millis(500), a.open("orphan")).await;
        assert!(waits.is_err(), "nothing can be written");
        lock
    };
    assert!(b.rows().await.iter().all(|row| !row.open));
    drop(lock);
    until(async || b.rows().await.iter().any(|row| row.open).then_some(())).await;
    b.settled_rows_after_others_died(&options).await;
    assert_eq!(
        b.receipt("orphan").await.unwrap().state,
        ReceiptState::Unknown
    );
}

#[tokio::test]
async fn an_abandoned_row_that_appears_later_is_withdrawn() {
    let Some(options) = database().await else {
        return;
    };
    let a = Replica::start(&options).await;
    let postgres = a.store.postgres();
    let state = postgres.lanes.as_ref().unwrap().state();
    state.sends.abandon(77, Instant::now());
    let mut session = state.connector.connect().await.unwrap();
    assert_eq!(state.sweep(&mut session).await.unwrap(), 0);
    // The row appears after the sweep has already looked for it.
    let own = postgres.ids().replica().id;
    let appear = format!(
        "INSERT INTO chatgate.intents (id, owner, row) VALUES (77, {own}, '{{}}'), (78, {own}, '{{}}');
         INSERT INTO chatgate.receipts (client_id, method, key, fingerprint, row, request_id, made_at, state)
         VALUES ('client', 'sendmessage', '\\x01', '\\x', 77, 'r', 1, 'open'), ('client', 'sendmessage', '\\x02', '\\x', 78, 'r', 1, 'open')"
    );
    connect(&options)
        .await
        .batch_execute(&appear)
        .await
        .unwrap();
    // The other row also belongs to this replica, but to no known send.
    assert_eq!(state.sweep(&mut session).await.unwrap(), 1);
    let receipts = "SELECT row, state FROM chatgate.receipts";
    let receipts = connect(&options).await.query(receipts, &[]).await.unwrap();
    let receipts: Vec<(i64, String)> = receipts
        .iter()
        .map(|row| (row.get(0), row.get(1)))
        .collect();
    assert_eq!(receipts, [(78, "unknown".to_owned())]);
    assert_eq!(a.rows().await.len(), 1);
}

#[tokio::test]
async fn a_send_opened_in_a_batch_that_fails_is_withdrawn() {
    let Some(options) = database().await else {
        return;
    };
    let a = Replica::start(&options).await;
    a.intent("known")
        .await
        .settle(sent_row(), sent())
        .await
        .unwrap();
    let unreadable = "UPDATE chatgate.receipts SET state = 'unheard of'";
    let client = connect(&options).await;
    client.batch_execute(unreadable).await.unwrap();
    // Both are in one batch. The second is opened by the statement before the one that fails.
    let (known, fresh) = tokio::join!(a.open("known"), a.open("fresh"));
    assert!(known.is_err() && fresh.is_err());
    let state = a.store.postgres().lanes.as_ref().unwrap().state();
    let mut session = state.connector.connect().await.unwrap();
    let closed_as_unknown = state.sweep(&mut session).await.unwrap();
    assert_eq!(
        closed_as_unknown, 0,
        "its caller heard that it was not sent"
    );
    assert_eq!((a.receipt("fresh").await, a.rows().await.len()), (None, 1));
}

#[tokio::test]
async fn a_send_whose_intent_is_dropped_is_closed_as_unknown() {
    let Some(options) = database().await else {
        return;
    };
    let a = Replica::start(&options).await;
    drop(a.intent("dropped").await);
    let rows = a.settled_rows().await;
    assert_eq!(rows[0].delivery.as_deref(), Some("unknown"));
    assert_eq!(
        a.receipt("dropped").await.unwrap().state,
        ReceiptState::Unknown
    );
}

#[tokio::test]
async fn a_send_whose_call_began_before_its_replica_caught_up_is_rejected() {
    let Some(options) = database().await else {
        return;
    };
    let a = Replica::start(&options).await;
    let began = Instant::now();
    let lease = a.store.postgres().lease();
    lease.expire(Duration::ZERO, Instant::now());
    for claim in [Some(claim("early")), None] {
        let refused = a.journal.open(row(), claim, began).await.err().unwrap();
        assert!(refused.to_string().contains("lease has expired"));
    }
    until(async || {
        // The round trip lets the heartbeat run.
        a.store.replicas().await.unwrap();
        a.store.has_lease().then_some(())
    })
    .await;
    drop(a.intent("later").await);
    // The rows and the key are withdrawn.
    until(async || a.receipt("early").await.is_none().then_some(())).await;
}

#[tokio::test]
async fn a_replica_without_a_lease_begins_no_sends() {
    let Some(options) = database().await else {
        return;
    };
    let a = Replica::start(&options).await;
    let (client, mut key) = (connect(&options).await, 0);
    for has_key in [true, false] {
        until(async || {
            let gone = "DELETE FROM chatgate.replicas";
            client.batch_execute(gone).await.unwrap();
            key += 1;
            let claim = has_key.then(|| claim(key));
            match a.journal.open(row(), claim, Instant::now()).await {
                Err(refused) => {
                    let refused = refused.to_string();
                    assert!(refused.contains("lease has expired"), "{refused}");
                    Some(())
                }
                // A heartbeat came in between. A send that begins has its row in the database.
                Ok(OpenResult::Intent(intent)) => {
                    let row = "SELECT FROM chatgate.intents WHERE id = $1";
                    let rows = client.query(row, &[&intent.id()]).await.unwrap();
                    assert_eq!(rows.len(), 1);
                    None
                }
                Ok(OpenResult::Obstacle(obstacle)) => panic!("{obstacle:?}"),
            }
        })
        .await;
    }
}
