//! The connections for look-ups, changes and operators: a handful, opened when they are needed.

use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;
use tokio_postgres::Row;

use super::connector::PgConnector;
use super::error::PgError;
use super::session::{PgSession, START_STATEMENT_MAX, STATEMENT_MAX, Value};
use crate::StoreConnections;

/// How long somebody waits until a connection is free.
const WAIT_MAX: Duration = Duration::from_secs(2);

/// How long a statement may take for which nobody waits.
const PATIENCE: Duration = Duration::from_secs(600);

/// How often a statement is tried at most.
const TRIES: u32 = 3;

/// The connections of one store.
pub(super) struct PgPool {
    connector: Arc<PgConnector>,
    most: usize,
    permits: Arc<Semaphore>,
    free: Mutex<Vec<PgSession>>,
    /// Whether callers wait for what is asked.
    serves: AtomicBool,
}

/// A connection that is lent. One that is not given back is closed: so ends whatever was under way over it.
pub(super) struct PgLease {
    pub(super) session: PgSession,
    _permit: OwnedSemaphorePermit,
}

/// The text of a statement.
#[derive(Clone, Copy)]
enum PgText<'t> {
    Once(&'t str),
    /// It comes again and again, and is prepared where it may be.
    Prepared(&'static str),
}

impl PgPool {
    /// At most so many connections; none yet.
    pub(super) fn new(connector: Arc<PgConnector>, most: usize) -> PgPool {
        PgPool {
            connector,
            most,
            permits: Arc::new(Semaphore::new(most)),
            free: Mutex::default(),
            serves: AtomicBool::new(false),
        }
    }

    /// The store is open: from now on callers wait for what is asked.
    pub(super) fn serve(&self) {
        self.serves.store(true, Ordering::Relaxed);
    }

    /// How many connections are lent, idle and not open.
    pub(super) fn connections(&self) -> StoreConnections {
        let free = self.permits.available_permits();
        let idle = self.free().len().min(free);
        StoreConnections {
            lent: self.most - free.min(self.most),
            idle,
            not_open: free - idle,
        }
    }

    /// Lends a connection.
    ///
    /// # Errors
    /// When the others take too long, or the database does not answer.
    pub(super) async fn take(&self) -> Result<PgLease, PgError> {
        self.take_one(false).await
    }

    /// Lends a connection, of those that keep plans for any values or of the others: what operators look for is planned for its
    /// values, and what comes with every send would be planned over and over.
    async fn take_one(&self, keeps_plans: bool) -> Result<PgLease, PgError> {
        let permit = timeout(WAIT_MAX, Arc::clone(&self.permits).acquire_owned()).await;
        let permit = permit.map_err(|_| PgError::new("other reads take too long"))?;
        let permit = permit.map_err(|_| PgError::new("it is closed"))?;
        let keeps_plans = keeps_plans && self.connector.prepares();
        let mut session = match self.take_free(keeps_plans) {
            Some(session) => session,
            None => self.connector.connect().await?,
        };
        if keeps_plans && !session.keeps_plans() {
            session.keep_plans().await?;
        }
        session.patient(if self.serves.load(Ordering::Relaxed) {
            STATEMENT_MAX
        } else {
            START_STATEMENT_MAX
        });
        Ok(PgLease {
            session,
            _permit: permit,
        })
    }

    /// An idle one of that kind. Where there is none and no place for another one, one of the other kind is closed.
    fn take_free(&self, keeps_plans: bool) -> Option<PgSession> {
        let mut free = self.free();
        free.retain(PgSession::is_usable);
        let place = free
            .iter()
            .rposition(|session| session.keeps_plans() == keeps_plans);
        if place.is_none() && free.len() > self.permits.available_permits() {
            free.pop();
        }
        place.map(|place| free.swap_remove(place))
    }

    /// Takes a connection back for others, if it is as good as before.
    pub(super) fn give_back(&self, lease: PgLease) {
        if lease.session.is_usable() && !self.permits.is_closed() {
            self.free().push(lease.session);
        }
    }

    /// Asks what changes nothing, or changes it to what it is: it is asked again when the connection was lost.
    ///
    /// # Errors
    /// What the last try said.
    pub(super) async fn read(&self, sql: &str, values: &[Value<'_>]) -> Result<Vec<Row>, PgError> {
        self.ask(PgText::Once(sql), values, true).await
    }

    /// Asks likewise with a statement that comes again and again.
    ///
    /// # Errors
    /// What the last try said.
    pub(super) async fn read_prepared(
        &self,
        sql: &'static str,
        values: &[Value<'_>],
    ) -> Result<Vec<Row>, PgError> {
        self.ask(PgText::Prepared(sql), values, true).await
    }

    /// Writes by one statement, which is a transaction. It is tried again only when another transaction came in its way.
    ///
    /// # Errors
    /// What the last try said. After a connection was lost it may have been carried out all the same.
    pub(super) async fn write(&self, sql: &str, values: &[Value<'_>]) -> Result<Vec<Row>, PgError> {
        self.ask(PgText::Once(sql), values, false).await
    }

    /// Asks what nobody waits for, and what is right to do twice, for as long as it takes.
    ///
    /// # Errors
    /// What the last try said.
    pub(super) async fn ask_slowly(
        &self,
        sql: &str,
        values: &[Value<'_>],
    ) -> Result<Vec<Row>, PgError> {
        self.ask_on(PgText::Once(sql), values, (true, Some(PATIENCE)))
            .await
    }

    /// Asks, for no longer than a caller waits: connections that are sought, and what is asked again, take their time together.
    async fn ask(
        &self,
        sql: PgText<'_>,
        values: &[Value<'_>],
        may_repeat: bool,
    ) -> Result<Vec<Row>, PgError> {
        let asking = self.ask_on(sql, values, (may_repeat, None));
        if !self.serves.load(Ordering::Relaxed) {
            return asking.await;
        }
        let asked = timeout(STATEMENT_MAX, asking).await;
        asked.unwrap_or_else(|_| Err(PgError::too_long()))
    }

    /// Boxed, so that it is compiled here and not once more by each crate that awaits it: next to a round trip it costs nothing.
    fn ask_on<'a>(
        &'a self,
        sql: PgText<'a>,
        values: &'a [Value<'a>],
        how: (bool, Option<Duration>),
    ) -> Pin<Box<dyn Future<Output = Result<Vec<Row>, PgError>> + Send + 'a>> {
        Box::pin(self.ask_patiently(sql, values, how))
    }

    async fn ask_patiently(
        &self,
        sql: PgText<'_>,
        values: &[Value<'_>],
        (may_repeat, patience): (bool, Option<Duration>),
    ) -> Result<Vec<Row>, PgError> {
        let mut tries = 1;
        loop {
            let mut lease = self.take_one(matches!(sql, PgText::Prepared(_))).await?;
            if let Some(patience) = patience {
                lease.session.patient(patience);
            }
            let asked = match sql {
                PgText::Once(sql) => lease.session.query(sql, values).await,
                PgText::Prepared(sql) => lease.session.query_prepared(sql, values).await,
            };
            let error = match asked {
                Ok(rows) => {
                    self.give_back(lease);
                    return Ok(rows);
                }
                Err(error) => error,
            };
            self.give_back(lease);
            self.note(&error);
            if tries == TRIES || !(error.passes() || (may_repeat && error.is_lost())) {
                return Err(error);
            }
            tries += 1;
        }
    }

    /// Closes those that lead to the same trouble as one over which this was said.
    pub(super) fn note(&self, error: &PgError) {
        if error.is_lost() {
            self.free().clear();
        }
    }

    /// Closes them; those that are lent close when they come back.
    pub(super) fn close(&self) {
        self.permits.close();
        self.free().clear();
    }

    fn free(&self) -> MutexGuard<'_, Vec<PgSession>> {
        // No push or pop can panic half way.
        self.free.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
