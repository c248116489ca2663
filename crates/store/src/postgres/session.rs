//! One connection, used by one at a time. What does not end in time, or is given up half way, ends the connection with it: nobody
//! ever gets the answer to another's question, nor another's transaction.

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

/// How long a statement may take, the wait for a standby included. A caller who waits has at most three seconds.
pub(super) const STATEMENT_MAX: Duration = Duration::from_secs(3);

/// How long a statement may take while the store is being opened: nobody waits yet, and all accesses are read.
pub(super) const START_STATEMENT_MAX: Duration = Duration::from_secs(30);

/// How plans are made that are kept: once for any values, by indexes, and for batches of any size. A table that is small when they
/// are made grows, and what a batch of ten does by loops takes one of a thousand seconds. To compile them would take longer.
const KEPT_PLANS: &str = "SET plan_cache_mode = force_generic_plan; SET enable_seqscan = off; SET enable_nestloop = off; SET jit = off";

/// A value of a statement, with the type that the database takes it for.
pub(super) type Value<'v> = (&'v (dyn ToSql + Sync), Type);

/// A connection.
pub(super) struct PgSession {
    client: Client,
    /// How long a statement may take.
    most: Duration,
    /// Whether nothing is under way, and no transaction is open.
    is_idle: bool,
    primary: Arc<Primary>,
    /// The server's timeline when the connection began.
    timeline: i64,
    /// Whether plans are kept for any values.
    keeps_plans: bool,
    /// Whether statements may be prepared over connections like this one; not where a pooler may hand each transaction to another.
    prepares: Arc<AtomicBool>,
    /// Those that are, by their texts.
    prepared: HashMap<&'static str, Statement>,
}

impl PgSession {
    /// Begins with a connection, if the server is the one that is written.
    ///
    /// # Errors
    /// When another one has taken its place, or it does not answer.
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
            .ok_or_else(|| PgError::no_connection("the server does not say which one it is"))?;
        session.timeline = session.primary.observe(row)?;
        Ok(session)
    }

    /// The server's timeline when the connection began.
    pub(super) fn timeline(&self) -> i64 {
        self.timeline
    }

    /// How long a statement may take from now on.
    pub(super) fn patient(&mut self, most: Duration) {
        self.most = most;
    }

    /// Whether another one may use it. One that began before a failover may lead to the former primary.
    pub(super) fn is_usable(&self) -> bool {
        self.is_idle && !self.client.is_closed() && self.timeline == self.primary.timeline()
    }

    /// Asks, and returns all rows.
    pub(super) async fn query(
        &mut self,
        sql: &str,
        values: &[Value<'_>],
    ) -> Result<Vec<Row>, PgError> {
        let was_idle = std::mem::replace(&mut self.is_idle, false);
        let rows = timeout(self.most, self.client.query_typed(sql, values)).await;
        let rows = rows.map_err(|_| PgError::too_long())?;
        self.after(was_idle, rows)
    }

    /// Has the plans of prepared statements kept.
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

    /// Whether it has them kept.
    pub(super) fn keeps_plans(&self) -> bool {
        self.keeps_plans
    }

    /// Asks likewise with a statement that comes again and again: it is prepared, if it may be, and not parsed each time.
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
        let rows = rows.map_err(|_| PgError::too_long())?;
        if rows.as_ref().is_err_and(shows_pooler) && self.prepares.swap(false, Ordering::Relaxed) {
            tracing::warn!(
                "a pooler stands before the database: name the server itself in store.direct_url"
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

    /// Executes, and returns the number of rows that it changed.
    pub(super) async fn execute(
        &mut self,
        sql: &str,
        values: &[Value<'_>],
    ) -> Result<u64, PgError> {
        let was_idle = std::mem::replace(&mut self.is_idle, false);
        let done = timeout(self.most, self.client.execute_typed(sql, values)).await;
        let done = done.map_err(|_| PgError::too_long())?;
        self.after(was_idle, done)
    }

    /// Executes statements without values.
    pub(super) async fn batch(&mut self, sql: &str) -> Result<(), PgError> {
        let was_idle = std::mem::replace(&mut self.is_idle, false);
        let done = timeout(self.most, self.client.batch_execute(sql)).await;
        let done = done.map_err(|_| PgError::too_long())?;
        self.after(was_idle, done)
    }

    /// Begins a transaction. Until it is committed, dropping the session is what rolls it back.
    pub(super) async fn begin(&mut self) -> Result<(), PgError> {
        self.batch("BEGIN").await?;
        self.is_idle = false;
        Ok(())
    }

    /// Begins a transaction and asks in it, in one round trip.
    pub(super) async fn begin_and_query(
        &mut self,
        sql: &str,
        values: &[Value<'_>],
    ) -> Result<Vec<Row>, PgError> {
        self.is_idle = false;
        // The first that is polled is the first to leave.
        let both = async {
            tokio::join!(
                biased;
                self.client.batch_execute("BEGIN"),
                self.client.query_typed(sql, values)
            )
        };
        let (begun, rows) = timeout(self.most, both)
            .await
            .map_err(|_| PgError::too_long())?;
        begun?;
        Ok(rows?)
    }

    /// Ends the transaction. An error that is not the database's leaves open whether it was committed.
    pub(super) async fn commit(&mut self) -> Result<(), PgError> {
        self.batch("COMMIT").await?;
        self.is_idle = true;
        Ok(())
    }

    /// Ends the transaction and undoes it.
    pub(super) async fn roll_back(&mut self) -> Result<(), PgError> {
        self.batch("ROLLBACK").await?;
        self.is_idle = true;
        Ok(())
    }

    /// A statement has ended: outside a transaction the connection is as good as before, unless the error says otherwise.
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
