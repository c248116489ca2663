//! Webhooks, their deliveries and their attempts. The secrets of webhooks leave this process only sealed.

mod settle;
#[cfg(test)]
mod tests;

use serde_json::{Value as Json, json};
use tokio_postgres::Row;
use tokio_postgres::types::{FromSql, Type};

use super::error::PgError;
use super::seal::{SealContext, SealKeys};
use super::session::{PgSession, Value};
use super::store::PostgresStore;
use crate::webhooks::{
    DELIVERING_HELD_MS, secrets_from_bytes, secrets_to_bytes, settings_from_text, settings_to_text,
};
use crate::{
    Redelivery, StoreError, Webhook, WebhookAttempt, WebhookDelivery, WebhookProgress,
    WebhookSettlement, WebhookState,
};

const COLUMNS: &str = "id, version, client_id, document, secrets, state, cause, state_at, position, failing_since, failures, next_at, \
     gone_at, lost";

/// Inserts a webhook or replaces the one with its id.
const PUT: &str = "INSERT INTO chatgate.webhooks (id, version, client_id, document, secrets, state, cause, state_at, position,
        failing_since, failures, next_at, gone_at, lost)
    SELECT id, version, client_id, document, $2, state, cause, state_at, position, failing_since, failures, next_at, gone_at, lost
    FROM jsonb_populate_record(NULL::chatgate.webhooks, $1::text::jsonb)
    ON CONFLICT (id) DO UPDATE SET version = excluded.version, document = excluded.document, secrets = excluded.secrets,
        state = excluded.state, cause = excluded.cause, state_at = excluded.state_at, position = excluded.position,
        failing_since = excluded.failing_since, failures = excluded.failures, next_at = excluded.next_at,
        gone_at = excluded.gone_at, lost = excluded.lost";

const REVIVE: &str =
    "UPDATE chatgate.deliveries SET state = 'pending', attempts = 0, first_at = 0, next_at = 0
    WHERE webhook = $1 AND state = 'dead' AND ($2::text IS NULL OR event_id = $2)";

const REPEAT: &str = "INSERT INTO chatgate.deliveries (webhook, position, event_id, state, attempts, first_at, next_at, cause)
    SELECT w.id, e.position, e.id, 'pending', 0, 0, 0, '' FROM chatgate.webhooks w, chatgate.events e
    WHERE w.id = $1 AND e.id = $2 ON CONFLICT DO NOTHING";

/// Uses the mark and not a clock, because positions follow the database's clock, and this host's clock may be ahead of it.
const NEWEST: &str = "SELECT value FROM chatgate.event_marks WHERE name = 'newest'";

const CLEAR: &str = "DELETE FROM chatgate.deliveries WHERE webhook = $1 AND state = 'pending'";

impl PostgresStore {
    pub(crate) async fn may_deliver(&self) -> Result<Option<i64>, StoreError> {
        Ok(self.hold_lease("webhooks", DELIVERING_HELD_MS).await?)
    }

    pub(crate) async fn webhooks(&self) -> Result<Vec<Webhook>, StoreError> {
        let all = format!("SELECT {COLUMNS} FROM chatgate.webhooks ORDER BY id");
        let rows = self.pool().read(&all, &[]).await?;
        rows.iter().map(|row| self.webhook(row)).collect()
    }

    pub(crate) async fn change_webhook<E: From<StoreError>>(
        &self,
        (id, client_id): (&str, &str),
        skips: bool,
        change: impl FnOnce(&[Webhook]) -> Result<Option<Webhook>, E>,
    ) -> Result<Option<Webhook>, E> {
        let lease = self.pool().take().await;
        let mut lease = lease.map_err(StoreError::from)?;
        let changed = async {
            let session = &mut lease.session;
            session.begin().await?;
            let there = self.of_access(session, client_id).await?;
            let wanted = match change(&there) {
                Ok(wanted) => wanted,
                Err(refused) => return Ok(Err(refused)),
            };
            let Some(webhook) = wanted else {
                let delete = "DELETE FROM chatgate.webhooks WHERE id = $1";
                session.execute(delete, &[(&id, Type::TEXT)]).await?;
                return Ok(Ok(None));
            };
            let mut next = Webhook {
                version: webhook.version + 1,
                ..webhook
            };
            if skips {
                next.progress.position = skip(session, id).await?;
            }
            put_webhook(session, (self.seal(), self.deployment()), &next).await?;
            Ok::<_, StoreError>(Ok(Some(next)))
        };
        let ended = match changed.await {
            Ok(Ok(webhook)) => self.end(lease, Ok(webhook)).await,
            Ok(Err(refused)) => {
                let undone = self.end(lease, Err::<(), _>(PgError::new("no webhook changes")));
                let _ = undone.await;
                return Err(refused);
            }
            Err(error) => self.end(lease, Err(error)).await,
        };
        Ok(ended?)
    }

    /// Reads the webhooks of an access, and locks them until the transaction ends.
    async fn of_access(
        &self,
        session: &mut PgSession,
        client_id: &str,
    ) -> Result<Vec<Webhook>, StoreError> {
        let lock = "SELECT FROM chatgate.accesses WHERE client_id = $1 FOR UPDATE";
        let value: [Value<'_>; 1] = [(&client_id, Type::TEXT)];
        if session.query(lock, &value).await?.is_empty() {
            return Err(StoreError::new("the access of a webhook was deleted"));
        }
        let all = format!(
            "SELECT {COLUMNS} FROM chatgate.webhooks WHERE client_id = $1 ORDER BY id FOR UPDATE"
        );
        let rows = session.query(&all, &value).await?;
        rows.iter().map(|row| self.webhook(row)).collect()
    }

    /// Reads a webhook. A webhook that can't be read is not served, so that other webhooks do not depend on it.
    fn webhook(&self, row: &Row) -> Result<Webhook, StoreError> {
        self.readable_webhook(row).or_else(|error| {
            let id: String = column(row, "id")?;
            self.memory().log_unreadable_webhook(&id, &error);
            let progress = progress(row, WebhookState::Disabled, String::new())?;
            let names = (id, column(row, "client_id")?);
            Ok(Webhook::unreadable(
                names,
                column(row, "version")?,
                progress,
            ))
        })
    }

    fn readable_webhook(&self, row: &Row) -> Result<Webhook, StoreError> {
        let id: String = column(row, "id")?;
        let purpose = purpose_of(&id);
        let sealed: Vec<u8> = column(row, "secrets")?;
        let context = SealContext {
            deployment: self.deployment(),
            purpose: &purpose,
        };
        let secrets = self.seal().open(&context, &sealed)?;
        Ok(Webhook {
            version: column(row, "version")?,
            client_id: column(row, "client_id")?,
            settings: settings_from_text(&column::<String>(row, "document")?)?,
            secrets: secrets_from_bytes(&secrets)?,
            progress: progress(
                row,
                WebhookState::from_word(&column::<String>(row, "state")?)?,
                column(row, "cause")?,
            )?,
            id,
            is_unreadable: false,
        })
    }

    pub(crate) async fn deliveries(
        &self,
        webhook: &str,
    ) -> Result<Vec<WebhookDelivery>, StoreError> {
        let all = "SELECT position, event_id, state, attempts, first_at, next_at, cause FROM chatgate.deliveries
             WHERE webhook = $1 ORDER BY position";
        let rows = self.pool().read(all, &[(&webhook, Type::TEXT)]).await?;
        let delivery = |row: &Row| {
            Ok(WebhookDelivery {
                position: unsigned(row, "position")?,
                event_id: column(row, "event_id")?,
                is_dead: column::<String>(row, "state")? == "dead",
                attempts: small(row, "attempts")?,
                first_at: column(row, "first_at")?,
                next_at: column(row, "next_at")?,
                cause: column(row, "cause")?,
            })
        };
        rows.iter().map(delivery).collect()
    }

    pub(crate) async fn attempts(
        &self,
        webhook: &str,
        most: u32,
    ) -> Result<Vec<WebhookAttempt>, StoreError> {
        let latest =
            "SELECT position, event_id, at, number, status, cause, ms FROM chatgate.attempts
             WHERE webhook = $1 ORDER BY id DESC LIMIT $2";
        let most = i64::from(most);
        let values: [Value<'_>; 2] = [(&webhook, Type::TEXT), (&most, Type::INT8)];
        let rows = self.pool().read(latest, &values).await?;
        let attempt = |row: &Row| {
            let status: Option<i64> = column(row, "status")?;
            Ok(WebhookAttempt {
                position: unsigned(row, "position")?,
                event_id: column(row, "event_id")?,
                at: column(row, "at")?,
                number: small(row, "number")?,
                status: status.and_then(|status| u16::try_from(status).ok()),
                cause: column(row, "cause")?,
                ms: column(row, "ms")?,
            })
        };
        rows.iter().map(attempt).collect()
    }

    pub(crate) async fn redeliver(
        &self,
        webhook: &str,
        which: Redelivery,
    ) -> Result<u64, StoreError> {
        let event = match which {
            Redelivery::Dead => None,
            Redelivery::Event(id) => Some(id),
        };
        let mut lease = self.pool().take().await?;
        let done = async {
            let session = &mut lease.session;
            session.begin().await?;
            let next = "UPDATE chatgate.webhooks SET version = version + 1 WHERE id = $1";
            session.execute(next, &[(&webhook, Type::TEXT)]).await?;
            let values: [Value<'_>; 2] = [(&webhook, Type::TEXT), (&event, Type::TEXT)];
            let mut count = session.execute(REVIVE, &values).await?;
            if event.is_some() {
                count += session.execute(REPEAT, &values).await?;
            }
            Ok::<_, PgError>(count)
        };
        let done = done.await;
        Ok(self.end(lease, done).await?)
    }

    pub(crate) async fn settle(
        &self,
        settlements: Vec<WebhookSettlement>,
    ) -> Result<Vec<String>, StoreError> {
        let replica = self.ids().replica().id;
        let mut lease = self.pool().take().await?;
        let moved = settle::settle(&mut lease.session, replica, &settlements).await;
        let moved = self.end(lease, moved).await?;
        let ids = settlements.into_iter().map(|settlement| settlement.id);
        Ok(ids.filter(|id| !moved.contains(id)).collect())
    }
}

/// Deletes the pending deliveries of a webhook. Returns the position from which the webhook continues: the newest event of the log.
async fn skip(session: &mut PgSession, id: &str) -> Result<u64, StoreError> {
    session.execute(CLEAR, &[(&id, Type::TEXT)]).await?;
    let newest = session.query(NEWEST, &[]).await?;
    let newest = newest.first().map(|row| unsigned(row, "value"));
    newest.unwrap_or_else(|| Err(StoreError::new("the log of events has no newest position")))
}

/// Inserts a webhook or replaces the one with its id. Its secrets are sealed for this deployment.
pub(super) async fn put_webhook(
    session: &mut PgSession,
    (seal, deployment): (&SealKeys, &str),
    webhook: &Webhook,
) -> Result<(), StoreError> {
    let mut row = progress_row(&webhook.id, webhook.version, &webhook.progress);
    row["client_id"] = json!(webhook.client_id);
    row["document"] = json!(settings_to_text(&webhook.settings));
    let row = row.to_string();
    let purpose = purpose_of(&webhook.id);
    let context = SealContext {
        deployment,
        purpose: &purpose,
    };
    let sealed = seal.seal(&context, &secrets_to_bytes(&webhook.secrets))?;
    let values: [Value<'_>; 2] = [(&row, Type::TEXT), (&sealed, Type::BYTEA)];
    session.execute(PUT, &values).await?;
    Ok(())
}

fn progress(row: &Row, state: WebhookState, cause: String) -> Result<WebhookProgress, StoreError> {
    Ok(WebhookProgress {
        state,
        cause,
        state_at: column(row, "state_at")?,
        position: unsigned(row, "position")?,
        failing_since: column(row, "failing_since")?,
        failures: small(row, "failures")?,
        next_at: column(row, "next_at")?,
        gone_at: column(row, "gone_at")?,
        lost: unsigned(row, "lost")?,
    })
}

fn progress_row(id: &str, version: i64, at: &WebhookProgress) -> Json {
    json!({"id": id, "version": version, "state": at.state.word(), "cause": at.cause, "state_at": at.state_at,
        "position": at.position, "failing_since": at.failing_since, "failures": at.failures, "next_at": at.next_at,
        "gone_at": at.gone_at, "lost": at.lost})
}

/// Returns the purpose for which the secrets of a webhook are sealed.
pub(super) fn purpose_of(webhook: &str) -> String {
    format!("webhook/{webhook}")
}

fn column<'r, T: FromSql<'r>>(row: &'r Row, name: &str) -> Result<T, StoreError> {
    Ok(row.try_get(name).map_err(PgError::from)?)
}

/// Reads a number that is never negative. PostgreSQL's integers are signed, and positions and counts stay within them for some
/// 200,000 years.
fn unsigned(row: &Row, name: &str) -> Result<u64, StoreError> {
    Ok(column::<i64>(row, name)?.cast_unsigned())
}

fn small(row: &Row, name: &str) -> Result<u32, StoreError> {
    Ok(u32::try_from(column::<i64>(row, name)?).unwrap_or(u32::MAX))
}
