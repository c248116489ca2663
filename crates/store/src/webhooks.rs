//! Webhooks: where an operator has the events of an access sent, how far the deliveries have come, and what became of each attempt.

use std::fmt;

use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};

use crate::store::Engine;
use crate::{Store, StoreError};

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

impl Store {
    /// All webhooks, by id. There are few: operators make them.
    ///
    /// # Errors
    /// When they can't be read.
    pub async fn webhooks(&self) -> Result<Vec<Webhook>, StoreError> {
        match self.engine() {
            Engine::Sqlite(sqlite) => sqlite.webhooks().await,
            Engine::Postgres(postgres) => postgres.webhooks().await,
        }
    }

    /// Changes the webhook with this id: `change` gets all that its access has, and returns it as it shall be, or nothing to delete
    /// it. Its version becomes the next one.
    ///
    /// # Errors
    /// What `change` says, or why the store could not do it. Nothing has changed then.
    pub async fn change_webhook<E: From<StoreError> + Send + 'static>(
        &self,
        (id, client_id): (&str, &str),
        change: impl FnOnce(&[Webhook]) -> Result<Option<Webhook>, E> + Send + 'static,
    ) -> Result<(), E> {
        match self.engine() {
            Engine::Sqlite(sqlite) => sqlite.change_webhook((id, client_id), change).await,
            Engine::Postgres(postgres) => postgres.change_webhook((id, client_id), change).await,
        }
    }

    /// The deliveries of a webhook that are not settled, in the order of their events.
    ///
    /// # Errors
    /// When they can't be read.
    pub async fn deliveries(&self, webhook: &str) -> Result<Vec<WebhookDelivery>, StoreError> {
        match self.engine() {
            Engine::Sqlite(sqlite) => sqlite.deliveries(webhook).await,
            Engine::Postgres(postgres) => postgres.deliveries(webhook).await,
        }
    }

    /// The latest attempts of a webhook, newest first.
    ///
    /// # Errors
    /// When they can't be read.
    pub async fn attempts(
        &self,
        webhook: &str,
        most: u32,
    ) -> Result<Vec<WebhookAttempt>, StoreError> {
        match self.engine() {
            Engine::Sqlite(sqlite) => sqlite.attempts(webhook, most).await,
            Engine::Postgres(postgres) => postgres.attempts(webhook, most).await,
        }
    }

    /// Has deliveries made once more, and returns how many. The webhook's version becomes the next one.
    ///
    /// # Errors
    /// When the store can't be written. Nothing has changed then.
    pub async fn redeliver(&self, webhook: &str, which: Redelivery) -> Result<u64, StoreError> {
        match self.engine() {
            Engine::Sqlite(sqlite) => sqlite.redeliver(webhook, which).await,
            Engine::Postgres(postgres) => postgres.redeliver(webhook, which).await,
        }
    }

    /// Whether this process is the one that delivers, for the next [`DELIVERING_HELD_MS`]: of several that share the store one is.
    ///
    /// # Errors
    /// When the store can't be asked.
    pub async fn may_deliver(&self) -> Result<bool, StoreError> {
        match self.engine() {
            Engine::Sqlite(_) => Ok(true),
            Engine::Postgres(postgres) => postgres.may_deliver().await,
        }
    }

    /// Writes what has become of deliveries, in one transaction. Returns the ids of those webhooks that an operator has changed or
    /// deleted since: of a changed one, deliveries and attempts are written, and how far it has come is not.
    ///
    /// # Errors
    /// When the store can't be written. Nothing has changed then.
    pub async fn settle(
        &self,
        settlements: Vec<WebhookSettlement>,
    ) -> Result<Vec<String>, StoreError> {
        match self.engine() {
            Engine::Sqlite(sqlite) => sqlite.settle(settlements).await,
            Engine::Postgres(postgres) => postgres.settle(settlements).await,
        }
    }
}

#[cfg(test)]
pub(crate) mod tests;
