//! What every engine guarantees: which data outlives the process, and what a change does.

use super::*;
use crate::test_engine::{TestEngine, on_every_engine};
use crate::webhooks::tests::webhook_of;
use crate::{
    Access, ChangeAuthor, ChangeError, DailyBlock, DailyCount, LastUse, Role, Secret, SecretHasher,
    StoredSecret, Webhook, find_presented, new_random_secret,
};

fn access(name: &str, user: &str) -> Access {
    let hash = StoredSecret::Keyed("the hash".to_owned());
    Access {
        secrets: vec![Secret { hash, created: 1 }],
        expires: Some(10),
        ..Access::new(name, user, &format!("cga_{name}"))
    }
}

on_every_engine!(
    daily_counts_of_a_day_and_the_day_before_survive_a_restart,
    daily_blocks_never_exceed_the_daily_limit,
    accesses_and_keys_survive_a_restart,
    a_user_belongs_to_one_access,
    accesses_put_together_may_exchange_users_and_client_ids,
    versions_increase_across_deletion_and_changes_contain_no_secrets,
    admin_keys_are_found_by_their_presented_secret,
    each_change_of_admin_keys_sees_the_changes_before_it,
    a_last_use_survives_a_restart_and_does_not_change_the_access,
    the_first_start_is_recorded_and_survives_a_restart,
    an_unreadable_access_is_rejected_without_affecting_others,
    an_admin_key_with_an_unknown_role_is_ignored_without_affecting_others,
);

async fn put(store: &Store, access: Access) -> Result<i64, ChangeError> {
    let name = access.name.clone();
    let changed = store
        .change_access(ChangeAuthor::new("me", 7), &name, |_| Ok(Some(access)))
        .await?;
    Ok(changed.map_or(0, |access| access.version))
}

async fn accesses_and_keys_survive_a_restart(engine: TestEngine) {
    let store = engine.open().await;
    put(&store, access("a", "u")).await.unwrap();
    let key = store.key("secrets", 1, || Ok(vec![1, 2, 3])).await.unwrap();
    store.close().await;

    let store = engine.open().await;
    assert_eq!(
        store.accesses().of_user("u").map(|a| a.name.clone()),
        Some("a".to_owned())
    );
    assert_eq!(
        store.accesses().of_client("cga_a").map(|a| a.name.clone()),
        Some("a".to_owned())
    );
    assert_eq!(
        store.key("secrets", 1, || panic!("kept")).await.unwrap(),
        key
    );
}

async fn a_user_belongs_to_one_access(engine: TestEngine) {
    let store = engine.open().await;
    put(&store, access("a", "u")).await.unwrap();
    assert!(matches!(
        put(&store, access("b", "u")).await,
        Err(ChangeError::Taken)
    ));
    assert!(store.accesses().named("b").is_none());
    put(&store, access("a", "v")).await.unwrap();
    assert!(store.accesses().of_user("u").is_none());
    assert_eq!(store.accesses().len(), 1);
}

async fn accesses_put_together_may_exchange_users_and_client_ids(engine: TestEngine) {
    let store = engine.open().await;
    let all = ["a", "b", "c"].map(|name| access(name, &format!("u{name}")));
    store
        .put_accesses(ChangeAuthor::new("me", 7), &all)
        .await
        .unwrap();
    for (id, client_id) in [("whk_1", "cga_a"), ("whk_2", "cga_c")] {
        let webhook = webhook_of(id, client_id);
        let put = move |_: &[Webhook]| Ok::<_, StoreError>(Some(webhook));
        store.change_webhook((id, client_id), put).await.unwrap();
    }
    let last = LastUse {
        at: 1,
        address: "192.0.2.1".parse().unwrap(),
        way: "http".into(),
    };
    for access in store.accesses().iter() {
        store.note_use(access, last.clone());
    }
    store.save_uses().await.unwrap();
    let webhooks = store.webhooks().await.unwrap();
    // Two accesses exchange both their users and client ids, and a new access takes the user that a third one gives up.
    let given = |name: &str, user: &str, client_id: &str| Access {
        client_id: client_id.to_owned(),
        ..access(name, user)
    };
    let exchanged = [
        given("a", "ub", "cga_b"),
        given("b", "ua", "cga_a"),
        given("d", "uc", "cga_d"),
        given("c", "new", "cga_new"),
    ];
    store
        .put_accesses(ChangeAuthor::new("me", 8), &exchanged)
        .await
        .unwrap();
    store.close().await;
    let store = engine.open().await;
    for access in &exchanged {
        let there = store.accesses();
        let name = |found: Option<&Arc<Access>>| found.map(|access| access.name.clone());
        assert_eq!(name(there.of_user(&access.user)), Some(access.name.clone()));
        let of_client = there.of_client(&access.client_id);
        assert_eq!(name(of_client), Some(access.name.clone()));
        let was_used = ["cga_a", "cga_b"].contains(&&*access.client_id);
        assert_eq!(store.last_use(access), was_used.then(|| last.clone()));
    }
    // Data of an existing client id remains, and data of a removed client id does not.
    assert_eq!(store.webhooks().await.unwrap(), webhooks[..1]);
    let taken = [given("e", "ua", "cga_e")];
    let taken = store.put_accesses(ChangeAuthor::new("me", 9), &taken).await;
    assert!(matches!(taken, Err(ChangeError::Taken)), "{taken:?}");
}

async fn versions_increase_across_deletion_and_changes_contain_no_secrets(engine: TestEngine) {
    let store = engine.open().await;
    let first = put(&store, access("a", "u")).await.unwrap();
    store
        .change_access(ChangeAuthor::new("you", 8), "a", |_| Ok(None))
        .await
        .unwrap();
    assert!(store.accesses().is_empty());
    let again = put(&store, access("a", "u")).await.unwrap();
    assert!(again > first + 1 && store.accesses().named("a").unwrap().version == again);
    let refused = store
        .change_access(ChangeAuthor::new("me", 9), "a", |_| Err(ChangeError::Stale))
        .await;
    assert!(matches!(refused, Err(ChangeError::Stale)));

    let changes = store.changes("a", 10).await.unwrap();
    let seen: Vec<_> = changes
        .iter()
        .map(|c| {
            (
                c.actor.as_str(),
                c.at,
                c.before.is_some(),
                c.after.is_some(),
            )
        })
        .collect();
    assert_eq!(
        seen,
        [
            ("me", 7, false, true),
            ("you", 8, true, false),
            ("me", 7, false, true)
        ]
    );
    assert!(!format!("{changes:?}").contains("the hash"));
}

async fn admin_keys_are_found_by_their_presented_secret(engine: TestEngine) {
    let store = engine.open().await;
    let hasher = SecretHasher::new(b"key");
    let (secret, other) = (new_random_secret().unwrap(), new_random_secret().unwrap());
    store
        .put_admin_key(&AdminKey::new(
            "ann",
            Role::Viewer,
            1,
            hasher.keyed(&secret),
        ))
        .await
        .unwrap();
    let keys = store.admin_keys();
    assert_eq!(
        find_presented(&keys, &hasher, &secret).map(|key| key.role),
        Some(Role::Viewer)
    );
    assert!(find_presented(&keys, &hasher, &other).is_none());
    let deleted = store.change_admin_key("ann", |_| Ok::<_, StoreError>(None));
    deleted.await.unwrap();
    assert!(find_presented(&store.admin_keys(), &hasher, &secret).is_none());
}

async fn each_change_of_admin_keys_sees_the_changes_before_it(engine: TestEngine) {
    let store = Arc::new(engine.open().await);
    let key = |name: &str| {
        let hash = StoredSecret::Keyed("the hash".to_owned());
        AdminKey::new(name, Role::Operator, 1, hash)
    };
    let mut adding = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let (store, ann) = (Arc::clone(&store), key("ann"));
        adding.spawn(async move { store.put_first_admin_key(&ann).await.unwrap() });
    }
    let added = adding.join_all().await;
    assert_eq!(added.iter().filter(|is_first| **is_first).count(), 1);
    store.put_admin_key(&key("bob")).await.unwrap();
    let leave = |name: &'static str| {
        store.change_admin_key(name, |keys| match keys.len() {
            1 => Err(None::<StoreError>),
            _ => Ok(None),
        })
    };
    let (ann, bob) = tokio::join!(leave("ann"), leave("bob"));
    assert!(ann.is_ok() != bob.is_ok(), "{ann:?} {bob:?}");
    assert_eq!(store.admin_keys().len(), 1);
}

async fn daily_counts_of_a_day_and_the_day_before_survive_a_restart(engine: TestEngine) {
    let store = engine.open().await;
    let count = |access: &str, day, given| DailyCount {
        access: access.to_owned(),
        day,
        given,
    };
    for (access, day, calls) in [("a", 10, 3), ("b", 9, 1), ("c", 8, 1), ("a", 10, 2)] {
        let block = store.take_daily_block(access, day, (calls, 100)).await;
        assert_eq!(block.unwrap().calls, calls);
    }
    store.close().await;
    let store = engine.open().await;
    let mut kept = store.daily_counts(10).await.unwrap();
    kept.sort_by_key(|count| count.access.clone());
    assert_eq!(kept, [count("a", 10, 5), count("b", 9, 1)]);
    store.close().await;
    assert!(store.return_daily_calls(&kept).await.is_err());
}

async fn daily_blocks_never_exceed_the_daily_limit(engine: TestEngine) {
    let (store, other) = (engine.open().await, engine.open().await);
    let block = |day, calls, given| DailyBlock { day, calls, given };
    let take = async |store: &Store, day, calls| {
        let block = store.take_daily_block("a", day, (calls, 10)).await;
        block.unwrap()
    };
    assert_eq!(take(&store, 5, 4).await, block(5, 4, 4));
    assert_eq!(take(&other, 5, 4).await, block(5, 4, 8));
    assert_eq!(take(&store, 5, 4).await, block(5, 2, 10));
    assert_eq!(take(&other, 5, 4).await, block(5, 0, 10));
    let unused = |day, given| {
        [DailyCount {
            access: "a".to_owned(),
            day,
            given,
        }]
    };
    store.return_daily_calls(&unused(5, 3)).await.unwrap();
    store.return_daily_calls(&unused(4, 3)).await.unwrap();
    assert_eq!(take(&other, 5, 4).await, block(5, 3, 10));
    // Once the next day has begun, a slow clock does not return to the old day; a day that was far ahead is dropped.
    assert_eq!(take(&store, 6, 4).await, block(6, 4, 4));
    assert_eq!(take(&other, 5, 4).await, block(6, 4, 8));
    assert_eq!(take(&store, 900, 4).await, block(900, 4, 4));
    assert_eq!(take(&store, 6, 4).await, block(6, 4, 4));
    // If the limit is lowered, no calls are granted, and none are taken back.
    let lower = store.take_daily_block("a", 6, (4, 3)).await.unwrap();
    assert_eq!(lower, block(6, 0, 4));
}

async fn a_last_use_survives_a_restart_and_does_not_change_the_access(engine: TestEngine) {
    let store = engine.open().await;
    let version = put(&store, access("a", "u")).await.unwrap();
    let made = store.accesses().named("a").cloned().unwrap();
    assert_eq!(store.last_use(&made), None);
    let last = |at| LastUse {
        at,
        address: "192.0.2.1".parse().expect("an address"),
        way: "http".into(),
    };
    store.note_use(&made, last(1));
    store.note_use(&made, last(2));
    assert_eq!(store.last_use(&made), Some(last(2)));
    store.save_uses().await.unwrap();
    store.close().await;

    let store = engine.open().await;
    assert_eq!(store.last_use(&made), Some(last(2)));
    assert_eq!(store.accesses().named("a").unwrap().version, version);
    assert_eq!(store.changes("a", 10).await.unwrap().len(), 1);
    // An access that is created again under the same name, with its own client id, has no last use.
    let anew = Access {
        client_id: "cga_anew".to_owned(),
        ..access("a", "u")
    };
    put(&store, anew).await.unwrap();
    let anew = store.accesses().named("a").cloned().unwrap();
    assert_eq!(store.last_use(&anew), None);
    store.note_use(&anew, last(3));
    store.save_uses().await.unwrap();
    assert_eq!(store.last_use(&made), None);
    store.close().await;
    let store = engine.open().await;
    assert_eq!(
        (store.last_use(&anew), store.last_use(&made)),
        (Some(last(3)), None)
    );
}

async fn the_first_start_is_recorded_and_survives_a_restart(engine: TestEngine) {
    let store = engine.open().await;
    assert!(!store.has_started().await.unwrap());
    store
        .first_start(ChangeAuthor::new("first start", 7), &[])
        .await
        .unwrap();
    store
        .first_start(ChangeAuthor::new("first start", 8), &[])
        .await
        .unwrap();
    assert!(store.has_started().await.unwrap());
    store.close().await;
    assert!(engine.open().await.has_started().await.unwrap());
}

#[test]
fn an_access_is_live_from_not_before_until_just_before_expires() {
    let mut access = access("a", "u");
    access.not_before = Some(5);
    assert_eq!(
        [4, 5, 9, 10].map(|now| access.is_live(now)),
        [false, true, true, false]
    );
}

async fn an_unreadable_access_is_rejected_without_affecting_others(engine: TestEngine) {
    let store = engine.open().await;
    for name in ["a", "b"] {
        put(&store, access(name, name)).await.unwrap();
    }
    let known = store.accesses().named("a").cloned();
    store.close().await;
    let newer = "UPDATE accesses SET document = '{\"rule\":\"later\",' || substr(document, 2) WHERE name = 'a'";
    engine.execute(newer).await;
    let store = engine.open().await;
    assert_eq!(store.accesses().unreadable(), 1);
    let unreadable = store.accesses().of_user("a").cloned().unwrap();
    assert!(!unreadable.is_live(7) && unreadable.client_id == "cga_a");
    assert!(store.accesses().named("b").unwrap().is_live(7));
    let overwriting = put(&store, access("a", "a")).await.map(drop);
    let importing = store
        .put_accesses(ChangeAuthor::new("me", 7), &[access("a", "a")])
        .await;
    let deleting = store
        .change_access(ChangeAuthor::new("me", 7), "a", |_| Ok(None))
        .await;
    for refused in [overwriting, importing, deleting.map(drop)] {
        let refused = refused.unwrap_err();
        assert!(matches!(refused, ChangeError::Refused(_)), "{refused}");
    }
    put(&store, access("b", "renamed")).await.unwrap();
    store.close().await;
    let back = "UPDATE accesses SET document = replace(document, '\"rule\":\"later\",', '') WHERE name = 'a'";
    engine.execute(back).await;
    assert_eq!(engine.open().await.accesses().named("a").cloned(), known);
}

async fn an_admin_key_with_an_unknown_role_is_ignored_without_affecting_others(engine: TestEngine) {
    let store = engine.open().await;
    let key = |name: &str| {
        let hash = StoredSecret::Keyed(format!("hash of {name}"));
        AdminKey::new(name, Role::Operator, 1, hash)
    };
    store.put_admin_key(&key("ann")).await.unwrap();
    store.close().await;
    let newer = "INSERT INTO admin_keys (name, role, hash, created_at) VALUES ('auditor', 'auditor', 'h', 1)";
    engine.execute(newer).await;
    let store = engine.open().await;
    assert_eq!(*store.admin_keys(), [key("ann")]);
    // A change is judged by all keys.
    assert!(store.put_admin_key(&key("bob")).await.is_err());
}
