//! Tests of what a replica knows: it has a change only when it has read and applied it.

use std::time::{Duration, Instant};

use super::open;
use crate::postgres::test_server::new_database;
use crate::{
    Access, AdminKey, ChangeAuthor, PostgresOptions, PropagationWait, Role, Store, StoredSecret,
};

/// Makes this statement run when a row is written to a table of changes, at the end of the transaction.
async fn at_commit(store: &Store, table: &str, statement: &str) {
    for sql in [
        &format!("CREATE FUNCTION public.at_commit() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {statement}; RETURN NULL; END $$"),
        &format!(
            "CREATE CONSTRAINT TRIGGER at_commit AFTER INSERT ON chatgate.{table} DEFERRABLE INITIALLY DEFERRED
             FOR EACH ROW EXECUTE FUNCTION public.at_commit()"
        ),
    ] {
        store.postgres().pool().write(sql, &[]).await.unwrap();
    }
}

/// Starts two replicas that do not follow each other's changes. The second one has made a change of each kind.
async fn apart(options: &mut PostgresOptions) -> [Store; 2] {
    options.replica.ack_wait = Duration::from_millis(50);
    let stores = [open(options).await, open(options).await];
    for store in &stores {
        store.postgres().hush();
    }
    let first = |_: Option<&Access>| Ok(Some(Access::new("first", "first", "first")));
    stores[1]
        .change_access(ChangeAuthor::new("me", 7), "first", first)
        .await
        .unwrap();
    stores
}

#[tokio::test]
async fn a_stored_change_of_an_access_succeeds_even_if_it_cannot_be_applied_yet() {
    let Some(mut options) = new_database() else {
        return;
    };
    let [store, other] = apart(&mut options).await;
    let rename = |from: &str, to: &str| {
        format!("ALTER TABLE chatgate.accesses RENAME COLUMN {from} TO {to}")
    };
    at_commit(&other, "changes", &rename("document", "lost")).await;
    let change = |_: Option<&Access>| Ok(Some(Access::new("a", "u", "c")));
    let changed = store
        .change_access(ChangeAuthor::new("me", 7), "a", change)
        .await;
    let changed = changed.unwrap().unwrap();
    assert_eq!((&*changed.user, changed.version), ("u", 2));
    assert!(store.accesses().named("a").is_none());
    let propagation = async || {
        let propagation = store.await_propagation(PropagationWait::Acknowledgement);
        let propagation = propagation.await.unwrap().unwrap();
        (propagation.replicas, propagation.of)
    };
    assert_eq!(propagation().await, (0, 2));

    let pool = other.postgres().pool();
    for sql in [
        "DROP FUNCTION public.at_commit CASCADE",
        &rename("lost", "document"),
    ] {
        pool.write(sql, &[]).await.unwrap();
    }
    store.postgres().load_accesses().await.unwrap();
    assert_eq!(store.accesses().named("a"), Some(&changed));
    assert_eq!(propagation().await, (1, 2));
    at_commit(&other, "changes", &rename("document", "lost")).await;
    other
        .note_change(ChangeAuthor::new("me", 7), "a", ("webhook", "on", "off"))
        .await
        .unwrap();
}

#[tokio::test]
async fn a_stored_change_of_an_admin_key_succeeds_even_if_it_cannot_be_applied_yet() {
    let Some(mut options) = new_database() else {
        return;
    };
    let [store, _other] = apart(&mut options).await;
    let lose = "ALTER TABLE chatgate.epochs RENAME COLUMN what TO lost";
    at_commit(&store, "admin_keys", lose).await;
    let key = AdminKey::new("ann", Role::Viewer, 1, StoredSecret::Keyed("h".to_owned()));
    store.put_admin_key(&key).await.unwrap();
    assert!(store.admin_keys().is_empty());
    assert!(store.postgres().unapplied().admin_keys > 0);
}

/// Makes changes of accesses unreadable, or readable again, and makes one that all replicas have to read.
async fn rename_change_column_and_raise_epoch(store: &Store, [from, to]: [&str; 2]) {
    let rename = format!("ALTER TABLE chatgate.changes RENAME COLUMN {from} TO {to}");
    let raise = "UPDATE chatgate.epochs SET epoch = epoch + 1 WHERE what = 'accesses'";
    for sql in [&rename, raise] {
        store.postgres().pool().write(sql, &[]).await.unwrap();
    }
}

#[tokio::test]
async fn a_replica_that_cannot_read_changes_renews_its_lease_and_is_not_current() {
    let Some(mut options) = new_database() else {
        return;
    };
    options.replica.lease = Duration::from_secs(3);
    let store = open(&options).await;
    let until = Instant::now() + Duration::from_secs(30);
    let is_so = async |what: &str, is_so: &dyn Fn() -> bool| {
        while !is_so() {
            assert!(Instant::now() < until, "{what}");
            store.replicas().await.unwrap();
        }
    };
    rename_change_column_and_raise_epoch(&store, ["access", "lost"]).await;
    is_so("it does not become stale", &|| !store.has_lease()).await;
    assert!(store.stale_for().unwrap() >= Duration::from_secs(2));
    let trouble = store.journal().trouble().unwrap();
    assert!(trouble.contains("access"), "{trouble}");
    for _ in 0..20 {
        let rows = store.replicas().await.unwrap().unwrap();
        assert!(rows[0].lease_ms > 0 && !store.has_lease(), "{rows:?}");
    }
    rename_change_column_and_raise_epoch(&store, ["lost", "access"]).await;
    is_so("it does not become current", &|| store.has_lease()).await;
    assert!(store.stale_for().unwrap() < Duration::from_secs(2));
}

#[tokio::test]
async fn a_replica_whose_lease_was_over_by_the_databases_clock_is_not_valid_before_it_has_read_changes()
 {
    let Some(mut options) = new_database() else {
        return;
    };
    options.replica.lease = Duration::from_secs(60);
    let store = open(&options).await;
    assert!(store.has_lease());
    // The replica's own clock does not advance in this hour, as in a paused virtual machine.
    let pause = "UPDATE chatgate.replicas SET lease_until = now() - interval '1 h'";
    let mut session = store.postgres().connect().await.unwrap();
    let unreadable = "ALTER TABLE chatgate.changes RENAME COLUMN access TO lost;
        UPDATE chatgate.epochs SET epoch = epoch + 1 WHERE what = 'accesses'";
    let all = format!("BEGIN; {unreadable}; {pause}; COMMIT");
    session.batch(&all).await.unwrap();
    let until = Instant::now() + Duration::from_secs(30);
    while store.replicas().await.unwrap().unwrap()[0].lease_ms < 0 {
        assert!(Instant::now() < until, "the lease is not renewed");
    }
    assert!(!store.has_lease());
    assert!(store.stale_for().unwrap() >= Duration::from_secs(3600));
    rename_change_column_and_raise_epoch(&store, ["lost", "access"]).await;
    while !store.has_lease() {
        assert!(Instant::now() < until, "it does not become current");
        store.replicas().await.unwrap();
    }
    assert!(store.stale_for().unwrap() < Duration::from_secs(30));
}

#[tokio::test]
async fn a_replica_is_not_current_before_it_has_read_the_signing_keys() {
    let Some(mut options) = new_database() else {
        return;
    };
    options.replica.lease = Duration::from_secs(3);
    let (store, other) = (open(&options).await, open(&options).await);
    other.add_key("tokens/a", b"key", 1).await.unwrap();
    let until = Instant::now() + Duration::from_secs(30);
    while store.has_lease() {
        assert!(Instant::now() < until, "it does not become stale");
        store.replicas().await.unwrap();
    }
    let change = *store.signing_key_changes().unwrap().borrow();
    store.signing_keys_unread(change);
    while !store.has_lease() {
        assert!(Instant::now() < until, "it does not become current");
        store.replicas().await.unwrap();
    }
    let rows = store.replicas().await.unwrap().unwrap();
    let own = rows.iter().find(|row| row.is_own).unwrap();
    assert_eq!(own.behind, 1, "it does not verify with the key");
}
