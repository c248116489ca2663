//! A webhook and its form, as the pages show them.

use adapter::EVENT_TYPES;
use serde_json::Value;
use store::Webhook;
use webhooks::{DEFAULT_TYPES, PAUSED};

use crate::problem::Problem;
use crate::web::fields::Fields;
use crate::web::json::{items, text};
use crate::web::text::{escape_invisible, moment, or_dash};

/// A webhook as the pages show it.
pub(super) struct WebhookView {
    pub(super) id: String,
    pub(super) access: String,
    pub(super) url: String,
    pub(super) note: String,
    pub(super) state: String,
    pub(super) is_well: bool,
    /// True if the webhook is neither paused by an operator nor disabled.
    pub(super) may_pause: bool,
    pub(super) cause: String,
    /// True if a secret other than the newest still signs. The next new secret ends it.
    pub(super) has_old_secret: bool,
    pub(super) since: String,
    pub(super) facts: Vec<(&'static str, String)>,
}

/// The fields of the form of a webhook. Texts are exactly as stored, so that the form sends what it shows.
pub(super) struct WebhookForm {
    /// The version that the form was made from; 0 for a new webhook.
    pub(super) version: i64,
    pub(super) access: String,
    pub(super) url: String,
    pub(super) note: String,
    /// Each event type, and whether it is ticked.
    pub(super) types: Vec<(&'static str, bool)>,
    pub(super) thin: bool,
    pub(super) error: Option<String>,
}

impl WebhookView {
    pub(super) fn of(view: &Value) -> WebhookView {
        let state = text(&view["state"]);
        let types: Vec<_> = items(&view["types"]).map(text).collect();
        let secrets = items(&view["secrets"]).map(|secret| match secret["until"].as_str() {
            Some(until) => format!("valid until {}", moment(until)),
            None => format!("created {}", moment(&text(&secret["created"]))),
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
            version: 0,
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

    /// Makes the form of a webhook; `access` is the name of its access.
    pub(super) fn of(webhook: &Webhook, access: &str) -> WebhookForm {
        let settings = &webhook.settings;
        let has = |name: &str| settings.types.iter().any(|known| known == name);
        WebhookForm {
            version: webhook.version,
            access: access.to_owned(),
            url: settings.url.clone(),
            note: settings.note.clone(),
            types: EVENT_TYPES.map(|name| (name, has(name))).to_vec(),
            thin: settings.thin,
            error: None,
        }
    }

    /// Makes the form with the values that were sent, and the problem with them.
    pub(super) fn resubmitted(fields: &Fields, problem: &Problem) -> WebhookForm {
        let has = |name: &str| fields.all("types").any(|ticked| ticked == name);
        WebhookForm {
            version: fields.get("version").parse().unwrap_or_default(),
            access: fields.raw("access").to_owned(),
            url: fields.raw("url").to_owned(),
            note: fields.raw("note").to_owned(),
            types: EVENT_TYPES.map(|name| (name, has(name))).to_vec(),
            thin: fields.has("thin"),
            error: Some(escape_invisible(problem.detail())),
        }
    }
}
