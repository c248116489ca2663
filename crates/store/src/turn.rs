//! Whose turn it is to write. SQLite has one writer at a time, whatever the connection; waiting here beats failing there.

use std::ops::{Deref, DerefMut};
use std::time::Duration;

use sqlx::SqlitePool;
use sqlx::pool::PoolConnection;
use sqlx::sqlite::{Sqlite, SqliteConnection};
use tokio::sync::{Mutex, MutexGuard};
use tokio::time::timeout;

use crate::StoreError;

/// How long anybody waits for their turn. With the time that SQLite waits for another process's lock, and what a change waits
/// for the journal, a change of an access is refused within six seconds by a store that stalls.
pub(crate) const TURN_MAX: Duration = Duration::from_secs(2);

/// The one turn of a store. Who waits gets it in the order of coming.
#[derive(Default)]
pub(crate) struct Turn(Mutex<()>);

/// Whoever has this writes, and nobody else.
pub(crate) struct Held<'turn> {
    _turn: MutexGuard<'turn, ()>,
}

/// The turn, and with it the connection over which everything but the journal's rows is written. A transaction that is dropped
/// is rolled back a moment after the turn has gone on: for that moment SQLite lets the next one wait.
pub(crate) struct Writer<'turn> {
    connection: PoolConnection<Sqlite>,
    _turn: Held<'turn>,
}

impl Turn {
    /// Waits for the turn.
    ///
    /// # Errors
    /// When whoever has it keeps it for too long.
    pub(crate) async fn take(&self) -> Result<Held<'_>, StoreError> {
        in_time(async { Ok(self.held().await) }).await
    }

    /// Likewise, for the connection of this pool of one.
    pub(crate) async fn writer(&self, pool: &SqlitePool) -> Result<Writer<'_>, StoreError> {
        let taken = async {
            let turn = self.held().await;
            Ok(Writer {
                connection: pool.acquire().await?,
                _turn: turn,
            })
        };
        in_time(taken).await
    }

    async fn held(&self) -> Held<'_> {
        Held {
            _turn: self.0.lock().await,
        }
    }
}

async fn in_time<T>(taken: impl Future<Output = Result<T, StoreError>>) -> Result<T, StoreError> {
    let late = |_| StoreError::new("another write takes too long");
    timeout(TURN_MAX, taken).await.map_err(late)?
}

impl Deref for Writer<'_> {
    type Target = SqliteConnection;

    fn deref(&self) -> &SqliteConnection {
        &self.connection
    }
}

impl DerefMut for Writer<'_> {
    fn deref_mut(&mut self) -> &mut SqliteConnection {
        &mut self.connection
    }
}
