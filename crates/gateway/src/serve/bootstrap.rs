//! Performs the first start of a store: creates the accesses that the configuration seeds, or one demo access for this machine, and
//! the key of the first operator.

use std::fmt::Display;
use std::path::Path;

use adapter::{OPERATIONS, Way};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};
use store::{
    Access, AccessLimits, AdminKey, ChangeAuthor, ListedWord, Rate, Role, Secret, SecretHasher,
    Store, StoreError, StoredSecret, find_presented, new_client_id, new_random_secret,
};

use crate::config::{ADMIN_KEY_CHARACTERS_MIN, Config, SeedAccess};
use crate::serve::data_folder::{DataFolder, random_key, remove, write_private};
use crate::state::snapshot::Snapshot;

/// The demo access's name and user name.
pub(crate) const DEMO: &str = "demo";

/// The name of the first operator's key.
const FIRST_OPERATOR: &str = "first";

/// The credentials of the demo access, as stored in its file.
pub struct DemoCredentials {
    /// The user name.
    pub user: String,
    /// The password.
    pub password: String,
    /// The client id.
    pub client_id: String,
    /// The secret of the client id.
    pub client_secret: String,
}

impl DemoCredentials {
    /// Reads the credentials from a data folder.
    ///
    /// # Errors
    /// A line that names the file.
    pub fn read(data: &Path) -> Result<DemoCredentials, String> {
        let file = DataFolder::new(data).demo();
        let in_file = |error: &dyn Display| format!("{}: {error}", file.display());
        let text = std::fs::read_to_string(&file).map_err(|error| in_file(&error))?;
        let read: Value = serde_json::from_str(&text).map_err(|error| in_file(&error))?;
        let member = |name: &str| match read[name].as_str() {
            Some(text) => Ok(text.to_owned()),
            None => Err(in_file(&format!("there is no {name}"))),
        };
        Ok(DemoCredentials {
            user: member("user")?,
            password: member("password")?,
            client_id: member("client_id")?,
            client_secret: member("client_secret")?,
        })
    }

    fn to_json(&self) -> Value {
        json!({
            "user": self.user,
            "password": self.password,
            "client_id": self.client_id,
            "client_secret": self.client_secret,
        })
    }
}

/// Creates the accesses of a first start: the accesses that the configuration seeds, or else the demo access if it is wanted.
/// Returns the credentials of a newly created demo access. A later start creates nothing.
///
/// # Errors
/// One line that states what failed.
pub(crate) async fn first_start(
    store: &Store,
    hasher: &SecretHasher,
    config: &Config,
    data: &DataFolder,
) -> Result<Option<DemoCredentials>, String> {
    let text = |error: StoreError| error.to_string();
    if store.has_started().await.map_err(text)? {
        if store.accesses().is_empty() && !config.accesses.is_empty() {
            tracing::warn!(
                "the accesses of the configuration are ignored after the first start of a store; create others with chatgate \
                 access create"
            );
        }
        return Ok(None);
    }
    if let Some(unread) = config.unread_seeds.first() {
        return Err(format!("{unread}; the first start of a store needs it"));
    }
    if config.accesses.is_empty() && config.demo {
        return create_demo(store, hasher, data).await.map(Some);
    }
    let seeds = config.accesses.iter();
    let seeds: Result<Vec<_>, _> = seeds.map(|seed| seed_access(seed, hasher)).collect();
    write_first_start(store, &seeds?).await?;
    Ok(None)
}

async fn create_demo(
    store: &Store,
    hasher: &SecretHasher,
    data: &DataFolder,
) -> Result<DemoCredentials, String> {
    let secret = new_random_secret().map_err(|error| error.to_string())?;
    let access = demo_access(hasher, &secret)?;
    let demo = DemoCredentials {
        user: access.user.clone(),
        password: secret.expose_secret().to_owned(),
        client_id: access.client_id.clone(),
        client_secret: secret.expose_secret().to_owned(),
    };
    // The file is written first, because an access whose secret nobody knows would be useless and could not be created again.
    remove(&data.demo())?;
    write_private(&data.demo(), &format!("{:#}\n", demo.to_json()))?;
    write_first_start(store, &[access]).await?;
    Ok(demo)
}

/// Reads the key that hashes random secrets. In a new store, generates it.
///
/// # Errors
/// One line that states what failed.
pub(crate) async fn open_hasher(store: &Store) -> Result<SecretHasher, String> {
    let key = store.key("secrets", Snapshot::now(), random_key).await;
    Ok(SecretHasher::new(&key.map_err(|error| error.to_string())?))
}

/// Stores the key of the data folder as the first operator's key if the store has no admin keys. A store with keys gets no other
/// key, because that key would be useless, or would restore a key that an operator has deleted.
///
/// # Errors
/// One line that states what failed.
pub(crate) async fn ensure_first_operator(
    store: &Store,
    hasher: &SecretHasher,
    data: &DataFolder,
) -> Result<(), String> {
    let key_in_file = data.read_admin_key()?;
    let keys = store.admin_keys();
    let file = data.admin_key().display().to_string();
    let hint = "to make a new key, stop the gateway and run: chatgate admin-key reset";
    match key_in_file {
        Some(key) if keys.is_empty() => {
            if key.expose_secret().chars().count() < ADMIN_KEY_CHARACTERS_MIN {
                return Err(format!(
                    "{file}: the key is shorter than {ADMIN_KEY_CHARACTERS_MIN} characters; remove the file to have a key generated, or \
                     write a longer key into it, such as the output of `openssl rand -hex 32`"
                ));
            }
            put_first_operator(store, hasher, &key).await
        }
        None if keys.is_empty() => put_first_operator(store, hasher, &data.make_admin_key()?).await,
        Some(key) if find_presented(&keys, hasher, &key).is_some() => Ok(()),
        Some(_) => {
            tracing::warn!(
                file,
                hint,
                "the key in this file is not an admin key of the store"
            );
            Ok(())
        }
        None => {
            tracing::warn!(
                file,
                hint,
                "the file with the first operator's key is missing"
            );
            Ok(())
        }
    }
}

/// Stores the key of the configuration as the first operator's key if the store has no admin keys.
///
/// # Errors
/// One line that states what failed.
pub(crate) async fn put_given_operator(
    store: &Store,
    hasher: &SecretHasher,
    key: &SecretString,
) -> Result<(), String> {
    let first = AdminKey::new(
        FIRST_OPERATOR,
        Role::Operator,
        Snapshot::now(),
        hasher.keyed(key),
    );
    let put = store.put_first_admin_key(&first).await;
    let is_new = put.map_err(|error| error.to_string())?;
    if !is_new && find_presented(&store.admin_keys(), hasher, key).is_none() {
        tracing::warn!(
            "admin.key of the configuration has no effect, because the store already has other keys"
        );
    }
    Ok(())
}

/// Stores a key as the first operator's key and replaces the previous one.
///
/// # Errors
/// One line that states what failed.
pub(crate) async fn put_first_operator(
    store: &Store,
    hasher: &SecretHasher,
    key: &SecretString,
) -> Result<(), String> {
    let key = AdminKey::new(
        FIRST_OPERATOR,
        Role::Operator,
        Snapshot::now(),
        hasher.keyed(key),
    );
    store
        .put_admin_key(&key)
        .await
        .map_err(|error| error.to_string())
}

fn demo_access(hasher: &SecretHasher, secret: &SecretString) -> Result<Access, String> {
    let loopback = ["127.0.0.0/8", "::1/128"]
        .iter()
        .filter_map(|net| net.parse().ok());
    Ok(Access {
        allow: loopback.collect(),
        ..new_access(DEMO, DEMO, hasher.keyed(secret))?
    })
}

fn seed_access(seed: &SeedAccess, hasher: &SecretHasher) -> Result<Access, String> {
    let is_random = seed
        .password
        .expose_secret()
        .starts_with(store::RANDOM_SECRET_PREFIX);
    let hash = if is_random {
        Ok(hasher.keyed(&seed.password))
    } else {
        StoredSecret::argon2id(&seed.password)
    };
    let hash = hash.map_err(|error| format!("the access {}: {error}", seed.name))?;
    let per_minute = seed.per_minute.map(|per_minute| Rate { per_minute });
    Ok(Access {
        active: seed.active,
        allow: seed.allow.clone(),
        deny: seed.deny.clone(),
        ways: words(&seed.ways),
        methods: words(&seed.methods),
        limits: AccessLimits {
            per_minute,
            per_day: seed.per_day,
            ..AccessLimits::default()
        },
        journal: seed.journal,
        cache: seed.cache,
        ..new_access(&seed.name, &seed.user, hash)?
    })
}

fn words(texts: &[String]) -> Vec<ListedWord> {
    texts.iter().map(|text| text.as_str().into()).collect()
}

/// Creates an access that may use every way in and method, but may not call from any address yet.
fn new_access(name: &str, user: &str, hash: StoredSecret) -> Result<Access, String> {
    let client_id = new_client_id().map_err(|error| error.to_string())?;
    let methods = OPERATIONS.iter().map(|operation| operation.method.into());
    Ok(Access {
        secrets: vec![Secret {
            hash,
            created: Snapshot::now(),
        }],
        ways: Way::ALL.map(|way| way.name().into()).to_vec(),
        methods: methods.collect(),
        ..Access::new(name, user, &client_id)
    })
}

/// Records the first start in the store together with all of its accesses, or writes nothing.
async fn write_first_start(store: &Store, accesses: &[Access]) -> Result<(), String> {
    let begun = store.first_start(ChangeAuthor::new("first start", Snapshot::now()), accesses);
    begun.await.map_err(|error| error.to_string())
}
