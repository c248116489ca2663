//! Limits the number of open connections, in total and per address. When a limit is reached, a new connection replaces the
//! connection whose peer the server has waited for longest. A connection whose peer sends and reads without delay is never evicted.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use parking_lot::Mutex;

use crate::connection_state::ConnectionState;
use crate::policy::ConnectionPolicy;

/// Minimum wait for a peer before its connection can be evicted: a round trip to the far side of the world.
const WAITED_MIN: Duration = Duration::from_millis(250);

/// One in this many connections is evicted in each search, which spreads the cost of the search.
const EVICTED_SHARE: usize = 64;

/// Limits the connections of one listener.
#[derive(Default)]
pub(crate) struct ConnectionLimiter(Mutex<OpenConnections>);

#[derive(Default)]
struct OpenConnections {
    total: usize,
    by_source: HashMap<ConnectionSource, Vec<Arc<ConnectionState>>>,
}

/// The source under which connections are counted. A proxy is counted apart from its neighbours, because it has no limit.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum ConnectionSource {
    /// The address of a trusted proxy.
    Proxy(IpAddr),
    /// An IPv4 address or the /64 of an IPv6 address. An IPv6 peer owns at least a /64; otherwise it could open as many connections
    /// as it has addresses.
    Peer(IpAddr),
}

/// The permit for one open connection. Dropping it returns it to the limiter.
pub(crate) struct ConnectionPermit {
    limiter: Arc<ConnectionLimiter>,
    source: ConnectionSource,
    state: Arc<ConnectionState>,
}

impl ConnectionLimiter {
    /// Permits a connection from an address. Returns `None` if there are too many connections and none can be evicted.
    pub(crate) fn take(
        limiter: &Arc<ConnectionLimiter>,
        address: IpAddr,
        policy: &ConnectionPolicy,
        state: Arc<ConnectionState>,
    ) -> Option<ConnectionPermit> {
        let source = ConnectionSource::of(address, policy);
        let mut open = limiter.0.lock();
        let of_source = open.by_source.get(&source).map_or(0, Vec::len);
        let is_exempt = matches!(source, ConnectionSource::Proxy(_));
        let has_room =
            (of_source < policy.per_address_max || is_exempt || open.evict(Some(source)))
                && (open.total < policy.connections_max || open.evict(None));
        if !has_room {
            return None;
        }
        open.total += 1;
        let of_source = open.by_source.entry(source).or_default();
        state.permit_index.store(of_source.len(), Ordering::Relaxed);
        of_source.push(Arc::clone(&state));
        drop(open);
        Some(ConnectionPermit {
            limiter: Arc::clone(limiter),
            source,
            state,
        })
    }
}

impl ConnectionSource {
    fn of(address: IpAddr, policy: &ConnectionPolicy) -> ConnectionSource {
        let address = address.to_canonical();
        match address {
            _ if policy.is_proxy(address) => ConnectionSource::Proxy(address),
            IpAddr::V4(_) => ConnectionSource::Peer(address),
            IpAddr::V6(v6) => {
                let network = Ipv6Addr::from_bits(v6.to_bits() & (u128::MAX << 64));
                ConnectionSource::Peer(network.into())
            }
        }
    }
}

impl OpenConnections {
    /// Evicts the connections, of one source or of all sources, whose peers the server has waited for longest. Connections
    /// without a completed request are evicted first. Returns whether any connection was evicted.
    fn evict(&mut self, of: Option<ConnectionSource>) -> bool {
        let mut waiting: Vec<_> = self
            .by_source
            .iter()
            .filter(|(source, _)| of.is_none_or(|of| of == **source))
            .flat_map(|(source, open)| open.iter().map(move |state| (*source, state)))
            .filter_map(|(source, state)| {
                let waited = state.waited().filter(|waited| *waited >= WAITED_MIN)?;
                let rank = (state.has_completed(), Reverse(waited));
                Some((rank, source, Arc::clone(state)))
            })
            .collect();
        let open = if of.is_some() {
            waiting.len()
        } else {
            self.total
        };
        let count = open.div_ceil(EVICTED_SHARE).min(waiting.len());
        if count == 0 {
            return false;
        }
        waiting.select_nth_unstable_by_key(count - 1, |(rank, ..)| *rank);
        for (_, source, state) in &waiting[..count] {
            state.evict();
            self.remove(*source, state);
        }
        tracing::debug!(count, "evicted the slowest connections");
        true
    }

    /// Removes a connection, unless an earlier eviction has already removed it.
    fn remove(&mut self, source: ConnectionSource, state: &Arc<ConnectionState>) {
        let Some(open) = self.by_source.get_mut(&source) else {
            return;
        };
        // The connection is found by its index, not by a search, because one proxy may have all connections.
        let index = state.permit_index.load(Ordering::Relaxed);
        if open
            .get(index)
            .is_some_and(|other| Arc::ptr_eq(other, state))
        {
            open.swap_remove(index);
            if let Some(moved) = open.get(index) {
                moved.permit_index.store(index, Ordering::Relaxed);
            }
            self.total -= 1;
        }
        if open.is_empty() {
            self.by_source.remove(&source);
        }
    }
}

impl ConnectionPermit {
    /// Counts the same connection under the address that its proxy has named. Returns `None` if that address has too many
    /// connections.
    pub(crate) fn move_to(
        self,
        address: IpAddr,
        policy: &ConnectionPolicy,
    ) -> Option<ConnectionPermit> {
        let (limiter, state) = (Arc::clone(&self.limiter), Arc::clone(&self.state));
        drop(self);
        ConnectionLimiter::take(&limiter, address, policy, state)
    }

    /// Returns the state of the connection.
    pub(crate) fn state(&self) -> &Arc<ConnectionState> {
        &self.state
    }
}

impl Drop for ConnectionPermit {
    fn drop(&mut self) {
        self.limiter.0.lock().remove(self.source, &self.state);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::Deadlines;

    fn policy(connections_max: usize, per_address_max: usize) -> ConnectionPolicy {
        ConnectionPolicy {
            deadlines: Deadlines::default(),
            connections_max,
            per_address_max,
            trusted_proxies: ["10.0.0.0/8", "fd00::/128"]
                .map(|network| network.parse().unwrap())
                .into(),
            proxy_protocol: false,
            tls: None,
        }
    }

    fn take(
        limiter: &Arc<ConnectionLimiter>,
        address: IpAddr,
        policy: &ConnectionPolicy,
    ) -> Option<ConnectionPermit> {
        ConnectionLimiter::take(limiter, address, policy, Arc::default())
    }

    #[test]
    fn connections_are_limited_in_total_and_per_address() {
        let policy = policy(3, 1);
        let limiter = Arc::new(ConnectionLimiter::default());
        let take = |address: &str| take(&limiter, address.parse().unwrap(), &policy);
        let first = take("192.0.2.1");
        assert!(first.is_some());
        assert!(take("192.0.2.1").is_none());
        assert!(take("::ffff:192.0.2.1").is_none());
        let proxied = (take("10.0.0.1"), take("10.0.0.1"));
        assert!(proxied.0.is_some() && proxied.1.is_some());
        assert!(take("192.0.2.2").is_none());
        drop(first);
        let first = take("192.0.2.1");
        assert!(first.is_some());
        drop((first, proxied.1));
        let named = "192.0.2.3".parse().unwrap();
        let moved = proxied.0.unwrap().move_to(named, &policy);
        assert!(moved.is_some());
        let again = take("10.0.0.1").unwrap();
        assert!(again.move_to(named, &policy).is_none());
        assert!(take("10.0.0.1").is_some());
    }

    #[test]
    fn ipv6_peers_are_counted_by_their_64_network_except_trusted_proxies() {
        let policy = policy(10, 1);
        let limiter = Arc::new(ConnectionLimiter::default());
        let take = |address: &str| take(&limiter, address.parse().unwrap(), &policy);
        let first = take("2001:db8::1");
        assert!(first.is_some());
        assert!(take("2001:db8::ffff:0:0:1").is_none());
        let other = take("2001:db8:0:1::1");
        assert!(other.is_some());
        let same = "2001:db8:0:1::2".parse().unwrap();
        assert!(take("192.0.2.1").unwrap().move_to(same, &policy).is_none());
        // A proxy takes no room from its neighbours, and they take none from it. Its address may be that of its network.
        let proxied = [(); 2].map(|()| take("fd00::").unwrap());
        for permit in &proxied {
            permit.state().pretend_waited(Duration::from_secs(9));
        }
        let neighbour = take("fd00::6");
        assert!(neighbour.is_some() && take("fd00::7").is_none());
        assert!(!proxied.iter().any(|permit| permit.state().take_eviction()));
        drop(first);
        assert!(take("2001:db8::2").is_some());
    }

    #[test]
    fn only_the_connection_that_waited_longest_for_its_peer_is_evicted() {
        let policy = policy(4, 4);
        let limiter = Arc::new(ConnectionLimiter::default());
        let take = || take(&limiter, IpAddr::from([192, 0, 2, 1]), &policy);
        let [served, rests, oldest, fresh] = [(); 4].map(|()| take().unwrap());
        let in_flight = ConnectionState::begin(served.state());
        drop(ConnectionState::begin(rests.state()));
        for (permit, seconds) in [(&served, 900), (&rests, 800), (&oldest, 700)] {
            permit.state().pretend_waited(Duration::from_secs(seconds));
        }
        // A connection with a completed request is evicted after the connections without one.
        let first = take();
        assert!(first.is_some() && oldest.state().take_eviction());
        assert!(!rests.state().take_eviction());
        let second = take();
        assert!(second.is_some() && rests.state().take_eviction());
        assert!(take().is_none());
        assert!(!served.state().take_eviction() && !fresh.state().take_eviction());
        // When an evicted connection ends, it does not return the permit of another connection.
        drop((oldest, rests, in_flight));
        assert_eq!(limiter.0.lock().total, 4);
        drop((first, second, served, fresh));
        assert!(limiter.0.lock().total == 0 && limiter.0.lock().by_source.is_empty());
    }

    #[test]
    fn at_the_limit_one_connection_in_64_is_evicted_at_the_same_time() {
        // One in 64, which is three of 129.
        let most = 129;
        let policy = policy(most, most);
        let limiter = Arc::new(ConnectionLimiter::default());
        let take = || take(&limiter, IpAddr::from([192, 0, 2, 1]), &policy);
        let open: Vec<_> = (0..most).filter_map(|_| take()).collect();
        for (permit, seconds) in open.iter().zip(1..) {
            permit.state().pretend_waited(Duration::from_secs(seconds));
        }
        assert!(take().is_some());
        let evicted: Vec<_> = open
            .iter()
            .map(|permit| permit.state().take_eviction())
            .collect();
        // The connections whose peers the server has waited for longest.
        assert!(evicted[most - 3..].iter().all(|evicted| *evicted));
        assert!(!evicted[..most - 3].contains(&true));
    }
}
