//! The other end of a connection: its address, and a counter of rejected requests in a row.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::connection_state::ConnectionState;

/// Number of rejected requests in a row after which a connection closes, if their callers have not authenticated. A misconfigured
/// client notices the close, and a flood has to pay for another handshake.
const REFUSALS_IN_A_ROW_MAX: u32 = 8;

/// Number of rejected requests in a row after which an HTTP/2 connection is cut off. The limit covers the requests that were under
/// way when GOAWAY was sent, as many as the connection may carry, and a few more. A peer that sends further requests has ignored
/// GOAWAY.
const REFUSALS_AFTER_GOAWAY_MAX: u32 = 128;

/// The address of a peer: the other end of the TCP connection, or the address in its PROXY header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PeerAddr {
    /// The address of the peer.
    pub address: SocketAddr,
    /// True if the peer calls for itself. A PROXY header can state that its connection carries no calls of other clients
    /// (`UNKNOWN`, `LOCAL`), such as a health check. Then a forwarded header is not trusted, whatever the peer's address, because
    /// anybody may have written it.
    pub is_caller: bool,
}

impl PeerAddr {
    /// Returns a peer that may pass on calls of other clients, if it is a trusted proxy.
    pub fn of(address: SocketAddr) -> PeerAddr {
        PeerAddr {
            address,
            is_caller: false,
        }
    }

    /// Returns a peer that calls for itself.
    pub fn caller(address: SocketAddr) -> PeerAddr {
        PeerAddr {
            address,
            is_caller: true,
        }
    }
}

/// The peer of one connection.
#[derive(Clone, Debug)]
pub struct Peer {
    /// The address of the peer.
    pub addr: PeerAddr,
    pub(crate) state: Arc<ConnectionState>,
}

impl Peer {
    /// Counts a rejected request whose caller has not authenticated. Returns whether the connection has to close.
    pub fn count_refusal(&self) -> bool {
        let refusals = self.state.refusals.fetch_add(1, Ordering::Relaxed) + 1;
        if refusals >= REFUSALS_AFTER_GOAWAY_MAX {
            self.state.evict();
        }
        refusals >= REFUSALS_IN_A_ROW_MAX
    }

    /// Resets the counter of rejected requests, because a caller has authenticated.
    pub fn reset_refusals(&self) {
        // Most counters are 0, and a load does not slow down other threads as a store does.
        if self.state.refusals.load(Ordering::Relaxed) != 0 {
            self.state.refusals.store(0, Ordering::Relaxed);
        }
    }

    /// Completes when the peer of an HTTP/1.1 connection closes its side, or sends more, while its request is under way. The peer
    /// may have disconnected, or may still wait for its answer. On HTTP/2 this never completes, because the request of a
    /// disconnected peer is dropped.
    pub async fn closes_or_sends(&self) {
        self.state.peer_input.arrived().await;
    }

    /// Makes an HTTP/2 connection send GOAWAY. The connection finishes the requests under way and accepts no more requests.
    pub fn go_away(&self) {
        self.state.request_goaway();
    }
}
