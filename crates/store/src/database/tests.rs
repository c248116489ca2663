//! What outlives the process, and what a change promises.

use super::*;
use crate::{
    AccessLimits, ChangeError, Role, Secret, SecretHasher, StoredSecret, new_random_secret,
    presented,
};

fn access(name: &str, user: &str) -> Access {
    let hash = StoredSecret::Keyed("the hash".to_owned());
    Access {
        name: name.to_owned(),
        version: 0,
        user: user.to_owned(),
        client_id: format!("cga_{name}"),
        owner: String::new(),
        note: String::new(),
        secrets: vec![Secret { hash, created: 1 }],
        active: true,
        not_before: None,
        expires: Some(10),
        allow: vec!["127.0.0.0/8".parse().expect("a network")],
        deny: Vec::new(),
        report_networks: false,
        ways: vec!["http".to_owned()],
        methods: vec!["getchats".to_owned()],
        platforms: None,
        channels: None,
        limits: AccessLimits::default(),
        cache: true,
        query_credentials: true,
    }
}

async fn open(folder: &tempfile::TempDir) -> Store {
    Store::open(&folder.path().join("chatgate.db"))
        .await
        .expect("the store opens")
}

async fn put(store: &Store, access: Access) -> Result<i64, ChangeError> {
    let name = access.name.clone();
    let changed = store
        .change_access(("me", 7), &name, |_| Ok(Some(access)))
        .await?;
    Ok(changed.map_or(0, |access| access.version))
}

#[tokio::test]
async fn accesses_and_keys_outlive_the_process_and_the_file_is_private() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder).await;
    put(&store, access("a", "u")).await.unwrap();
    let key = store.key("secrets", 1, || Ok(vec![1, 2, 3])).await.unwrap();
    store.close().await;

    let store = open(&folder).await;
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
    for entry in std::fs::read_dir(folder.path()).unwrap() {
        let permissions = entry.unwrap().metadata().unwrap().permissions();
        assert_eq!(
            std::os::unix::fs::PermissionsExt::mode(&permissions) & 0o077,
            0
        );
    }
}

#[tokio::test]
async fn a_user_belongs_to_one_access() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder).await;
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

#[tokio::test]
async fn versions_grow_over_deletion_and_changes_are_told_without_secrets() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder).await;
    let first = put(&store, access("a", "u")).await.unwrap();
    store
        .change_access(("you", 8), "a", |_| Ok(None))
        .await
        .unwrap();
    assert!(store.accesses().is_empty());
    let again = put(&store, access("a", "u")).await.unwrap();
    assert!(again > first + 1 && store.accesses().named("a").unwrap().version == again);
    let refused = store
        .change_access(("me", 9), "a", |_| Err(ChangeError::Stale))
        .await;
    assert!(matches!(refused, Err(ChangeError::Stale)));

    let changes = store.changes("a", 10).await.unwrap();
    let told: Vec<_> = changes
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
        told,
        [
            ("me", 7, false, true),
            ("you", 8, true, false),
            ("me", 7, false, true)
        ]
    );
    assert!(!format!("{changes:?}").contains("the hash"));
}

#[tokio::test]
async fn admin_keys_are_found_by_what_is_presented() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder).await;
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
        presented(&keys, &hasher, &secret).map(|key| key.role),
        Some(Role::Viewer)
    );
    assert!(presented(&keys, &hasher, &other).is_none());
    assert!(store.delete_admin_key("ann").await.unwrap());
    assert!(presented(&store.admin_keys(), &hasher, &secret).is_none());
}

#[test]
fn liveness_is_half_open() {
    let mut access = access("a", "u");
    access.not_before = Some(5);
    assert_eq!(
        [4, 5, 9, 10].map(|now| access.is_live(now)),
        [false, true, true, false]
    );
}
