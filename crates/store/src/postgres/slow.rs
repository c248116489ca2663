//! A connection outside the pool, for statements that may take minutes. Callers never wait for these statements, even if the pool
//! has only one connection.

use std::time::Duration;

use tokio_postgres::Row;

use super::connector::PgConnector;
use super::error::PgError;
use super::session::{PgSession, Value};

/// Time limit for a slow statement, such as counting the rows of a day or clearing the remains of deleted rows.
const PATIENCE: Duration = Duration::from_secs(600);

/// Maximum number of attempts for a statement.
pub(super) const TRIES: u32 = 3;

/// A connection for slow statements, opened on demand.
pub(super) struct SlowConnection<'c> {
    connector: &'c PgConnector,
    session: Option<PgSession>,
}

impl SlowConnection<'_> {
    /// Makes a connection without opening it.
    pub(super) fn new(connector: &PgConnector) -> SlowConnection<'_> {
        SlowConnection {
            connector,
            session: None,
        }
    }

    /// Runs a statement that changes nothing, or that is safe to repeat. It is retried if another transaction was in its way or the
    /// connection was lost.
    ///
    /// # Errors
    /// The error of the last attempt.
    pub(super) async fn ask(
        &mut self,
        sql: &str,
        values: &[Value<'_>],
    ) -> Result<Vec<Row>, PgError> {
        let mut tries = 1;
        loop {
            match self.ask_once(sql, values).await {
                Err(error) if tries < TRIES && (error.is_retryable() || error.is_lost()) => {
                    tries += 1
                }
                asked => return asked,
            }
        }
    }

    async fn ask_once(&mut self, sql: &str, values: &[Value<'_>]) -> Result<Vec<Row>, PgError> {
        self.connected().await?.query(sql, values).await
    }

    /// Runs statements without parameters.
    ///
    /// # Errors
    /// When the database does not carry them out in time.
    pub(super) async fn run(&mut self, sql: &str) -> Result<(), PgError> {
        self.connected().await?.batch(sql).await
    }

    /// Returns the open connection, or opens another one if it is not usable.
    ///
    /// # Errors
    /// When the database can't be reached.
    pub(super) async fn connected(&mut self) -> Result<&mut PgSession, PgError> {
        let session = match self.session.take().filter(PgSession::is_usable) {
            Some(session) => session,
            None => {
                let mut session = self.connector.connect().await?;
                session.set_timeout(PATIENCE);
                session
            }
        };
        Ok(self.session.insert(session))
    }
}
