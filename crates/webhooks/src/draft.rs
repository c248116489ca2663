//! What an operator says about a webhook, and why it may be refused.

use adapter::{EVENT_TYPES, has_forbidden_character};
use store::{StoreError, Webhook, WebhookSettings};

use crate::destination::{Destination, DestinationRules};

/// The types of events that a webhook gets unless an operator says otherwise. Without `message.sent`: a receiver that answers would call itself.
pub const DEFAULT_TYPES: [&str; 2] = ["message.received", "chat.changed"];

/// Longest note, in bytes.
const NOTE_BYTES_MAX: usize = 1024;

/// What an operator wants of a webhook; what is absent stays, or is the default of a new one.
#[derive(Clone, Debug, Default)]
pub struct WebhookDraft {
    /// Where events go.
    pub url: Option<String>,
    /// The types of events that it gets.
    pub types: Option<Vec<String>>,
    /// Whether texts are left out.
    pub thin: Option<bool>,
    /// What it is for.
    pub note: Option<String>,
}

/// Why nothing has changed.
#[derive(Debug)]
pub enum WebhookError {
    /// There is no such webhook.
    Missing,
    /// There is no such access.
    NoAccess,
    /// It is not as the operator saw it any longer.
    Stale,
    /// A field is wrong: its name, and a sentence.
    Invalid(&'static str, String),
    /// The access has as many webhooks as it may; a sentence for the operator.
    Conflict(&'static str),
    /// The store or the system failed.
    Store(StoreError),
}

impl From<StoreError> for WebhookError {
    fn from(error: StoreError) -> WebhookError {
        WebhookError::Store(error)
    }
}

/// Refuses a webhook that has another version than the operator has seen; `seen` is absent for any.
///
/// # Errors
/// `Stale`.
pub(crate) fn check_seen(webhook: &Webhook, seen: Option<i64>) -> Result<(), WebhookError> {
    match seen {
        Some(version) if version != webhook.version => Err(WebhookError::Stale),
        _ => Ok(()),
    }
}

/// What a webhook is after a change.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn settings(
    before: &WebhookSettings,
    draft: WebhookDraft,
    rules: &DestinationRules,
) -> Result<WebhookSettings, WebhookError> {
    let settings = WebhookSettings {
        url: draft.url.unwrap_or_else(|| before.url.clone()),
        types: draft.types.unwrap_or_else(|| before.types.clone()),
        thin: draft.thin.unwrap_or(before.thin),
        note: draft.note.unwrap_or_else(|| before.note.clone()),
    };
    Destination::parse(&settings.url, rules).map_err(|text| WebhookError::Invalid("url", text))?;
    let is_known = |name: &String| EVENT_TYPES.contains(&name.as_str());
    if settings.types.is_empty() || !settings.types.iter().all(is_known) {
        let text = format!("write some of {}", EVENT_TYPES.join(", "));
        return Err(WebhookError::Invalid("types", text));
    }
    if settings.note.len() > NOTE_BYTES_MAX || has_forbidden_character(&settings.note, false) {
        let text = format!("write {NOTE_BYTES_MAX} bytes at most, without control characters");
        return Err(WebhookError::Invalid("note", text));
    }
    Ok(settings)
}
