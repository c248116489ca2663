//! The connections that read the store's file.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use rusqlite::Connection;
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use super::connection::open_for_reading;
use crate::StoreError;

/// Maximum number of connections that read at the same time: a long search of the journal leaves some for other reads, and no read
/// delays the writer.
const READERS_MAX: u32 = 4;

/// Time that a read waits for a free connection.
const WAIT_MAX: Duration = Duration::from_secs(2);

/// The readers of one store. Each read runs on one of the runtime's blocking threads.
pub(crate) struct Readers {
    permits: Arc<Semaphore>,
    connections: Arc<FreeConnections>,
}

/// The open connections that are free.
struct FreeConnections {
    file: PathBuf,
    free: Mutex<Vec<Connection>>,
}

impl Readers {
    /// Makes the readers without opening a connection.
    pub(crate) fn new(file: PathBuf) -> Readers {
        Readers {
            permits: Arc::new(Semaphore::new(READERS_MAX as usize)),
            connections: Arc::new(FreeConnections {
                file,
                free: Mutex::default(),
            }),
        }
    }

    /// Runs `read` with one of the connections.
    ///
    /// # Errors
    /// The error of `read`, or an error because other reads take too long.
    pub(crate) async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let permit = timeout(WAIT_MAX, Arc::clone(&self.permits).acquire_owned()).await;
        let permit = permit.map_err(|_| StoreError::new("other reads take too long"))?;
        let permit = permit.map_err(|_| StoreError::new("it is closed"))?;
        let connections = Arc::clone(&self.connections);
        let read = move || {
            let _permit = permit;
            let open = connections.free.lock().pop();
            let connection = match open {
                Some(connection) => connection,
                None => open_for_reading(&connections.file)?,
            };
            let found = read(&connection);
            connections.free.lock().push(connection);
            found
        };
        spawn_blocking(read).await?
    }

    /// Waits a limited time for the reads to end, and closes the free connections.
    pub(crate) async fn close(&self) {
        let _all = timeout(WAIT_MAX, self.permits.acquire_many(READERS_MAX)).await;
        self.permits.close();
        self.connections.free.lock().clear();
    }
}
