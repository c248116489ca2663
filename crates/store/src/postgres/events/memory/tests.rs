//! Tests of the kept plans of statements.

use super::{CHANNEL, CHATS};
use crate::Store;
use crate::postgres::accesses::CHANGED;
use crate::postgres::test_server::new_database;

/// Fills the tables with as many rows as plans need, as after some time of use.
const FILL: &str = "
    INSERT INTO chatgate.event_channels (account, platform, platformid) SELECT 'host', 'whatsapp', n::text FROM generate_series(1, 20) n;
    INSERT INTO chatgate.event_chats (channel, destination) SELECT 1 + n % 20, n::text FROM generate_series(1, 2000) n;
    INSERT INTO chatgate.event_messages (chat, id, status, position) SELECT 1 + n % 2000, n::text, '', n FROM generate_series(1, 20000) n;
    INSERT INTO chatgate.events (position, id, kind, platform, platformid, gap, late)
        SELECT n, n::text, 'message.received', 'whatsapp', '1', false, false FROM generate_series(1, 20000) n;
    INSERT INTO chatgate.accesses (name, \"user\", client_id, document) SELECT n, n, n, '{}' FROM generate_series(1, 5000) n;
    INSERT INTO chatgate.changes (id, at, actor, access) SELECT n, 0, '', n FROM generate_series(1, 5000) n;
    ANALYZE";

#[tokio::test]
async fn lookup_statements_use_indexes_instead_of_table_scans() {
    let Some(options) = new_database() else {
        return;
    };
    let store = Store::open_postgres(&options).await.unwrap();
    let mut session = store.postgres().connect().await.unwrap();
    session.keep_plans().await.unwrap();
    session.batch(FILL).await.unwrap();
    let channel = "'host', 'whatsapp', '1'";
    let chats = format!("{channel}, '{{0}}', '{{20}}', '{{x}}', '{{0, 0}}', '{{20, 2020}}'");
    for (statement, values) in [
        (CHANNEL, channel),
        (CHATS, chats.as_str()),
        (CHANGED.as_str(), "4999"),
    ] {
        let prepare = format!("DEALLOCATE ALL; PREPARE asked AS {statement}");
        session.batch(&prepare).await.unwrap();
        let explain = format!("EXPLAIN EXECUTE asked ({values})");
        let plan = session.query(&explain, &[]).await.unwrap();
        let plan: Vec<String> = plan.iter().map(|row| row.get(0)).collect();
        let plan = plan.join("\n");
        // Every scan of a table must have an index condition. The subtracted scans are of functions and of the pages that an index
        // has found.
        let other =
            plan.matches("Function Scan").count() + plan.matches("Bitmap Heap Scan").count();
        let scans = plan.matches(" Scan").count() - other;
        assert_eq!(scans, plan.matches("Index Cond").count(), "{plan}");
    }
    store.close().await;
}
