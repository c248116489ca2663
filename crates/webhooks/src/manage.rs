//! What operators do with webhooks.

use std::sync::Arc;

use arc_swap::ArcSwap;
use secrecy::SecretString;
use store::{
    Access, Position, Store, StoreError, Webhook, WebhookProgress, WebhookSettings, WebhookState,
};
use tokio::sync::Notify;

use crate::config::{PreparedSender, Surroundings, WebhooksConfig, sender};
use crate::draft::{DEFAULT_TYPES, WebhookDraft, WebhookError, check_seen, settings};
use crate::figures::{Figures, WebhookFigures};
use crate::names::{failed, new_name};
use crate::sender::WebhookSender;
use crate::signature::{new_secret, rotated};

/// Most webhooks of an access.
const PER_ACCESS_MAX: usize = 4;

/// How long the secret before a rotated one goes on to sign, in seconds, unless an operator says otherwise: a day.
pub const GRACE_S: i64 = 24 * 3600;

/// Longest such time: a week.
pub const GRACE_S_MAX: i64 = 7 * 24 * 3600;

/// The webhooks of a gateway, as operators and the deliverer see them.
pub struct Webhooks {
    store: Arc<Store>,
    sender: ArcSwap<WebhookSender>,
    surroundings: Surroundings,
    changed: Arc<Notify>,
    figures: Figures,
}

impl Webhooks {
    /// Makes the webhooks of a store.
    ///
    /// # Errors
    /// A sentence, when the roots can't be read.
    pub fn new(
        store: Arc<Store>,
        config: &WebhooksConfig,
        surroundings: Surroundings,
    ) -> Result<Webhooks, String> {
        Ok(Webhooks {
            store,
            sender: ArcSwap::new(Arc::new(sender(config, &surroundings)?)),
            surroundings,
            changed: Arc::default(),
            figures: Figures::default(),
        })
    }

    /// Prepares what sends by another configuration.
    ///
    /// # Errors
    /// A sentence, when the roots can't be read.
    pub fn sender_of(&self, config: &WebhooksConfig) -> Result<PreparedSender, String> {
        Ok(PreparedSender(Arc::new(sender(
            config,
            &self.surroundings,
        )?)))
    }

    /// Puts another configuration in force.
    pub fn configure(&self, sender: PreparedSender) {
        self.sender.store(sender.0);
    }

    pub(crate) fn sender(&self) -> Arc<WebhookSender> {
        self.sender.load_full()
    }

    pub(crate) fn store(&self) -> &Arc<Store> {
        &self.store
    }

    pub(crate) fn now_ms(&self) -> i64 {
        (self.surroundings.clock)()
    }

    /// Counts of attempts, webhooks by state and unsettled deliveries of this process.
    #[must_use]
    pub fn figures(&self) -> WebhookFigures {
        self.figures.so_far()
    }

    pub(crate) fn figures_kept(&self) -> &Figures {
        &self.figures
    }

    /// Wakes whoever waits for a change.
    pub(crate) fn changed(&self) -> &Arc<Notify> {
        &self.changed
    }

    /// All webhooks with their accesses, by id.
    ///
    /// # Errors
    /// When the store can't be read.
    pub async fn list(&self) -> Result<Vec<(Webhook, Arc<Access>)>, WebhookError> {
        let accesses = self.store.accesses();
        let webhooks = self.store.webhooks().await?;
        let with_access = |webhook: Webhook| {
            let access = Arc::clone(accesses.of_client(&webhook.client_id)?);
            Some((webhook, access))
        };
        Ok(webhooks.into_iter().filter_map(with_access).collect())
    }

    /// The webhook with this id, and its access.
    ///
    /// # Errors
    /// When there is none, or the store can't be read.
    pub async fn find(&self, id: &str) -> Result<(Webhook, Arc<Access>), WebhookError> {
        let mut all = self.list().await?.into_iter();
        all.find(|(webhook, _)| webhook.id == id)
            .ok_or(WebhookError::Missing)
    }

    /// Makes a webhook of the access with this name, which gets the events from now on, and returns it with its secret.
    ///
    /// # Errors
    /// `NoAccess`; `Conflict` when the access has as many as it may; `Invalid` with the field; `Store`. Nothing is made then.
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
        };
        let new = webhook.clone();
        let put = move |there: &[Webhook]| match there.len() {
            PER_ACCESS_MAX.. => Err(WebhookError::Conflict(
                "An access has four webhooks at most.",
            )),
            _ => Ok(Some(new)),
        };
        let of = (webhook.id.as_str(), webhook.client_id.as_str());
        let made = self.store.change_webhook(of, put).await?;
        self.changed.notify_one();
        Ok((made.unwrap_or(webhook), secret.text))
    }

    /// Changes what an operator says about a webhook. `seen` is the version that the operator has seen; absent for any.
    ///
    /// # Errors
    /// `Missing`, `Stale`, `Invalid` with the field, or `Store`. Nothing has changed then.
    pub async fn set(
        &self,
        (id, seen): (&str, Option<i64>),
        draft: WebhookDraft,
    ) -> Result<(), WebhookError> {
        let sender = self.sender();
        // From what stands there when it is written: another operator may change something else of it at the same time.
        self.change((id, seen), move |webhook| {
            webhook.settings = settings(&webhook.settings, draft, &sender.rules)?;
            Ok(())
        })
        .await
        .map(drop)
    }

    /// Deletes a webhook with all that is left to send. `seen` is the version that the operator has seen; absent for any.
    ///
    /// # Errors
    /// `Missing`, `Stale`, or `Store`. Nothing has changed then.
    pub async fn delete(&self, (id, seen): (&str, Option<i64>)) -> Result<(), WebhookError> {
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

    /// The newest position of the log, which a clock does not tell: where gateways share a database, positions are by the clock of that.
    async fn end_of_log(&self) -> Result<u64, StoreError> {
        let nothing = self.store.events_after(Position::of(i64::MAX), 0, 0);
        Ok(nothing.await?.newest.number().unsigned_abs())
    }

    /// Makes a new secret, which signs first, and returns the webhook with it. The one before it signs beside it for `grace_s` seconds, 0 to
    /// [`GRACE_S_MAX`]. `seen` is the version that the operator has seen; absent for any.
    ///
    /// # Errors
    /// `Invalid` for another `grace_s`, `Missing`, `Stale`, or `Store`. Nothing has changed then.
    pub async fn rotate(
        &self,
        (id, seen): (&str, Option<i64>),
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
        Ok((self.change((id, seen), rotate).await?, text))
    }

    /// Ends all secrets but the newest at once.
    ///
    /// # Errors
    /// When there is no such webhook, or the store can't be written.
    pub async fn retire(&self, id: &str) -> Result<(), WebhookError> {
        self.change((id, None), |webhook| {
            webhook.secrets.truncate(1);
            Ok(())
        })
        .await
        .map(drop)
    }

    /// Changes a webhook, and returns it as it is then.
    pub(crate) async fn change(
        &self,
        (id, seen): (&str, Option<i64>),
        change: impl FnOnce(&mut Webhook) -> Result<(), WebhookError> + Send + 'static,
    ) -> Result<Webhook, WebhookError> {
        let (webhook, _) = self.find(id).await?;
        let of = (id, webhook.client_id.as_str());
        let put = changed((id, seen), change);
        let changed = self.store.change_webhook(of, put).await?;
        self.changed.notify_one();
        changed.ok_or(WebhookError::Missing)
    }
}

/// Changes one webhook of an access, if it is still as it was seen.
pub(crate) fn changed(
    (id, seen): (&str, Option<i64>),
    change: impl FnOnce(&mut Webhook) -> Result<(), WebhookError> + Send + 'static,
) -> impl FnOnce(&[Webhook]) -> Result<Option<Webhook>, WebhookError> + Send + 'static {
    let this = id.to_owned();
    move |there| {
        let found = there.iter().find(|webhook| webhook.id == this);
        let mut webhook = found.cloned().ok_or(WebhookError::Missing)?;
        check_seen(&webhook, seen)?;
        change(&mut webhook)?;
        Ok(Some(webhook))
    }
}
