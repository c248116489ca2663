//! How many connections are open, in all and by address, and who may still come in. When all places are taken, those whom
//! the gateway has been waiting for the longest make room: whoever sends what they have to say is never one of them.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::connection_state::ConnectionState;
use crate::policy::ConnectionPolicy;

/// Nobody makes room who has not been waited for so long: a round trip to the far side of the world.
const WAITED_LEAST: Duration = Duration::from_millis(250);

/// One in so many connections makes room at once, so that the search costs little for each.
const SHARE_TO_CLOSE: usize = 64;

/// The open connections of one listener.
#[derive(Default)]
pub(crate) struct ConnectionLimiter(Mutex<State>);

#[derive(Default)]
struct State {
    total: usize,
    by_address: HashMap<IpAddr, Vec<Arc<ConnectionState>>>,
}

/// One open connection's place; given back when dropped.
pub(crate) struct ConnectionPermit {
    limiter: Arc<ConnectionLimiter>,
    address: IpAddr,
    state: Arc<ConnectionState>,
}

impl ConnectionLimiter {
    /// A place for a connection from an address; `None` when there are too many already and nobody makes room.
    pub(crate) fn take(
        limiter: &Arc<ConnectionLimiter>,
        address: IpAddr,
        policy: &ConnectionPolicy,
    ) -> Option<ConnectionPermit> {
        ConnectionLimiter::enter(limiter, address, policy, Arc::default())
    }

    fn enter(
        limiter: &Arc<ConnectionLimiter>,
        address: IpAddr,
        policy: &ConnectionPolicy,
        state: Arc<ConnectionState>,
    ) -> Option<ConnectionPermit> {
        let address = address.to_canonical();
        let mut state = limiter.lock();
        let mine = state.by_address.get(&address).map_or(0, Vec::len);
        let has_room = (mine < policy.per_address_max
            || policy.is_proxy(address)
            || state.make_room(Some(address)))
            && (state.total < policy.connections_max || state.make_room(None));
        if !has_room {
            return None;
        }
        state.total += 1;
        let of_address = state.by_address.entry(address).or_default();
        of_address.push(Arc::clone(&state));
        drop(state);
        Some(ConnectionPermit {
            limiter: Arc::clone(limiter),
            address,
            state,
        })
    }

    /// The state is whole after every statement, so a panic elsewhere does not spoil it.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Closes those, of one address or of all, whom the gateway has been waiting for the longest; first of all those who
    /// have never asked for anything. Says whether there were any.
    fn make_room(&mut self, of: Option<IpAddr>) -> bool {
        let mut waited_for: Vec<_> = self
            .by_address
            .iter()
            .filter(|(address, _)| of.is_none_or(|of| of == **address))
            .flat_map(|(address, open)| open.iter().map(move |state| (*address, state)))
            .filter_map(|(address, state)| {
                let waited = state.waited().filter(|waited| *waited >= WAITED_LEAST)?;
                let rank = (state.has_asked(), std::cmp::Reverse(waited));
                Some((rank, address, Arc::clone(state)))
            })
            .collect();
        let open = if of.is_some() {
            waited_for.len()
        } else {
            self.total
        };
        let count = open.div_ceil(SHARE_TO_CLOSE).min(waited_for.len());
        if count == 0 {
            return false;
        }
        waited_for.select_nth_unstable_by_key(count - 1, |(rank, ..)| *rank);
        for (_, address, state) in &waited_for[..count] {
            state.close();
            self.leave(*address, state);
        }
        tracing::debug!(count, "connections that dawdled made room");
        true
    }

    /// Who has made room has left before it ends.
    fn leave(&mut self, address: IpAddr, state: &Arc<ConnectionState>) {
        let Some(open) = self.by_address.get_mut(&address) else {
            return;
        };
        if let Some(at) = open.iter().position(|other| Arc::ptr_eq(other, state)) {
            open.swap_remove(at);
            self.total -= 1;
        }
        if open.is_empty() {
            self.by_address.remove(&address);
        }
    }
}

impl ConnectionPermit {
    /// The same connection, counted from now on under the address that a proxy has named.
    pub(crate) fn passed_to(
        self,
        address: IpAddr,
        policy: &ConnectionPolicy,
    ) -> Option<ConnectionPermit> {
        let (limiter, state) = (Arc::clone(&self.limiter), Arc::clone(&self.state));
        drop(self);
        ConnectionLimiter::enter(&limiter, address, policy, state)
    }

    /// What happens on the connection.
    pub(crate) fn state(&self) -> &Arc<ConnectionState> {
        &self.state
    }
}

impl Drop for ConnectionPermit {
    fn drop(&mut self) {
        self.limiter.lock().leave(self.address, &self.state);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::Deadlines;

    fn from_config(connections_max: usize, per_address_max: usize) -> ConnectionPolicy {
        ConnectionPolicy {
            deadlines: Deadlines::default(),
            connections_max,
            per_address_max,
            trusted_proxies: vec!["10.0.0.0/8".parse().unwrap()],
            proxy_protocol: false,
            tls: None,
        }
    }

    #[test]
    fn connections_are_capped_in_all_and_by_address_and_come_back() {
        let policy = policy(3, 1);
        let limiter = Arc::new(ConnectionLimiter::default());
        let take =
            |address: &str| ConnectionLimiter::take(&limiter, address.parse().unwrap(), &policy);
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
        let passed = proxied
            .0
            .unwrap()
            .passed_to("192.0.2.3".parse().unwrap(), &policy);
        assert!(passed.is_some());
        let again = take("10.0.0.1").unwrap();
        assert!(
            again
                .passed_to("192.0.2.3".parse().unwrap(), &policy)
                .is_none()
        );
        assert!(take("10.0.0.1").is_some());
    }

    #[test]
    fn who_is_waited_for_longest_makes_room_and_who_is_served_does_not() {
        let policy = policy(4, 4);
        let limiter = Arc::new(ConnectionLimiter::default());
        let take = || ConnectionLimiter::take(&limiter, IpAddr::from([192, 0, 2, 1]), &policy);
        let [served, rests, oldest, fresh] = [(); 4].map(|()| take().unwrap());
        let in_flight = ConnectionState::begin(served.state());
        drop(ConnectionState::begin(rests.state()));
        for (permit, seconds) in [(&served, 900), (&rests, 800), (&oldest, 700)] {
            permit.state().pretend_waited(Duration::from_secs(seconds));
        }
        // Who has asked before goes after those who never have.
        let first = take();
        assert!(first.is_some() && oldest.state().is_closed());
        let second = take();
        assert!(second.is_some() && rests.state().is_closed());
        assert!(take().is_none());
        assert!(!served.state().is_closed() && !fresh.state().is_closed());
        // One that has made room and ends then leaves nobody else's place.
        drop((oldest, rests, in_flight));
        assert_eq!(limiter.lock().total, 4);
        drop((first, second, served, fresh));
        assert!(limiter.lock().total == 0 && limiter.lock().by_address.is_empty());
    }
}
