//! The form of an access: what stands in it, and what stands in it again when something is wrong.

use adapter::PLATFORMS;
use store::{Access, Channel, Rate};

use crate::access::bounds::REPORTS;
use crate::access::draft::{AccessDraft, methods, ways};
use crate::problem::Problem;
use crate::web::access::form_draft::{ALL, NONE};
use crate::web::fields::Fields;

/// The fields of the cache policy, which the form has one by one.
const LIFETIMES: [&str; 2] = ["getchatchannels_s", "getchats_s"];

/// The fields with a text.
#[derive(Default)]
pub(crate) struct AccessForm {
    pub(crate) name: String,
    pub(crate) user: String,
    pub(crate) owner: String,
    pub(crate) note: String,
    pub(crate) allow: String,
    pub(crate) deny: String,
    pub(crate) rate: String,
    pub(crate) per_day: String,
    pub(crate) per_destination: String,
    pub(crate) concurrent: String,
    pub(crate) not_before: String,
    pub(crate) expires: String,
    pub(crate) channels: String,
    pub(crate) getchatchannels_s: String,
    pub(crate) getchats_s: String,
    /// Name, and whether it is ticked.
    pub(crate) ways: Vec<(&'static str, bool)>,
    pub(crate) methods: Vec<(&'static str, bool)>,
    /// With [`ALL`] as the first.
    pub(crate) platforms: Vec<(&'static str, bool)>,
    pub(crate) report: Vec<(&'static str, bool)>,
    pub(crate) query_credentials: bool,
    pub(crate) is_cached: bool,
    pub(crate) is_full: bool,
    /// The version that the form was made from.
    pub(crate) version: i64,
    /// What is wrong, by field.
    wrong: Vec<(&'static str, String)>,
    /// What is wrong with the whole.
    pub(crate) failed: Option<String>,
}

impl AccessForm {
    /// For a new access: everything but networks, which have to be written.
    pub(crate) fn blank() -> AccessForm {
        AccessForm {
            ways: ticked(&ways(), |_| true),
            methods: ticked(&methods(), |_| true),
            platforms: ticked(&platforms(), |word| word == ALL),
            report: ticked(&REPORTS, |_| false),
            query_credentials: true,
            is_cached: true,
            ..AccessForm::default()
        }
    }

    /// For one that is there.
    pub(crate) fn of(access: &Access) -> AccessForm {
        let lines = |list: &[ipnet::IpNet]| {
            list.iter()
                .map(ToString::to_string)
                .collect::<Vec<_>>()
                .join("\n")
        };
        let rate =
            |rate: Option<Rate>| rate.map_or_else(String::new, |rate| rate.per_minute.to_string());
        let number = |number: Option<std::num::NonZeroU32>| {
            number.map_or_else(String::new, |n| n.to_string())
        };
        let everybody = ["0.0.0.0/0", "::/0"]
            .iter()
            .filter_map(|net| net.parse().ok())
            .collect::<Vec<_>>();
        let time = |at: Option<i64>| {
            at.and_then(|at| jiff::Timestamp::from_second(at).ok())
                .map_or_else(String::new, |at| at.to_string())
        };
        let seconds = |s: Option<u32>| s.map_or_else(String::new, |s| s.to_string());
        AccessForm {
            name: access.name.clone(),
            user: access.user.clone(),
            owner: access.owner.clone(),
            note: access.note.clone(),
            allow: if access.allow == everybody {
                "any".to_owned()
            } else {
                lines(&access.allow)
            },
            deny: lines(&access.deny),
            rate: rate(access.limits.per_minute),
            per_day: number(access.limits.per_day),
            per_destination: rate(access.limits.per_destination),
            concurrent: number(access.limits.concurrent),
            not_before: time(access.not_before),
            expires: time(access.expires),
            channels: channels_text(access.channels.as_deref()),
            getchatchannels_s: seconds(access.cache.getchatchannels_s),
            getchats_s: seconds(access.cache.getchats_s),
            platforms: ticked(&platforms(), |word| match &access.platforms {
                None => word == ALL,
                Some(listed) => listed.iter().any(|one| one == word),
            }),
            query_credentials: access.query_credentials,
            is_cached: access.cache.enabled,
            ways: ticked(&ways(), |way| access.ways.iter().any(|w| w == way)),
            methods: ticked(&methods(), |method| {
                access.methods.iter().any(|m| m == method)
            }),
            report: ticked(&REPORTS, |what| match what {
                "networks" => access.report_networks,
                _ => access.limits.report,
            }),
            is_full: access.journal == store::JournalLevel::Full,
            version: access.version,
            ..AccessForm::default()
        }
    }

    /// As it came back, with what is wrong with it.
    pub(crate) fn again(fields: &Fields, problem: &Problem) -> AccessForm {
        let names = AccessDraft::NAMES.iter().chain(&LIFETIMES);
        let wrong = names.filter_map(|name| Some((*name, problem.about(name)?.to_owned())));
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

    /// As it came, so that nothing that was typed is lost.
    pub(crate) fn sent(fields: &Fields) -> AccessForm {
        let text = |name| fields.get(name).to_owned();
        let has =
            |name: &'static str| move |word: &str| fields.all(name).any(|ticked| ticked == word);
        AccessForm {
            name: text("name"),
            user: text("user"),
            owner: text("owner"),
            note: text("note"),
            allow: text("allow"),
            deny: text("deny"),
            rate: text("rate"),
            per_day: text("per_day"),
            per_destination: text("per_destination"),
            concurrent: text("concurrent"),
            not_before: text("not_before"),
            expires: text("expires"),
            channels: text("channels"),
            getchatchannels_s: text("getchatchannels_s"),
            getchats_s: text("getchats_s"),
            platforms: ticked(&platforms(), has("platforms")),
            query_credentials: fields.has("query_credentials"),
            is_cached: fields.has("cache"),
            ways: ticked(&ways(), has("ways")),
            methods: ticked(&methods(), has("methods")),
            report: ticked(&REPORTS, has("report")),
            is_full: fields.has("full"),
            version: fields.get("version").parse().unwrap_or_default(),
            ..AccessForm::default()
        }
    }

    /// What is wrong with a field.
    pub(crate) fn wrong(&self, field: &str) -> Option<&str> {
        let mut wrong = self.wrong.iter();
        wrong
            .find(|(name, _)| *name == field)
            .map(|(_, text)| text.as_str())
    }
}

fn channels_text(channels: Option<&[Channel]>) -> String {
    match channels {
        None => String::new(),
        Some([]) => NONE.to_owned(),
        Some(channels) => {
            let lines = channels
                .iter()
                .map(|one| format!("{} {}", one.platform, one.platformid));
            lines.collect::<Vec<_>>().join("\n")
        }
    }
}

fn platforms() -> Vec<&'static str> {
    [&[ALL], &PLATFORMS[..]].concat()
}

fn ticked(words: &[&'static str], is_ticked: impl Fn(&str) -> bool) -> Vec<(&'static str, bool)> {
    words.iter().map(|word| (*word, is_ticked(word))).collect()
}
