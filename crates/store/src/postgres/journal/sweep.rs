//! Closes sends without an outcome: rows of this replica that belong to no known send, and rows of dead replicas. Both jobs run
//! forever, because a commit may appear long after the client that requested it is dead.

use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use tokio::time::{MissedTickBehavior, interval};
use tokio_postgres::types::Type;

use super::columns::COLUMNS;
use super::shared::LaneState;
use crate::JournalRow;
use crate::postgres::error::PgError;
use crate::postgres::session::{PgSession, Value};
use crate::receipts::BROKEN_OFF;

/// Pause between two searches for rows of dead replicas.
const REAP_INTERVAL: Duration = Duration::from_secs(2);

/// Number of these rounds between two sweeps of this replica's own rows: ten seconds.
const ROUNDS_BETWEEN_SWEEPS: u32 = 5;

/// Time limit for a statement of the sweeper. No caller waits for it, and an abandoned statement would continue in the database.
const STATEMENT_TIMEOUT: Duration = Duration::from_secs(600);

/// Takes back the existing rows among these, because their sends did not take place.
const WITHDRAW: &str = "WITH gone AS (
        DELETE FROM chatgate.intents WHERE id = ANY($1) RETURNING id
    ), freed AS (
        DELETE FROM chatgate.receipts WHERE row IN (SELECT id FROM gone)
    )
    SELECT id FROM gone";

/// Selects the rows of this replica.
const OWN: &str = "SELECT id FROM chatgate.intents WHERE owner = $1";

/// Builds a statement that closes rows as unknown. `which` is the condition for the rows, and `row` is the expression for their
/// data.
fn close_as_unknown(which: &str, row: &str) -> String {
    let known: Vec<String> = COLUMNS
        .split(", ")
        .map(|column| match column {
            "id" => "dead.id".to_owned(),
            "kind" => "'request'".to_owned(),
            "count" => "1".to_owned(),
            "delivery" => "'unknown'".to_owned(),
            "cause" => "$2".to_owned(),
            other => format!("r.{other}"),
        })
        .collect();
    format!(
        "WITH dead AS (
            DELETE FROM chatgate.intents i WHERE {which} RETURNING i.id, i.owner, {row}::jsonb AS row
        ), settled AS (
            UPDATE chatgate.receipts r SET state = 'unknown', answer = '{BROKEN_OFF}' FROM dead
            WHERE r.row = dead.id AND r.state = 'open'
        ), said AS (
            INSERT INTO chatgate.journal_payload (id, destination, parameters)
            SELECT id, (row->>'destination')::bytea, row->>'parameters' FROM dead WHERE row ?| ARRAY['destination', 'parameters']
            ON CONFLICT (id) DO NOTHING
        )
        INSERT INTO chatgate.journal (replica, {columns})
        SELECT dead.owner, {known} FROM dead, jsonb_populate_record(NULL::chatgate.journal, dead.row) r
        ON CONFLICT (id) DO NOTHING RETURNING id",
        columns = *COLUMNS,
        known = known.join(", "),
    )
}

static CLOSE_THESE: LazyLock<String> =
    LazyLock::new(|| close_as_unknown("i.id = ANY($1)", "i.row"));

/// Closes rows whose data can't be read. They record only that there was a send.
static CLOSE_UNREAD: LazyLock<String> =
    LazyLock::new(|| close_as_unknown("i.id = ANY($1)", "'{}'"));

/// The condition for rows of dead replicas. A replica counts as dead when its lease is over. A row younger than a lease may belong
/// to a replica that this statement does not see yet.
const ORPHANED: &str = "i.at < now() - $1 * interval '1 ms' AND NOT EXISTS (
    SELECT FROM chatgate.replicas r WHERE r.id = i.owner AND r.lease_until > now())";

static CLOSE_ORPHANED: LazyLock<String> = LazyLock::new(|| close_as_unknown(ORPHANED, "i.row"));

/// The task that closes rows without outcomes.
pub(super) struct Sweeper {
    state: Arc<LaneState>,
    session: Option<PgSession>,
}

impl Sweeper {
    pub(super) fn new(state: Arc<LaneState>) -> Sweeper {
        Sweeper {
            state,
            session: None,
        }
    }

    /// Sweeps forever.
    pub(super) async fn run(mut self) {
        let mut ticks = interval(REAP_INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        for round in 0_u32.. {
            ticks.tick().await;
            let is_own_turn = round.is_multiple_of(ROUNDS_BETWEEN_SWEEPS);
            if let Err(error) = self.round(is_own_turn).await {
                tracing::debug!(%error, "the search for sends without an outcome failed");
            }
        }
    }

    async fn round(&mut self, is_own_turn: bool) -> Result<(), PgError> {
        let mut session = match self.session.take().filter(PgSession::is_usable) {
            Some(session) => session,
            None => self.state.connector.connect().await?,
        };
        session.set_timeout(STATEMENT_TIMEOUT);
        self.state.close_orphaned(&mut session).await?;
        if is_own_turn {
            self.state.sweep(&mut session).await?;
        }
        self.session = Some(session);
        Ok(())
    }
}

impl LaneState {
    /// Takes back abandoned sends, and closes own rows that belong to no send. Returns the number of closed rows.
    ///
    /// # Errors
    /// When the database can't be written.
    pub(super) async fn sweep(&self, session: &mut PgSession) -> Result<usize, PgError> {
        let abandoned = self.sends.abandoned(Instant::now());
        if !abandoned.is_empty() {
            let found = session
                .query(WITHDRAW, &[(&abandoned, Type::INT8_ARRAY)])
                .await?;
            let found: Vec<i64> = found
                .iter()
                .map(|row| row.try_get("id"))
                .collect::<Result<_, _>>()?;
            self.sends.found(&found);
        }
        for id in self.journal.queue.take_lost() {
            self.sends.end(id);
        }
        let own = session
            .query(OWN, &[(&self.ids.replica().id, Type::INT8)])
            .await?;
        let own: Vec<i64> = own
            .iter()
            .map(|row| row.try_get("id"))
            .collect::<Result<_, _>>()?;
        let unknown = self.sends.unknown(own);
        if unknown.is_empty() {
            return Ok(0);
        }
        let cause = "the gateway lost track of the send";
        let values: [Value<'_>; 2] = [(&unknown, Type::INT8_ARRAY), (&cause, Type::TEXT)];
        match self.close_as_unknown(session, &CLOSE_THESE, &values).await {
            Err(error) if error.is_row_fault() => self.close_each(session, &unknown, cause).await,
            closed => closed,
        }
    }

    /// Closes the rows of dead replicas. Returns the number of closed rows.
    ///
    /// # Errors
    /// When the database can't be written.
    pub(super) async fn close_orphaned(&self, session: &mut PgSession) -> Result<usize, PgError> {
        let young_ms = i64::try_from(self.lease.length().as_millis()).unwrap_or(i64::MAX);
        let cause = "the replica ended before the outcome was known";
        let values: [Value<'_>; 2] = [(&young_ms, Type::INT8), (&cause, Type::TEXT)];
        match self
            .close_as_unknown(session, &CLOSE_ORPHANED, &values)
            .await
        {
            Err(error) if error.is_row_fault() => {
                let which = format!("SELECT i.id FROM chatgate.intents i WHERE {ORPHANED}");
                let gone = session.query(&which, &values[..1]).await?;
                let gone = gone.iter().map(|row| row.try_get("id"));
                let gone: Vec<i64> = gone.collect::<Result<_, _>>()?;
                self.close_each(session, &gone, cause).await
            }
            closed => closed,
        }
    }

    /// Closes rows one by one, so that no row blocks another. Rows that can't be read are closed with only their ids.
    async fn close_each(
        &self,
        session: &mut PgSession,
        ids: &[i64],
        cause: &str,
    ) -> Result<usize, PgError> {
        let mut all = 0;
        for id in ids {
            let this = vec![*id];
            let values: [Value<'_>; 2] = [(&this, Type::INT8_ARRAY), (&cause, Type::TEXT)];
            let closed = self.close_as_unknown(session, &CLOSE_THESE, &values).await;
            all += match closed {
                Err(error) if error.is_row_fault() => {
                    tracing::error!(%error, id, "a send under way was closed without a journal row, because the database can't \
                                                 read its row");
                    self.close_as_unknown(session, &CLOSE_UNREAD, &values)
                        .await?
                }
                closed => closed?,
            };
        }
        Ok(all)
    }

    async fn close_as_unknown(
        &self,
        session: &mut PgSession,
        statement: &str,
        values: &[Value<'_>],
    ) -> Result<usize, PgError> {
        let closed = session.query(statement, values).await?;
        for row in &closed {
            self.tallies
                .add(row.try_get("id")?, &JournalRow::default(), 1);
        }
        if !closed.is_empty() {
            tracing::warn!(
                rows = closed.len(),
                "sends without an outcome were closed as unknown"
            );
            self.journal.queue.wake_parts();
        }
        Ok(closed.len())
    }
}
