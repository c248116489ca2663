//! The other end of a connection, and what has happened there so far.

use std::sync::Arc;

use crate::activity::Activity;
use crate::client_addr::PeerAddr;

/// Refusals in a row of callers who have not proved who they are, after which a connection is closed: a client that is set up
/// wrongly notices, and a flood pays for a handshake every so many.
const REFUSALS_IN_A_ROW_MAX: u32 = 8;

/// Refusals in a row after which a connection that carries many requests at once is cut off: those that were under way when
/// it was told to go away, as many as it may carry, and a few. Whoever goes on asking has not listened.
const REFUSALS_UNHEARD_MAX: u32 = 128;

/// Who asks, over which connection.
#[derive(Clone, Debug)]
pub(crate) struct Caller {
    pub(crate) peer: PeerAddr,
    activity: Arc<Activity>,
}

impl Caller {
    pub(crate) fn new(peer: PeerAddr, activity: &Arc<Activity>) -> Caller {
        Caller {
            peer,
            activity: Arc::clone(activity),
        }
    }

    /// Somebody unknown was refused here. Says whether the connection has to end.
    pub(crate) fn is_refused(&self) -> bool {
        let refused = self.activity.refused();
        if refused >= REFUSALS_UNHEARD_MAX {
            self.activity.close();
        }
        refused >= REFUSALS_IN_A_ROW_MAX
    }

    /// Somebody has proved who they are here.
    pub(crate) fn is_proven(&self) {
        self.activity.forget_refusals();
    }

    /// What is under way here ends, and nothing more is taken: for a connection that carries many requests at once.
    pub(crate) fn say_goodbye(&self) {
        self.activity.say_goodbye();
    }
}
