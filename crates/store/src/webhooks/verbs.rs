//! Reading and changing webhooks, delivering, and settling what has come of it.

use super::{Redelivery, Webhook, WebhookAttempt, WebhookDelivery, WebhookSettlement};
use crate::store::Engine;
use crate::{Store, StoreError};

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
    /// it. Its version becomes the next one. Returns it as it is then.
    ///
    /// # Errors
    /// What `change` says, or why the store could not do it. Nothing has changed then.
    pub async fn change_webhook<E: From<StoreError> + Send + 'static>(
        &self,
        of: (&str, &str),
        change: impl FnOnce(&[Webhook]) -> Result<Option<Webhook>, E> + Send + 'static,
    ) -> Result<Option<Webhook>, E> {
        match self.engine() {
            Engine::Sqlite(sqlite) => sqlite.change_webhook(of, false, change).await,
            Engine::Postgres(postgres) => postgres.change_webhook(of, false, change).await,
        }
    }

    /// Changes a webhook as [`Store::change_webhook`] does, and in the same transaction skips what is left to send of it: it goes on
    /// from the newest event of the log.
    ///
    /// # Errors
    /// What `change` says, or why the store could not do it. Nothing has changed then, and nothing is skipped.
    pub async fn skip_deliveries<E: From<StoreError> + Send + 'static>(
        &self,
        of: (&str, &str),
        change: impl FnOnce(&[Webhook]) -> Result<Option<Webhook>, E> + Send + 'static,
    ) -> Result<Option<Webhook>, E> {
        match self.engine() {
            Engine::Sqlite(sqlite) => sqlite.change_webhook(of, true, change).await,
            Engine::Postgres(postgres) => postgres.change_webhook(of, true, change).await,
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

    /// The term of this process, if it is the one that delivers, for the next [`DELIVERING_HELD_MS`](crate::DELIVERING_HELD_MS): of several that share the store
    /// one is. It is another term once somebody else has delivered in between.
    ///
    /// # Errors
    /// When the store can't be asked.
    pub async fn may_deliver(&self) -> Result<Option<i64>, StoreError> {
        match self.engine() {
            Engine::Sqlite(_) => Ok(Some(1)),
            Engine::Postgres(postgres) => postgres.may_deliver().await,
        }
    }

    /// Writes what has become of deliveries, in one transaction. Returns the ids of those webhooks that an operator has changed or
    /// deleted since, and of all whose term is over: of a changed one, deliveries and attempts are written, and how far it has come is
    /// not; a delivery that its position has passed and that is not there is one that was skipped, and stays so. After its term, attempts are written and what is settled is taken away, and nothing else: the deliveries are another's.
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
