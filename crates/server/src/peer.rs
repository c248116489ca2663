//! The other end of a connection: its address, and how many refusals in a row it has caused.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::connection_state::ConnectionState;

/// Refusals in a row of callers who have not authenticated, after which a connection closes. A client with a wrong
/// configuration notices, and a flood pays for a handshake every so often.
const REFUSALS_IN_A_ROW_MAX: u32 = 8;

/// Refusals in a row after which an HTTP/2 connection is cut off: the requests that were under way when GOAWAY was sent, as
/// many as the connection may carry, and a few more. A peer that sends further requests has ignored GOAWAY.
const REFUSALS_AFTER_GOAWAY_MAX: u32 = 128;

/// The other end of the TCP connection, or the address that its PROXY header names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PeerAddr {
    /// Its address.
    pub address: SocketAddr,
    /// Whether the peer calls for itself. A PROXY header can say that a connection carries no calls of others (`UNKNOWN`,
    /// `LOCAL`), such as a health check: then anybody may have written its forwarded header, whatever the address of the peer.
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

/// The peer of one connection.
#[derive(Clone, Debug)]
pub struct Peer {
    /// The address of the peer.
    pub addr: PeerAddr,
    pub(crate) state: Arc<ConnectionState>,
}

impl Peer {
    /// Counts a refusal of a caller who has not authenticated. Returns whether the connection has to close.
    pub fn count_refusal(&self) -> bool {
        let refusals = self.state.refusals.fetch_add(1, Ordering::Relaxed) + 1;
        if refusals >= REFUSALS_AFTER_GOAWAY_MAX {
            self.state.evict();
        }
        refusals >= REFUSALS_IN_A_ROW_MAX
    }

    /// Forgets the refusals: a caller has authenticated.
    pub fn reset_refusals(&self) {
        // Most connections have none, and a load costs other threads nothing.
        if self.state.refusals.load(Ordering::Relaxed) != 0 {
            self.state.refusals.store(0, Ordering::Relaxed);
        }
    }

    /// Completes when the peer closes its side of an HTTP/1.1 connection, or sends more, while its request is under way: it may have
    /// gone away, or wait for its answer all the same. On HTTP/2 this never completes: the request of a peer that has gone is dropped.
    pub async fn closes_or_sends(&self) {
        self.state.more.came().await;
    }

    /// Has an HTTP/2 connection send GOAWAY: it finishes the requests under way and accepts no more.
    pub fn go_away(&self) {
        self.state.request_goaway();
    }
}
