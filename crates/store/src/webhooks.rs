//! Webhooks: where an operator has the events of an access sent, how far the deliveries have come, and what became of each attempt.

mod verbs;

use std::fmt;

use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};

use crate::StoreError;

/// Attempts that are kept of one webhook: some days of a quiet one, an hour of a busy one.
pub(crate) const ATTEMPTS_KEPT: i64 = 1000;

/// How long they are kept, in milliseconds: two weeks.
pub(crate) const ATTEMPTS_KEPT_MS: i64 = 14 * 24 * 3_600_000;

/// Deliveries that were given up and are kept of one webhook, the newest.
pub(crate) const DEAD_KEPT: i64 = 1000;

/// How long a process keeps the deliveries to itself after it has asked, in milliseconds: long enough to outlast a database that
/// fails over, and short enough that another takes them on soon.
pub const DELIVERING_HELD_MS: i64 = 10_000;

/// A webhook.
#[derive(Clone, Debug, PartialEq)]
pub struct Webhook {
    /// `whk_` and random characters.
    pub id: String,
    /// Grows with each change by an operator.
    pub version: i64,
    /// The client id of the access whose events it gets.
    pub client_id: String,
    /// What the operator says about it.
    pub settings: WebhookSettings,
    /// What signs, newest first; at most two are live.
    pub secrets: Vec<WebhookSecret>,
    /// How far its deliveries have come.
    pub progress: WebhookProgress,
}

/// What an operator says about a webhook.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WebhookSettings {
    /// Where events go.
    pub url: String,
    /// The types of events that it gets.
    pub types: Vec<String>,
    /// Whether the texts of messages are left out.
    pub thin: bool,
    /// What it is for.
    pub note: String,
}

/// A secret that signs. `Debug` does not show it.
#[derive(Clone)]
pub struct WebhookSecret {
    /// `whsec_` and Base64, as the libraries of receivers take it.
    pub text: SecretString,
    /// When it was made; seconds since 1970, UTC.
    pub created: i64,
    /// When it ends, likewise; absent for the newest.
    pub until: Option<i64>,
}

/// How far the deliveries of a webhook have come. Times are milliseconds since 1970, UTC.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebhookProgress {
    /// Whether events are sent.
    pub state: WebhookState,
    /// Why it is so, in a few words.
    pub cause: String,
    /// Since when.
    pub state_at: i64,
    /// Events up to this position are settled or among the deliveries.
    pub position: u64,
    /// Since when no attempt has succeeded.
    pub failing_since: Option<i64>,
    /// Attempts that have failed since.
    pub failures: u32,
    /// When the next attempt is due while it rests.
    pub next_at: i64,
    /// When the receiver first said that it is gone, if it has said nothing else since.
    pub gone_at: Option<i64>,
    /// Events that could not be sent because they were not kept any longer.
    pub lost: u64,
}

/// Whether the events of a webhook are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum WebhookState {
    /// As they come.
    Active,
    /// One at a time, now and then: the receiver fails.
    Resting,
    /// Not until an operator says so: an operator has stopped it.
    Paused,
    /// Not until an operator says so: the receiver has failed for too long, or is gone.
    Disabled,
}

impl WebhookState {
    /// All states.
    pub const ALL: [WebhookState; 4] = [
        WebhookState::Active,
        WebhookState::Resting,
        WebhookState::Paused,
        WebhookState::Disabled,
    ];

    /// The word in the table and in the admin API.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            WebhookState::Active => "active",
            WebhookState::Resting => "resting",
            WebhookState::Paused => "paused",
            WebhookState::Disabled => "disabled",
        }
    }

    /// Whether events are sent, if only now and then.
    #[must_use]
    pub fn is_served(self) -> bool {
        matches!(self, WebhookState::Active | WebhookState::Resting)
    }

    pub(crate) fn from_word(word: &str) -> Result<WebhookState, StoreError> {
        let mut all = WebhookState::ALL.into_iter();
        all.find(|state| state.word() == word)
            .ok_or_else(|| StoreError::new("a webhook is in a state that is not known"))
    }
}

/// A delivery that is not settled. Times are milliseconds since 1970, UTC.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct WebhookDelivery {
    /// The position of its event.
    pub position: u64,
    /// The id of its event.
    pub event_id: String,
    /// Whether it was given up, so that its chat goes on without it.
    pub is_dead: bool,
    /// Attempts whose failure is the event's own.
    pub attempts: u32,
    /// When the first of them was made, or 0.
    pub first_at: i64,
    /// When the next is due.
    pub next_at: i64,
    /// Why the last attempt failed, in a few words.
    pub cause: String,
}

/// What came of one attempt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct WebhookAttempt {
    /// The position of its event.
    pub position: u64,
    /// The id of its event.
    pub event_id: String,
    /// When it began; milliseconds since 1970, UTC.
    pub at: i64,
    /// Which attempt of this delivery it was, from 1 on.
    pub number: u32,
    /// The status of the answer, if there was one.
    pub status: Option<u16>,
    /// `ok`, or why it failed, in a word of a closed set.
    pub cause: String,
    /// How long it took, in milliseconds.
    pub ms: i64,
}

/// What has become of deliveries of one webhook since the last time.
#[derive(Clone, Debug)]
pub struct WebhookSettlement {
    /// The webhook.
    pub id: String,
    /// The version on which this is based.
    pub version: i64,
    /// The term in which this was worked out, as [`crate::Store::may_deliver`] has said.
    pub term: i64,
    /// How far its deliveries have come.
    pub progress: WebhookProgress,
    /// The positions of deliveries that are settled.
    pub settled: Vec<u64>,
    /// Deliveries that are new or have changed.
    pub deliveries: Vec<WebhookDelivery>,
    /// Attempts that have ended.
    pub attempts: Vec<WebhookAttempt>,
}

/// Which deliveries are to be made once more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Redelivery {
    /// All that were given up.
    Dead,
    /// The one of the event with this id, given up or delivered.
    Event(String),
}

impl PartialEq for WebhookSecret {
    fn eq(&self, other: &WebhookSecret) -> bool {
        self.text.expose_secret() == other.text.expose_secret()
            && (self.created, self.until) == (other.created, other.until)
    }
}

impl fmt::Debug for WebhookSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebhookSecret")
            .field("created", &self.created)
            .field("until", &self.until)
            .finish_non_exhaustive()
    }
}

/// Secrets as they are kept: in a file as they are, in a database sealed.
pub(crate) fn secrets_to_bytes(secrets: &[WebhookSecret]) -> Vec<u8> {
    let rows: Vec<_> = secrets
        .iter()
        .map(|secret| (secret.text.expose_secret(), secret.created, secret.until))
        .collect();
    // Texts and numbers can't fail to become JSON.
    serde_json::to_vec(&rows).unwrap_or_default()
}

pub(crate) fn secrets_from_bytes(bytes: &[u8]) -> Result<Vec<WebhookSecret>, StoreError> {
    let rows: Vec<(String, i64, Option<i64>)> =
        serde_json::from_slice(bytes).map_err(|_| unreadable())?;
    let secret = |(text, created, until): (String, i64, Option<i64>)| WebhookSecret {
        text: text.into(),
        created,
        until,
    };
    Ok(rows.into_iter().map(secret).collect())
}

/// The settings as they are kept.
pub(crate) fn settings_to_text(settings: &WebhookSettings) -> String {
    // Texts and flags can't fail to become JSON.
    serde_json::to_string(settings).unwrap_or_default()
}

pub(crate) fn settings_from_text(text: &str) -> Result<WebhookSettings, StoreError> {
    serde_json::from_str(text).map_err(|_| unreadable())
}

fn unreadable() -> StoreError {
    StoreError::new("a webhook can't be read")
}

#[cfg(test)]
pub(crate) mod tests;
