//! The form of an access: what stands in it, and what it says when it comes back.

use adapter::{OPERATIONS, Way};
use serde_json::{Value, json};
use store::{Access, Rate};

use super::fields::Fields;
use crate::draft::Draft;
use crate::problem::Problem;

/// The fields with a text.
#[derive(Default)]
pub(super) struct Form {
    pub(super) name: String,
    pub(super) user: String,
    pub(super) owner: String,
    pub(super) note: String,
    pub(super) allow: String,
    pub(super) deny: String,
    pub(super) rate: String,
    pub(super) per_day: String,
    pub(super) per_destination: String,
    pub(super) concurrent: String,
    pub(super) expires: String,
    /// Name, and whether it is ticked.
    pub(super) ways: Vec<(&'static str, bool)>,
    pub(super) methods: Vec<(&'static str, bool)>,
    pub(super) report: Vec<(&'static str, bool)>,
    pub(super) is_full: bool,
    /// The version that the form was made from.
    pub(super) version: i64,
    /// What is wrong, by field.
    wrong: Vec<(&'static str, String)>,
    /// What is wrong with the whole.
    pub(super) failed: Option<String>,
}

/// Fields that may be told to be wrong.
const NAMES: [&str; 15] = [
    "name",
    "user",
    "owner",
    "note",
    "allow",
    "deny",
    "rate",
    "per_day",
    "per_destination",
    "concurrent",
    "expires",
    "ways",
    "methods",
    "report",
    "journal",
];

impl Form {
    /// For a new access: everything but networks, which have to be written.
    pub(super) fn blank() -> Form {
        Form {
            ways: ticked(&Way::ALL.map(Way::name), |_| true),
            methods: ticked(&methods(), |_| true),
            report: ticked(&crate::draft::REPORTS, |_| false),
            ..Form::default()
        }
    }

    /// For one that is there.
    pub(super) fn of(access: &Access) -> Form {
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
        let expires = access
            .expires
            .and_then(|at| jiff::Timestamp::from_second(at).ok());
        Form {
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
            expires: expires.map_or_else(String::new, |at| at.to_string()),
            ways: ticked(&Way::ALL.map(Way::name), |way| {
                access.ways.iter().any(|w| w == way)
            }),
            methods: ticked(&methods(), |method| {
                access.methods.iter().any(|m| m == method)
            }),
            report: ticked(&crate::draft::REPORTS, |what| match what {
                "networks" => access.report_networks,
                _ => access.limits.report,
            }),
            is_full: access.journal == store::JournalLevel::Full,
            version: access.version,
            ..Form::default()
        }
    }

    /// As it came back, with what is wrong with it.
    pub(super) fn again(fields: &Fields, problem: &Problem) -> Form {
        let wrong = NAMES
            .into_iter()
            .filter_map(|name| Some((name, problem.about(name)?.to_owned())));
        let wrong: Vec<_> = wrong.collect();
        Form {
            failed: Some(if wrong.is_empty() {
                problem.detail().to_owned()
            } else {
                "Some fields are wrong.".to_owned()
            }),
            wrong,
            ..Form::sent(fields)
        }
    }

    /// As it came, so that nothing that was typed is lost.
    pub(super) fn sent(fields: &Fields) -> Form {
        let text = |name| fields.get(name).to_owned();
        let has =
            |name: &'static str| move |word: &str| fields.all(name).any(|ticked| ticked == word);
        Form {
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
            expires: text("expires"),
            ways: ticked(&Way::ALL.map(Way::name), has("ways")),
            methods: ticked(&methods(), has("methods")),
            report: ticked(&crate::draft::REPORTS, has("report")),
            is_full: fields.has("full"),
            version: fields.get("version").parse().unwrap_or_default(),
            ..Form::default()
        }
    }

    /// What is wrong with a field.
    pub(super) fn wrong(&self, field: &str) -> Option<&str> {
        let mut wrong = self.wrong.iter();
        wrong
            .find(|(name, _)| *name == field)
            .map(|(_, text)| text.as_str())
    }
}

/// What the form says, in the words of the admin API.
pub(super) fn draft(fields: &Fields) -> Result<Draft, Problem> {
    let bound = |name: &str| match fields.get(name) {
        "" => Value::Null,
        text => json!(text),
    };
    let ticked = |name: &'static str| fields.all(name).collect::<Vec<_>>();
    let concurrent = match fields.get("concurrent") {
        "" => Value::Null,
        text => text
            .parse::<std::num::NonZeroU32>()
            .map(|n| json!(n))
            .map_err(|_| {
                Problem::invalid(vec![(
                    "concurrent".to_owned(),
                    format!("{text} is no number of calls"),
                )])
            })?,
    };
    let mut body = json!({
        "owner": fields.get("owner"),
        "note": fields.get("note"),
        "allow": fields.words("allow"),
        "deny": fields.words("deny"),
        "rate": bound("rate"),
        "per_day": bound("per_day"),
        "per_destination": bound("per_destination"),
        "concurrent": concurrent,
        "expires": bound("expires"),
        "ways": ticked("ways"),
        "methods": ticked("methods"),
        "report": ticked("report"),
        "journal": if fields.has("full") { "full" } else { "metadata" },
    });
    for name in ["name", "user"] {
        if !fields.get(name).is_empty() {
            body[name] = json!(fields.get(name));
        }
    }
    let unreadable = |_| {
        Problem::new(
            http::StatusCode::BAD_REQUEST,
            "malformed",
            "The form can't be read.",
        )
    };
    serde_json::from_value(body).map_err(unreadable)
}

fn methods() -> [&'static str; OPERATIONS.len()] {
    OPERATIONS.each_ref().map(|operation| operation.method)
}

fn ticked(words: &[&'static str], is_ticked: impl Fn(&str) -> bool) -> Vec<(&'static str, bool)> {
    words.iter().map(|word| (*word, is_ticked(word))).collect()
}
