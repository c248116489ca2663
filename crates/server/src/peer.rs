//! The other end of a connection, and what has happened there so far.

use std::net::SocketAddr;
use std::sync::Arc;

use crate::connection_state::ConnectionState;

/// Refusals in a row of callers who have not proved who they are, after which a connection is closed: a client that is set up
/// wrongly notices, and a flood pays for a handshake every so many.
const REFUSALS_IN_A_ROW_MAX: u32 = 8;

/// Refusals in a row after which a connection that carries many requests at once is cut off: those that were under way when
/// it was told to go away, as many as it may carry, and a few. Whoever goes on asking has not listened.
const REFUSALS_UNHEARD_MAX: u32 = 128;

/// The other end of the TCP connection, or whom its PROXY header names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PeerAddr {
    /// Where it is.
    pub address: SocketAddr,
    /// Whether it calls for itself. By its PROXY header a connection carries nobody's calls (`UNKNOWN`, `LOCAL`), such as a
    /// health check: then what stands in a forwarded header is anybody's writing, whoever the peer is.
    pub is_caller: bool,
}

impl PeerAddr {
    /// A peer that may pass calls on, if it is a trusted proxy.
    pub fn of(address: SocketAddr) -> PeerAddr {
        PeerAddr {
            address,
            is_caller: false,
        }
    }

    /// A peer that calls for itself.
    pub fn caller(address: SocketAddr) -> PeerAddr {
        PeerAddr {
            address,
            is_caller: true,
        }
    }
}

/// Who asks, over which connection.
#[derive(Clone, Debug)]
pub struct Peer {
    /// The other end of the connection.
    pub addr: PeerAddr,
    state: Arc<ConnectionState>,
}

impl Peer {
    pub(crate) fn new(peer: PeerAddr, state: &Arc<ConnectionState>) -> Peer {
        Peer {
            addr: peer,
            state: Arc::clone(state),
        }
    }

    /// Somebody unknown was refused here. Says whether the connection has to end.
    pub fn count_refusal(&self) -> bool {
        let refused = self.state.refused();
        if refused >= REFUSALS_UNHEARD_MAX {
            self.state.close();
        }
        refused >= REFUSALS_IN_A_ROW_MAX
    }

    /// Somebody has proved who they are here.
    pub fn reset_refusals(&self) {
        self.state.forget_refusals();
    }

    /// What is under way here ends, and nothing more is taken: for a connection that carries many requests at once.
    pub fn go_away(&self) {
        self.state.say_goodbye();
    }
}
