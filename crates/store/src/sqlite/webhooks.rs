//! Webhooks, their deliveries and attempts in SQLite.

use std::sync::Arc;

use rusqlite::{Connection, Row, Transaction};

use super::connection::WriteConnection;
use super::store::SqliteStore;
use crate::memory::StoreMemory;
use crate::webhooks::{
    ATTEMPTS_KEPT, ATTEMPTS_KEPT_MS, DEAD_KEPT, secrets_from_bytes, secrets_to_bytes,
    settings_from_text, settings_to_text,
};
use crate::{
    Redelivery, StoreError, Webhook, WebhookAttempt, WebhookDelivery, WebhookProgress,
    WebhookSettlement, WebhookState,
};

impl SqliteStore {
    pub(crate) async fn webhooks(&self) -> Result<Vec<Webhook>, StoreError> {
        let memory = Arc::clone(self.memory());
        self.read(move |connection| read_webhooks(connection, &memory, ("1 = 1 OR ?1", "")))
            .await
    }

    pub(crate) async fn change_webhook<E: From<StoreError> + Send + 'static>(
        &self,
        (id, client_id): (&str, &str),
        skips: bool,
        change: impl FnOnce(&[Webhook]) -> Result<Option<Webhook>, E> + Send + 'static,
    ) -> Result<Option<Webhook>, E> {
        self.memory().journal.check_place()?;
        let (id, client_id) = (id.to_owned(), client_id.to_owned());
        let memory = Arc::clone(self.memory());
        let write = move |connection: &mut WriteConnection| {
            connection.within(|transaction| {
                let there = read_webhooks(transaction, &memory, ("client_id = ?1", &client_id))?;
                let wanted = match change(&there) {
                    Ok(wanted) => wanted,
                    Err(refused) => return Ok(Err(refused)),
                };
                let access = "SELECT 1 FROM accesses WHERE client_id = ?";
                if !transaction.prepare_cached(access)?.exists([&client_id])? {
                    return Err(StoreError::new("the access of a webhook was deleted"));
                }
                let Some(webhook) = wanted else {
                    transaction.execute("DELETE FROM webhooks WHERE id = ?", [&id])?;
                    return Ok(Ok(None));
                };
                let mut next = Webhook {
                    version: webhook.version + 1,
                    ..webhook
                };
                if skips {
                    next.progress.position = skip(transaction, &id)?;
                }
                put(transaction, &next)?;
                Ok::<_, StoreError>(Ok(Some(next)))
            })?
        };
        self.writer().run(write).await
    }

    pub(crate) async fn deliveries(
        &self,
        webhook: &str,
    ) -> Result<Vec<WebhookDelivery>, StoreError> {
        let webhook = webhook.to_owned();
        self.read(move |connection| {
            let mut rows = connection.prepare_cached(
                "SELECT position, event_id, state, attempts, first_at, next_at, cause FROM deliveries
                 WHERE webhook = ? ORDER BY position",
            )?;
            let rows = rows.query_map([webhook], |row| {
                Ok(WebhookDelivery {
                    position: unsigned(row, "position")?,
                    event_id: row.get("event_id")?,
                    is_dead: row.get::<_, String>("state")? == "dead",
                    attempts: row.get("attempts")?,
                    first_at: row.get("first_at")?,
                    next_at: row.get("next_at")?,
                    cause: row.get("cause")?,
                })
            })?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
        .await
    }

    pub(crate) async fn attempts(
        &self,
        webhook: &str,
        most: u32,
    ) -> Result<Vec<WebhookAttempt>, StoreError> {
        let webhook = webhook.to_owned();
        self.read(move |connection| {
            let mut rows = connection.prepare_cached(
                "SELECT position, event_id, at, number, status, cause, ms FROM attempts
                 WHERE webhook = ? ORDER BY id DESC LIMIT ?",
            )?;
            let rows = rows.query_map((webhook, most), |row| {
                Ok(WebhookAttempt {
                    position: unsigned(row, "position")?,
                    event_id: row.get("event_id")?,
                    at: row.get("at")?,
                    number: row.get("number")?,
                    status: row.get("status")?,
                    cause: row.get("cause")?,
                    ms: row.get("ms")?,
                })
            })?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
        .await
    }

    pub(crate) async fn redeliver(
        &self,
        webhook: &str,
        which: Redelivery,
    ) -> Result<u64, StoreError> {
        let webhook = webhook.to_owned();
        self.write(move |transaction| {
            let event = match &which {
                Redelivery::Dead => None,
                Redelivery::Event(id) => Some(id),
            };
            let mut count = transaction.execute(
                "UPDATE deliveries SET state = 'pending', attempts = 0, first_at = 0, next_at = 0
                 WHERE webhook = ?1 AND state = 'dead' AND (?2 IS NULL OR event_id = ?2)",
                (&webhook, event),
            )?;
            if let Some(event) = event {
                count += transaction.execute(
                    "INSERT INTO deliveries (webhook, position, event_id, state, attempts, first_at, next_at, cause)
                     SELECT w.id, e.position, e.id, 'pending', 0, 0, 0, '' FROM webhooks w, events e
                     WHERE w.id = ? AND e.id = ? ON CONFLICT DO NOTHING",
                    (&webhook, event),
                )?;
            }
            transaction.execute(
                "UPDATE webhooks SET version = version + 1 WHERE id = ?",
                [&webhook],
            )?;
            Ok(count as u64)
        })
        .await
    }

    pub(crate) async fn settle(
        &self,
        settlements: Vec<WebhookSettlement>,
    ) -> Result<Vec<String>, StoreError> {
        self.write(move |transaction| {
            let mut outdated = Vec::new();
            for settlement in settlements {
                if !settle(transaction, &settlement)? {
                    outdated.push(settlement.id);
                }
            }
            Ok(outdated)
        })
        .await
    }
}

/// Writes the progress of one webhook. Returns whether the webhook has not changed since.
fn settle(
    transaction: &Transaction<'_>,
    settlement: &WebhookSettlement,
) -> Result<bool, StoreError> {
    let (id, at) = (&settlement.id, &settlement.progress);
    let moved = transaction.prepare_cached(
        "UPDATE webhooks SET state = ?, cause = ?, state_at = ?, position = ?, failing_since = ?, failures = ?, next_at = ?,
         gone_at = ?, lost = ? WHERE id = ? AND version = ?",
    )?.execute((
        at.state.word(), &at.cause, at.state_at, signed(at.position), at.failing_since, at.failures, at.next_at, at.gone_at,
        signed(at.lost), id, settlement.version,
    ))?;
    if moved == 0 {
        let mut there = transaction.prepare_cached("SELECT 1 FROM webhooks WHERE id = ?")?;
        if !there.exists([id])? {
            return Ok(false);
        }
    }
    let mut settle =
        transaction.prepare_cached("DELETE FROM deliveries WHERE webhook = ? AND position = ?")?;
    for position in &settlement.settled {
        settle.execute((id, signed(*position)))?;
    }
    // For a changed webhook, only existing deliveries and those after its position are written, because the others were skipped.
    let mut put = transaction.prepare_cached(
        "INSERT INTO deliveries (webhook, position, event_id, state, attempts, first_at, next_at, cause)
         SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8
         WHERE ?9 OR ?2 > (SELECT position FROM webhooks WHERE id = ?1)
             OR EXISTS (SELECT 1 FROM deliveries WHERE webhook = ?1 AND position = ?2)
         ON CONFLICT (webhook, position) DO UPDATE SET state = excluded.state,
         attempts = excluded.attempts, first_at = excluded.first_at, next_at = excluded.next_at, cause = excluded.cause",
    )?;
    for delivery in &settlement.deliveries {
        let state = if delivery.is_dead { "dead" } else { "pending" };
        put.execute((
            id,
            signed(delivery.position),
            &delivery.event_id,
            state,
            delivery.attempts,
            delivery.first_at,
            delivery.next_at,
            &delivery.cause,
            moved > 0,
        ))?;
    }
    log(transaction, id, &settlement.attempts)?;
    Ok(moved > 0)
}

/// Writes attempts, and deletes attempts and dead deliveries beyond their limits.
fn log(
    transaction: &Transaction<'_>,
    id: &str,
    attempts: &[WebhookAttempt],
) -> Result<(), StoreError> {
    let Some(newest) = attempts.iter().map(|attempt| attempt.at).max() else {
        return Ok(());
    };
    let mut add = transaction.prepare_cached(
        "INSERT INTO attempts (webhook, position, event_id, at, number, status, cause, ms) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
    )?;
    for attempt in attempts {
        add.execute((
            id,
            signed(attempt.position),
            &attempt.event_id,
            attempt.at,
            attempt.number,
            attempt.status,
            &attempt.cause,
            attempt.ms,
        ))?;
    }
    let surplus = "DELETE FROM attempts WHERE webhook = ?1 AND (at < ?3 OR id <=
         (SELECT id FROM attempts WHERE webhook = ?1 ORDER BY id DESC LIMIT 1 OFFSET ?2))";
    let mut surplus = transaction.prepare_cached(surplus)?;
    surplus.execute((id, ATTEMPTS_KEPT, newest - ATTEMPTS_KEPT_MS))?;
    let dead = "DELETE FROM deliveries WHERE webhook = ?1 AND state = 'dead' AND position <=
         (SELECT position FROM deliveries WHERE webhook = ?1 AND state = 'dead' ORDER BY position DESC LIMIT 1 OFFSET ?2)";
    transaction.prepare_cached(dead)?.execute((id, DEAD_KEPT))?;
    Ok(())
}

/// Reads webhooks. A webhook that can't be read is not served, so that other webhooks do not depend on it.
fn read_webhooks(
    connection: &Connection,
    memory: &StoreMemory,
    (which, value): (&str, &str),
) -> Result<Vec<Webhook>, StoreError> {
    let mut rows = connection.prepare_cached(&format!(
        "SELECT id, version, client_id, document, secrets, state, cause, state_at, position, failing_since, failures, next_at,
         gone_at, lost FROM webhooks WHERE {which} ORDER BY id"
    ))?;
    let mut rows = rows.query([value])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(webhook(row).or_else(|error| {
            let id: String = row.get("id")?;
            memory.log_unreadable_webhook(&id, &error);
            let progress = progress(row, WebhookState::Disabled, String::new())?;
            let names = (id, row.get("client_id")?);
            Ok::<_, StoreError>(Webhook::unreadable(names, row.get("version")?, progress))
        })?);
    }
    Ok(found)
}

fn webhook(row: &Row<'_>) -> Result<Webhook, StoreError> {
    Ok(Webhook {
        id: row.get("id")?,
        version: row.get("version")?,
        client_id: row.get("client_id")?,
        settings: settings_from_text(&row.get::<_, String>("document")?)?,
        secrets: secrets_from_bytes(&row.get::<_, Vec<u8>>("secrets")?)?,
        progress: progress(
            row,
            WebhookState::from_word(&row.get::<_, String>("state")?)?,
            row.get("cause")?,
        )?,
        is_unreadable: false,
    })
}

fn progress(
    row: &Row<'_>,
    state: WebhookState,
    cause: String,
) -> Result<WebhookProgress, StoreError> {
    Ok(WebhookProgress {
        state,
        cause,
        state_at: row.get("state_at")?,
        position: unsigned(row, "position")?,
        failing_since: row.get("failing_since")?,
        failures: row.get("failures")?,
        next_at: row.get("next_at")?,
        gone_at: row.get("gone_at")?,
        lost: unsigned(row, "lost")?,
    })
}

/// Deletes the pending deliveries of a webhook. Returns the position at which it continues: the newest event of the log.
fn skip(transaction: &Transaction<'_>, id: &str) -> Result<u64, StoreError> {
    let left = "DELETE FROM deliveries WHERE webhook = ? AND state = 'pending'";
    transaction.execute(left, [id])?;
    let newest = "SELECT value FROM event_marks WHERE name = 'newest'";
    Ok(transaction.query_row(newest, [], |row| unsigned(row, "value"))?)
}

/// Adds a webhook, or replaces the webhook that has the same id.
fn put(transaction: &Transaction<'_>, webhook: &Webhook) -> Result<(), StoreError> {
    let at = &webhook.progress;
    transaction.prepare_cached(
        "INSERT INTO webhooks (id, version, client_id, document, secrets, state, cause, state_at, position, failing_since,
         failures, next_at, gone_at, lost) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
         ON CONFLICT (id) DO UPDATE SET version = excluded.version, document = excluded.document, secrets = excluded.secrets,
         state = excluded.state, cause = excluded.cause, state_at = excluded.state_at, position = excluded.position,
         failing_since = excluded.failing_since, failures = excluded.failures, next_at = excluded.next_at,
         gone_at = excluded.gone_at, lost = excluded.lost",
    )?.execute((
        &webhook.id, webhook.version, &webhook.client_id, settings_to_text(&webhook.settings),
        secrets_to_bytes(&webhook.secrets), at.state.word(), &at.cause, at.state_at, signed(at.position), at.failing_since,
        at.failures, at.next_at, at.gone_at, signed(at.lost),
    ))?;
    Ok(())
}

/// SQLite's integers are signed; positions and counts stay in their range for about 200,000 years.
fn signed(number: u64) -> i64 {
    number.cast_signed()
}

fn unsigned(row: &Row<'_>, name: &str) -> rusqlite::Result<u64> {
    Ok(row.get::<_, i64>(name)?.cast_unsigned())
}
