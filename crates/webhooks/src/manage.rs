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
use crate::state_turn::{StateTurn, state_in_words};

/// Why a webhook is paused that an operator has stopped.
pub const PAUSED: &str = "by an operator";

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
        let made = webhook.clone();
        let put = move |there: &[Webhook]| match there.len() {
            PER_ACCESS_MAX.. => Err(WebhookError::Conflict(
                "An access has four webhooks at most.",
            )),
            _ => Ok(Some(made)),
        };
        let of = (webhook.id.as_str(), webhook.client_id.as_str());
        self.store.change_webhook(of, put).await?;
        self.changed.notify_one();
        Ok((webhook, secret.text))
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

    /// Stops a webhook; its events are kept for it as long as the log keeps them. `by` is the name of the admin key, for the history of
    /// the access.
    ///
    /// # Errors
    /// When there is none, or the store can't be written.
    pub async fn pause(&self, by: &str, id: &str) -> Result<(), WebhookError> {
        let now_ms = self.now_ms();
        self.turn(by, id, (WebhookState::Paused, PAUSED), move |webhook| {
            set_state(webhook, (WebhookState::Paused, PAUSED), now_ms);
        })
        .await
    }

    /// Has a webhook go on where it stopped, or with `skips` from now on, without what is left to send.
    ///
    /// # Errors
    /// When there is none, or the store can't be written.
    pub async fn resume(&self, by: &str, id: &str, skips: bool) -> Result<(), WebhookError> {
        if skips {
            self.find(id).await?;
            self.store.skip_deliveries(id).await?;
        }
        let now_ms = self.now_ms();
        self.turn(by, id, (WebhookState::Active, ""), move |webhook| {
            set_state(webhook, (WebhookState::Active, ""), now_ms);
        })
        .await
    }

    /// The newest position of the log, which a clock does not tell: where gateways share a database, positions are by the clock of that.
    async fn end_of_log(&self) -> Result<u64, StoreError> {
        let nothing = self.store.events_after(Position::of(i64::MAX), 0, 0);
        Ok(nothing.await?.newest.number().unsigned_abs())
    }

    /// Changes the state of a webhook, and notes it among the changes of its access.
    async fn turn(
        &self,
        by: &str,
        id: &str,
        (state, cause): (WebhookState, &str),
        change: impl FnOnce(&mut Webhook) + Send + 'static,
    ) -> Result<(), WebhookError> {
        let (webhook, access) = self.find(id).await?;
        self.change((id, None), move |webhook| {
            change(webhook);
            Ok(())
        })
        .await?;
        if webhook.progress.state == state {
            return Ok(());
        }
        let turn = StateTurn {
            access: access.name.clone(),
            webhook: webhook.id,
            from: state_in_words(webhook.progress.state, &webhook.progress.cause),
            to: state_in_words(state, cause),
        };
        turn.note(&self.store, (by, self.now_ms() / 1000)).await;
        Ok(())
    }

    /// Makes a new secret, which signs first, and returns it. The one before it signs beside it for `grace_s` seconds, 0 to
    /// [`GRACE_S_MAX`]. `seen` is the version that the operator has seen; absent for any.
    ///
    /// # Errors
    /// `Invalid` for another `grace_s`, `Missing`, `Stale`, or `Store`. Nothing has changed then.
    pub async fn rotate(
        &self,
        (id, seen): (&str, Option<i64>),
        grace_s: i64,
    ) -> Result<SecretString, WebhookError> {
        if !(0..=GRACE_S_MAX).contains(&grace_s) {
            let text = format!("write 0 to {GRACE_S_MAX} seconds");
            return Err(WebhookError::Invalid("grace_s", text));
        }
        let now = self.now_ms() / 1000;
        let secret = new_secret(now).map_err(failed)?;
        let text = secret.text.clone();
        self.change((id, seen), move |webhook| {
            webhook.secrets = rotated(&webhook.secrets, secret, now, grace_s);
            Ok(())
        })
        .await?;
        Ok(text)
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
    }

    pub(crate) async fn change(
        &self,
        (id, seen): (&str, Option<i64>),
        change: impl FnOnce(&mut Webhook) -> Result<(), WebhookError> + Send + 'static,
    ) -> Result<(), WebhookError> {
        let (webhook, _) = self.find(id).await?;
        let this = id.to_owned();
        let put = move |there: &[Webhook]| {
            let found = there.iter().find(|webhook| webhook.id == this);
            let mut webhook = found.cloned().ok_or(WebhookError::Missing)?;
            check_seen(&webhook, seen)?;
            change(&mut webhook)?;
            Ok::<_, WebhookError>(Some(webhook))
        };
        self.store
            .change_webhook((id, &webhook.client_id), put)
            .await?;
        self.changed.notify_one();
        Ok(())
    }
}

/// An operator's word: the receiver is trusted anew.
fn set_state(webhook: &mut Webhook, (state, cause): (WebhookState, &str), now_ms: i64) {
    let at = &mut webhook.progress;
    if at.state != state {
        at.state_at = now_ms;
    }
    at.state = state;
    cause.clone_into(&mut at.cause);
    at.failing_since = None;
    at.failures = 0;
    at.next_at = 0;
    at.gone_at = None;
}
