//! What holds when several replicas come at once.

use std::sync::Arc;

use tokio::task::JoinSet;

use super::test_server::SERVER;
use crate::{Access, AdminKey, PostgresOptions, Role, Store, StoredSecret};

/// Replicas that start in the same moment.
const REPLICAS: usize = 5;

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
async fn replicas_that_start_at_once_have_one_schema_one_set_of_keys_and_one_first_start() {
    let Some(server) = &*SERVER else { return };
    let options = server.database().await;
    let stores = start_all(&options).await;
    let mut starting = JoinSet::new();
    for (number, store) in stores.iter().enumerate() {
        let store = Arc::clone(store);
        starting.spawn(async move {
            let own = u8::try_from(number).unwrap();
            let secrets = store.key("secrets", 1, || Ok(vec![own; 32])).await.unwrap();
            let signs = ("tokens/ES256", &[own; 8][..]);
            let made = store.add_key_once("tokens/", signs, 1).await.unwrap();
            let access = Access::new("demo", &format!("u{number}"), &format!("c{number}"));
            store
                .first_start(("first start", 1), &[access])
                .await
                .unwrap();
            let hash = StoredSecret::Keyed(format!("hash {number}"));
            let key = AdminKey::new("first", Role::Operator, 1, hash);
            let is_first = store.put_first_admin_key(&key).await.unwrap();
            (secrets, made.is_some(), is_first)
        });
    }
    let started = starting.join_all().await;
    assert!(started.iter().all(|(secrets, ..)| *secrets == started[0].0));
    assert_eq!(started.iter().filter(|(_, made, _)| *made).count(), 1);
    assert_eq!(started.iter().filter(|(.., first)| *first).count(), 1);
    let later = Store::open_postgres(&options).await.unwrap();
    assert_eq!(later.keys("").await.unwrap().len(), 3);
    assert_eq!(later.admin_keys().len(), 1);
    let demo = later.accesses().named("demo").cloned();
    for store in &stores {
        assert_eq!(store.accesses().named("demo").cloned(), demo);
        assert!(store.has_started().await.unwrap());
    }
    // Every life of a process has a place of its own in the ids of rows.
    let slots = stores
        .iter()
        .map(|store| store.postgres().ids().replica().slot);
    let slots: std::collections::HashSet<_> = slots.collect();
    assert_eq!(slots.len(), REPLICAS);
}

#[tokio::test]
async fn changes_of_several_replicas_have_one_order_and_lose_nothing() {
    let Some(server) = &*SERVER else { return };
    let options = server.database().await;
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
                store.change_access(("me", 7), "a", more).await.unwrap();
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

#[tokio::test]
async fn a_connection_that_the_server_has_ended_is_replaced() {
    let Some(server) = &*SERVER else { return };
    let store = Store::open_postgres(&server.database().await)
        .await
        .unwrap();
    let others = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
         WHERE datname = current_database() AND pid <> pg_backend_pid()";
    for _ in 0..3 {
        assert!(!store.has_started().await.unwrap());
        let mut one = store.postgres().pool().take().await.unwrap();
        store
            .postgres()
            .pool()
            .give_back(store.postgres().pool().take().await.unwrap());
        one.session.query(others, &[]).await.unwrap();
        store.postgres().pool().give_back(one);
    }
    assert!(!store.has_started().await.unwrap());
}

#[tokio::test]
async fn keys_do_not_open_with_another_seal_and_stand_nowhere_in_the_clear() {
    let Some(server) = &*SERVER else { return };
    let mut options = server.database().await;
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
async fn a_database_that_is_not_up_to_date_or_needs_a_newer_program_is_refused() {
    let Some(server) = &*SERVER else { return };
    let mut options = server.database().await;
    options.migrates = false;
    let error = Store::open_postgres(&options).await.err().unwrap();
    assert!(error.to_string().contains("chatgate migrate"), "{error}");
    options.migrates = true;
    let store = Store::open_postgres(&options).await.unwrap();
    options.migrates = false;
    Store::open_postgres(&options).await.unwrap();
    let newer = "UPDATE chatgate.deployment SET contract = 99";
    store.postgres().pool().write(newer, &[]).await.unwrap();
    let error = Store::open_postgres(&options).await.err().unwrap();
    assert!(error.to_string().contains("a newer version"), "{error}");
}
