//! The state that the lanes of one replica share.

use std::sync::Arc;
use std::sync::atomic::AtomicI64;

use aws_lc_rs::hmac;

use super::send_tracker::SendTracker;
use super::tallies::MinuteTallies;
use crate::Journal;
use crate::postgres::connector::PgConnector;
use crate::postgres::ids::RowIds;
use crate::postgres::lease::ReplicaLease;
use crate::postgres::primary::Primary;

/// The state that the lanes of one replica share.
pub(super) struct LaneState {
    pub(super) journal: Arc<Journal>,
    /// The key for hashes of destinations and of idempotency keys.
    pub(super) key: hmac::Key,
    pub(super) ids: Arc<RowIds>,
    pub(super) lease: Arc<ReplicaLease>,
    pub(super) connector: Arc<PgConnector>,
    pub(super) primary: Arc<Primary>,
    /// The timeline on which this replica's sends were last put back; 0 before the first connection.
    pub(super) restored_timeline: AtomicI64,
    pub(super) sends: SendTracker,
    pub(super) tallies: MinuteTallies,
}
