//! Overwriting what deleted rows have left in the file, a step at a time, between other writes and as soon as nobody reads what is
//! in the log.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rusqlite::{Connection, OptionalExtension, TransactionBehavior};
use tokio::task::spawn_blocking;
use tokio::time::{Instant, sleep};

use super::pages::Pages;
use crate::StoreError;
use crate::sqlite::connection::open_for_writing;
use crate::sqlite::files::log_of;
use crate::sqlite::store::SqliteStore;

/// Pages overwritten at once, 8 MiB: some 10 ms, for which a send may have to wait.
const SCRUBBED_AT_ONCE: u32 = 2048;

/// How long others wait to write until those who read have left the log.
const READERS_WAIT: Duration = Duration::from_millis(50);

/// Pause between two tries.
const RETRY_INTERVAL: Duration = Duration::from_millis(100);

/// Longest that somebody may read before the scrubbing gives up: far longer than any page of the journal takes. A backup of a
/// large store takes longer.
const READERS_MAX: Duration = Duration::from_secs(5);

/// The tables from whose beginnings rows go by age and by size.
const CLEARED: [&str; 3] = ["journal", "journal_payload", "events"];

/// How a step went.
enum ScrubStep {
    /// There was nothing left to do.
    Done,
    /// There is more.
    Some,
    /// Somebody reads, and what they read can't go.
    Held,
}

impl SqliteStore {
    pub(crate) async fn scrub(&self) -> Result<(), StoreError> {
        let mut deadline = Instant::now() + READERS_MAX;
        loop {
            match self.scrub_step().await? {
                ScrubStep::Done => return Ok(()),
                ScrubStep::Some => deadline = Instant::now() + READERS_MAX,
                ScrubStep::Held if Instant::now() >= deadline => {
                    return Err(StoreError::new(
                        "somebody reads the store's file; what was deleted is overwritten when they have ended",
                    ));
                }
                ScrubStep::Held => sleep(RETRY_INTERVAL).await,
            }
        }
    }

    async fn scrub_step(&self) -> Result<ScrubStep, StoreError> {
        let (file, edges_due) = (self.file().to_owned(), Arc::clone(self.edges_due()));
        let pages = Arc::clone(self.pages());
        let prepare = move || {
            // A connection of its own: what it writes has the others read pages anew.
            let connection = open_for_writing(&file)?;
            connection.busy_timeout(READERS_WAIT)?;
            if next_page(&connection)?.is_none() && !edges_due.load(Ordering::Acquire) {
                return Ok(None);
            }
            // Most of the log goes to the file beside everybody else.
            empty_log(&connection, "PASSIVE")?;
            Ok::<_, StoreError>(Some(Scrubber {
                connection,
                edges_due,
                pages,
                log: log_of(&file),
            }))
        };
        match spawn_blocking(prepare).await?? {
            // On the thread that writes, so that nothing else is written meanwhile.
            Some(mut scrubber) => self.writer().run(move |_| scrubber.step()).await,
            None => Ok(ScrubStep::Done),
        }
    }
}

/// Overwrites the pages of one store.
struct Scrubber {
    connection: Connection,
    edges_due: Arc<AtomicBool>,
    pages: Arc<Pages>,
    log: PathBuf,
}

impl Scrubber {
    fn step(&mut self) -> Result<ScrubStep, StoreError> {
        if !empty_log(&self.connection, "TRUNCATE")? {
            return Ok(ScrubStep::Held);
        }
        let immediate = TransactionBehavior::Immediate;
        let transaction = self.connection.transaction_with_behavior(immediate)?;
        // Somebody's own tool may have written in between; as long as the lock is held nobody does.
        if std::fs::metadata(&self.log).is_ok_and(|log| log.len() > 0) {
            return Ok(ScrubStep::Held);
        }
        if self.edges_due.swap(false, Ordering::AcqRel) {
            for table in CLEARED {
                let root = "SELECT rootpage FROM sqlite_schema WHERE type = 'table' AND name = ?";
                let root = transaction.query_row(root, [table], |row| row.get(0))?;
                self.pages.scrub_edge(root)?;
            }
        }
        let next = match next_page(&transaction)? {
            Some(next) => self.pages.scrub(next, SCRUBBED_AT_ONCE)?,
            None => None,
        };
        // Something has to be written, so that every connection reads pages anew and none writes what it remembers of them.
        scrub_from(&transaction, next.unwrap_or(0))?;
        if next.is_none() {
            transaction.execute("DELETE FROM scrubbing", [])?;
        }
        transaction.commit()?;
        Ok(next.map_or(ScrubStep::Done, |_| ScrubStep::Some))
    }
}

/// Has every page looked at from now on.
pub(crate) fn scrub_all(connection: &Connection) -> Result<(), StoreError> {
    scrub_from(connection, 1)
}

fn scrub_from(connection: &Connection, page: u32) -> Result<(), StoreError> {
    connection.execute("DELETE FROM scrubbing", [])?;
    connection.execute("INSERT INTO scrubbing (next_page) VALUES (?)", [page])?;
    Ok(())
}

fn next_page(connection: &Connection) -> Result<Option<u32>, StoreError> {
    let next = "SELECT next_page FROM scrubbing LIMIT 1";
    let next = connection.query_row(next, [], |row| row.get(0));
    Ok(next.optional()?)
}

/// Copies what is in the log to the file. Returns whether all of it went, and for `TRUNCATE` whether the log is empty now.
fn empty_log(connection: &Connection, how: &str) -> Result<bool, StoreError> {
    let checkpoint = format!("PRAGMA wal_checkpoint({how})");
    let held: i64 = connection.query_row(&checkpoint, [], |row| row.get(0))?;
    Ok(held == 0)
}
