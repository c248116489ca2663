//! Closing what has no outcome: rows of this replica that belong to no send it knows, and rows of replicas that are gone. Neither
//! ever ends: a commit may appear long after whoever asked for it is dead.

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

/// Pause between two looks at rows of replicas that are gone.
const REAP_INTERVAL: Duration = Duration::from_secs(2);

/// Rounds of it between two looks at this replica's own rows: ten seconds.
const ROUNDS_BETWEEN_SWEEPS: u32 = 5;

/// How long a statement of these may take. Nobody waits for it, and one that is given up goes on in the database.
const PATIENCE: Duration = Duration::from_secs(600);

/// Takes these rows back, as far as they are there: nothing was sent.
const WITHDRAW: &str = "WITH gone AS (
        DELETE FROM chatgate.intents WHERE id = ANY($1) RETURNING id
    ), freed AS (
        DELETE FROM chatgate.receipts WHERE row IN (SELECT id FROM gone)
    )
    SELECT id FROM gone";

/// The rows of this replica.
const OWN: &str = "SELECT id FROM chatgate.intents WHERE owner = $1";

/// Closes rows as unknown; which, is said in place of `{which}`, and what is read of them in place of `{row}`.
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

/// The same of rows that can't be read: what remains is that there was a send.
static CLOSE_UNREAD: LazyLock<String> =
    LazyLock::new(|| close_as_unknown("i.id = ANY($1)", "'{}'"));

/// A replica counts as gone when its lease is over. A row that is younger than a lease may belong to one that the reader does not
/// see yet.
const OF_GONE: &str = "i.at < now() - $1 * interval '1 ms' AND NOT EXISTS (
    SELECT FROM chatgate.replicas r WHERE r.id = i.owner AND r.lease_until > now())";

static CLOSE_OF_GONE: LazyLock<String> = LazyLock::new(|| close_as_unknown(OF_GONE, "i.row"));

/// Looks after rows without outcomes.
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

    /// Sweeps for ever.
    pub(super) async fn run(mut self) {
        let mut ticks = interval(REAP_INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        for round in 0_u32.. {
            ticks.tick().await;
            let is_own_turn = round.is_multiple_of(ROUNDS_BETWEEN_SWEEPS);
            if let Err(error) = self.round(is_own_turn).await {
                tracing::debug!(%error, "rows without outcomes could not be looked for");
            }
        }
    }

    async fn round(&mut self, is_own_turn: bool) -> Result<(), PgError> {
        let mut session = match self.session.take().filter(PgSession::is_usable) {
            Some(session) => session,
            None => self.state.connector.connect().await?,
        };
        session.patient(PATIENCE);
        self.state.close_of_gone(&mut session).await?;
        if is_own_turn {
            self.state.sweep(&mut session).await?;
        }
        self.session = Some(session);
        Ok(())
    }
}

impl LaneState {
    /// Takes back what was abandoned, and closes own rows that belong to no send. Returns how many those were.
    ///
    /// # Errors
    /// When the database can't be written.
    pub(super) async fn sweep(&self, session: &mut PgSession) -> Result<usize, PgError> {
        let abandoned = self.held.abandoned(Instant::now());
        if !abandoned.is_empty() {
            let found = session
                .query(WITHDRAW, &[(&abandoned, Type::INT8_ARRAY)])
                .await?;
            let found: Vec<i64> = found
                .iter()
                .map(|row| row.try_get("id"))
                .collect::<Result<_, _>>()?;
            self.held.found(&found);
        }
        for id in self.journal.queue.take_lost() {
            self.held.end(id);
        }
        let own = session
            .query(OWN, &[(&self.ids.replica().id, Type::INT8)])
            .await?;
        let own: Vec<i64> = own
            .iter()
            .map(|row| row.try_get("id"))
            .collect::<Result<_, _>>()?;
        let unknown = self.held.unknown(own);
        if unknown.is_empty() {
            return Ok(0);
        }
        let cause = "the gateway lost sight of the send";
        let values: [Value<'_>; 2] = [(&unknown, Type::INT8_ARRAY), (&cause, Type::TEXT)];
        match self.close_as_unknown(session, &CLOSE_THESE, &values).await {
            Err(error) if error.is_of_a_row() => self.close_each(session, &unknown, cause).await,
            closed => closed,
        }
    }

    /// Closes the rows of replicas that are gone, and returns how many they were.
    ///
    /// # Errors
    /// When the database can't be written.
    pub(super) async fn close_of_gone(&self, session: &mut PgSession) -> Result<usize, PgError> {
        let young_ms = i64::try_from(self.lease.length().as_millis()).unwrap_or(i64::MAX);
        let cause = "the replica ended before the outcome was known";
        let values: [Value<'_>; 2] = [(&young_ms, Type::INT8), (&cause, Type::TEXT)];
        match self
            .close_as_unknown(session, &CLOSE_OF_GONE, &values)
            .await
        {
            Err(error) if error.is_of_a_row() => {
                let which = format!("SELECT i.id FROM chatgate.intents i WHERE {OF_GONE}");
                let gone = session.query(&which, &values[..1]).await?;
                let gone = gone.iter().map(|row| row.try_get("id"));
                let gone: Vec<i64> = gone.collect::<Result<_, _>>()?;
                self.close_each(session, &gone, cause).await
            }
            closed => closed,
        }
    }

    /// Closes rows one by one, those that can't be read with nothing but their numbers: one of them holds up no other.
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
                Err(error) if error.is_of_a_row() => {
                    tracing::error!(%error, id, "a send under way is closed without its row: the database can't read it");
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
                "closed sends as unknown whose outcomes nobody knows"
            );
            self.journal.queue.wake_parts();
        }
        Ok(closed.len())
    }
}
