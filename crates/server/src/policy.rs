//! The rules by which a listener treats its connections: plain values that the owner of the listener fills in.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::tls::Tls;

/// Maximum size of a request head, in bytes: names, values, method and target together. A message of 16 KiB takes 48 KiB when it is
/// encoded in a query, and 16 KiB remain for everything else. hyper stops reading between this size and twice this size, depending
/// on how its buffer fills. A service that needs an exact limit has to count again.
pub const HEAD_BYTES_MAX: usize = 64 * 1024;

/// Maximum number of header lines. Clients behind two proxies send about thirty.
pub(crate) const HEADERS_MAX: usize = 100;

/// Number of unsent bytes of a connection that the system buffers, apart from the bytes that the network carries. Without this limit
/// the buffer grows to 4 MiB, of which a peer takes 1.4 MB before the system reports room again: a slow reader looks like one that
/// has stopped.
pub(crate) const UNSENT_BYTES_MAX: u32 = 64 * 1024;

/// The rules by which a listener treats its connections.
#[derive(Clone, Debug)]
pub struct ConnectionPolicy {
    /// The deadlines of each connection.
    pub deadlines: Deadlines,
    /// Maximum number of open connections.
    pub connections_max: usize,
    /// Maximum number of open connections from one peer address. An IPv6 address counts with its /64.
    pub per_address_max: usize,
    /// Peers that are exempt from the limit per address, because one proxy carries many callers.
    pub trusted_proxies: Vec<IpNet>,
    /// True if each connection has to come from a trusted proxy and begin with a PROXY header.
    pub proxy_protocol: bool,
    /// The certificates of the listener, if it speaks TLS.
    pub tls: Option<Arc<Tls>>,
}

impl ConnectionPolicy {
    /// Returns whether this is the address of a trusted proxy.
    pub(crate) fn is_proxy(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.trusted_proxies
            .iter()
            .any(|network| network.contains(&address))
    }
}

/// The times that a peer may take.
#[derive(Clone, Copy, Debug)]
pub struct Deadlines {
    /// Time for the first byte of a connection, and from the first byte of a head to its end.
    pub head: Duration,
    /// Time between two requests.
    pub idle: Duration,
    /// Time for a request, from its head to its answer.
    pub request: Duration,
    /// Time for the whole body of a request, to which the received bytes add more time at `rate`.
    pub body: Duration,
    /// Time for taking the next piece of the answer, and for taking the whole answer. The written bytes add more time at `rate`; at
    /// most 384 KiB of them count for the next piece.
    pub write: Duration,
    /// Minimum average number of bytes per second that a peer has to send or take.
    pub rate: u32,
}

impl Deadlines {
    /// Returns the time that this number of bytes has earned.
    pub(crate) fn time_for(&self, bytes: u64) -> Duration {
        Duration::from_micros(bytes.saturating_mul(1_000_000) / u64::from(self.rate.max(1)))
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

/// The phase of a listener's shutdown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ShutdownPhase {
    /// Connections are accepted and served as before, but each connection ends with its next answer. A load balancer that has not
    /// noticed the shutdown yet loses no call.
    Announced,
    /// No connection is accepted, and requests under way may finish until this instant.
    Ending(Instant),
}

/// The shutdown of a listener, or of its connections.
#[derive(Clone)]
pub struct Shutdown(watch::Receiver<Option<ShutdownPhase>>);

impl Shutdown {
    /// Returns a sender, and the shutdown that begins when a phase is sent.
    pub fn channel() -> (watch::Sender<Option<ShutdownPhase>>, Shutdown) {
        let (sender, receiver) = watch::channel(None);
        (sender, Shutdown(receiver))
    }

    /// Returns whether a phase has been sent or the sender has been dropped. The check is cheap and registers no waker.
    pub(crate) fn is_sent(&self) -> bool {
        self.0.has_changed().unwrap_or(true)
    }

    /// Completes when the shutdown is announced or begins, or when the sender is dropped.
    pub(crate) async fn announced(&mut self) {
        let _ = self.0.wait_for(Option::is_some).await;
    }

    /// Completes when the shutdown begins, and returns the instant at which it ends. If the sender is dropped, that is the current
    /// instant.
    pub(crate) async fn requested(&mut self) -> Instant {
        let begins = |phase: &Option<_>| matches!(phase, Some(ShutdownPhase::Ending(_)));
        match self.0.wait_for(begins).await.as_deref() {
            Ok(Some(ShutdownPhase::Ending(deadline))) => *deadline,
            _ => Instant::now(),
        }
    }
}
