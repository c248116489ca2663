//! An access: one caller, with all decisions about the caller in one place.

use std::num::NonZeroU32;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::object::{nullable_objects, object, objects};
use crate::{CachePolicy, ListedWord, StoredSecret};

/// Maximum number of secrets that one access has at the same time: the current secret and its replacement.
pub const SECRETS_MAX: usize = 2;

/// One caller and the caller's rights.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Access {
    /// The name in configuration, logs and metrics, and the subject of the access's tokens.
    pub name: String,
    /// Number of the last change. The number also increases when an access is deleted and created again, so that two states of one
    /// name never have the same version.
    #[serde(default)]
    pub version: i64,
    /// The user name that the caller presents.
    pub user: String,
    /// The client id that the caller presents at the token endpoint, `cga_…`.
    pub client_id: String,
    /// The owner; free text for people.
    #[serde(default)]
    pub owner: String,
    /// The purpose; free text for people.
    #[serde(default)]
    pub note: String,
    /// The secrets that prove the access, at most [`SECRETS_MAX`], oldest first.
    #[serde(deserialize_with = "objects")]
    pub secrets: Vec<Secret>,
    /// True if the access is switched on.
    pub active: bool,
    /// Calls before this time are rejected; seconds since 1970, UTC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_before: Option<i64>,
    /// Calls at or after this time are rejected; seconds since 1970, UTC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<i64>,
    /// Networks from which the access may call. An empty list allows no network.
    pub allow: Vec<IpNet>,
    /// Networks from which the access may not call; checked before `allow`.
    #[serde(default)]
    pub deny: Vec<IpNet>,
    /// True if the network lists only report: they reject no call, and the journal shows the calls that they would have rejected.
    #[serde(default)]
    pub report_networks: bool,
    /// The ways in that the access may use, by name.
    pub ways: Vec<ListedWord>,
    /// The methods that the access may call, by name.
    pub methods: Vec<ListedWord>,
    /// The platforms that the access may use; absent means all platforms.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platforms: Option<Vec<ListedWord>>,
    /// The channels that the access may use; absent means all channels.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "nullable_objects"
    )]
    pub channels: Option<Vec<Channel>>,
    /// The rate limits and the concurrency limit.
    #[serde(default, deserialize_with = "object")]
    pub limits: AccessLimits,
    /// Which of its reads may be answered from memory, and for how long.
    #[serde(default)]
    pub cache: CachePolicy,
    /// How much of each call the journal stores.
    #[serde(default)]
    pub journal: JournalLevel,
    /// True if the caller may present user and password in a URL.
    #[serde(default = "yes")]
    pub query_credentials: bool,
    /// The version in which our tokens of this access were last ended. A token names the value under which it was issued. The store
    /// sets this field, as it sets [`Access::version`].
    #[serde(default)]
    pub token_generation: i64,
    /// Tokens of outside issuers are invalid if they were issued in or before this second; seconds since 1970, UTC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokens_since: Option<i64>,
    /// True if this program can't read the rules of the access, because a newer version of the program has written them or they are
    /// damaged. Its calls are rejected, and this program does not change it. Never stored.
    #[serde(skip)]
    pub is_unreadable: bool,
}

fn yes() -> bool {
    true
}

/// A secret in its stored form, and its creation time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Secret {
    /// The stored form.
    pub hash: StoredSecret,
    /// The creation time; seconds since 1970, UTC.
    pub created: i64,
}

/// A channel of the chat API.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Channel {
    /// One of the four platforms.
    pub platform: String,
    /// The channel's id on that platform.
    pub platformid: String,
}

/// How much of a call the journal stores.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JournalLevel {
    /// The caller, the time, the address, the call and its outcome.
    #[default]
    Metadata,
    /// The metadata and the answer.
    Full,
}

impl JournalLevel {
    /// All levels.
    pub const ALL: [JournalLevel; 2] = [JournalLevel::Metadata, JournalLevel::Full];

    /// Returns the level's written name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            JournalLevel::Metadata => "metadata",
            JournalLevel::Full => "full",
        }
    }

    /// Returns the level with this name.
    #[must_use]
    pub fn named(name: &str) -> Option<JournalLevel> {
        JournalLevel::ALL
            .into_iter()
            .find(|level| level.name() == name)
    }
}

/// Limits for the calls of an access; an absent limit means no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AccessLimits {
    /// Calls per minute.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub per_minute: Option<Rate>,
    /// Calls per day, from midnight to midnight UTC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub per_day: Option<NonZeroU32>,
    /// Maximum number of calls at the same time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub concurrent: Option<NonZeroU32>,
    /// Sends per minute to one destination.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub per_destination: Option<Rate>,
    /// True if these limits only report: they reject no call, and the journal shows the calls that they would have rejected.
    #[serde(default)]
    pub report: bool,
}

/// A rate limit in calls per minute: GCRA with a burst of the same number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Rate {
    /// Calls per minute.
    pub per_minute: NonZeroU32,
}

impl Access {
    /// Makes an active access without secrets, networks, ways in and methods, so that nobody can use it yet.
    #[must_use]
    pub fn new(name: &str, user: &str, client_id: &str) -> Access {
        Access {
            name: name.to_owned(),
            version: 0,
            user: user.to_owned(),
            client_id: client_id.to_owned(),
            owner: String::new(),
            note: String::new(),
            secrets: Vec::new(),
            active: true,
            not_before: None,
            expires: None,
            allow: Vec::new(),
            deny: Vec::new(),
            report_networks: false,
            ways: Vec::new(),
            methods: Vec::new(),
            platforms: None,
            channels: None,
            limits: AccessLimits::default(),
            cache: CachePolicy::default(),
            journal: JournalLevel::default(),
            query_credentials: true,
            token_generation: 0,
            tokens_since: None,
            is_unreadable: false,
        }
    }

    /// Logs that the stored document of an access can't be read, and makes this access. It is suspended, because an unknown rule may
    /// restrict it. It keeps what proves its caller, as far as that can be read, so that the caller learns that the access is
    /// disabled and is not taken for somebody who guesses.
    pub(crate) fn unreadable(
        (name, user, client_id): (&str, &str, &str),
        document: &str,
        error: &dyn std::fmt::Display,
    ) -> Access {
        tracing::error!(access = name, %error, "this version can't read an access; it rejects the calls of the access");
        let known: Value = serde_json::from_str(document).unwrap_or_default();
        let number = |field: &str| known[field].as_i64();
        Access {
            version: number("version").unwrap_or_default(),
            secrets: serde_json::from_value(known["secrets"].clone()).unwrap_or_default(),
            active: false,
            token_generation: number("token_generation").unwrap_or_default(),
            tokens_since: number("tokens_since"),
            is_unreadable: true,
            ..Access::new(name, user, client_id)
        }
    }

    /// Returns whether the access is switched on and `now` is within its time; `now` in seconds since 1970, UTC.
    #[must_use]
    pub fn is_live(&self, now: i64) -> bool {
        self.active
            && self.not_before.is_none_or(|not_before| now >= not_before)
            && self.expires.is_none_or(|expires| now < expires)
    }

    /// Returns the same access with spare capacity released, because lists that were read or edited have spare capacity.
    pub(crate) fn fitted(mut self) -> Access {
        let words = [&mut self.ways, &mut self.methods];
        for words in words.into_iter().chain(&mut self.platforms) {
            words.shrink_to_fit();
        }
        self.secrets.shrink_to_fit();
        self.allow.shrink_to_fit();
        self.deny.shrink_to_fit();
        if let Some(channels) = &mut self.channels {
            channels.shrink_to_fit();
        }
        self
    }

    /// Returns the stored forms of the secrets.
    pub fn hashes(&self) -> impl Iterator<Item = &StoredSecret> {
        self.secrets.iter().map(|secret| &secret.hash)
    }

    /// Returns the access as a document without its secrets, of which it shows only kind and age, and without the fields that only
    /// the store uses.
    #[must_use]
    pub fn without_secrets(&self) -> Value {
        let mut document = serde_json::to_value(self).unwrap_or_default();
        if let Some(fields) = document.as_object_mut() {
            fields.remove("token_generation");
        }
        let secrets = self.secrets.iter().map(|secret| {
            let kind = match secret.hash {
                StoredSecret::Keyed(_) => "random",
                StoredSecret::Argon2id(_) => "chosen",
            };
            json!({"kind": kind, "created": secret.created})
        });
        document["secrets"] = secrets.collect();
        document
    }
}
