//! Tests that a row which the database never accepts blocks no other row.

use tokio::task::JoinSet;

use super::*;
use crate::CallerClass;

/// A user agent that the tables of these tests reject.
const BAD: &str = "no database takes this";

/// Makes the tables reject rows with this text.
async fn refuse(options: &PostgresOptions) {
    let refuse = format!(
        "ALTER TABLE chatgate.journal ADD CHECK (user_agent <> '{BAD}' AND code <> '{BAD}');
         ALTER TABLE chatgate.intents ADD CHECK (row NOT LIKE '%{BAD}%')"
    );
    connect(options).await.batch_execute(&refuse).await.unwrap();
}

fn bad_row() -> JournalRow {
    JournalRow {
        user_agent: Some(BAD.to_owned()),
        ..row()
    }
}

/// Checks that the journal's room is free again and that it accepts rows.
async fn is_well(replica: &Replica, refused: u64) {
    replica.journal.flush().await.unwrap();
    assert_eq!(replica.journal.refused_of(CallerClass::Known), refused);
    assert_eq!(
        (
            replica.journal.queued(),
            replica.journal.queued_bytes(),
            replica.journal.trouble()
        ),
        (0, 0, None)
    );
}

#[tokio::test]
async fn only_the_rows_that_the_database_rejects_are_dropped() {
    let Some(options) = database().await else {
        return;
    };
    let replica = Replica::start(&options).await;
    refuse(&options).await;
    for n in 0..100 {
        replica
            .journal
            .add(if n % 50 == 7 { bad_row() } else { row() });
    }
    is_well(&replica, 2).await;
    assert_eq!(replica.rows().await.len(), 98);
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_send_whose_row_is_rejected_does_not_begin() {
    let Some(options) = database().await else {
        return;
    };
    let replica = Arc::new(Replica::start(&options).await);
    refuse(&options).await;
    let mut sends = JoinSet::new();
    for n in 0..40 {
        let replica = Arc::clone(&replica);
        sends.spawn(async move {
            let row = if n == 20 { bad_row() } else { row() };
            match replica
                .journal
                .open(row, Some(claim(n)), Instant::now())
                .await
            {
                Ok(OpenResult::Intent(intent)) => {
                    intent.settle(sent_row(), sent()).await.unwrap();
                    None
                }
                Ok(OpenResult::Obstacle(obstacle)) => panic!("{n}: {obstacle:?}"),
                Err(error) => Some((n, error.to_string())),
            }
        });
    }
    let refused: Vec<_> = sends.join_all().await.into_iter().flatten().collect();
    assert!(
        matches!(&refused[..], [(20, error)] if error.contains("23514")),
        "{refused:?}"
    );
    is_well(&replica, 1).await;
    assert_eq!(replica.rows().await.len(), 39);
    assert!(replica.receipt("20").await.is_none());
}

#[tokio::test]
async fn a_rejected_outcome_becomes_unknown_and_other_outcomes_are_written() {
    let Some(options) = database().await else {
        return;
    };
    let replica = Replica::start(&options).await;
    refuse(&options).await;
    let (bad, good) = (replica.intent("bad").await, replica.intent("good").await);
    let refused = JournalRow {
        code: Some(BAD.into()),
        ..sent_row()
    };
    let bad = bad.settle(refused, sent());
    let good = good.settle(sent_row(), sent());
    assert!(bad.await.is_err(), "it is never written");
    good.await.unwrap();
    let rows = replica.settled_rows().await;
    let deliveries: Vec<_> = rows.iter().map(|row| row.delivery.as_deref()).collect();
    assert_eq!(deliveries, [Some("unknown"), Some("sent")]);
    let state = replica.receipt("bad").await.unwrap().state;
    assert_eq!(state, ReceiptState::Unknown);
    is_well(&replica, 1).await;
}

#[tokio::test]
async fn an_unreadable_open_row_is_closed_with_the_others() {
    let Some(options) = database().await else {
        return;
    };
    let replica = Replica::start(&options).await;
    let odd = "INSERT INTO chatgate.intents (id, owner, at, row) VALUES
        (77, -1, now() - interval '1 min', 'no JSON'), (78, -1, now() - interval '1 min', '{\"access\":\"shop\"}'),
        (79, -1, now() - interval '1 min', '{\"access\":\"a\\u0000b\"}')";
    connect(&options).await.batch_execute(odd).await.unwrap();
    let rows = until(async || {
        let rows = replica.rows().await;
        (rows.len() == 3 && rows.iter().all(|row| !row.open)).then_some(rows)
    })
    .await;
    let accesses: Vec<_> = rows.iter().map(|row| row.access.as_deref()).collect();
    assert_eq!(accesses, [None, Some("shop"), None]);
    assert!(
        rows.iter()
            .all(|row| row.delivery.as_deref() == Some("unknown"))
    );
}
