//! An access as operators write it: checked whole, every mistake told at once.

use std::num::NonZeroU32;

use crate::whole_numbers::make_whole;
use adapter::{OPERATIONS, USER_BYTES_MAX, Way};
use ipnet::IpNet;
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use store::{
    Access, CachePolicy, Channel, JournalLevel, Object, Rate, parse_access_network, parse_network,
};

/// Longest owner and note, in bytes.
pub(crate) const TEXT_BYTES_MAX: usize = 1024;

/// Most networks in one list: each request walks it.
pub(crate) const NETWORKS_MAX: usize = 1000;

/// Most channels, likewise.
pub(crate) const CHANNELS_MAX: usize = 1000;

/// Longest id of a channel, in bytes, as in a call.
pub(crate) const ID_BYTES_MAX: usize = adapter::ParameterKind::Id.bytes_max();

/// Highest rate, in calls per minute or day: nine digits, more than any machine answers.
pub(crate) const RATE_MAX: u32 = 999_999_999;

/// What can be set to report only.
pub(crate) const REPORTS: [&str; 2] = ["networks", "limits"];

/// The fields of a body; absent ones stay as they are, `null` takes a bound away.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct AccessDraft {
    #[serde(default, deserialize_with = "present")]
    pub(crate) name: Option<String>,
    #[serde(default, deserialize_with = "present")]
    pub(crate) user: Option<String>,
    #[serde(default, deserialize_with = "present")]
    pub(crate) password: Option<secrecy::SecretString>,
    #[serde(default, deserialize_with = "present")]
    pub(crate) password_hash: Option<secrecy::SecretString>,
    #[serde(default, deserialize_with = "present")]
    owner: Option<String>,
    #[serde(default, deserialize_with = "present")]
    note: Option<String>,
    #[serde(default, deserialize_with = "present")]
    state: Option<String>,
    #[serde(default, deserialize_with = "nullable")]
    not_before: Option<Option<String>>,
    #[serde(default, deserialize_with = "nullable")]
    expires: Option<Option<String>>,
    #[serde(default, deserialize_with = "present")]
    allow: Option<Vec<String>>,
    #[serde(default, deserialize_with = "present")]
    deny: Option<Vec<String>>,
    #[serde(default, deserialize_with = "present")]
    ways: Option<Vec<String>>,
    #[serde(default, deserialize_with = "present")]
    methods: Option<Vec<String>>,
    #[serde(default, deserialize_with = "nullable")]
    platforms: Option<Option<Vec<String>>>,
    #[serde(default, deserialize_with = "nullable")]
    channels: Option<Option<Vec<Object<Channel>>>>,
    #[serde(default, deserialize_with = "nullable")]
    rate: Option<Option<Value>>,
    #[serde(default, deserialize_with = "nullable")]
    per_day: Option<Option<Value>>,
    #[serde(default, deserialize_with = "nullable")]
    per_destination: Option<Option<Value>>,
    #[serde(default, deserialize_with = "nullable")]
    concurrent: Option<Option<NonZeroU32>>,
    #[serde(default, deserialize_with = "present")]
    report: Option<Vec<String>>,
    #[serde(default, deserialize_with = "present")]
    cache: Option<CachePolicy>,
    #[serde(default, deserialize_with = "present")]
    journal: Option<String>,
    #[serde(default, deserialize_with = "present")]
    query_credentials: Option<bool>,
}

/// A field that is there has a value: `null` where nothing can be taken away is a mistake, not absence.
pub(crate) fn present<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
    d: D,
) -> Result<Option<T>, D::Error> {
    T::deserialize(d).map(Some)
}

/// Keeps `null` apart from absence.
fn nullable<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
    d: D,
) -> Result<Option<Option<T>>, D::Error> {
    Option::<T>::deserialize(d).map(Some)
}

type Mistakes = Vec<(String, String)>;

impl AccessDraft {
    /// Writes every field that is there into the access.
    ///
    /// # Errors
    /// Every mistake, by field.
    #[expect(clippy::too_many_lines, reason = "a line a field")]
    pub(crate) fn apply(self, access: &mut Access) -> Result<(), Mistakes> {
        let mut mistakes = Mistakes::new();
        let wrong = &mut mistakes;
        take(wrong, "user", self.user, &mut access.user, |user| {
            bounded(&user, 1, USER_BYTES_MAX).map(|()| user)
        });
        take(wrong, "owner", self.owner, &mut access.owner, |text| {
            bounded(&text, 0, TEXT_BYTES_MAX).map(|()| text)
        });
        take(wrong, "note", self.note, &mut access.note, |text| {
            bounded(&text, 0, TEXT_BYTES_MAX).map(|()| text)
        });
        take(
            wrong,
            "state",
            self.state,
            &mut access.active,
            |state| match state.as_str() {
                "active" => Ok(true),
                "suspended" => Ok(false),
                _ => Err("write active or suspended".to_owned()),
            },
        );
        take(
            wrong,
            "not_before",
            self.not_before,
            &mut access.not_before,
            time,
        );
        take(wrong, "expires", self.expires, &mut access.expires, time);
        take(wrong, "allow", self.allow, &mut access.allow, |nets| {
            networks(&nets, parse_access_network)
        });
        let one = |text: &str| parse_network(text).map(|network| vec![network]);
        take(wrong, "deny", self.deny, &mut access.deny, |nets| {
            networks(&nets, one)
        });
        let ways = Way::ALL.map(Way::name);
        take(wrong, "ways", self.ways, &mut access.ways, |names| {
            listed(names, &ways)
        });
        let methods = OPERATIONS.each_ref().map(|operation| operation.method);
        take(
            wrong,
            "methods",
            self.methods,
            &mut access.methods,
            |names| listed(names, &methods),
        );
        let platforms = adapter::PLATFORMS;
        take(
            wrong,
            "platforms",
            self.platforms,
            &mut access.platforms,
            |names| names.map(|names| listed(names, &platforms)).transpose(),
        );
        take(
            wrong,
            "channels",
            self.channels,
            &mut access.channels,
            |list| {
                let unwrapped =
                    |list: Vec<Object<Channel>>| list.into_iter().map(|Object(one)| one).collect();
                list.map(unwrapped).map(channels).transpose()
            },
        );
        let limits = &mut access.limits;
        take(wrong, "rate", self.rate, &mut limits.per_minute, rate);
        take(wrong, "per_day", self.per_day, &mut limits.per_day, per_day);
        take(
            wrong,
            "per_destination",
            self.per_destination,
            &mut limits.per_destination,
            rate,
        );
        take(
            wrong,
            "concurrent",
            self.concurrent,
            &mut limits.concurrent,
            Ok,
        );
        take(wrong, "cache", self.cache, &mut access.cache, |policy| {
            policy.check().map(|()| policy)
        });
        take(
            wrong,
            "journal",
            self.journal,
            &mut access.journal,
            |name| JournalLevel::named(&name).ok_or("write metadata or full".to_owned()),
        );
        take(
            wrong,
            "query_credentials",
            self.query_credentials,
            &mut access.query_credentials,
            Ok,
        );
        let mut report = (access.report_networks, access.limits.report);
        take(wrong, "report", self.report, &mut report, |names| {
            let names = listed(names, &REPORTS)?;
            let has = |name: &str| names.iter().any(|n| n == name);
            Ok((has("networks"), has("limits")))
        });
        (access.report_networks, access.limits.report) = report;
        if mistakes.is_empty() {
            Ok(())
        } else {
            Err(mistakes)
        }
    }
}

/// Writes a field that is there and right; notes one that is wrong.
fn take<T, U>(
    mistakes: &mut Mistakes,
    field: &str,
    given: Option<T>,
    place: &mut U,
    parse: impl FnOnce(T) -> Result<U, String>,
) {
    match given.map(parse) {
        None => {}
        Some(Ok(value)) => *place = value,
        Some(Err(text)) => mistakes.push((field.to_owned(), text)),
    }
}

/// Whether a text is that long and can be presented in a call.
pub(crate) fn bounded(text: &str, characters_min: usize, bytes_max: usize) -> Result<(), String> {
    if adapter::has_forbidden_character(text, false) {
        return Err("it holds a control character".to_owned());
    }
    if text.chars().count() >= characters_min && text.len() <= bytes_max {
        Ok(())
    } else {
        let least = match characters_min {
            0 => String::new(),
            1 => "something, and ".to_owned(),
            least => format!("at least {least} characters, and "),
        };
        Err(format!("write {least}at most {bytes_max} bytes"))
    }
}

pub(crate) fn channels(channels: Vec<Channel>) -> Result<Vec<Channel>, String> {
    if channels.len() > CHANNELS_MAX {
        return Err(format!("at most {CHANNELS_MAX} channels"));
    }
    for channel in &channels {
        listed(vec![channel.platform.clone()], &adapter::PLATFORMS)?;
        bounded(&channel.platformid, 1, ID_BYTES_MAX)?;
    }
    Ok(channels)
}

fn time(text: Option<String>) -> Result<Option<i64>, String> {
    let Some(text) = text else { return Ok(None) };
    let time: jiff::Timestamp = text
        .parse()
        .map_err(|_| format!("{text} is no time; write one as 2026-01-31T12:00:00Z"))?;
    Ok(Some(time.as_second()))
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

pub(crate) fn listed(names: Vec<String>, known: &[&str]) -> Result<Vec<String>, String> {
    match names.iter().find(|name| !known.contains(&name.as_str())) {
        Some(unknown) => Err(format!("{unknown} is none of {}", known.join(", "))),
        None => Ok(names),
    }
}

/// `60/min`, `60`, or `null` for as often as it likes.
fn rate(written: Option<Value>) -> Result<Option<Rate>, String> {
    let written = calls(
        written,
        "/min",
        "a number of calls per minute, such as 60/min",
    );
    Ok(written?.map(|per_minute| Rate { per_minute }))
}

/// `1000/day`, `1000`, or `null` for as often as it likes.
fn per_day(written: Option<Value>) -> Result<Option<NonZeroU32>, String> {
    calls(
        written,
        "/day",
        "a number of calls per day, such as 1000/day",
    )
}

fn calls(written: Option<Value>, unit: &str, wanted: &str) -> Result<Option<NonZeroU32>, String> {
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
        _ => Err(format!("{text} is no rate; write {wanted}")),
    }
}
