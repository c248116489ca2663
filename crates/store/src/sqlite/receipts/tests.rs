//! Tests that receipts from an earlier version of the program are moved.

use crate::receipts::tests::claim;
use crate::{Obstacle, Store};

#[tokio::test]
async fn receipts_of_an_earlier_version_are_migrated_and_found_by_their_keys() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&folder.path().join("chatgate.db"))
        .await
        .unwrap();
    let made = "CREATE TABLE receipts_with_keys (client_id TEXT, method TEXT, key TEXT, fingerprint BLOB, row INTEGER,
         request_id TEXT, made_at INTEGER, state TEXT, answer TEXT, PRIMARY KEY (client_id, method, key)) STRICT, WITHOUT ROWID";
    let filled = "WITH RECURSIVE n(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 2500)
         INSERT INTO receipts_with_keys SELECT 'cga_many', 'sendmessage', 'key-' || n, zeroblob(32), n, 'r', 1000, 'sent', '{}' FROM n";
    for statement in [made, filled] {
        let made = store
            .sqlite()
            .write(move |transaction| Ok(transaction.execute(statement, [])?));
        made.await.unwrap();
    }
    store.close().await;
    let store = Store::open(&folder.path().join("chatgate.db"))
        .await
        .unwrap();
    assert_eq!(store.receipts_taken("cga_many").await.unwrap().0, 2500);
    let known = store
        .obstacle(&claim("cga_many", 2500, 1001))
        .await
        .unwrap();
    assert!(matches!(known, Some(Obstacle::Known(_))), "{known:?}");
    assert_eq!(store.receipts("cga_many", "key-7").await.unwrap().len(), 1);
    assert_eq!(store.receipts("cga_other", "key-7").await.unwrap().len(), 0);
}
