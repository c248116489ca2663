//! Webhooks: where the events of an access are sent, the progress of the deliveries, and the result of each attempt.

mod verbs;

use std::fmt;

use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};

use crate::StoreError;

/// Maximum number of stored attempts of one webhook: some days of a quiet webhook, an hour of a busy one.
pub(crate) const ATTEMPTS_KEPT: i64 = 1000;

/// Maximum age of a stored attempt, in milliseconds: two weeks.
pub(crate) const ATTEMPTS_KEPT_MS: i64 = 14 * 24 * 3_600_000;

/// Maximum number of stored deliveries of one webhook that were given up; the newest are stored.
pub(crate) const DEAD_KEPT: i64 = 1000;

/// Time for which a process has the deliveries to itself after a request, in milliseconds: long enough to outlast a failover of the
/// database, and short enough that another process takes over soon.
pub const DELIVERING_HELD_MS: i64 = 10_000;

/// A webhook.
#[derive(Clone, Debug, PartialEq)]
pub struct Webhook {
    /// `whk_` and random characters.
    pub id: String,
    /// The version, which increases with each change by an operator.
    pub version: i64,
    /// The client id of the access whose events the webhook gets.
    pub client_id: String,
    /// The settings of the operator.
    pub settings: WebhookSettings,
    /// The secrets that sign, newest first; at most two are live.
    pub secrets: Vec<WebhookSecret>,
    /// The progress of the deliveries.
    pub progress: WebhookProgress,
    /// True if this version of the program can't read the stored webhook. Then it has neither settings nor secrets, is disabled, and
    /// can only be deleted.
    pub is_unreadable: bool,
}

/// The settings of a webhook, which an operator chooses. A program that does not know a field does not serve the webhook, because the
/// field may restrict it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WebhookSettings {
    /// The URL that receives the events.
    pub url: String,
    /// The types of events that the webhook gets.
    pub types: Vec<String>,
    /// True if the texts of messages are left out.
    pub thin: bool,
    /// The purpose of the webhook.
    pub note: String,
}

/// A secret that signs. `Debug` does not show its text.
#[derive(Clone)]
pub struct WebhookSecret {
    /// `whsec_` and Base64, the form that receivers' libraries take.
    pub text: SecretString,
    /// The creation time; seconds since 1970, UTC.
    pub created: i64,
    /// The end of its validity; seconds since 1970, UTC. Absent for the newest secret.
    pub until: Option<i64>,
}

/// The progress of a webhook's deliveries. Times are milliseconds since 1970, UTC.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebhookProgress {
    /// The state that decides whether events are sent.
    pub state: WebhookState,
    /// The cause of the state, in a few words.
    pub cause: String,
    /// The time since which the state has lasted.
    pub state_at: i64,
    /// The position up to which all events are settled or are among the deliveries.
    pub position: u64,
    /// The time since which no attempt has succeeded.
    pub failing_since: Option<i64>,
    /// The number of attempts that have failed since then.
    pub failures: u32,
    /// The time of the next attempt while the webhook rests.
    pub next_at: i64,
    /// The time when the receiver first answered that it is gone, if it has given no other answer since.
    pub gone_at: Option<i64>,
    /// The number of events that could not be sent because they were not stored any longer.
    pub lost: u64,
}

/// The state of a webhook.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum WebhookState {
    /// Events are sent as they come.
    Active,
    /// Events are sent one at a time, with long pauses, because the receiver fails.
    Resting,
    /// No events are sent until an operator resumes the webhook, because an operator has paused it.
    Paused,
    /// No events are sent until an operator resumes the webhook, because the receiver has failed for too long or is gone.
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

    /// Returns the word in the table and in the admin API.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            WebhookState::Active => "active",
            WebhookState::Resting => "resting",
            WebhookState::Paused => "paused",
            WebhookState::Disabled => "disabled",
        }
    }

    /// Returns whether events are sent, even if only with long pauses.
    #[must_use]
    pub fn is_served(self) -> bool {
        matches!(self, WebhookState::Active | WebhookState::Resting)
    }

    pub(crate) fn from_word(word: &str) -> Result<WebhookState, StoreError> {
        let mut all = WebhookState::ALL.into_iter();
        all.find(|state| state.word() == word)
            .ok_or_else(|| StoreError::new("a webhook is in an unknown state"))
    }
}

/// A delivery that is not settled. Times are milliseconds since 1970, UTC.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct WebhookDelivery {
    /// The position of its event.
    pub position: u64,
    /// The id of its event.
    pub event_id: String,
    /// True if the delivery was given up, so that its chat continues without it.
    pub is_dead: bool,
    /// The number of attempts that failed because of the event itself.
    pub attempts: u32,
    /// The time of the first of these attempts, or 0.
    pub first_at: i64,
    /// The time of the next attempt.
    pub next_at: i64,
    /// The cause of the last attempt's failure, in a few words.
    pub cause: String,
}

/// The result of one attempt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct WebhookAttempt {
    /// The position of its event.
    pub position: u64,
    /// The id of its event.
    pub event_id: String,
    /// The start time; milliseconds since 1970, UTC.
    pub at: i64,
    /// The number of the attempt among those of its delivery, from 1 on.
    pub number: u32,
    /// The status of the answer, if there was one.
    pub status: Option<u16>,
    /// `ok`, or the cause of the failure as a word of a closed set.
    pub cause: String,
    /// The duration, in milliseconds.
    pub ms: i64,
}

/// The changes of one webhook's deliveries since the last settlement.
#[derive(Clone, Debug)]
pub struct WebhookSettlement {
    /// The id of the webhook.
    pub id: String,
    /// The version of the webhook on which this settlement is based.
    pub version: i64,
    /// The term in which this settlement was made, as returned by [`crate::Store::may_deliver`].
    pub term: i64,
    /// The progress of the deliveries.
    pub progress: WebhookProgress,
    /// The positions of deliveries that are settled.
    pub settled: Vec<u64>,
    /// Deliveries that are new or have changed.
    pub deliveries: Vec<WebhookDelivery>,
    /// Attempts that have ended.
    pub attempts: Vec<WebhookAttempt>,
}

/// The deliveries to repeat.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Redelivery {
    /// All deliveries that were given up.
    Dead,
    /// The delivery of the event with this id if the log contains it, whether it was given up, delivered or never attempted.
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

/// Returns the stored form of secrets; a file stores it as it is, a database stores it sealed.
pub(crate) fn secrets_to_bytes(secrets: &[WebhookSecret]) -> Vec<u8> {
    let rows: Vec<_> = secrets
        .iter()
        .map(|secret| (secret.text.expose_secret(), secret.created, secret.until))
        .collect();
    // Serialization can't fail, because texts and numbers always become JSON.
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

/// Returns the stored form of the settings.
pub(crate) fn settings_to_text(settings: &WebhookSettings) -> String {
    // Serialization can't fail, because texts and flags always become JSON.
    serde_json::to_string(settings).unwrap_or_default()
}

pub(crate) fn settings_from_text(text: &str) -> Result<WebhookSettings, StoreError> {
    serde_json::from_str(text).map_err(|_| unreadable())
}

fn unreadable() -> StoreError {
    StoreError::new("a webhook can't be read")
}

impl Webhook {
    /// Makes the webhook whose row can't be read, from what can be read of the row. It is not served, so that other webhooks do not
    /// depend on it.
    pub(crate) fn unreadable(
        (id, client_id): (String, String),
        version: i64,
        mut progress: WebhookProgress,
    ) -> Webhook {
        progress.state = WebhookState::Disabled;
        "this version of the program can't read it".clone_into(&mut progress.cause);
        Webhook {
            id,
            version,
            client_id,
            settings: WebhookSettings::default(),
            secrets: Vec::new(),
            progress,
            is_unreadable: true,
        }
    }
}

#[cfg(test)]
pub(crate) mod tests;
