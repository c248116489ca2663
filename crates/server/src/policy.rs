//! How a listener treats its connections: plain values that the owner of the listener fills in.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::tls::Tls;

/// Largest request head, in bytes: names, values, method and target together. A message of 16 KiB in a query is 48 KiB once
/// encoded, beside 16 KiB for everything else. hyper stops reading somewhere between this and twice as much, depending on
/// how its buffer fills; a service that wants a sharp limit counts again.
pub const HEAD_BYTES_MAX: usize = 64 * 1024;

/// Most header lines: clients behind two proxies send some thirty.
pub(crate) const HEADERS_MAX: usize = 100;

/// What a peer may take of an answer without being seen to, in bytes: TLS holds so much beneath us, and the system does not
/// say at once that it has room again.
const UNSEEN_BYTES_MAX: u64 = 64 * 1024;

/// How a listener treats its connections.
#[derive(Clone, Debug)]
pub struct ConnectionPolicy {
    /// The deadlines of each connection.
    pub deadlines: Deadlines,
    /// Most connections at once.
    pub connections_max: usize,
    /// Most connections at once from one peer address; an IPv6 address counts with its /64.
    pub per_address_max: usize,
    /// Peers to which the cap per address does not apply: one proxy carries many callers.
    pub trusted_proxies: Vec<IpNet>,
    /// Whether each connection has to come from a trusted proxy and begin with a PROXY header.
    pub proxy_protocol: bool,
    /// The certificates of the listener, if it speaks TLS.
    pub tls: Option<Arc<Tls>>,
}

impl ConnectionPolicy {
    /// Whether this is the address of a trusted proxy.
    pub(crate) fn is_proxy(&self, address: IpAddr) -> bool {
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
    /// For the whole body of a request, before the received bytes earn more time at `rate`.
    pub body: Duration,
    /// For taking a piece of the answer, and for all of it, before the taken bytes earn more time at `rate`: for the next piece
    /// 64 KiB of them at most.
    pub write: Duration,
    /// What a peer has to send or take on average, in bytes a second.
    pub rate: u32,
}

impl Deadlines {
    /// The time that so many bytes have earned.
    pub(crate) fn earned(&self, bytes: u64) -> Duration {
        Duration::from_millis(bytes.saturating_mul(1000) / u64::from(self.rate.max(1)))
    }

    /// When a peer has to take more of an answer that it was offered at `since`, and of which it took so many bytes until
    /// `last`. Who has taken much at once must not stop for as long as that has earned.
    pub(crate) fn next_piece(&self, since: Instant, last: Instant, taken: u64) -> Instant {
        let by_pace = since + self.earned(taken);
        let by_pause = last + self.earned(taken.min(UNSEEN_BYTES_MAX));
        by_pace.min(by_pause) + self.write
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

/// How far the shutdown of a listener has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ShutdownPhase {
    /// Connections are accepted and served as before, but each ends with its next answer: a load balancer that has not noticed
    /// yet loses no call.
    Announced,
    /// No connection is accepted, and requests under way may finish until this instant.
    Ending(Instant),
}

/// The shutdown of a listener, or of its connections.
#[derive(Clone)]
pub struct Shutdown(watch::Receiver<Option<ShutdownPhase>>);

impl Shutdown {
    /// A sender, and the shutdown that begins when a phase is sent.
    pub fn channel() -> (watch::Sender<Option<ShutdownPhase>>, Shutdown) {
        let (sender, receiver) = watch::channel(None);
        (sender, Shutdown(receiver))
    }

    /// Whether a phase has been sent, or the sender has been dropped. Costs little, and wakes nobody.
    pub(crate) fn is_sent(&self) -> bool {
        self.0.has_changed().unwrap_or(true)
    }

    /// Completes when the shutdown is announced, or has begun, or the sender has been dropped.
    pub(crate) async fn announced(&mut self) {
        let _ = self.0.wait_for(Option::is_some).await;
    }

    /// Completes when the shutdown begins, and returns when it is over: at once if the sender has been dropped.
    pub(crate) async fn requested(&mut self) -> Instant {
        let begins = |phase: &Option<_>| matches!(phase, Some(ShutdownPhase::Ending(_)));
        match self.0.wait_for(begins).await.as_deref() {
            Ok(Some(ShutdownPhase::Ending(deadline))) => *deadline,
            _ => Instant::now(),
        }
    }
}
