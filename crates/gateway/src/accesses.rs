//! Who may call when the store is empty: the accesses that the configuration seeds, or one demo access for the machine itself.

use adapter::{OPERATIONS, Way};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use store::{Access, Rate, SecretHasher, Store, StoredSecret, new_client_id, new_random_secret};

use crate::config::{Config, SeedAccess};
use crate::data_folder::{DataFolder, write_private};

/// The demo access's name and user name.
pub(crate) const DEMO: &str = "demo";

/// The credentials of the demo access, as its file holds them.
#[derive(Serialize, Deserialize)]
pub(crate) struct Demo {
    pub(crate) user: String,
    pub(crate) password: String,
    pub(crate) client_id: String,
    pub(crate) client_secret: String,
}

/// Fills an empty store. Gives the demo access's credentials when it has just been made.
///
/// # Errors
/// One line that says what failed.
pub(crate) async fn fill_empty_store(
    store: &Store,
    hasher: &SecretHasher,
    config: &Config,
    data: &DataFolder,
) -> Result<Option<Demo>, String> {
    if !store.accesses().is_empty() {
        return Ok(None);
    }
    if !config.accesses.is_empty() {
        let seeded: Result<Vec<_>, _> = config
            .accesses
            .iter()
            .map(|seed| seeded(seed, hasher))
            .collect();
        let put = store.put_accesses(&seeded?).await;
        return put.map(|()| None).map_err(|error| error.to_string());
    }
    let secret = new_random_secret().map_err(|error| error.to_string())?;
    let access = demo(hasher, &secret)?;
    let demo = Demo {
        user: access.user.clone(),
        password: secret.expose_secret().to_owned(),
        client_id: access.client_id.clone(),
        client_secret: secret.expose_secret().to_owned(),
    };
    // The file first: an access whose secret nobody knows would be of no use and could not be made again.
    let text = serde_json::to_string_pretty(&demo).map_err(|error| error.to_string())?;
    let _ = std::fs::remove_file(data.demo());
    write_private(&data.demo(), &format!("{text}\n"))?;
    store
        .put_accesses(&[access])
        .await
        .map_err(|error| error.to_string())?;
    Ok(Some(demo))
}

fn demo(hasher: &SecretHasher, secret: &SecretString) -> Result<Access, String> {
    Ok(Access {
        name: DEMO.to_owned(),
        user: DEMO.to_owned(),
        client_id: new_client_id().map_err(|error| error.to_string())?,
        secrets: vec![hasher.keyed(secret)],
        active: true,
        not_before: None,
        expires: None,
        allow: ["127.0.0.0/8", "::1/128"]
            .iter()
            .filter_map(|net| net.parse().ok())
            .collect(),
        deny: Vec::new(),
        ways: Way::ALL.map(|way| way.name().to_owned()).to_vec(),
        methods: OPERATIONS
            .iter()
            .map(|operation| operation.method.to_owned())
            .collect(),
        platforms: None,
        channels: None,
        rate: None,
    })
}

fn seeded(seed: &SeedAccess, hasher: &SecretHasher) -> Result<Access, String> {
    let is_random = seed
        .password
        .expose_secret()
        .starts_with(store::RANDOM_SECRET_PREFIX);
    let secret = if is_random {
        Ok(hasher.keyed(&seed.password))
    } else {
        StoredSecret::argon2id(&seed.password)
    };
    Ok(Access {
        name: seed.name.clone(),
        user: seed.user.clone(),
        client_id: new_client_id().map_err(|error| error.to_string())?,
        secrets: vec![secret.map_err(|error| format!("the access {}: {error}", seed.name))?],
        active: seed.active,
        not_before: None,
        expires: None,
        allow: seed.allow.clone(),
        deny: seed.deny.clone(),
        ways: seed.ways.clone(),
        methods: seed.methods.clone(),
        platforms: None,
        channels: None,
        rate: seed.per_minute.map(|per_minute| Rate { per_minute }),
    })
}
