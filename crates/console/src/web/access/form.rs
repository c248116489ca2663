//! The form of an access: its values, and the mistakes in them when the form is shown again.

use std::collections::BTreeMap;

use adapter::{Caching, PLATFORMS, cacheable};
use ipnet::IpNet;
use store::{Access, Channel, EVERYBODY, JournalLevel, ListedWord};

use crate::access::bounds::REPORTS;
use crate::access::draft::{AccessDraft, methods, ways};
use crate::problem::Problem;
use crate::web::fields::Fields;

/// The word for all platforms, including future ones.
pub(crate) const ALL: &str = "all";

/// The word for no channels. An empty field means every channel.
pub(crate) const NONE: &str = "none";

/// The fields with several check boxes.
const BOXES: [&str; 4] = ["ways", "methods", "platforms", "report"];

/// The fields with a single check box.
const SWITCHES: [&str; 3] = ["cache", "query_credentials", "full"];

/// The values of the form. An absent text is empty.
#[derive(Default)]
pub(crate) struct AccessForm {
    texts: BTreeMap<&'static str, String>,
    boxes: BTreeMap<&'static str, Vec<(&'static str, bool)>>,
    switches: BTreeMap<&'static str, bool>,
    /// The version of the access that the form was made from.
    pub(crate) version: i64,
    /// The mistakes, by field.
    wrong: Vec<(&'static str, String)>,
    /// The problem with the form as a whole.
    pub(crate) failed: Option<String>,
}

impl AccessForm {
    /// Makes the form of a new access. Everything is allowed except networks, which the operator has to write.
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

    /// Makes the form with the current values of an access.
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

    /// Makes the form with the values that were sent and the mistakes in them.
    pub(crate) fn resubmitted(fields: &Fields, problem: &Problem) -> AccessForm {
        let wrong = names().filter_map(|name| Some((name, problem.about(name)?.to_owned())));
        let wrong: Vec<_> = wrong.collect();
        AccessForm {
            failed: Some(if wrong.is_empty() {
                problem.detail().to_owned()
            } else {
                "Some fields have mistakes.".to_owned()
            }),
            wrong,
            ..AccessForm::sent(fields)
        }
    }

    /// Makes the form with the values that were sent, so that no input is lost.
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

    /// Returns whether a text field of this form equals the text that a browser sent.
    pub(crate) fn shows(&self, field: &str, sent: &str) -> bool {
        let shown = self.texts.get(field);
        // Browsers send line ends as CRLF.
        shown.is_some_and(|shown| *shown == sent.replace("\r\n", "\n"))
    }

    /// Returns the boxes of a field: each word, and whether its box is ticked.
    pub(crate) fn boxes(&self, field: &str) -> &[(&'static str, bool)] {
        self.boxes.get(field).map_or(&[], Vec::as_slice)
    }

    /// Returns whether the single box of a field is ticked.
    pub(crate) fn is_ticked(&self, field: &str) -> bool {
        self.switches.get(field).copied().unwrap_or_default()
    }

    /// Returns the mistake in a field.
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

/// Returns the fields for the lifetimes of cached answers, with their labels.
pub(crate) fn lifetimes() -> Vec<(&'static str, String)> {
    cacheable()
        .map(|(_, caching)| {
            (
                caching.field,
                format!("Cache lifetime of {}", caching.answers),
            )
        })
        .collect()
}

/// Returns the names of all text fields: the fields of a draft, and the lifetimes of its cache policy.
fn names() -> impl Iterator<Item = &'static str> {
    let lifetimes = cacheable().map(|(_, caching)| caching.field);
    AccessDraft::NAMES.iter().copied().chain(lifetimes)
}
