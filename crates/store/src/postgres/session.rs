//! One connection, used by one task at a time. A statement that does not end in time or is abandoned halfway ends the connection,
//! so that no task ever gets the answer to another task's query, or another task's transaction.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::time::timeout;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, Row, Statement};

use super::error::{PgError, shows_pooler};
use super::primary::{OF_SERVER, Primary};

/// Time limit for a statement, including the wait for a standby. A waiting caller has at most three seconds.
pub(super) const STATEMENT_MAX: Duration = Duration::from_secs(3);

/// Time limit for a statement while the store is being opened, because no caller waits yet and all accesses are read.
pub(super) const START_STATEMENT_MAX: Duration = Duration::from_secs(30);

/// Settings for kept plans: generic ones, by indexes, and for batches of any size. A table that is small when a plan is made grows,
/// and nested loops that suit a batch of ten take seconds for a batch of a thousand. JIT is off because compilation would take
/// longer than it saves.
const KEPT_PLANS: &str = "SET plan_cache_mode = force_generic_plan; SET enable_seqscan = off; SET enable_nestloop = off; SET jit = off";

/// A parameter of a statement, with the type that the database expects.
pub(super) type Value<'v> = (&'v (dyn ToSql + Sync), Type);

/// A connection to the database.
pub(super) struct PgSession {
    client: Client,
    /// The time limit for a statement.
    most: Duration,
    /// True if nothing is under way and no transaction is open.
    is_idle: bool,
    primary: Arc<Primary>,
    /// The server's timeline when the connection began.
    timeline: i64,
    /// True if the connection keeps generic plans.
    keeps_plans: bool,
    /// True if statements may be prepared over connections like this one. Not so where a pooler may use another connection for each
    /// transaction.
    prepares: Arc<AtomicBool>,
    /// The prepared statements, by their texts.
    prepared: HashMap<&'static str, Statement>,
}

impl PgSession {
    /// Starts to use a connection, if its server is the primary.
    ///
    /// # Errors
    /// When another server has taken over, or this one does not answer.
    pub(super) async fn begin_with(
        client: Client,
        (primary, prepares): (Arc<Primary>, Arc<AtomicBool>),
    ) -> Result<PgSession, PgError> {
        let mut session = PgSession {
            client,
            most: STATEMENT_MAX,
            is_idle: true,
            primary,
            timeline: 0,
            keeps_plans: false,
            prepares,
            prepared: HashMap::new(),
        };
        let which =
            format!("SELECT {OF_SERVER} FROM current_setting('synchronous_commit') AS synchronous");
        let rows = session.query(&which, &[]).await?;
        let row = rows
            .first()
            .ok_or_else(|| PgError::no_connection("the server does not identify itself"))?;
        session.timeline = session.primary.observe(row)?;
        Ok(session)
    }

    /// Returns the server's timeline when the connection began.
    pub(super) fn timeline(&self) -> i64 {
        self.timeline
    }

    /// Sets the time limit for statements.
    pub(super) fn set_timeout(&mut self, most: Duration) {
        self.most = most;
    }

    /// Returns whether the connection may be used again. A connection from before a failover may lead to the former primary.
    pub(super) fn is_usable(&self) -> bool {
        self.is_idle && !self.client.is_closed() && self.timeline == self.primary.timeline()
    }

    /// Runs a query and returns all rows.
    pub(super) async fn query(
        &mut self,
        sql: &str,
        values: &[Value<'_>],
    ) -> Result<Vec<Row>, PgError> {
        let was_idle = std::mem::replace(&mut self.is_idle, false);
        let rows = timeout(self.most, self.client.query_typed(sql, values)).await;
        let rows = rows.map_err(|_| PgError::timed_out())?;
        self.after(was_idle, rows)
    }

    /// Makes the connection keep generic plans of prepared statements.
    ///
    /// # Errors
    /// When the connection is lost.
    pub(super) async fn keep_plans(&mut self) -> Result<(), PgError> {
        if self.prepares.load(Ordering::Relaxed) {
            self.batch(KEPT_PLANS).await?;
        }
        self.keeps_plans = true;
        Ok(())
    }

    /// Returns whether the connection keeps generic plans.
    pub(super) fn keeps_plans(&self) -> bool {
        self.keeps_plans
    }

    /// Runs a recurring query. If possible it is prepared, so that the server does not parse it each time.
    pub(super) async fn query_prepared(
        &mut self,
        sql: &'static str,
        values: &[Value<'_>],
    ) -> Result<Vec<Row>, PgError> {
        if !self.prepares.load(Ordering::Relaxed) {
            return self.query(sql, values).await;
        }
        let was_idle = std::mem::replace(&mut self.is_idle, false);
        let rows = timeout(self.most, self.ask_prepared(sql, values)).await;
        let rows = rows.map_err(|_| PgError::timed_out())?;
        if rows.as_ref().is_err_and(shows_pooler) && self.prepares.swap(false, Ordering::Relaxed) {
            tracing::warn!(
                "a pooler is in front of the database: set store.direct_url to the database server itself"
            );
        }
        self.after(was_idle, rows)
    }

    async fn ask_prepared(
        &mut self,
        sql: &'static str,
        values: &[Value<'_>],
    ) -> Result<Vec<Row>, tokio_postgres::Error> {
        let (values, types): (Vec<_>, Vec<_>) = values.iter().cloned().unzip();
        let statement = match self.prepared.entry(sql) {
            Entry::Occupied(prepared) => prepared.into_mut(),
            Entry::Vacant(place) => place.insert(self.client.prepare_typed(sql, &types).await?),
        };
        self.client.query(statement, &values).await
    }

    /// Executes a statement and returns the number of rows that it changed.
    pub(super) async fn execute(
        &mut self,
        sql: &str,
        values: &[Value<'_>],
    ) -> Result<u64, PgError> {
        let was_idle = std::mem::replace(&mut self.is_idle, false);
        let done = timeout(self.most, self.client.execute_typed(sql, values)).await;
        let done = done.map_err(|_| PgError::timed_out())?;
        self.after(was_idle, done)
    }

    /// Executes statements without parameters.
    pub(super) async fn batch(&mut self, sql: &str) -> Result<(), PgError> {
        let was_idle = std::mem::replace(&mut self.is_idle, false);
        let done = timeout(self.most, self.client.batch_execute(sql)).await;
        let done = done.map_err(|_| PgError::timed_out())?;
        self.after(was_idle, done)
    }

    /// Begins a transaction. Dropping the session before the commit rolls it back.
    pub(super) async fn begin(&mut self) -> Result<(), PgError> {
        self.batch("BEGIN").await?;
        self.is_idle = false;
        Ok(())
    }

    /// Begins a transaction and runs a query in it, in one round trip.
    pub(super) async fn begin_and_query(
        &mut self,
        sql: &str,
        values: &[Value<'_>],
    ) -> Result<Vec<Row>, PgError> {
        self.is_idle = false;
        // The future that is polled first is sent first.
        let both = async {
            tokio::join!(
                biased;
                self.client.batch_execute("BEGIN"),
                self.client.query_typed(sql, values)
            )
        };
        let (begun, rows) = timeout(self.most, both)
            .await
            .map_err(|_| PgError::timed_out())?;
        begun?;
        Ok(rows?)
    }

    /// Commits the transaction. After an error that does not come from the database it is unknown whether the transaction was
    /// committed.
    pub(super) async fn commit(&mut self) -> Result<(), PgError> {
        self.batch("COMMIT").await?;
        self.is_idle = true;
        Ok(())
    }

    /// Rolls the transaction back.
    pub(super) async fn roll_back(&mut self) -> Result<(), PgError> {
        self.batch("ROLLBACK").await?;
        self.is_idle = true;
        Ok(())
    }

    /// Updates the state after a statement. Outside a transaction the connection can be used again, unless the error ends the
    /// connection.
    fn after<T>(
        &mut self,
        was_idle: bool,
        ended: Result<T, tokio_postgres::Error>,
    ) -> Result<T, PgError> {
        let ended = ended.map_err(PgError::from);
        let ends = ended.as_ref().is_err_and(PgError::ends_connection);
        self.is_idle = was_idle && !ends;
        ended
    }
}
