//! A webhook as people read it, and the form of one.

use adapter::EVENT_TYPES;
use serde_json::Value;
use webhooks::{DEFAULT_TYPES, PAUSED};

use crate::problem::Problem;
use crate::web::fields::Fields;
use crate::web::json::{items, text};
use crate::web::text::{moment, or_dash, visible};

/// A webhook as people read it.
pub(super) struct WebhookView {
    pub(super) id: String,
    pub(super) access: String,
    pub(super) url: String,
    pub(super) note: String,
    pub(super) state: String,
    pub(super) is_well: bool,
    /// Whether no operator has stopped it, and it has not been given up.
    pub(super) may_pause: bool,
    pub(super) cause: String,
    /// Whether a secret beside the newest still signs; another new one ends it.
    pub(super) has_old_secret: bool,
    pub(super) since: String,
    pub(super) facts: Vec<(&'static str, String)>,
}

/// The fields of a form.
pub(super) struct WebhookForm {
    pub(super) access: String,
    pub(super) url: String,
    pub(super) note: String,
    /// Each type, and whether it is ticked.
    pub(super) types: Vec<(&'static str, bool)>,
    pub(super) thin: bool,
    pub(super) error: Option<String>,
}

impl WebhookView {
    pub(super) fn of(view: &Value) -> WebhookView {
        let state = text(&view["state"]);
        let types: Vec<_> = items(&view["types"]).map(text).collect();
        let secrets = items(&view["secrets"]).map(|secret| match secret["until"].as_str() {
            Some(until) => format!("until {}", moment(until)),
            None => format!("made {}", moment(&text(&secret["created"]))),
        });
        WebhookView {
            id: text(&view["id"]),
            access: text(&view["access"]),
            url: text(&view["url"]),
            note: text(&view["note"]),
            is_well: state == "active",
            may_pause: state != "disabled" && view["cause"] != PAUSED,
            cause: text(&view["cause"]),
            has_old_secret: items(&view["secrets"]).count() > 1,
            since: moment(&text(&view["state_since"])),
            facts: vec![
                ("Types", types.join(", ")),
                ("Payload", text(&view["payload"])),
                ("Secrets", secrets.collect::<Vec<_>>().join(", ")),
                (
                    "Failing since",
                    or_dash(view["failing_since"].as_str().map(moment).as_deref()),
                ),
                ("Lost", view["lost"].to_string()),
            ],
            state,
        }
    }
}

impl WebhookForm {
    pub(super) fn empty() -> WebhookForm {
        WebhookForm {
            access: String::new(),
            url: String::new(),
            note: String::new(),
            types: EVENT_TYPES
                .map(|name| (name, DEFAULT_TYPES.contains(&name)))
                .to_vec(),
            thin: false,
            error: None,
        }
    }

    pub(super) fn of(view: &Value) -> WebhookForm {
        let has = |name: &str| items(&view["types"]).any(|known| known == name);
        WebhookForm {
            access: text(&view["access"]),
            url: text(&view["url"]),
            note: text(&view["note"]),
            types: EVENT_TYPES.map(|name| (name, has(name))).to_vec(),
            thin: view["payload"] == "thin",
            error: None,
        }
    }

    /// The form as it was sent, with what is wrong.
    pub(super) fn again(fields: &Fields, problem: &Problem) -> WebhookForm {
        let has = |name: &str| fields.all("types").any(|ticked| ticked == name);
        WebhookForm {
            access: visible(fields.get("access")),
            url: visible(fields.get("url")),
            note: visible(fields.get("note")),
            types: EVENT_TYPES.map(|name| (name, has(name))).to_vec(),
            thin: fields.has("thin"),
            error: Some(visible(problem.detail())),
        }
    }
}
