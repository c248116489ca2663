//! Having what was deleted overwritten in the file, a piece at a time, between what others write and as soon as nobody reads what
//! is in the log.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use rusqlite::{Connection, OptionalExtension, TransactionBehavior};
use tokio::runtime::Handle;
use tokio::task::spawn_blocking;
use tokio::time::{Instant, sleep};

use crate::journal::open_connection;
use crate::{Store, StoreError};

/// Pages overwritten at once, 8 MiB: some 10 ms, for which a send may have to wait.
const SCRUBBED_AT_ONCE: u32 = 2048;

/// How long others wait to write until those who read have left the log.
const READERS_WAIT: Duration = Duration::from_millis(50);

/// Pause between two tries.
const RETRY_INTERVAL: Duration = Duration::from_millis(100);

/// Longest that somebody may read before who waits for the end is told so: far longer than any page of the journal takes. A
/// backup of a large store takes longer.
const READERS_MAX: Duration = Duration::from_secs(5);

/// The tables from whose beginnings rows go by age and by size.
const CLEARED: [&str; 2] = ["journal", "journal_payload"];

/// How a piece went.
enum Piece {
    /// There was nothing left to do.
    Done,
    /// There is more.
    Some,
    /// Somebody reads, and what they read can't go.
    Held,
}

impl Store {
    /// Overwrites what deleted rows have left in the file and in its log, as far as that is still to do.
    ///
    /// # Errors
    /// When the file can't be written, or somebody reads it for too long. What is left to do is done by the next call.
    pub async fn scrub(self: &Arc<Self>) -> Result<(), StoreError> {
        let mut deadline = Instant::now() + READERS_MAX;
        loop {
            match self.scrub_piece().await? {
                Piece::Done => return Ok(()),
                Piece::Some => deadline = Instant::now() + READERS_MAX,
                Piece::Held if Instant::now() >= deadline => {
                    return Err(StoreError::new(
                        "somebody reads the store's file; what was deleted is overwritten when they have ended",
                    ));
                }
                Piece::Held => sleep(RETRY_INTERVAL).await,
            }
        }
    }

    async fn scrub_piece(self: &Arc<Self>) -> Result<Piece, StoreError> {
        let (store, runtime) = (Arc::clone(self), Handle::current());
        let scrub = move || store.scrub_now(&runtime);
        let scrubbed = spawn_blocking(scrub).await;
        scrubbed.map_err(|error| StoreError::new(error.to_string()))?
    }

    fn scrub_now(&self, runtime: &Handle) -> Result<Piece, StoreError> {
        let mut connection = open_connection(self.file())?;
        connection.busy_timeout(READERS_WAIT)?;
        let next = next_page(&connection)?;
        let edges = self.edges_due().load(Ordering::Acquire);
        if next.is_none() && !edges {
            return Ok(Piece::Done);
        }
        // Most of the log goes to the file beside everybody else.
        empty_log(&connection, "PASSIVE")?;
        // The turn is taken where the work is: whoever gives up waiting does not give it away.
        let _turn = runtime.block_on(self.turn())?;
        if !empty_log(&connection, "TRUNCATE")? {
            return Ok(Piece::Held);
        }
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        // Somebody's own tool may have written in between; as long as the lock is held nobody does.
        if std::fs::metadata(self.log_file()).is_ok_and(|log| log.len() > 0) {
            return Ok(Piece::Held);
        }
        self.edges_due().store(false, Ordering::Release);
        if edges {
            for table in CLEARED {
                let root = "SELECT rootpage FROM sqlite_schema WHERE type = 'table' AND name = ?";
                let root = transaction.query_row(root, [table], |row| row.get(0))?;
                self.pages().scrub_edge(root)?;
            }
        }
        let next = match next_page(&transaction)? {
            Some(next) => self.pages().scrub(next, SCRUBBED_AT_ONCE)?,
            None => None,
        };
        // Something has to be written, so that every connection reads pages anew and none writes what it remembers of them.
        transaction.execute("DELETE FROM scrubbing", [])?;
        transaction.execute(
            "INSERT INTO scrubbing (next_page) VALUES (?)",
            [next.unwrap_or(0)],
        )?;
        if next.is_none() {
            transaction.execute("DELETE FROM scrubbing", [])?;
        }
        transaction.commit()?;
        Ok(next.map_or(Piece::Done, |_| Piece::Some))
    }
}

fn next_page(connection: &Connection) -> Result<Option<u32>, StoreError> {
    let next = "SELECT next_page FROM scrubbing LIMIT 1";
    let next = connection.query_row(next, [], |row| row.get(0));
    Ok(next.optional()?)
}

/// Brings what is in the log to the file; says whether all of it went, and for `TRUNCATE` whether the log is empty now.
fn empty_log(connection: &Connection, how: &str) -> Result<bool, StoreError> {
    let checkpoint = format!("PRAGMA wal_checkpoint({how})");
    let held: i64 = connection.query_row(&checkpoint, [], |row| row.get(0))?;
    Ok(held == 0)
}
