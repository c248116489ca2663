//! The fields of a webhook that operators write, and the errors of changes.

use adapter::{EVENT_TYPES, has_forbidden_character};
use store::{StoreError, Webhook, WebhookSettings};

use crate::destination::{Destination, DestinationRules};

/// The default event types of a webhook. `message.sent` is not among them, because a receiver that answers messages would trigger
/// itself.
pub const DEFAULT_TYPES: [&str; 2] = ["message.received", "chat.changed"];

/// Maximum length of a note, in bytes.
const NOTE_BYTES_MAX: usize = 1024;

/// The fields that an operator sets. An absent field stays as it is, or gets the default in a new webhook.
#[derive(Clone, Debug, Default)]
pub struct WebhookDraft {
    /// The address of the receiver.
    pub url: Option<String>,
    /// The event types that the webhook gets.
    pub types: Option<Vec<String>>,
    /// True if texts are left out.
    pub thin: Option<bool>,
    /// A note about the webhook's purpose.
    pub note: Option<String>,
}

/// The reason why nothing was changed.
#[derive(Debug)]
pub enum WebhookError {
    /// The webhook does not exist.
    Missing,
    /// The access does not exist.
    NoAccess,
    /// The webhook has changed since the operator saw it.
    Stale,
    /// A field is wrong: its name, and a sentence.
    Invalid(&'static str, String),
    /// The access has the maximum number of webhooks; a sentence for the operator.
    Conflict(&'static str),
    /// The store or the system failed.
    Store(StoreError),
}

impl From<StoreError> for WebhookError {
    fn from(error: StoreError) -> WebhookError {
        WebhookError::Store(error)
    }
}

/// Rejects a webhook whose version differs from the one that the operator has seen. `None` as `seen` accepts any version.
///
/// # Errors
/// Returns `Stale`.
pub(crate) fn check_seen(webhook: &Webhook, seen: Option<i64>) -> Result<(), WebhookError> {
    match seen {
        Some(version) if version != webhook.version => Err(WebhookError::Stale),
        _ => Ok(()),
    }
}

/// Returns the settings of a webhook after a change.
///
/// # Errors
/// Returns the first mistake in them.
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
        let text = format!("write one or more of {}", EVENT_TYPES.join(", "));
        return Err(WebhookError::Invalid("types", text));
    }
    if settings.note.len() > NOTE_BYTES_MAX || has_forbidden_character(&settings.note, false) {
        let text = format!("write {NOTE_BYTES_MAX} bytes at most, without control characters");
        return Err(WebhookError::Invalid("note", text));
    }
    Ok(settings)
}
