//! Writes the results of deliveries in one transaction.

use serde_json::{Value as Json, json};
use tokio_postgres::types::Type;

use super::progress_row;
use crate::postgres::error::PgError;
use crate::postgres::session::{PgSession, Value};
use crate::webhooks::{ATTEMPTS_KEPT, ATTEMPTS_KEPT_MS, DEAD_KEPT};
use crate::{WebhookDelivery, WebhookSettlement};

/// Selects the current term if this replica delivers, and locks it, so that no other replica begins a term before the transaction
/// ends.
const TERM: &str =
    "SELECT token FROM chatgate.leases WHERE what = 'webhooks' AND holder = $1 FOR SHARE";

/// Updates the webhooks that have not changed since, in the order of their ids, so that no two transactions wait for each other.
const MOVE: &str = "WITH moved AS (
        SELECT n.* FROM chatgate.webhooks w JOIN jsonb_populate_recordset(NULL::chatgate.webhooks, $1::text::jsonb) n
            ON n.id = w.id AND n.version = w.version ORDER BY w.id FOR UPDATE OF w
    ) UPDATE chatgate.webhooks w SET state = n.state, cause = n.cause, state_at = n.state_at, position = n.position,
        failing_since = n.failing_since, failures = n.failures, next_at = n.next_at, gone_at = n.gone_at, lost = n.lost
    FROM moved n WHERE n.id = w.id AND n.version = w.version RETURNING w.id";

const SETTLE: &str = "DELETE FROM chatgate.deliveries d USING jsonb_populate_recordset(NULL::chatgate.deliveries, $1::text::jsonb) n
    WHERE d.webhook = n.webhook AND d.position = n.position";

/// Inserts or updates deliveries. If a webhook has changed since, its other deliveries were skipped, so only existing deliveries
/// and those beyond its position are written.
const PUT_DELIVERIES: &str = "INSERT INTO chatgate.deliveries (webhook, position, event_id, state, attempts, first_at, next_at, cause)
    SELECT n.webhook, n.position, n.event_id, n.state, n.attempts, n.first_at, n.next_at, n.cause
    FROM jsonb_populate_recordset(NULL::chatgate.deliveries, $1::text::jsonb) n
        JOIN chatgate.webhooks w ON w.id = n.webhook
    WHERE w.id = ANY ($2) OR n.position > w.position
        OR EXISTS (SELECT FROM chatgate.deliveries d WHERE d.webhook = n.webhook AND d.position = n.position)
    ON CONFLICT (webhook, position) DO UPDATE SET state = excluded.state, attempts = excluded.attempts,
        first_at = excluded.first_at, next_at = excluded.next_at, cause = excluded.cause";

const LOG: &str =
    "INSERT INTO chatgate.attempts (webhook, position, event_id, at, number, status, cause, ms)
    SELECT n.webhook, n.position, n.event_id, n.at, n.number, n.status, n.cause, n.ms
    FROM jsonb_populate_recordset(NULL::chatgate.attempts, $1::text::jsonb) WITH ORDINALITY n
        JOIN chatgate.webhooks w ON w.id = n.webhook ORDER BY n.ordinality";

/// Deletes deliveries and attempts of these webhooks beyond their limits of age and number.
const SURPLUS: &str = "WITH dead AS (
        DELETE FROM chatgate.deliveries d WHERE d.webhook = ANY ($1) AND d.state = 'dead' AND d.position <=
            (SELECT o.position FROM chatgate.deliveries o WHERE o.webhook = d.webhook AND o.state = 'dead'
             ORDER BY o.position DESC LIMIT 1 OFFSET $3)
    ) DELETE FROM chatgate.attempts a WHERE a.webhook = ANY ($1) AND (a.at < $4 OR a.id <=
        (SELECT o.id FROM chatgate.attempts o WHERE o.webhook = a.webhook ORDER BY o.id DESC LIMIT 1 OFFSET $2))";

/// Writes the results of webhooks in one transaction. Returns the ids of the updated webhooks, which had not changed since. From an
/// expired term only its attempts and settled deliveries are written, because the replica that delivers now has continued from the
/// earlier state.
pub(super) async fn settle(
    session: &mut PgSession,
    replica: i64,
    settlements: &[WebhookSettlement],
) -> Result<Vec<String>, PgError> {
    session.begin().await?;
    let term = session.query(TERM, &[(&replica, Type::INT8)]).await?;
    let term = term.first().map(|row| row.try_get("token")).transpose()?;
    let current: Vec<&WebhookSettlement> = settlements
        .iter()
        .filter(|of| Some(of.term) == term)
        .collect();
    let rows: Vec<Json> = current
        .iter()
        .map(|of| progress_row(&of.id, of.version, &of.progress))
        .collect();
    let rows = Json::from(rows).to_string();
    let moved = session.query(MOVE, &[(&rows, Type::TEXT)]).await?;
    let moved: Result<Vec<String>, PgError> =
        moved.iter().map(|row| Ok(row.try_get("id")?)).collect();
    let moved = moved?;
    let settled = each(settlements, |of| {
        let row = |position: &u64| json!({"position": position});
        of.settled.iter().map(row).collect()
    });
    put(session, SETTLE, (&settled, &[])).await?;
    let deliveries = each(current, |of| {
        let row = |delivery: &WebhookDelivery| {
            let mut row = json!(delivery);
            row["state"] = json!(if delivery.is_dead { "dead" } else { "pending" });
            row
        };
        of.deliveries.iter().map(row).collect()
    });
    put(
        session,
        PUT_DELIVERIES,
        (&deliveries, &[(&moved, Type::TEXT_ARRAY)]),
    )
    .await?;
    log(session, settlements).await?;
    Ok(moved)
}

/// Writes attempts, and deletes attempts and deliveries beyond the limits.
async fn log(session: &mut PgSession, settlements: &[WebhookSettlement]) -> Result<(), PgError> {
    let attempts = each(settlements, |of| {
        of.attempts.iter().map(|attempt| json!(attempt)).collect()
    });
    put(session, LOG, (&attempts, &[])).await?;
    let logged = settlements.iter().flat_map(|of| &of.attempts);
    if let Some(newest) = logged.map(|attempt| attempt.at).max() {
        let ids: Vec<&str> = settlements.iter().map(|of| of.id.as_str()).collect();
        let before = newest - ATTEMPTS_KEPT_MS;
        let values: [Value<'_>; 4] = [
            (&ids, Type::TEXT_ARRAY),
            (&ATTEMPTS_KEPT, Type::INT8),
            (&DEAD_KEPT, Type::INT8),
            (&before, Type::INT8),
        ];
        session.execute(SURPLUS, &values).await?;
    }
    Ok(())
}

/// Returns the rows of all webhooks, each with the id of its webhook.
fn each<'s>(
    settlements: impl IntoIterator<Item = &'s WebhookSettlement>,
    rows: impl Fn(&WebhookSettlement) -> Vec<Json>,
) -> Vec<Json> {
    let with_id = |of: &WebhookSettlement| {
        let mut rows = rows(of);
        rows.iter_mut()
            .for_each(|row| row["webhook"] = json!(of.id));
        rows
    };
    settlements.into_iter().flat_map(with_id).collect()
}

/// Executes a statement with rows and further parameters, if there are rows.
async fn put(
    session: &mut PgSession,
    sql: &str,
    (rows, further): (&[Json], &[Value<'_>]),
) -> Result<(), PgError> {
    if !rows.is_empty() {
        let rows = json!(rows).to_string();
        let mut values: Vec<Value<'_>> = vec![(&rows, Type::TEXT)];
        values.extend_from_slice(further);
        session.execute(sql, &values).await?;
    }
    Ok(())
}
