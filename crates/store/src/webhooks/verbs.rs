//! Reads and changes webhooks, decides which process delivers, and settles deliveries.

use super::{Redelivery, Webhook, WebhookAttempt, WebhookDelivery, WebhookSettlement};
use crate::store::Engine;
use crate::{Store, StoreError};

impl Store {
    /// Returns all webhooks, by id. They are few, because operators make them.
    ///
    /// # Errors
    /// When the webhooks can't be read.
    pub async fn webhooks(&self) -> Result<Vec<Webhook>, StoreError> {
        match self.engine() {
            Engine::Sqlite(sqlite) => sqlite.webhooks().await,
            Engine::Postgres(postgres) => postgres.webhooks().await,
        }
    }

    /// Changes the webhook with this id: `change` gets all webhooks of the access, and returns the new state of this webhook, or
    /// `None` to delete it. The webhook gets the next version. Returns the webhook after the change. A webhook that this program can't
    /// read can only be deleted.
    ///
    /// # Errors
    /// The error of `change`, or the reason why the store failed. Nothing has changed in either case.
    pub async fn change_webhook<E: From<StoreError> + Send + 'static>(
        &self,
        of: (&str, &str),
        change: impl FnOnce(&[Webhook]) -> Result<Option<Webhook>, E> + Send + 'static,
    ) -> Result<Option<Webhook>, E> {
        let change = only_if_readable(of.0, change);
        match self.engine() {
            Engine::Sqlite(sqlite) => sqlite.change_webhook(of, false, change).await,
            Engine::Postgres(postgres) => postgres.change_webhook(of, false, change).await,
        }
    }

    /// Changes a webhook as [`Store::change_webhook`] does, and skips its pending deliveries in the same transaction: it continues
    /// at the newest event of the log.
    ///
    /// # Errors
    /// The error of `change`, or the reason why the store failed. In either case nothing has changed, and nothing is skipped.
    pub async fn skip_deliveries<E: From<StoreError> + Send + 'static>(
        &self,
        of: (&str, &str),
        change: impl FnOnce(&[Webhook]) -> Result<Option<Webhook>, E> + Send + 'static,
    ) -> Result<Option<Webhook>, E> {
        let change = only_if_readable(of.0, change);
        match self.engine() {
            Engine::Sqlite(sqlite) => sqlite.change_webhook(of, true, change).await,
            Engine::Postgres(postgres) => postgres.change_webhook(of, true, change).await,
        }
    }

    /// Returns the unsettled deliveries of a webhook, in the order of their events.
    ///
    /// # Errors
    /// When the deliveries can't be read.
    pub async fn deliveries(&self, webhook: &str) -> Result<Vec<WebhookDelivery>, StoreError> {
        match self.engine() {
            Engine::Sqlite(sqlite) => sqlite.deliveries(webhook).await,
            Engine::Postgres(postgres) => postgres.deliveries(webhook).await,
        }
    }

    /// Returns the latest attempts of a webhook, newest first.
    ///
    /// # Errors
    /// When the attempts can't be read.
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

    /// Schedules deliveries again, and returns their number. The webhook gets the next version.
    ///
    /// # Errors
    /// When the store can't be written. Nothing has changed then.
    pub async fn redeliver(&self, webhook: &str, which: Redelivery) -> Result<u64, StoreError> {
        match self.engine() {
            Engine::Sqlite(sqlite) => sqlite.redeliver(webhook, which).await,
            Engine::Postgres(postgres) => postgres.redeliver(webhook, which).await,
        }
    }

    /// Returns the term of this process if it is the process that delivers for the next
    /// [`DELIVERING_HELD_MS`](crate::DELIVERING_HELD_MS): of several processes that share the store, only one delivers. The term is
    /// another one if another process has delivered in between.
    ///
    /// # Errors
    /// When the store can't be asked.
    pub async fn may_deliver(&self) -> Result<Option<i64>, StoreError> {
        match self.engine() {
            Engine::Sqlite(_) => Ok(Some(1)),
            Engine::Postgres(postgres) => postgres.may_deliver().await,
        }
    }

    /// Writes settlements in one transaction. Returns the ids of webhooks that an operator has changed or deleted since, and of all
    /// webhooks whose term is over. For a changed webhook, deliveries and attempts are written, but not the progress. A delivery
    /// before its position that does not exist any more was skipped, and is not written again. After the end of the term, only
    /// attempts are written and settled deliveries deleted, because the deliveries belong to another process.
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

/// Returns a change that does not overwrite a webhook with this id that this program can't read.
fn only_if_readable<E: From<StoreError>>(
    id: &str,
    change: impl FnOnce(&[Webhook]) -> Result<Option<Webhook>, E> + Send + 'static,
) -> impl FnOnce(&[Webhook]) -> Result<Option<Webhook>, E> + Send + 'static {
    let id = id.to_owned();
    move |there| {
        let wanted = change(there)?;
        let overwritten = there.iter().find(|webhook| webhook.id == id);
        if wanted.is_some() && overwritten.is_some_and(|webhook| webhook.is_unreadable) {
            let why =
                "this version of the program can't read the webhook, and does not overwrite it";
            return Err(StoreError::new(why).into());
        }
        Ok(wanted)
    }
}
