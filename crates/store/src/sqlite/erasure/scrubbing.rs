//! Overwrites the remains of deleted rows in the file, step by step between other writes, as soon as no reader uses the log.

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

/// Number of pages overwritten in one step, 8 MiB: about 10 ms, for which a send may have to wait.
const SCRUBBED_PER_BATCH: u32 = 2048;

/// Time that other writes wait for readers to leave the log.
const READERS_WAIT: Duration = Duration::from_millis(50);

/// Pause between two attempts.
const RETRY_INTERVAL: Duration = Duration::from_millis(100);

/// Maximum time that a reader may hold the log before the scrubbing gives up: far longer than any page of the journal takes. A
/// backup of a large store takes longer.
const READERS_MAX: Duration = Duration::from_secs(5);

/// The tables whose first rows are cleared by age and by size.
const CLEARED: [&str; 3] = ["journal", "journal_payload", "events"];

/// The result of a step.
enum ScrubStep {
    /// Nothing remains to be done.
    Done,
    /// More pages remain.
    Some,
    /// A reader uses the log, so that the log can't be emptied.
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
                        "another process reads the store's file; deleted data is overwritten when it has ended",
                    ));
                }
                ScrubStep::Held => sleep(RETRY_INTERVAL).await,
            }
        }
    }

    async fn scrub_step(&self) -> Result<ScrubStep, StoreError> {
        let (file, edge_scrub_due) = (self.file().to_owned(), Arc::clone(self.edge_scrub_due()));
        let pages = Arc::clone(self.pages());
        let prepare = move || {
            // The step uses a separate connection, whose write makes the other connections read their pages again.
            let connection = open_for_writing(&file)?;
            connection.busy_timeout(READERS_WAIT)?;
            if next_page(&connection)?.is_none() && !edge_scrub_due.load(Ordering::Acquire) {
                return Ok(None);
            }
            // Most of the log is copied to the file concurrently with other work.
            empty_log(&connection, "PASSIVE")?;
            Ok::<_, StoreError>(Some(Scrubber {
                connection,
                edge_scrub_due,
                pages,
                log: log_of(&file),
            }))
        };
        match spawn_blocking(prepare).await?? {
            // The step runs on the writer thread, so that nothing else is written during the step.
            Some(mut scrubber) => self.writer().run(move |_| scrubber.step()).await,
            None => Ok(ScrubStep::Done),
        }
    }
}

/// Overwrites the unused parts of one store's pages.
struct Scrubber {
    connection: Connection,
    edge_scrub_due: Arc<AtomicBool>,
    pages: Arc<Pages>,
    log: PathBuf,
}

impl Scrubber {
    /// Makes one step. If it fails, the edges are due again.
    fn step(&mut self) -> Result<ScrubStep, StoreError> {
        let edges_are_due = self.edge_scrub_due.swap(false, Ordering::AcqRel);
        let step = self.try_step(edges_are_due);
        if edges_are_due && !matches!(step, Ok(ScrubStep::Done | ScrubStep::Some)) {
            self.edge_scrub_due.store(true, Ordering::Release);
        }
        step
    }

    fn try_step(&mut self, edges_are_due: bool) -> Result<ScrubStep, StoreError> {
        if !empty_log(&self.connection, "TRUNCATE")? {
            return Ok(ScrubStep::Held);
        }
        let immediate = TransactionBehavior::Immediate;
        let transaction = self.connection.transaction_with_behavior(immediate)?;
        // An operator's own tool may have written in between; while the lock is held, nobody writes.
        if std::fs::metadata(&self.log).is_ok_and(|log| log.len() > 0) {
            return Ok(ScrubStep::Held);
        }
        if edges_are_due {
            for table in CLEARED {
                let root = "SELECT rootpage FROM sqlite_schema WHERE type = 'table' AND name = ?";
                let root = transaction.query_row(root, [table], |row| row.get(0))?;
                self.pages.scrub_edge(root)?;
            }
        }
        let next = match next_page(&transaction)? {
            Some(next) => self.pages.scrub(next, SCRUBBED_PER_BATCH)?,
            None => None,
        };
        // The transaction must write something, so that every connection reads its pages again and none writes cached pages back.
        scrub_from(&transaction, next.unwrap_or(0))?;
        if next.is_none() {
            transaction.execute("DELETE FROM scrubbing", [])?;
        }
        transaction.commit()?;
        Ok(next.map_or(ScrubStep::Done, |_| ScrubStep::Some))
    }
}

/// Schedules the scrubbing of every page.
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

/// Copies the log to the file. Returns whether everything was copied and, for `TRUNCATE`, whether the log is empty now.
fn empty_log(connection: &Connection, how: &str) -> Result<bool, StoreError> {
    let checkpoint = format!("PRAGMA wal_checkpoint({how})");
    let held: i64 = connection.query_row(&checkpoint, [], |row| row.get(0))?;
    Ok(held == 0)
}
