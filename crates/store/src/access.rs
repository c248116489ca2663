//! An access: one caller, and everything that is decided about them in one place.

use std::num::NonZeroU32;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::object::{nullable_objects, object, objects};
use crate::{CachePolicy, ListedWord, StoredSecret};

/// Most secrets of one access at once: the one in use and the one that replaces it.
pub const SECRETS_MAX: usize = 2;

/// One caller and what they may.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Access {
    /// Its name in configuration, logs and metrics, and the subject of its tokens.
    pub name: String,
    /// How often it has been changed; counts up over deletion and creation alike, so that no two states of a name are
    /// ever confused.
    #[serde(default)]
    pub version: i64,
    /// The user name that it presents.
    pub user: String,
    /// The client id that it presents at the token endpoint, `cga_…`.
    pub client_id: String,
    /// Whose it is; free text for people.
    #[serde(default)]
    pub owner: String,
    /// What it is for; free text for people.
    #[serde(default)]
    pub note: String,
    /// The secrets that prove it, at most [`SECRETS_MAX`], oldest first.
    #[serde(deserialize_with = "objects")]
    pub secrets: Vec<Secret>,
    /// Whether it is switched on.
    pub active: bool,
    /// Before this time it is refused; seconds since 1970, UTC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_before: Option<i64>,
    /// From this time on it is refused; seconds since 1970, UTC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<i64>,
    /// Networks that it may call from. None listed means none allowed.
    pub allow: Vec<IpNet>,
    /// Networks that it may not call from, asked before `allow`.
    #[serde(default)]
    pub deny: Vec<IpNet>,
    /// Whether its networks refuse no call, and the journal shows which ones they would have refused.
    #[serde(default)]
    pub report_networks: bool,
    /// The ways in that it may use, by name.
    pub ways: Vec<ListedWord>,
    /// The methods that it may call, by name.
    pub methods: Vec<ListedWord>,
    /// The platforms that it may use; absent means all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platforms: Option<Vec<ListedWord>>,
    /// The channels that it may use; absent means all.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "nullable_objects"
    )]
    pub channels: Option<Vec<Channel>>,
    /// How often it may call.
    #[serde(default, deserialize_with = "object")]
    pub limits: AccessLimits,
    /// Whether its reads may be answered from memory, and for how long.
    #[serde(default)]
    pub cache: CachePolicy,
    /// How much of its calls the journal keeps.
    #[serde(default)]
    pub journal: JournalLevel,
    /// Whether it may stand with user and password in a URL.
    #[serde(default = "yes")]
    pub query_credentials: bool,
    /// The version with which its tokens of ours ended last: a token names the one under which it was issued. The store
    /// sets it, as it does [`Access::version`].
    #[serde(default)]
    pub token_generation: i64,
    /// Tokens of outside issuers end that were issued in this second or before; seconds since 1970, UTC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokens_since: Option<i64>,
}

fn yes() -> bool {
    true
}

/// A secret as it is kept, and since when.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Secret {
    /// Its stored form.
    pub hash: StoredSecret,
    /// When it was made; seconds since 1970, UTC.
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

/// How much of a call the journal keeps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JournalLevel {
    /// Who, when, from where, what and how it ended.
    #[default]
    Metadata,
    /// Besides that, what was answered.
    Full,
}

impl JournalLevel {
    /// All of them.
    pub const ALL: [JournalLevel; 2] = [JournalLevel::Metadata, JournalLevel::Full];

    /// As it is written.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            JournalLevel::Metadata => "metadata",
            JournalLevel::Full => "full",
        }
    }

    /// The level with this name.
    #[must_use]
    pub fn named(name: &str) -> Option<JournalLevel> {
        JournalLevel::ALL
            .into_iter()
            .find(|level| level.name() == name)
    }
}

/// How often an access may call; absent means as often as it likes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AccessLimits {
    /// Calls per minute.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub per_minute: Option<Rate>,
    /// Calls per day, from midnight to midnight UTC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub per_day: Option<NonZeroU32>,
    /// Calls at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub concurrent: Option<NonZeroU32>,
    /// Sends per minute to one destination.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub per_destination: Option<Rate>,
    /// Whether these limits refuse no call, and the journal shows which ones they would have refused.
    #[serde(default)]
    pub report: bool,
}

/// Calls per minute, as GCRA with a burst of the same number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Rate {
    /// Calls per minute.
    pub per_minute: NonZeroU32,
}

impl Access {
    /// An active access without secrets, networks, ways and methods: nobody can use it yet.
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
        }
    }

    /// Whether it is switched on and within its time; `now` in seconds since 1970, UTC.
    #[must_use]
    pub fn is_live(&self, now: i64) -> bool {
        self.active
            && self.not_before.is_none_or(|not_before| now >= not_before)
            && self.expires.is_none_or(|expires| now < expires)
    }

    /// The same in as little memory as it takes: lists that were read or edited have room for more.
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

    /// The stored forms of its secrets.
    pub fn hashes(&self) -> impl Iterator<Item = &StoredSecret> {
        self.secrets.iter().map(|secret| &secret.hash)
    }

    /// Everything about it except its secrets, of which only kind and age are shown, and what only the store has a use for.
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
