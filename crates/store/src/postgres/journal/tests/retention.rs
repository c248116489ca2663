//! Clearing while others use what is to be cleared.

use std::time::Duration;

use super::{Replica, database, row};
use crate::test_engine::connect;
use crate::{JournalKind, JournalRow, Retention};

const DAY_MS: i64 = 86_400_000;

#[tokio::test]
async fn a_day_that_is_in_use_keeps_no_other_from_being_cleared_and_what_went_is_recorded() {
    let Some(options) = database().await else {
        return;
    };
    let replica = Replica::start(&options).await;
    let retention = |days: u64| Retention {
        rows: Duration::from_secs(days * 86_400),
        payloads: Duration::from_secs(days * 86_400),
        bytes: u64::MAX,
    };
    let clear = async |at_ms, days| replica.store.clear_old(at_ms, &retention(days)).await;
    // Makes the days.
    let first_ms = row().at_ms;
    clear(first_ms, 100).await.unwrap();
    for day in 0..3 {
        replica.journal.add(JournalRow {
            at_ms: first_ms + day * DAY_MS,
            ..row()
        });
    }
    replica.journal.flush().await.unwrap();
    let reader = connect(&options).await;
    let name = format!("chatgate.journal_d{}", first_ms / DAY_MS);
    let read = format!("BEGIN; SELECT count(*) FROM {name}");
    reader.batch_execute(&read).await.unwrap();
    let now_ms = first_ms + 4 * DAY_MS;
    let error = clear(now_ms, 1).await.unwrap_err().to_string();
    assert!(error.contains("lock"), "{error}");
    reader.batch_execute("COMMIT").await.unwrap();
    let rows = replica.rows().await;
    let kinds: Vec<_> = rows.iter().map(|row| row.kind).collect();
    assert_eq!(kinds, [JournalKind::Request, JournalKind::Clearing]);
    let cause = rows[1].cause.as_deref();
    assert_eq!(cause, Some("2 rows and 0 payloads, by age"));
    clear(now_ms, 1).await.unwrap();
    let cause = replica.rows().await.pop().unwrap().cause;
    assert_eq!(cause.as_deref(), Some("1 rows and 0 payloads, by age"));
}
