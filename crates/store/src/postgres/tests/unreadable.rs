//! Tests of rows that a newer program has written: this program refuses what it can't read, and nothing else.

use std::time::{Duration, Instant};

use super::open;
use crate::postgres::test_server::new_database;
use crate::{Access, AdminKey, ChangeAuthor, ChangeError, Role, Store, StoredSecret};

/// Executes statements of another program as one transaction, and makes all replicas read the change.
async fn execute_as_another_program(store: &Store, statements: &str, what: &str) {
    let mut session = store.postgres().connect().await.unwrap();
    let raise = format!("UPDATE chatgate.epochs SET epoch = epoch + 1 WHERE what = '{what}'");
    let all = format!("BEGIN; {raise}; {statements}; COMMIT");
    session.batch(&all).await.unwrap();
}

/// Replaces the stored document of an access.
async fn write_document(store: &Store, name: &str, document: &str) {
    let write = format!(
        "UPDATE chatgate.accesses SET document = '{document}' WHERE name = '{name}';
         INSERT INTO chatgate.changes (id, at, actor, access)
         SELECT epoch, 1, 'x', '{name}' FROM chatgate.epochs WHERE what = 'accesses'"
    );
    execute_as_another_program(store, &write, "accesses").await;
}

#[tokio::test]
async fn an_unreadable_access_is_rejected_without_affecting_others() {
    let Some(options) = new_database() else {
        return;
    };
    let store = open(&options).await;
    let put = async |name: &str, note: &str| {
        let mut access = Access::new(name, &format!("user of {name}"), &format!("cga_{name}"));
        note.clone_into(&mut access.note);
        store
            .change_access(ChangeAuthor::new("me", 7), name, |_| Ok(Some(access)))
            .await
    };
    let access = put("a", "").await.unwrap().unwrap();
    let document = serde_json::to_string(&*access).unwrap();
    let newer = document.replacen('{', "{\"rule\":\"later\",", 1);
    for unreadable in [&*newer, "{\"unreadable\":1"] {
        write_document(&store, "a", unreadable).await;
        let until = Instant::now() + Duration::from_secs(30);
        while store.accesses().unreadable() == 0 {
            assert!(Instant::now() < until, "it is not read");
            store.changes("a", 1).await.unwrap();
        }
        let started = open(&options).await;
        for store in [&store, &started] {
            let accesses = store.accesses();
            let known = accesses.of_user("user of a").unwrap();
            assert!(!known.is_live(7) && known.client_id == "cga_a");
        }
        put("b", unreadable).await.unwrap();
        assert!(store.accesses().named("b").unwrap().is_live(7));
        let refused = put("a", "overwritten").await.unwrap_err();
        assert!(matches!(refused, ChangeError::Refused(_)), "{refused}");

        write_document(&store, "a", &document).await;
        while store.accesses().unreadable() > 0 {
            assert!(Instant::now() < until, "it is not read again");
            store.changes("a", 1).await.unwrap();
        }
        assert_eq!(store.accesses().named("a"), Some(&access));
    }
}

#[tokio::test]
async fn an_admin_key_with_an_unknown_role_is_ignored_without_affecting_others() {
    let Some(options) = new_database() else {
        return;
    };
    let store = open(&options).await;
    let key = |name: &str| {
        let hash = StoredSecret::Keyed(format!("hash of {name}"));
        AdminKey::new(name, Role::Operator, 1, hash)
    };
    let add = "INSERT INTO chatgate.admin_keys (name, role, hash, created_at) VALUES
        ('auditor', 'auditor', 'h', 1), ('ann', 'operator', 'hash of ann', 1)";
    execute_as_another_program(&store, add, "admin_keys").await;
    let until = Instant::now() + Duration::from_secs(30);
    while store.admin_keys().is_empty() {
        assert!(Instant::now() < until, "the keys are not read");
        store.changes("a", 1).await.unwrap();
    }
    assert_eq!(*store.admin_keys(), [key("ann")]);
    assert_eq!(*open(&options).await.admin_keys(), [key("ann")]);
    // A change is judged by all keys.
    assert!(store.put_admin_key(&key("auditor")).await.is_err());
}

#[tokio::test]
async fn a_key_that_does_not_open_does_not_affect_others() {
    let Some(options) = new_database() else {
        return;
    };
    let store = open(&options).await;
    let id = store.add_key("tokens/a", b"key", 1).await.unwrap();
    let add = "INSERT INTO chatgate.keys (purpose, sealed, created_at, signs_from) VALUES ('tokens/b', 'x', 1, 1)";
    execute_as_another_program(&store, add, "signing_keys").await;
    let keys = store.keys("tokens/").await.unwrap();
    let opened = keys.iter().map(|key| key.material.as_ref().ok());
    assert_eq!(opened.collect::<Vec<_>>(), [Some(&b"key".to_vec()), None]);
    assert_eq!(keys[0].id, id);
    // A key that everything depends on is not made again.
    let broken = store.key("tokens/b", 1, || Ok(vec![7])).await;
    assert!(broken.is_err());
}
