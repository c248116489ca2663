//! Tests with several replicas at the same time.

mod current;
mod tables;
mod unreadable;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use tokio::task::JoinSet;
use tokio_postgres::types::Type;

use super::session::STATEMENT_MAX;
use super::test_server::new_database;
use crate::{
    Access, AdminKey, ChangeAuthor, PostgresOptions, Propagation, PropagationWait, Role,
    SharedSession, Store, StoredSecret,
};

/// Number of replicas that start at the same time.
const REPLICAS: usize = 5;

async fn open(options: &PostgresOptions) -> Store {
    Store::open_postgres(options).await.unwrap()
}

async fn start_all(options: &PostgresOptions) -> Vec<Arc<Store>> {
    let mut starting = JoinSet::new();
    for _ in 0..REPLICAS {
        let options = options.clone();
        starting.spawn(async move { Store::open_postgres(&options).await });
    }
    let stores = starting.join_all().await;
    let stores = stores.into_iter().map(|store| Arc::new(store.unwrap()));
    stores.collect()
}

#[tokio::test]
async fn replicas_that_start_concurrently_share_one_schema_and_one_set_of_keys() {
    let Some(options) = new_database() else {
        return;
    };
    let stores = start_all(&options).await;
    let mut starting = JoinSet::new();
    for (number, store) in stores.iter().enumerate() {
        let store = Arc::clone(store);
        starting.spawn(async move {
            let own = u8::try_from(number).unwrap();
            let secrets = store.key("secrets", 1, || Ok(vec![own; 32])).await.unwrap();
            let events = store.key("events", 1, || Ok(vec![own; 16])).await.unwrap();
            let signs = ("tokens/ES256", &[own; 8][..]);
            let made = store.add_key_once("tokens/", signs, 1).await.unwrap();
            let access = Access::new("demo", &format!("u{number}"), &format!("c{number}"));
            store
                .first_start(ChangeAuthor::new("first start", 1), &[access])
                .await
                .unwrap();
            let hash = StoredSecret::Keyed(format!("hash {number}"));
            let key = AdminKey::new("first", Role::Operator, 1, hash);
            let is_first = store.put_first_admin_key(&key).await.unwrap();
            ([secrets, events], made.is_some(), is_first)
        });
    }
    let started = starting.join_all().await;
    assert!(started.iter().all(|(keys, ..)| *keys == started[0].0));
    assert_eq!(started.iter().filter(|(_, made, _)| *made).count(), 1);
    assert_eq!(started.iter().filter(|(.., first)| *first).count(), 1);
    let later = Store::open_postgres(&options).await.unwrap();
    assert_eq!(later.keys("").await.unwrap().len(), 4);
    assert_eq!(later.admin_keys().len(), 1);
    let demo = later.accesses().named("demo").cloned();
    for store in &stores {
        assert_eq!(store.accesses().named("demo").cloned(), demo);
        assert!(store.has_started().await.unwrap());
    }
    // Every life of a process has its own slot in the ids of rows.
    let slots = stores
        .iter()
        .map(|store| store.postgres().ids().replica().slot);
    let slots: std::collections::HashSet<_> = slots.collect();
    assert_eq!(slots.len(), REPLICAS);
}

#[tokio::test]
async fn concurrent_changes_of_several_replicas_are_ordered_and_none_is_lost() {
    let Some(options) = new_database() else {
        return;
    };
    let stores = start_all(&options).await;
    let mut changing = JoinSet::new();
    for store in &stores {
        let store = Arc::clone(store);
        changing.spawn(async move {
            for _ in 0..20 {
                let more = |access: Option<&Access>| {
                    let mut access = access
                        .cloned()
                        .unwrap_or_else(|| Access::new("a", "u", "c"));
                    access.note.push('x');
                    Ok(Some(access))
                };
                store
                    .change_access(ChangeAuthor::new("me", 7), "a", more)
                    .await
                    .unwrap();
            }
        });
    }
    changing.join_all().await;
    let later = Store::open_postgres(&options).await.unwrap();
    let access = later.accesses().named("a").cloned().unwrap();
    let changes = 20 * REPLICAS;
    assert_eq!(access.note.len(), changes);
    assert_eq!(access.version, changes as i64);
    assert_eq!(later.changes("a", 1000).await.unwrap().len(), changes);
    for store in &stores {
        store.postgres().load_accesses().await.unwrap();
        assert_eq!(store.accesses().named("a"), Some(&access));
    }
}

/// Makes the database lose the last change of an access and the last admin key, like a standby that has not received them yet.
async fn forget_last(store: &Store, was: &Access) {
    for forget in [
        "DELETE FROM chatgate.changes WHERE id = (SELECT max(id) FROM chatgate.changes)",
        "DELETE FROM chatgate.admin_keys",
        "UPDATE chatgate.epochs SET epoch = epoch - 1 WHERE what <> 'signing_keys'",
    ] {
        store.postgres().pool().write(forget, &[]).await.unwrap();
    }
    let document = serde_json::to_string(was).unwrap();
    let back = "UPDATE chatgate.accesses SET document = $1";
    let values: [crate::postgres::session::Value<'_>; 1] = [(&document, Type::TEXT)];
    store.postgres().pool().write(back, &values).await.unwrap();
}

#[tokio::test]
async fn after_a_lossy_failover_replicas_match_the_database_and_reuse_no_epoch() {
    let Some(options) = new_database() else {
        return;
    };
    let stores = [open(&options).await, open(&options).await];
    let noted = async |store: &Store, name: &str, note: &str| {
        let mut access = Access::new(name, name, name);
        note.clone_into(&mut access.note);
        let change = |_: Option<&Access>| Ok(Some(access));
        let changed = store
            .change_access(ChangeAuthor::new("me", 7), name, change)
            .await
            .unwrap();
        Access::clone(&changed.unwrap())
    };
    let kept = noted(&stores[0], "a", "kept").await;
    let lost = noted(&stores[0], "a", "lost").await;
    let key = AdminKey::new(
        "lost",
        Role::Operator,
        1,
        StoredSecret::Keyed("h".to_owned()),
    );
    stores[0].put_admin_key(&key).await.unwrap();
    for store in &stores {
        store.postgres().load_accesses().await.unwrap();
        store.postgres().load_admin_keys().await.unwrap();
    }
    let signing_keys = *stores[1].signing_key_changes().unwrap().borrow();
    forget_last(&stores[1], &kept).await;

    // No replica has noticed the loss yet. A change continues from the epoch that its replica knows.
    let next = noted(&stores[1], "b", "next").await;
    assert!(next.version > lost.version);
    for store in &stores {
        let postgres = store.postgres();
        for timeline in [&postgres.complete_timeline, &postgres.raised_timeline] {
            timeline.store(0, Ordering::Release);
        }
        postgres.read_after_failover().await.unwrap();
        assert_eq!(store.accesses().named("a").unwrap().note, "kept");
        assert_eq!(**store.accesses().named("b").unwrap(), next);
        assert!(store.admin_keys().is_empty());
    }
    // All replicas read the signing keys again as well.
    let seen = stores[1].postgres().load_accesses().await.unwrap();
    assert!(seen.signing_keys > signing_keys);
    let last = noted(&stores[0], "a", "last").await;
    assert!(last.version > next.version);
    stores[1].postgres().load_accesses().await.unwrap();
    assert_eq!(**stores[1].accesses().named("a").unwrap(), last);
}

#[tokio::test]
async fn after_a_failover_a_slow_read_of_all_accesses_ends_and_keeps_the_lease() {
    let Some(mut options) = new_database() else {
        return;
    };
    options.replica.lease = Duration::from_secs(3);
    let store = open(&options).await;
    let postgres = store.postgres();
    let signing_keys = *store.signing_key_changes().unwrap().borrow();
    let mut slow = postgres.connect().await.unwrap();
    slow.begin().await.unwrap();
    let lock = "LOCK TABLE chatgate.accesses IN ACCESS EXCLUSIVE MODE";
    slow.batch(lock).await.unwrap();
    for timeline in [&postgres.complete_timeline, &postgres.raised_timeline] {
        timeline.store(0, Ordering::Release);
    }
    postgres.wake().notify_one();
    // Longer than a statement may take while a caller waits, and longer than the lease.
    let until = Instant::now() + STATEMENT_MAX + Duration::from_secs(3);
    while Instant::now() < until {
        assert!(store.replicas().await.unwrap().unwrap()[0].lease_ms > 0);
    }
    let unread = postgres.complete_timeline.load(Ordering::Acquire);
    assert_eq!(unread, 0);
    slow.commit().await.unwrap();
    let until = Instant::now() + Duration::from_secs(30);
    while postgres.complete_timeline.load(Ordering::Acquire) == 0 {
        assert!(Instant::now() < until, "the accesses are not read");
        store.changes("a", 1).await.unwrap();
    }
    // The epochs were raised once.
    let seen = postgres.load_accesses().await.unwrap();
    assert_eq!(seen.signing_keys, signing_keys + 1);
}

#[tokio::test]
async fn a_connection_that_the_server_has_ended_is_replaced() {
    let Some(options) = new_database() else {
        return;
    };
    let store = open(&options).await;
    let others = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
         WHERE datname = current_database() AND pid <> pg_backend_pid()";
    for _ in 0..3 {
        assert!(!store.has_started().await.unwrap());
        let mut one = store.postgres().pool().take().await.unwrap();
        store
            .postgres()
            .pool()
            .return_connection(store.postgres().pool().take().await.unwrap());
        one.session.query(others, &[]).await.unwrap();
        store.postgres().pool().return_connection(one);
    }
    assert!(!store.has_started().await.unwrap());
}

#[tokio::test]
async fn keys_are_stored_sealed_and_do_not_open_with_another_seal() {
    let Some(mut options) = new_database() else {
        return;
    };
    let store = Store::open_postgres(&options).await.unwrap();
    store
        .add_key("tokens/ES256", b"the very key", 1)
        .await
        .unwrap();
    let plain = "SELECT 1 FROM chatgate.keys WHERE position('the very key'::bytea IN sealed) > 0";
    assert!(
        store
            .postgres()
            .pool()
            .read(plain, &[])
            .await
            .unwrap()
            .is_empty()
    );
    options.seal = crate::SealKeys::new(&[vec![9; crate::SEAL_BYTES]]).unwrap();
    let error = Store::open_postgres(&options).await.err().unwrap();
    assert!(error.to_string().contains("store.seal"), "{error}");
}

#[tokio::test]
async fn a_new_key_signs_only_after_all_replicas_report_that_they_know_it() {
    let Some(options) = new_database() else {
        return;
    };
    let stores = [open(&options).await, open(&options).await];
    let signs_from = async || {
        let keys = stores[0].keys("tokens/").await.unwrap();
        keys.iter().map(|key| key.signs_from).collect::<Vec<_>>()
    };
    stores[0].add_key("tokens/a", b"one", 1).await.unwrap();
    stores[0].add_key("tokens/a", b"two", 2).await.unwrap();
    let change = *stores[0].signing_key_changes().unwrap().borrow();
    for knows in 0..2 {
        // One replica knows the key and has reported it long before this loop ends. The other replica has reported nothing.
        for _ in 0..4 {
            stores[1 - knows].activate_keys().await.unwrap();
            assert_eq!(signs_from().await, [Some(1), None]);
        }
        stores[knows].signing_keys_in_force(change);
    }
    let until = Instant::now() + Duration::from_secs(30);
    while signs_from().await[1].is_none() {
        assert!(Instant::now() < until, "it does not sign");
        stores[1].activate_keys().await.unwrap();
    }
    // A separate epoch announces that the key signs.
    let signs = *stores[1].signing_key_changes().unwrap().borrow();
    assert!(signs > change);
}

#[tokio::test]
async fn a_session_and_its_end_are_visible_to_all_replicas() {
    let Some(options) = new_database() else {
        return;
    };
    let (one, two) = (open(&options).await, open(&options).await);
    let (one, two) = (
        one.shared_sessions().unwrap(),
        two.shared_sessions().unwrap(),
    );
    let session = |name: &str, used| SharedSession {
        key_name: name.to_owned(),
        key_hash: "hash".to_owned(),
        token: "token".to_owned(),
        began: 1,
        used,
    };
    for (id, key, used) in [("a", "first", 5), ("b", "first", 6), ("c", "other", 7)] {
        one.put(id, &session(key, used)).await.unwrap();
    }
    assert!(two.find("a").await.unwrap() == Some(session("first", 5)));
    two.mark_used("a", 9).await.unwrap();
    two.mark_used("a", 8).await.unwrap();
    assert!(one.find("a").await.unwrap() == Some(session("first", 9)));
    one.clear((7, 0)).await.unwrap();
    assert!(two.find("b").await.unwrap().is_none());
    two.drop_all_of("first").await.unwrap();
    assert!(one.find("a").await.unwrap().is_none());
    one.drop("c").await.unwrap();
    assert!(two.find("c").await.unwrap().is_none());
    for number in 0..1005 {
        one.put(&number.to_string(), &session("first", number))
            .await
            .unwrap();
    }
    assert!(two.find("4").await.unwrap().is_none());
    assert!(two.find("5").await.unwrap().is_some());
}

#[tokio::test]
async fn a_change_is_acknowledged_when_all_live_replicas_have_applied_it() {
    let Some(options) = new_database() else {
        return;
    };
    let stores = start_all(&options).await;
    let all = Propagation {
        replicas: REPLICAS,
        of: REPLICAS,
        pending: Vec::new(),
    };
    for number in 0..20 {
        let access = Access::new("a", &format!("u{number}"), "c");
        let put = Ok(Some(access.clone()));
        stores[number % REPLICAS]
            .change_access(ChangeAuthor::new("me", 7), "a", |_| put)
            .await
            .unwrap();
        assert_eq!(
            stores[number % REPLICAS]
                .await_propagation(PropagationWait::Acknowledgement)
                .await
                .unwrap(),
            Some(all.clone())
        );
        for store in &stores {
            assert_eq!(store.accesses().named("a").unwrap().user, access.user);
        }
    }
    let key = AdminKey::new("ann", Role::Viewer, 1, StoredSecret::Keyed("h".to_owned()));
    stores[0].put_admin_key(&key).await.unwrap();
    stores[0]
        .await_propagation(PropagationWait::Acknowledgement)
        .await
        .unwrap();
    assert!(stores.iter().all(|store| store.admin_keys().len() == 1));
    // Each replica counts the others with its own heartbeat.
    let knows = |store: &Arc<Store>| store.replica_count() == REPLICAS as u32;
    let until = Instant::now() + Duration::from_secs(30);
    while !stores.iter().all(knows) {
        assert!(Instant::now() < until, "some are not counted");
        stores[0].replicas().await.unwrap();
    }
    // The others do not wait for a replica that has ended.
    stores[1].close().await;
    stores[0].put_admin_key(&key).await.unwrap();
    let spread = stores[0]
        .await_propagation(PropagationWait::Acknowledgement)
        .await
        .unwrap()
        .unwrap();
    assert_eq!((spread.replicas, spread.of), (REPLICAS - 1, REPLICAS - 1));
    let rows = stores[0].replicas().await.unwrap().unwrap();
    let live = rows.iter().filter(|row| row.lease_ms > 0);
    assert_eq!(live.count(), REPLICAS - 1);
}

#[tokio::test]
async fn a_silent_replica_is_reported_as_pending_until_its_lease_expires() {
    let Some(mut options) = new_database() else {
        return;
    };
    options.replica.ack_wait = Duration::from_millis(50);
    options.replica.name = "mute".to_owned();
    options.replica.lease = Duration::from_secs(3);
    let mute = open(&options).await;
    // As if the replica's process were stopped.
    mute.postgres().hush();
    options.replica.name = "live".to_owned();
    let store = open(&options).await;
    let change = async || {
        let change = |_: Option<&Access>| Ok(Some(Access::new("a", "u", "c")));
        store
            .change_access(ChangeAuthor::new("me", 7), "a", change)
            .await
            .unwrap();
        store
            .await_propagation(PropagationWait::Acknowledgement)
            .await
            .unwrap()
            .unwrap()
    };
    let spread = change().await;
    assert_eq!(
        (spread.replicas, spread.of, spread.pending),
        (1, 2, vec!["mute".to_owned()])
    );
    let until = Instant::now() + Duration::from_secs(30);
    while change().await.of == 2 {
        assert!(Instant::now() < until, "its lease does not end");
    }
    assert!(!mute.postgres().lease().is_valid(Instant::now()));
    assert!(mute.stale_for().unwrap() >= Duration::from_secs(2));
    assert!(store.postgres().lease().is_valid(Instant::now()));
}

#[tokio::test]
async fn a_replica_whose_row_is_deleted_registers_under_a_new_id() {
    let Some(options) = new_database() else {
        return;
    };
    let store = open(&options).await;
    let before = store.postgres().ids().replica();
    let take = "DELETE FROM chatgate.replicas";
    store.postgres().pool().write(take, &[]).await.unwrap();
    let until = Instant::now() + Duration::from_secs(30);
    while store.postgres().ids().replica() == before {
        assert!(Instant::now() < until, "it does not register anew");
        store.postgres().wake().notify_one();
        tokio::task::yield_now().await;
    }
    assert!(store.postgres().ids().replica().id > before.id);
}

#[tokio::test]
async fn changes_arrive_without_a_notification() {
    let Some(options) = new_database() else {
        return;
    };
    let (one, two) = (open(&options).await, open(&options).await);
    let unheard = "UPDATE chatgate.epochs SET epoch = epoch + 1 WHERE what = 'accesses'";
    one.postgres().pool().write(unheard, &[]).await.unwrap();
    let put = "WITH e AS (SELECT epoch FROM chatgate.epochs WHERE what = 'accesses'),
         c AS (INSERT INTO chatgate.changes (id, at, actor, access) SELECT epoch, 1, 'x', 'a' FROM e)
         INSERT INTO chatgate.accesses (name, \"user\", client_id, document) VALUES ('a', 'u', 'c', $1)";
    let document = serde_json::to_string(&Access::new("a", "u", "c")).unwrap();
    one.postgres()
        .pool()
        .write(put, &[(&document, Type::TEXT)])
        .await
        .unwrap();
    let until = Instant::now() + Duration::from_secs(30);
    while two.accesses().named("a").is_none() {
        assert!(Instant::now() < until, "the change does not arrive");
        // Each round sends one query to the database.
        two.changes("a", 1).await.unwrap();
    }
}
