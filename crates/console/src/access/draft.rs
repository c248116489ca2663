//! The draft of an access as operators write it. The whole draft is checked, and all mistakes are reported together.

use std::collections::HashSet;
use std::num::NonZeroU32;
use std::ops::Deref;

use adapter::{OPERATIONS, PLATFORMS, USER_BYTES_MAX, Way};
use ipnet::IpNet;
use secrecy::SecretString;
use serde::{Deserialize, Deserializer};
use serde_json::{Value, json};
use store::{
    Access, CachePolicy, Channel, EVERYBODY, JournalLevel, ListedWord, Object, Rate,
    check_everybody, check_user, parse_access_network, parse_network,
};

use crate::access::bounds::{
    CHANNELS_MAX, ID_BYTES_MAX, NETWORKS_MAX, RATE_MAX, REPORTS, TEXT_BYTES_MAX,
};
use crate::access::field_schemas as schemas;
use crate::json_schema::{Properties, boolean, nullable, one_of, positive, some_of, text};
use crate::moment::{coming_s, coming_schema, rfc3339};
use crate::whole_numbers::make_whole;

/// The mistakes of a draft, as pairs of field and text.
pub(crate) type Mistakes = Vec<(String, String)>;

/// Declares the fields of a draft, one row each: name, type, JSON Schema, and the function that writes the value into an access.
macro_rules! draft_fields {
    ($($name:ident: $type:ty, $schema:expr, $write:expr;)*) => {
        /// The fields of a body. An absent field stays as it is, and `null` removes a bound.
        #[derive(Debug, Default, Deserialize)]
        #[serde(deny_unknown_fields)]
        pub(crate) struct AccessDraft {
            $(
                #[serde(default, deserialize_with = "present")]
                pub(crate) $name: Option<$type>,
            )*
        }

        impl AccessDraft {
            /// The names of the fields.
            pub(crate) const NAMES: &[&str] = &[$(stringify!($name)),*];

            /// Returns the JSON Schemas of the fields.
            pub(crate) fn schemas() -> Properties {
                let mut schemas = Properties::new();
                $(schemas.insert(stringify!($name).to_owned(), $schema);)*
                schemas
            }

            /// Writes every field that is present into the access.
            ///
            /// # Errors
            /// Returns every mistake, by field.
            pub(crate) fn apply(self, access: &mut Access) -> Result<(), Mistakes> {
                let mut mistakes = Mistakes::new();
                $(
                    let write: fn($type, &mut Access) -> Result<(), String> = $write;
                    let written = self.$name.map_or(Ok(()), |value| write(value, access));
                    mistakes.extend(written.err().map(|text| (stringify!($name).to_owned(), text)));
                )*
                if mistakes.is_empty() { Ok(()) } else { Err(mistakes) }
            }
        }
    };
}

draft_fields! {
    // A draft does not change name and secret, because they are set when the access is created.
    name: String, schemas::name(), |_, _| Ok(());
    password: SecretString, schemas::password(), |_, _| Ok(());
    password_hash: SecretString, schemas::phc(), |_, _| Ok(());
    user: String, schemas::user(),
        |user, access| if user == access.user { Ok(()) } else { set(&mut access.user, checked_user(user)) };
    owner: String, text(0, TEXT_BYTES_MAX),
        |owner, access| set(&mut access.owner, bounded(&owner, 0, TEXT_BYTES_MAX).map(|()| owner));
    note: String, text(0, TEXT_BYTES_MAX),
        |note, access| set(&mut access.note, bounded(&note, 0, TEXT_BYTES_MAX).map(|()| note));
    state: String, one_of(&["active", "suspended"]),
        |state, access| set(&mut access.active, is_active(&state));
    not_before: Option<String>, nullable(coming_schema()),
        |text, access| set(&mut access.not_before, seconds(text));
    expires: Option<String>, nullable(coming_schema()),
        |text, access| set(&mut access.expires, seconds(text));
    allow: Vec<String>, schemas::allowed(),
        |list, access| set(&mut access.allow, allowed_networks(&list));
    deny: Vec<String>, schemas::networks(&schemas::network()),
        |list, access| set(&mut access.deny, networks(&list, one_network));
    ways: Vec<String>, some_of(&ways()),
        |names, access| set(&mut access.ways, listed(&names, &ways()));
    methods: Vec<String>, some_of(&methods()),
        |names, access| set(&mut access.methods, listed(&names, &methods()));
    platforms: Option<Vec<String>>, nullable(some_of(&PLATFORMS)),
        |names, access| set(&mut access.platforms, names.map(|names| listed(&names, &PLATFORMS)).transpose());
    channels: Option<Vec<Object<Channel>>>, nullable(schemas::channels()),
        |list, access| set(&mut access.channels, list.map(unwrapped).transpose());
    rate: Option<Value>, schemas::rate("min"),
        |rate, access| set(&mut access.limits.per_minute, per_minute(rate));
    per_day: Option<Value>, schemas::rate("day"),
        |rate, access| set(&mut access.limits.per_day, per_day(rate));
    per_destination: Option<Value>, schemas::rate("min"),
        |rate, access| set(&mut access.limits.per_destination, per_minute(rate));
    concurrent: Option<NonZeroU32>, nullable(positive()),
        |most, access| set(&mut access.limits.concurrent, Ok(most));
    cache: CachePolicy, json!({"anyOf": [boolean(), schemas::cache_policy("")]}),
        |policy, access| set(&mut access.cache, policy.check().map(|()| policy));
    journal: String, one_of(&JournalLevel::ALL.map(JournalLevel::name)),
        |name, access| set(&mut access.journal, JournalLevel::named(&name).ok_or("write metadata or full".to_owned()));
    query_credentials: bool, boolean(),
        |is_allowed, access| set(&mut access.query_credentials, Ok(is_allowed));
    report: Vec<String>, some_of(&REPORTS),
        |names, access| {
            let names = listed(&names, &REPORTS)?;
            let has = |name: &str| names.iter().any(|n| n == name);
            (access.report_networks, access.limits.report) = (has("networks"), has("limits"));
            Ok(())
        };
}

/// Reads a field that is present. `null` is then read like any other value, and may be a mistake.
pub(crate) fn present<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

/// Stores a value that was read without a mistake, or returns the mistake.
fn set<T>(field: &mut T, value: Result<T, String>) -> Result<(), String> {
    *field = value?;
    Ok(())
}

pub(crate) fn ways() -> [&'static str; Way::ALL.len()] {
    Way::ALL.map(Way::name)
}

pub(crate) fn methods() -> [&'static str; OPERATIONS.len()] {
    OPERATIONS.each_ref().map(|operation| operation.method)
}

/// Checks whether a text has a length within these bounds and can be presented in a call.
pub(crate) fn bounded(text: &str, characters_min: usize, bytes_max: usize) -> Result<(), String> {
    if adapter::has_forbidden_character(text, false) {
        return Err("it contains a control character".to_owned());
    }
    if text.chars().count() >= characters_min && text.len() <= bytes_max {
        Ok(())
    } else {
        let least = if characters_min == 0 {
            ""
        } else {
            "something, but "
        };
        Err(format!("write {least}at most {bytes_max} bytes"))
    }
}

fn checked_user(user: String) -> Result<String, String> {
    bounded(&user, 1, USER_BYTES_MAX)?;
    check_user(&user)?;
    Ok(user)
}

fn is_active(state: &str) -> Result<bool, String> {
    match state {
        "active" => Ok(true),
        "suspended" => Ok(false),
        _ => Err("write active or suspended".to_owned()),
    }
}

fn unwrapped(list: Vec<Object<Channel>>) -> Result<Vec<Channel>, String> {
    channels(list.into_iter().map(|Object(channel)| channel).collect())
}

pub(crate) fn channels(channels: Vec<Channel>) -> Result<Vec<Channel>, String> {
    if channels.len() > CHANNELS_MAX {
        return Err(format!("at most {CHANNELS_MAX} channels"));
    }
    for channel in &channels {
        listed(std::slice::from_ref(&channel.platform), &PLATFORMS)?;
        bounded(&channel.platformid, 1, ID_BYTES_MAX)?;
    }
    Ok(channels)
}

/// Reads an absolute time. `apply_at` has already replaced a relative time by an absolute one.
fn seconds(text: Option<String>) -> Result<Option<i64>, String> {
    text.map(|text| coming_s(&text, 0)).transpose()
}

impl AccessDraft {
    /// Writes every field that is present into the access. A relative time counts from `now`, in seconds since 1970, UTC.
    ///
    /// # Errors
    /// Returns every mistake, by field.
    pub(crate) fn apply_at(mut self, now: i64, access: &mut Access) -> Result<(), Mistakes> {
        let sets_time = self.not_before.is_some() || self.expires.is_some();
        for text in [&mut self.not_before, &mut self.expires] {
            if let Some(Some(text)) = text
                && let Ok(seconds) = coming_s(text, now)
            {
                *text = rfc3339(seconds);
            }
        }
        self.apply(access)?;
        match (access.not_before, access.expires) {
            (Some(begin), Some(end)) if sets_time && begin >= end => {
                let text = format!("it must be later than not_before, {}", rfc3339(begin));
                Err(vec![("expires".to_owned(), text)])
            }
            _ => Ok(()),
        }
    }
}

/// Reads one network. `any` is a mistake here.
pub(crate) fn one_network(text: &str) -> Result<Vec<IpNet>, String> {
    parse_network(text).map(|network| vec![network])
}

/// Reads the networks that an access is admitted from. Everybody is written as `any`, or as the two networks of all IPv4 and all
/// IPv6 addresses. Answers use the two networks, so that a client can write back what it read.
pub(crate) fn allowed_networks(texts: &[String]) -> Result<Vec<IpNet>, String> {
    let is_listed = |network: &&str| texts.iter().any(|text| text == network);
    let everybody = EVERYBODY.iter().all(is_listed);
    let parse = |text: &str| match everybody && EVERYBODY.contains(&text) {
        true => one_network(text),
        false => parse_access_network(text),
    };
    let mut seen = HashSet::new();
    let networks = networks(texts, parse)?;
    check_everybody(&networks)?;
    let networks = networks.into_iter();
    Ok(networks.filter(|network| seen.insert(*network)).collect())
}

pub(crate) fn networks(
    texts: &[String],
    parse: impl Fn(&str) -> Result<Vec<IpNet>, String>,
) -> Result<Vec<IpNet>, String> {
    if texts.len() > NETWORKS_MAX {
        return Err(format!("at most {NETWORKS_MAX} networks"));
    }
    let parsed: Result<Vec<_>, _> = texts.iter().map(|text| parse(text)).collect();
    parsed.map(|lists| lists.into_iter().flatten().collect())
}

pub(crate) fn listed<T: Deref<Target = str>>(
    names: &[T],
    known: &[&str],
) -> Result<Vec<ListedWord>, String> {
    match names.iter().find(|name| !known.contains(&&***name)) {
        Some(unknown) => Err(format!("{} is not one of {}", &**unknown, known.join(", "))),
        None => Ok(names.iter().map(|name| ListedWord::from(&**name)).collect()),
    }
}

/// Reads `60/min`, `60`, or `null` for no limit.
fn per_minute(written: Option<Value>) -> Result<Option<Rate>, String> {
    let expected = "a number of calls per minute, such as 60/min";
    let calls = calls(written, "/min", expected)?;
    Ok(calls.map(|per_minute| Rate { per_minute }))
}

/// Reads `1000/day`, `1000`, or `null` for no limit.
fn per_day(written: Option<Value>) -> Result<Option<NonZeroU32>, String> {
    let expected = "a number of calls per day, such as 1000/day";
    calls(written, "/day", expected)
}

fn calls(written: Option<Value>, unit: &str, expected: &str) -> Result<Option<NonZeroU32>, String> {
    let Some(mut written) = written else {
        return Ok(None);
    };
    make_whole(&mut written);
    let text = written
        .as_str()
        .map_or_else(|| written.to_string(), str::to_owned);
    let number = text.strip_suffix(unit).unwrap_or(&text);
    let plain = number.bytes().all(|b| b.is_ascii_digit()) && !number.starts_with('0');
    match number.parse::<NonZeroU32>() {
        Ok(number) if plain && number.get() <= RATE_MAX => Ok(Some(number)),
        _ => Err(format!("{text} is not a rate; write {expected}")),
    }
}
