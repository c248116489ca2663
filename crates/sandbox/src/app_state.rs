//! The state that all connections share.

use std::sync::Arc;

use tokio::sync::Semaphore;

use crate::account::SandboxAccount;
use crate::arrivals::ArrivalLog;
use crate::chats::Chats;
use crate::faults::Faults;

/// Maximum number of live pages at the same time, because each holds a connection.
pub(crate) const WATCHERS_MAX: usize = 100;

/// The state of a sandbox.
pub(crate) struct AppState {
    pub(crate) account: SandboxAccount,
    pub(crate) chats: Chats,
    pub(crate) faults: Faults,
    pub(crate) arrivals: ArrivalLog,
    pub(crate) pages: bool,
    pub(crate) control: bool,
    pub(crate) watchers: Arc<Semaphore>,
}
