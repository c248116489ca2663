//! The connections for lookups, changes and operators: a small pool, opened on demand.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;
use tokio_postgres::Row;

use super::connector::PgConnector;
use super::error::PgError;
use super::session::{PgSession, START_STATEMENT_MAX, STATEMENT_MAX, Value};
use crate::StoreConnections;

/// Maximum wait for a free connection.
const WAIT_MAX: Duration = Duration::from_secs(2);

/// Maximum number of attempts for a statement.
const TRIES: u32 = 3;

/// The connection pool of one store.
pub(super) struct PgPool {
    connector: Arc<PgConnector>,
    most: usize,
    permits: Arc<Semaphore>,
    free: Mutex<Vec<PgSession>>,
    /// True if callers wait for the results of statements.
    serves: AtomicBool,
}

/// A lent connection. A connection that is not given back is closed, which ends the statement or transaction under way.
pub(super) struct PgLease {
    pub(super) session: PgSession,
    _permit: OwnedSemaphorePermit,
}

/// The text of a statement.
#[derive(Clone, Copy)]
enum PgText<'t> {
    Once(&'t str),
    /// A recurring statement, which is prepared where preparing is possible.
    Prepared(&'static str),
}

impl PgPool {
    /// Makes a pool of at most `most` connections and opens none of them yet.
    pub(super) fn new(connector: Arc<PgConnector>, most: usize) -> PgPool {
        PgPool {
            connector,
            most,
            permits: Arc::new(Semaphore::new(most)),
            free: Mutex::default(),
            serves: AtomicBool::new(false),
        }
    }

    /// Marks the store as open: callers wait for the results of statements from now on.
    pub(super) fn serve(&self) {
        self.serves.store(true, Ordering::Relaxed);
    }

    /// Returns how many connections are lent, idle and not open.
    pub(super) fn connections(&self) -> StoreConnections {
        let free = self.permits.available_permits();
        let idle = self.free.lock().len().min(free);
        StoreConnections {
            lent: self.most - free.min(self.most),
            idle,
            not_open: free - idle,
        }
    }

    /// Lends a connection.
    ///
    /// # Errors
    /// When no connection becomes free in time, or the database does not answer.
    pub(super) async fn take(&self) -> Result<PgLease, PgError> {
        self.take_one(false).await
    }

    /// Lends a connection, either one that keeps generic plans or one that does not. Queries of operators need a plan for their
    /// values, and statements of every send should not be planned each time.
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
        session.set_timeout(if self.serves.load(Ordering::Relaxed) {
            STATEMENT_MAX
        } else {
            START_STATEMENT_MAX
        });
        Ok(PgLease {
            session,
            _permit: permit,
        })
    }

    /// Takes an idle connection of this kind. If there is none and no room for another connection, closes an idle one of the other
    /// kind.
    fn take_free(&self, keeps_plans: bool) -> Option<PgSession> {
        let mut free = self.free.lock();
        free.retain(PgSession::is_usable);
        let place = free
            .iter()
            .rposition(|session| session.keeps_plans() == keeps_plans);
        if place.is_none() && free.len() > self.permits.available_permits() {
            free.pop();
        }
        place.map(|place| free.swap_remove(place))
    }

    /// Takes a connection back for reuse, if it is still usable.
    pub(super) fn return_connection(&self, lease: PgLease) {
        if lease.session.is_usable() && !self.permits.is_closed() {
            self.free.lock().push(lease.session);
        }
    }

    /// Runs a statement that changes nothing, or that is safe to repeat. It is retried if the connection was lost.
    ///
    /// # Errors
    /// The error of the last attempt.
    pub(super) async fn read(&self, sql: &str, values: &[Value<'_>]) -> Result<Vec<Row>, PgError> {
        self.ask(PgText::Once(sql), values, true).await
    }

    /// Runs a recurring statement like [`PgPool::read`], as a prepared one.
    ///
    /// # Errors
    /// The error of the last attempt.
    pub(super) async fn read_prepared(
        &self,
        sql: &'static str,
        values: &[Value<'_>],
    ) -> Result<Vec<Row>, PgError> {
        self.ask(PgText::Prepared(sql), values, true).await
    }

    /// Writes by one statement, which is its own transaction. It is retried only if another transaction was in its way.
    ///
    /// # Errors
    /// The error of the last attempt. If the connection was lost, the statement may have been carried out nevertheless.
    pub(super) async fn write(&self, sql: &str, values: &[Value<'_>]) -> Result<Vec<Row>, PgError> {
        self.ask(PgText::Once(sql), values, false).await
    }

    /// Runs a statement for no longer than a caller waits. The limit covers the wait for a connection and all attempts together.
    async fn ask(
        &self,
        sql: PgText<'_>,
        values: &[Value<'_>],
        may_repeat: bool,
    ) -> Result<Vec<Row>, PgError> {
        let asking = self.ask_on(sql, values, may_repeat);
        if !self.serves.load(Ordering::Relaxed) {
            return asking.await;
        }
        let asked = timeout(STATEMENT_MAX, asking).await;
        asked.unwrap_or_else(|_| Err(PgError::timed_out()))
    }

    /// Boxed, so that the future is compiled once here and not again in each crate that awaits it. The cost is negligible next to a
    /// round trip.
    fn ask_on<'a>(
        &'a self,
        sql: PgText<'a>,
        values: &'a [Value<'a>],
        may_repeat: bool,
    ) -> Pin<Box<dyn Future<Output = Result<Vec<Row>, PgError>> + Send + 'a>> {
        Box::pin(self.ask_repeatedly(sql, values, may_repeat))
    }

    async fn ask_repeatedly(
        &self,
        sql: PgText<'_>,
        values: &[Value<'_>],
        may_repeat: bool,
    ) -> Result<Vec<Row>, PgError> {
        let mut tries = 1;
        loop {
            let mut lease = self.take_one(matches!(sql, PgText::Prepared(_))).await?;
            let asked = match sql {
                PgText::Once(sql) => lease.session.query(sql, values).await,
                PgText::Prepared(sql) => lease.session.query_prepared(sql, values).await,
            };
            let error = match asked {
                Ok(rows) => {
                    self.return_connection(lease);
                    return Ok(rows);
                }
                Err(error) => error,
            };
            self.return_connection(lease);
            self.note(&error);
            if tries == TRIES || !(error.is_retryable() || (may_repeat && error.is_lost())) {
                return Err(error);
            }
            tries += 1;
        }
    }

    /// Closes the idle connections if this error means that they lead to the same problem.
    pub(super) fn note(&self, error: &PgError) {
        if error.is_lost() {
            self.free.lock().clear();
        }
    }

    /// Closes all connections. Lent connections close when they are given back.
    pub(super) fn close(&self) {
        self.permits.close();
        self.free.lock().clear();
    }
}
