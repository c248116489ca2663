//! The connections that read the store's file.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rusqlite::Connection;
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use super::connection::open_for_reading;
use crate::StoreError;

/// Most connections that read at once: a long search of the journal leaves room for others, and none holds up the writer.
const READERS_MAX: u32 = 4;

/// How long a read waits until one of them is free.
const WAIT_MAX: Duration = Duration::from_secs(2);

/// The readers of one store. Each read runs on a thread of the runtime that may block.
pub(crate) struct Readers {
    permits: Arc<Semaphore>,
    connections: Arc<FreeConnections>,
}

/// FreeConnections that are open and free.
struct FreeConnections {
    file: PathBuf,
    free: Mutex<Vec<Connection>>,
}

impl Readers {
    /// Opens nothing yet.
    pub(crate) fn new(file: PathBuf) -> Readers {
        Readers {
            permits: Arc::new(Semaphore::new(READERS_MAX as usize)),
            connections: Arc::new(FreeConnections {
                file,
                free: Mutex::default(),
            }),
        }
    }

    /// Runs `read` over one of the connections.
    ///
    /// # Errors
    /// What `read` says, or that other reads take too long.
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
            let open = connections.free().pop();
            let connection = match open {
                Some(connection) => connection,
                None => open_for_reading(&connections.file)?,
            };
            let found = read(&connection);
            connections.free().push(connection);
            found
        };
        spawn_blocking(read).await?
    }

    /// Closes them once they are free; those that read for longer close when they have ended.
    pub(crate) async fn close(&self) {
        let _all = timeout(WAIT_MAX, self.permits.acquire_many(READERS_MAX)).await;
        self.permits.close();
        self.connections.free().clear();
    }
}

impl FreeConnections {
    fn free(&self) -> MutexGuard<'_, Vec<Connection>> {
        // No push or pop can panic half way.
        self.free.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
