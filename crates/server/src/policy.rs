//! How a listener treats connections: plain values, which its owner takes from wherever it likes.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::tls::Tls;

/// Largest request head, in bytes: names, values, method and target together. A message of 16 KiB in a query is 48 KiB once
/// encoded, beside 16 KiB for everything else. hyper stops reading somewhere between this and twice as much, as its buffer happens
/// to be filled; a dispatcher that wants a sharp line counts again.
pub const HEAD_BYTES_MAX: usize = 64 * 1024;

/// Most header lines: clients behind two proxies send some thirty.
pub(crate) const HEADERS_MAX: usize = 100;

/// Turns into an instant when the listener has to stop: until then requests under way may end.
pub type Stop = watch::Receiver<Option<Instant>>;

/// How a listener treats connections.
#[derive(Clone, Debug)]
pub struct ConnectionPolicy {
    /// The deadlines of each connection.
    pub deadlines: Deadlines,
    /// Most connections at once.
    pub connections_max: usize,
    /// Most connections at once from one peer address.
    pub per_address_max: usize,
    /// Peers to whom the cap per address does not apply: one proxy carries many callers.
    pub trusted_proxies: Vec<IpNet>,
    /// Whether each connection has to come from one of them and begin with a PROXY header.
    pub proxy_protocol: bool,
    /// TLS, if it is spoken here.
    pub tls: Option<Arc<Tls>>,
}

impl ConnectionPolicy {
    /// Whether this is the address of a trusted proxy.
    pub fn is_proxy(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.trusted_proxies
            .iter()
            .any(|network| network.contains(&address))
    }
}

/// How long a peer may take.
#[derive(Clone, Copy, Debug)]
pub struct Deadlines {
    /// For the first byte of a connection, and from the first byte of a head to its end.
    pub head: Duration,
    /// Between two requests.
    pub idle: Duration,
    /// For a request, from its head to its answer.
    pub request: Duration,
    /// For the whole body of a request, before what has come of it earns more time at `rate`.
    pub body: Duration,
    /// For taking a piece of the answer, and for all of it before what has been taken earns more time at `rate`.
    pub write: Duration,
    /// What a peer has to send or take on average, in bytes a second.
    pub rate: u32,
}

impl Deadlines {
    /// The time that so many bytes have earned.
    pub fn earned(&self, bytes: u64) -> Duration {
        Duration::from_millis(bytes.saturating_mul(1000) / u64::from(self.rate.max(1)))
    }
}

impl Default for Deadlines {
    fn default() -> Deadlines {
        Deadlines {
            head: Duration::from_secs(10),
            idle: Duration::from_secs(75),
            request: Duration::from_secs(30),
            body: Duration::from_secs(10),
            write: Duration::from_secs(30),
            rate: 1024,
        }
    }
}
