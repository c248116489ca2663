//! Reads the settings of the store: a file of the data folder, or a PostgreSQL database that several replicas share.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use secrecy::SecretString;
use settings::{Reader, ValueKind, parse};
use store::{PostgresOptions, PostgresUrl, ReplicaOptions, SealKeys};

use super::parse_chatgate::bounded;

/// Number of connections with a fixed purpose: opens, closes and rows of the journal, heartbeat, notifications. The connections of
/// the sweeper, the clearing and an erasure are additional.
const OWN_CONNECTIONS: u32 = 5;

/// Minimum number of connections. It leaves one connection for lookups and operators.
const CONNECTIONS_MIN: u32 = OWN_CONNECTIONS + 1;

/// Maximum number of connections of one replica. More would come close to the database's own limit.
const CONNECTIONS_MAX: u32 = 100;

/// Minimum lease: three heartbeats and the safety margin that a replica subtracts.
const LEASE_MIN: Duration = Duration::from_secs(5);

/// Minimum length of the first operator's key, in characters. A person who has to invent such a key generates a random one instead.
pub(crate) const ADMIN_KEY_CHARACTERS_MIN: usize = 32;

/// Maximum length of a replica's name, in bytes.
const NAME_BYTES_MAX: usize = 64;

/// The settings that have no meaning for a store in a file.
const SHARED_KEYS: [&str; 12] = [
    "store.url",
    "store.direct_url",
    "store.seal",
    "store.connections",
    "store.durability",
    "store.migrate",
    "admin.key",
    "replicas.name",
    "replicas.lease",
    "replicas.cut_off",
    "replicas.stale_max",
    "replicas.ack_wait",
];

/// A store that replicas share.
#[derive(Clone, Debug)]
pub struct SharedStore {
    /// How the store is reached, and what other replicas see of this process.
    pub options: PostgresOptions,
    /// The key of the first operator, used if the database has no operator.
    pub admin_key: SecretString,
    /// Maximum age of the known accesses. With older data no caller is let in.
    pub stale_max: Duration,
    /// Hashes of its settings. Only a restart can change these settings.
    pub(super) pinned: SettingHashes,
}

/// Hashes of settings with their keys. They make the settings of two configurations comparable, including secrets.
#[derive(Clone, Debug, Default)]
pub(super) struct SettingHashes(Vec<(&'static str, u64)>);

impl SettingHashes {
    pub(super) fn note(&mut self, key: &'static str, value: impl Hash) {
        let mut hasher = DefaultHasher::new();
        value.hash(&mut hasher);
        self.0.push((key, hasher.finish()));
    }

    /// Returns the keys of the settings that differ in the other configuration.
    pub(super) fn changed(&self, other: &SettingHashes) -> impl Iterator<Item = &'static str> {
        let both = self.0.iter().zip(&other.0);
        both.filter_map(|(one, other)| (one != other).then_some(one.0))
    }
}

/// Reads the shared store. Returns `None` if the store is a file.
pub(super) fn shared_store(reader: &mut Reader<'_>) -> Option<SharedStore> {
    let kinds = [("sqlite", false), ("postgres", true)];
    let is_shared = reader.choice("store.kind", "sqlite", &kinds);
    let mut pinned = SettingHashes::default();
    let url = postgres_url(reader, "store.url", &mut pinned);
    let direct_url = postgres_url(reader, "store.direct_url", &mut pinned);
    let direct_url = direct_url.or_else(|| url.clone());
    let seal = seal(reader, &mut pinned);
    let admin_key = reader.secret("admin.key");
    if admin_key
        .as_ref()
        .is_some_and(|key| key.chars().count() < ADMIN_KEY_CHARACTERS_MIN)
    {
        let text = format!("it is shorter than {ADMIN_KEY_CHARACTERS_MIN} characters");
        reader.reject("admin.key", &text);
    }
    let connections = reader.value("store.connections", "8", ValueKind::Count(6), |text| {
        parse::count_within(text, CONNECTIONS_MIN..=CONNECTIONS_MAX)
    });
    let durabilities = [("local", false), ("replicated", true)];
    let is_replicated = reader.choice("store.durability", "local", &durabilities);
    let migrations = [("auto", true), ("check", false)];
    let migrates = reader.choice("store.migrate", "auto", &migrations);
    let (replica, stale_max) = replica(reader, &mut pinned);
    let pooled = connections.get() - OWN_CONNECTIONS;
    pinned.note("store.connections", pooled);
    pinned.note("store.durability", is_replicated);
    pinned.note("store.migrate", migrates);
    if !is_shared {
        reject_shared(reader);
        return None;
    }
    demand(reader);
    Some(SharedStore {
        options: PostgresOptions {
            url: url?,
            direct_url: direct_url?,
            connections: pooled as usize,
            seal: seal?,
            is_replicated,
            migrates,
            replica,
        },
        admin_key: admin_key?.into(),
        stale_max,
        pinned,
    })
}

/// Rejects settings that only a shared store uses, because an operator who sets one of them intends to have a shared store.
fn reject_shared(reader: &mut Reader<'_>) {
    for key in SHARED_KEYS {
        if reader.is_set(key) {
            reader.reject(
                key,
                "it applies only to a shared store; set store.kind = \"postgres\" too",
            );
        }
    }
}

/// Rejects a configuration without the settings that replicas must have in common.
fn demand(reader: &mut Reader<'_>) {
    for key in ["store.url", "store.seal", "admin.key"] {
        if !reader.is_set(key) {
            reader.reject(key, "store.kind = \"postgres\" requires it");
        }
    }
    if !reader.is_set("upstream.url") {
        let why =
            "replicas need a common upstream, and the embedded sandbox serves only one process";
        reader.reject("upstream.url", why);
    }
    if !reader.is_set("server.public_url") {
        let why = "replicas need a common public URL, because it is the issuer of their tokens";
        reader.reject("server.public_url", why);
    }
    if reader.optional_boolean("server.demo") == Some(true) {
        reader.reject(
            "server.demo",
            "the demo access is only for a gateway with its own store",
        );
    }
}

fn postgres_url(
    reader: &mut Reader<'_>,
    key: &'static str,
    pinned: &mut SettingHashes,
) -> Option<PostgresUrl> {
    let text = reader.secret(key);
    pinned.note(key, &text);
    match PostgresUrl::parse(&text?.into()) {
        Ok(url) => Some(url),
        Err(error) => {
            reader.reject(key, &error);
            None
        }
    }
}

/// Reads the current seal key, and after it an optional earlier seal key.
fn seal(reader: &mut Reader<'_>, pinned: &mut SettingHashes) -> Option<SealKeys> {
    let key = "store.seal";
    let text = reader.secret(key);
    pinned.note(key, &text);
    match SealKeys::parse(&text?) {
        Ok(keys) => Some(keys),
        Err(error) => {
            let text = format!("{error}; write 32 random bytes in base64: openssl rand -base64 32");
            reader.reject(key, &text);
            None
        }
    }
}

/// Reads what other replicas see of this process, and the maximum age of the data in its memory.
fn replica(reader: &mut Reader<'_>, pinned: &mut SettingHashes) -> (ReplicaOptions, Duration) {
    let name = reader.optional_text("replicas.name", |text| bounded(text, NAME_BYTES_MAX));
    let lease = reader.timeout("replicas.lease", "10s");
    if lease < LEASE_MIN {
        let text = format!("it is less than {}s", LEASE_MIN.as_secs());
        reader.reject("replicas.lease", &text);
    }
    let refuses = [("serve", false), ("refuse", true)];
    let refuses = reader.choice("replicas.cut_off", "serve", &refuses);
    let stale_max = reader.timeout("replicas.stale_max", "60s");
    if stale_max < lease {
        reader.reject("replicas.stale_max", "it is less than replicas.lease");
    }
    let replica = ReplicaOptions {
        name: name.unwrap_or_else(host_name),
        version: telemetry::VERSION.to_owned(),
        config: Vec::new(),
        lease,
        ack_wait: reader.duration("replicas.ack_wait", "2s"),
    };
    pinned.note("replicas.name", &replica.name);
    pinned.note("replicas.lease", lease);
    pinned.note("replicas.cut_off", refuses);
    pinned.note("replicas.stale_max", stale_max);
    pinned.note("replicas.ack_wait", replica.ack_wait);
    (replica, if refuses { lease } else { stale_max })
}

/// Returns the name of this machine.
fn host_name() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    bounded(name.trim(), NAME_BYTES_MAX).unwrap_or_else(|_| "chatgate".to_owned())
}
