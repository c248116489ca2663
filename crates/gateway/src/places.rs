//! How many connections are open, in all and by address, and who may still come in.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use crate::listener::Terms;

/// The open connections of one listener.
#[derive(Default)]
pub(crate) struct Places {
    by_address: Mutex<(usize, HashMap<IpAddr, usize>)>,
}

/// One open connection's place; given back when dropped.
pub(crate) struct Place {
    places: Arc<Places>,
    address: IpAddr,
}

impl Places {
    /// A place for a connection from an address; `None` when there are too many already.
    pub(crate) fn take(places: &Arc<Places>, address: IpAddr, terms: &Terms) -> Option<Place> {
        let address = address.to_canonical();
        let mut guard = places
            .by_address
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let (total, by_address) = &mut *guard;
        let mine = by_address.get(&address).copied().unwrap_or(0);
        if *total >= terms.connections_max
            || (mine >= terms.per_address_max && !terms.is_proxy(address))
        {
            return None;
        }
        *total += 1;
        by_address.insert(address, mine + 1);
        Some(Place {
            places: Arc::clone(places),
            address,
        })
    }
}

impl Place {
    /// The same connection, counted from now on under the address that a proxy has named.
    pub(crate) fn passed_to(self, address: IpAddr, terms: &Terms) -> Option<Place> {
        let places = Arc::clone(&self.places);
        drop(self);
        Places::take(&places, address, terms)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut guard = self
            .places
            .by_address
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let (total, by_address) = &mut *guard;
        *total -= 1;
        if let Some(mine) = by_address.get_mut(&self.address) {
            *mine -= 1;
            if *mine == 0 {
                by_address.remove(&self.address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::watched::Deadlines;

    #[test]
    fn places_are_capped_in_all_and_by_address_and_come_back() {
        let terms = Terms {
            deadlines: Deadlines::default(),
            connections_max: 3,
            per_address_max: 1,
            trusted_proxies: vec!["10.0.0.0/8".parse().unwrap()],
            proxy_protocol: false,
            tls: None,
        };
        let places = Arc::new(Places::default());
        let take = |address: &str| Places::take(&places, address.parse().unwrap(), &terms);
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
            .passed_to("192.0.2.3".parse().unwrap(), &terms);
        assert!(passed.is_some());
        let again = take("10.0.0.1").unwrap();
        assert!(
            again
                .passed_to("192.0.2.3".parse().unwrap(), &terms)
                .is_none()
        );
        assert!(take("10.0.0.1").is_some());
    }
}
