//! The operations with which operators manage webhooks.

use std::sync::Arc;

use arc_swap::ArcSwap;
use secrecy::SecretString;
use store::{
    Access, Position, Store, StoreError, Webhook, WebhookProgress, WebhookSettings, WebhookState,
};
use tokio::sync::Notify;

use crate::config::{PreparedSender, WebhookEnvironment, WebhooksConfig, sender};
use crate::draft::{DEFAULT_TYPES, WebhookDraft, WebhookError, check_seen, settings};
use crate::names::{failed, new_name};
use crate::sender::WebhookSender;
use crate::signature::{new_secret, rotated};
use crate::stats::{StatsCell, WebhookStats};
use crate::webhook_target::WebhookTarget;

/// Maximum number of webhooks per access.
const PER_ACCESS_MAX: usize = 4;

/// Default time for which the previous secret still signs after a rotation, in seconds: a day.
pub const GRACE_S: i64 = 24 * 3600;

/// Maximum time for which the previous secret still signs, in seconds: a week.
pub const GRACE_S_MAX: i64 = 7 * 24 * 3600;

/// The webhooks of a gateway, for operators and for the deliverer.
pub struct Webhooks {
    store: Arc<Store>,
    sender: ArcSwap<WebhookSender>,
    environment: WebhookEnvironment,
    changed: Arc<Notify>,
    stats: StatsCell,
}

impl Webhooks {
    /// Creates the webhooks of a store.
    ///
    /// # Errors
    /// Returns a sentence if the roots can't be read.
    pub fn new(
        store: Arc<Store>,
        config: &WebhooksConfig,
        environment: WebhookEnvironment,
    ) -> Result<Webhooks, String> {
        Ok(Webhooks {
            store,
            sender: ArcSwap::new(Arc::new(sender(config, &environment)?)),
            environment,
            changed: Arc::default(),
            stats: StatsCell::default(),
        })
    }

    /// Prepares the sender for another configuration.
    ///
    /// # Errors
    /// Returns a sentence if the roots can't be read.
    pub fn sender_of(&self, config: &WebhooksConfig) -> Result<PreparedSender, String> {
        Ok(PreparedSender(Arc::new(sender(config, &self.environment)?)))
    }

    /// Switches to the sender of another configuration.
    pub fn configure(&self, sender: PreparedSender) {
        self.sender.store(sender.0);
    }

    pub(crate) fn sender(&self) -> Arc<WebhookSender> {
        self.sender.load_full()
    }

    pub(crate) fn store(&self) -> &Arc<Store> {
        &self.store
    }

    /// Returns the time by which all gateways that share the store judge webhooks and accesses.
    pub(crate) fn now_ms(&self) -> i64 {
        self.store.judged_ms(self.own_now_ms())
    }

    /// Returns the time by this machine's clock, from which the store itself converts the times of recorded changes and rows.
    pub(crate) fn own_now_ms(&self) -> i64 {
        (self.environment.clock)()
    }

    /// Returns whether events are on. Without events nothing is delivered.
    pub(crate) fn has_events(&self) -> bool {
        self.environment.events.config().enabled
    }

    /// Returns this process's counts of attempts, webhooks by state and unsettled deliveries.
    #[must_use]
    pub fn stats(&self) -> WebhookStats {
        self.stats.snapshot()
    }

    pub(crate) fn stats_cell(&self) -> &StatsCell {
        &self.stats
    }

    /// Returns the notification that wakes tasks when webhooks have changed.
    pub(crate) fn changed(&self) -> &Arc<Notify> {
        &self.changed
    }

    /// Returns all webhooks with their accesses, ordered by id.
    ///
    /// # Errors
    /// Returns an error if the store can't be read.
    pub async fn list(&self) -> Result<Vec<(Webhook, Arc<Access>)>, WebhookError> {
        let accesses = self.store.accesses();
        let webhooks = self.store.webhooks().await?;
        let with_access = |webhook: Webhook| {
            let access = Arc::clone(accesses.of_client(&webhook.client_id)?);
            Some((webhook, access))
        };
        Ok(webhooks.into_iter().filter_map(with_access).collect())
    }

    /// Returns the webhook with this id, and its access.
    ///
    /// # Errors
    /// Returns an error if the webhook does not exist or the store can't be read.
    pub async fn find(&self, id: &str) -> Result<(Webhook, Arc<Access>), WebhookError> {
        let mut all = self.list().await?.into_iter();
        all.find(|(webhook, _)| webhook.id == id)
            .ok_or(WebhookError::Missing)
    }

    /// Creates a webhook of the access with this name, and returns the webhook with its secret. The webhook gets all events from
    /// now on.
    ///
    /// # Errors
    /// Returns `NoAccess`, `Conflict` if the access has the maximum number of webhooks, `Invalid` with the field, or `Store`. In
    /// these cases no webhook is created.
    pub async fn create(
        &self,
        access: &str,
        draft: WebhookDraft,
    ) -> Result<(Webhook, SecretString), WebhookError> {
        let accesses = self.store.accesses();
        let access = accesses.named(access).ok_or(WebhookError::NoAccess)?;
        let types = DEFAULT_TYPES.map(str::to_owned).to_vec();
        let none = WebhookSettings {
            types,
            ..WebhookSettings::default()
        };
        let settings = settings(&none, draft, &self.sender().rules)?;
        let now_ms = self.now_ms();
        let secret = new_secret(now_ms / 1000).map_err(failed)?;
        let webhook = Webhook {
            id: new_name("whk_")?,
            version: 0,
            client_id: access.client_id.clone(),
            settings,
            progress: WebhookProgress {
                state: WebhookState::Active,
                cause: String::new(),
                state_at: now_ms,
                position: self.end_of_log().await?,
                failing_since: None,
                failures: 0,
                next_at: 0,
                gone_at: None,
                lost: 0,
            },
            secrets: vec![secret.clone()],
            is_unreadable: false,
        };
        let new = webhook.clone();
        let put = move |there: &[Webhook]| match there.len() {
            PER_ACCESS_MAX.. => Err(WebhookError::Conflict(
                "An access can have at most four webhooks.",
            )),
            _ => Ok(Some(new)),
        };
        let of = (webhook.id.as_str(), webhook.client_id.as_str());
        let made = self.store.change_webhook(of, put).await?;
        self.changed.notify_one();
        Ok((made.unwrap_or(webhook), secret.text))
    }

    /// Changes the fields of a webhook that an operator sets.
    ///
    /// # Errors
    /// Returns `Missing`, `Stale`, `Invalid` with the field, or `Store`. In these cases nothing changes.
    pub async fn set(
        &self,
        target: WebhookTarget<'_>,
        draft: WebhookDraft,
    ) -> Result<(), WebhookError> {
        let sender = self.sender();
        // Apply the draft to the stored webhook within the write, because another operator may change other fields at the same
        // time.
        self.change(target, move |webhook| {
            webhook.settings = settings(&webhook.settings, draft, &sender.rules)?;
            Ok(())
        })
        .await
        .map(drop)
    }

    /// Deletes a webhook with its pending deliveries.
    ///
    /// # Errors
    /// Returns `Missing`, `Stale`, or `Store`. In these cases nothing changes.
    pub async fn delete(&self, target: WebhookTarget<'_>) -> Result<(), WebhookError> {
        let WebhookTarget { id, seen } = target;
        let (webhook, _) = self.find(id).await?;
        let this = id.to_owned();
        let gone = move |there: &[Webhook]| {
            let found = there.iter().find(|webhook| webhook.id == this);
            found.map_or(Ok(()), |webhook| check_seen(webhook, seen))?;
            Ok::<_, WebhookError>(None)
        };
        self.store
            .change_webhook((id, &webhook.client_id), gone)
            .await?;
        self.changed.notify_one();
        Ok(())
    }

    /// Returns the newest position of the log. The own clock can't replace this query, because gateways that share a database
    /// assign positions by the database's clock.
    async fn end_of_log(&self) -> Result<u64, StoreError> {
        let nothing = self.store.events_after(Position::of(i64::MAX), 0, 0);
        Ok(nothing.await?.newest.number().unsigned_abs())
    }

    /// Makes a new secret, which signs first, and returns the webhook with the secret. The previous secret also signs for `grace_s`
    /// seconds, 0 to [`GRACE_S_MAX`].
    ///
    /// # Errors
    /// Returns `Invalid` if `grace_s` is out of range, `Missing`, `Stale`, or `Store`. In these cases nothing changes.
    pub async fn rotate(
        &self,
        target: WebhookTarget<'_>,
        grace_s: i64,
    ) -> Result<(Webhook, SecretString), WebhookError> {
        if !(0..=GRACE_S_MAX).contains(&grace_s) {
            let text = format!("write 0 to {GRACE_S_MAX} seconds");
            return Err(WebhookError::Invalid("grace_s", text));
        }
        let now = self.now_ms() / 1000;
        let secret = new_secret(now).map_err(failed)?;
        let text = secret.text.clone();
        let rotate = move |webhook: &mut Webhook| {
            webhook.secrets = rotated(&webhook.secrets, secret, now, grace_s);
            Ok(())
        };
        Ok((self.change(target, rotate).await?, text))
    }

    /// Ends all secrets but the newest immediately.
    ///
    /// # Errors
    /// Returns an error if the webhook does not exist or the store can't be written.
    pub async fn retire(&self, id: &str) -> Result<(), WebhookError> {
        self.change(WebhookTarget::any(id), |webhook| {
            webhook.secrets.truncate(1);
            Ok(())
        })
        .await
        .map(drop)
    }

    /// Changes a webhook, and returns the changed webhook.
    pub(crate) async fn change(
        &self,
        target: WebhookTarget<'_>,
        change: impl FnOnce(&mut Webhook) -> Result<(), WebhookError> + Send + 'static,
    ) -> Result<Webhook, WebhookError> {
        let (webhook, _) = self.find(target.id).await?;
        let of = (target.id, webhook.client_id.as_str());
        let put = changed(target, change);
        let changed = self.store.change_webhook(of, put).await?;
        self.changed.notify_one();
        changed.ok_or(WebhookError::Missing)
    }
}

/// Returns a function that changes one webhook of an access, unless the webhook has changed since it was seen.
pub(crate) fn changed(
    target: WebhookTarget<'_>,
    change: impl FnOnce(&mut Webhook) -> Result<(), WebhookError> + Send + 'static,
) -> impl FnOnce(&[Webhook]) -> Result<Option<Webhook>, WebhookError> + Send + 'static {
    let (this, seen) = (target.id.to_owned(), target.seen);
    move |there| {
        let found = there.iter().find(|webhook| webhook.id == this);
        let mut webhook = found.cloned().ok_or(WebhookError::Missing)?;
        check_seen(&webhook, seen)?;
        if webhook.is_unreadable {
            return Err(WebhookError::Conflict(
                "This version of the program can't read the webhook. Change it with the version that has written it, or delete it.",
            ));
        }
        change(&mut webhook)?;
        Ok(Some(webhook))
    }
}
