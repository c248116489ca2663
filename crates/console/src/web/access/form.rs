//! The form of an access: its values, and what is wrong with them when it is shown again.

use std::collections::BTreeMap;

use adapter::{Caching, PLATFORMS, cacheable};
use ipnet::IpNet;
use store::{Access, Channel, EVERYBODY, JournalLevel, ListedWord};

use crate::access::bounds::REPORTS;
use crate::access::draft::{AccessDraft, methods, ways};
use crate::problem::Problem;
use crate::web::fields::Fields;

/// The word for every platform, future ones included.
pub(crate) const ALL: &str = "all";

/// The word for no channel at all; an empty field means every channel.
pub(crate) const NONE: &str = "none";

/// The fields with boxes to tick.
const BOXES: [&str; 4] = ["ways", "methods", "platforms", "report"];

/// The fields with one box.
const SWITCHES: [&str; 3] = ["cache", "query_credentials", "full"];

/// The values of the form; a text that is absent is empty.
#[derive(Default)]
pub(crate) struct AccessForm {
    texts: BTreeMap<&'static str, String>,
    boxes: BTreeMap<&'static str, Vec<(&'static str, bool)>>,
    switches: BTreeMap<&'static str, bool>,
    /// The version that the form was made from.
    pub(crate) version: i64,
    /// What is wrong, by field.
    wrong: Vec<(&'static str, String)>,
    /// What is wrong with the whole.
    pub(crate) failed: Option<String>,
}

impl AccessForm {
    /// Makes the form of a new access: everything is allowed but networks, which have to be written.
    pub(crate) fn new() -> AccessForm {
        AccessForm {
            boxes: boxes(|field, word| match field {
                "platforms" => word == ALL,
                field => field != "report",
            }),
            switches: switches(|field| field != "full"),
            ..AccessForm::default()
        }
    }

    /// Makes the form of an access as it is.
    pub(crate) fn of(access: &Access) -> AccessForm {
        let limits = &access.limits;
        let has = |names: &[ListedWord], word: &str| names.iter().any(|name| name == word);
        let texts = [
            ("name", access.name.clone()),
            ("user", access.user.clone()),
            ("owner", access.owner.clone()),
            ("note", access.note.clone()),
            ("allow", allowed_text(&access.allow)),
            ("deny", lines(&access.deny)),
            ("rate", text(limits.per_minute.map(|rate| rate.per_minute))),
            ("per_day", text(limits.per_day)),
            (
                "per_destination",
                text(limits.per_destination.map(|rate| rate.per_minute)),
            ),
            ("concurrent", text(limits.concurrent)),
            ("not_before", time_text(access.not_before)),
            ("expires", time_text(access.expires)),
            ("channels", channels_text(access.channels.as_deref())),
        ];
        let own = |(operation, caching): (&_, &Caching)| {
            (caching.field, text(access.cache.own_s(operation)))
        };
        AccessForm {
            texts: texts.into_iter().chain(cacheable().map(own)).collect(),
            boxes: boxes(|field, word| match (field, &access.platforms) {
                ("ways", _) => has(&access.ways, word),
                ("methods", _) => has(&access.methods, word),
                ("platforms", None) => word == ALL,
                ("platforms", Some(platforms)) => has(platforms, word),
                _ if word == "networks" => access.report_networks,
                _ => limits.report,
            }),
            switches: switches(|field| match field {
                "cache" => access.cache.enabled,
                "full" => access.journal == JournalLevel::Full,
                _ => access.query_credentials,
            }),
            version: access.version,
            ..AccessForm::default()
        }
    }

    /// Makes the form again as it was sent, with what is wrong with it.
    pub(crate) fn again(fields: &Fields, problem: &Problem) -> AccessForm {
        let wrong = names().filter_map(|name| Some((name, problem.about(name)?.to_owned())));
        let wrong: Vec<_> = wrong.collect();
        AccessForm {
            failed: Some(if wrong.is_empty() {
                problem.detail().to_owned()
            } else {
                "Some fields are wrong.".to_owned()
            }),
            wrong,
            ..AccessForm::sent(fields)
        }
    }

    /// Makes the form as it was sent, so that no input is lost.
    pub(crate) fn sent(fields: &Fields) -> AccessForm {
        AccessForm {
            texts: names()
                .map(|name| (name, fields.raw(name).to_owned()))
                .collect(),
            boxes: boxes(|field, word| fields.all(field).any(|ticked| ticked == word)),
            switches: switches(|field| fields.has(field)),
            version: fields.get("version").parse().unwrap_or_default(),
            ..AccessForm::default()
        }
    }

    /// Returns the text of a field.
    pub(crate) fn text(&self, field: &str) -> &str {
        self.texts.get(field).map_or("", String::as_str)
    }

    /// Whether a field with a text stands in the form as a browser has sent it.
    pub(crate) fn shows(&self, field: &str, sent: &str) -> bool {
        let shown = self.texts.get(field);
        // Browsers send the ends of lines as CRLF.
        shown.is_some_and(|shown| *shown == sent.replace("\r\n", "\n"))
    }

    /// Returns the boxes of a field by word, and whether each is ticked.
    pub(crate) fn boxes(&self, field: &str) -> &[(&'static str, bool)] {
        self.boxes.get(field).map_or(&[], Vec::as_slice)
    }

    /// Whether the box of a field is ticked.
    pub(crate) fn is_ticked(&self, field: &str) -> bool {
        self.switches.get(field).copied().unwrap_or_default()
    }

    /// Returns what is wrong with a field.
    pub(crate) fn wrong(&self, field: &str) -> Option<&str> {
        let mut wrong = self.wrong.iter();
        wrong
            .find(|(name, _)| *name == field)
            .map(|(_, text)| text.as_str())
    }
}

fn boxes(
    is_ticked: impl Fn(&'static str, &str) -> bool,
) -> BTreeMap<&'static str, Vec<(&'static str, bool)>> {
    let field_boxes = |field| {
        let words: Vec<&'static str> = match field {
            "ways" => ways().into(),
            "methods" => methods().into(),
            "platforms" => [&[ALL], &PLATFORMS[..]].concat(),
            _ => REPORTS.into(),
        };
        let boxes = words.into_iter().map(|word| (word, is_ticked(field, word)));
        (field, boxes.collect())
    };
    BOXES.into_iter().map(field_boxes).collect()
}

fn switches(is_ticked: impl Fn(&'static str) -> bool) -> BTreeMap<&'static str, bool> {
    let switches = SWITCHES.into_iter();
    switches.map(|field| (field, is_ticked(field))).collect()
}

fn text(number: Option<impl ToString>) -> String {
    number.map_or_else(String::new, |number| number.to_string())
}

fn time_text(seconds: Option<i64>) -> String {
    text(seconds.and_then(|seconds| jiff::Timestamp::from_second(seconds).ok()))
}

fn lines(items: &[impl ToString]) -> String {
    let items: Vec<_> = items.iter().map(ToString::to_string).collect();
    items.join("\n")
}

fn allowed_text(networks: &[IpNet]) -> String {
    let everybody = networks.iter().map(ToString::to_string);
    if everybody.eq(EVERYBODY) {
        "any".to_owned()
    } else {
        lines(networks)
    }
}

fn channels_text(channels: Option<&[Channel]>) -> String {
    let line = |channel: &Channel| format!("{} {}", channel.platform, channel.platformid);
    match channels {
        None => String::new(),
        Some([]) => NONE.to_owned(),
        Some(channels) => lines(&channels.iter().map(line).collect::<Vec<_>>()),
    }
}

/// The fields of the lifetimes of cached answers, and their labels.
pub(crate) fn lifetimes() -> Vec<(&'static str, String)> {
    cacheable()
        .map(|(_, caching)| (caching.field, format!("Keep {}", caching.answers)))
        .collect()
}

/// The names of all fields with a text: those of a draft, and the lifetimes of its cache policy.
fn names() -> impl Iterator<Item = &'static str> {
    let lifetimes = cacheable().map(|(_, caching)| caching.field);
    AccessDraft::NAMES.iter().copied().chain(lifetimes)
}
