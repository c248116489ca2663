//! The tasks that write the sends and the journal of one replica.

use std::sync::Arc;
use std::sync::atomic::AtomicI64;
use std::time::Duration;

use aws_lc_rs::hmac;
use parking_lot::Mutex;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::lane::LaneWriter;
use super::send_tracker::SendTracker;
use super::shared::LaneState;
use super::sweep::Sweeper;
use super::tallies::MinuteTallies;
use crate::Journal;
use crate::journal::parts::JournalPart;
use crate::postgres::connector::PgConnector;
use crate::postgres::error::PgError;
use crate::postgres::ids::RowIds;
use crate::postgres::lease::ReplicaLease;
use crate::postgres::primary::Primary;
use crate::restart::restart_on_panic;

/// Maximum time that closing the store spends on sends left open.
const END_MAX: Duration = Duration::from_secs(5);

/// The lanes of one replica. Their tasks end when this is dropped.
pub(in crate::postgres) struct Lanes {
    state: Arc<LaneState>,
    tasks: Mutex<JoinSet<()>>,
}

impl Lanes {
    /// Starts the lanes of a journal. They write as soon as the journal accepts rows.
    pub(in crate::postgres) fn start(
        journal: &Arc<Journal>,
        key: &hmac::Key,
        (ids, lease): (&Arc<RowIds>, &Arc<ReplicaLease>),
        (connector, primary): (&Arc<PgConnector>, &Arc<Primary>),
    ) -> Lanes {
        journal.queue.write_in_parts();
        let state = Arc::new(LaneState {
            journal: Arc::clone(journal),
            key: key.clone(),
            ids: Arc::clone(ids),
            lease: Arc::clone(lease),
            connector: Arc::clone(connector),
            primary: Arc::clone(primary),
            restored_timeline: AtomicI64::new(0),
            sends: SendTracker::default(),
            tallies: MinuteTallies::default(),
        });
        let mut tasks = JoinSet::new();
        for part in JournalPart::ALL {
            let state = Arc::clone(&state);
            tasks.spawn(async move {
                let write = || LaneWriter::new(part, Arc::clone(&state)).run();
                restart_on_panic("lane of the journal", write).await;
            });
        }
        let swept = Arc::clone(&state);
        tasks.spawn(async move {
            restart_on_panic("sweep of the journal", || {
                Sweeper::new(Arc::clone(&swept)).run()
            })
            .await;
        });
        Lanes {
            state,
            tasks: Mutex::new(tasks),
        }
    }

    /// If there was a failover, wakes the lanes so that sends are put back immediately, even if no new send begins.
    pub(in crate::postgres) fn check_failover(&self) {
        if self.state.has_unhandled_failover() {
            self.state.journal.queue.wake_parts();
        }
    }

    /// Returns the state that the lanes share.
    pub(super) fn state(&self) -> &LaneState {
        &self.state
    }

    /// Ends the lanes, and closes this replica's open sends as unknown, because their outcomes will never come.
    pub(in crate::postgres) async fn close(&self) {
        {
            let mut tasks = self.tasks.lock();
            tasks.abort_all();
        }
        self.state.journal.queue.abandon();
        match timeout(END_MAX, self.close_own()).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                tracing::warn!(%error, "some sends under way could not be closed at shutdown; another replica closes them")
            }
            Err(_) => tracing::warn!(
                "some sends under way could not be closed at shutdown; another replica closes them"
            ),
        }
    }

    async fn close_own(&self) -> Result<(), PgError> {
        let mut session = self.state.connector.connect().await?;
        self.state.sends.forget();
        self.state.sweep(&mut session).await?;
        Ok(())
    }
}

impl Drop for Lanes {
    fn drop(&mut self) {
        self.state.journal.queue.abandon();
    }
}
