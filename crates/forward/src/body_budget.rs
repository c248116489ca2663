//! Limits the memory for request bodies that have arrived in part, in total and for each address. A body that would exceed a limit
//! is rejected as overloaded.
//!
//! A body that arrives in one piece is not counted, because it is decoded immediately.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use adapter::{Code, Error};
use parking_lot::Mutex;
use store::counted_address;

/// Value of Retry-After in seconds. A caller that sends its body without pauses is done within seconds.
const RETRY_AFTER_S: u32 = 2;

/// Maximum memory for bodies that have arrived in part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BodyLimits {
    /// The maximum for all callers together, in bytes.
    pub bytes: usize,
    /// The maximum for one address, in bytes. An IPv6 address counts with its /64.
    pub bytes_per_address: usize,
}

/// The bytes of partial bodies with the limits of one configuration. A new configuration continues with the same counts.
pub(crate) struct BodyBudget {
    limits: BodyLimits,
    arrived: Arc<Mutex<ArrivedBytes>>,
}

#[derive(Default)]
struct ArrivedBytes {
    total: usize,
    by_address: HashMap<IpAddr, usize>,
}

/// The counted bytes of one body. They are released when it is dropped.
pub struct PartialBody {
    limits: BodyLimits,
    arrived: Arc<Mutex<ArrivedBytes>>,
    address: IpAddr,
    bytes: usize,
}

impl BodyBudget {
    pub(crate) fn new(limits: BodyLimits) -> BodyBudget {
        BodyBudget {
            limits,
            arrived: Arc::default(),
        }
    }

    pub(crate) fn reconfigured(&self, limits: BodyLimits) -> BodyBudget {
        BodyBudget {
            limits,
            arrived: Arc::clone(&self.arrived),
        }
    }

    /// Begins to count a body from this address.
    pub(crate) fn begin(&self, address: IpAddr) -> PartialBody {
        PartialBody {
            limits: self.limits,
            arrived: Arc::clone(&self.arrived),
            address: counted_address(address),
            bytes: 0,
        }
    }
}

impl PartialBody {
    /// Counts bytes that have arrived. A body larger than a limit is accepted if no other body counts towards that limit.
    ///
    /// # Errors
    /// OVERLOADED, with a time after which the caller may retry.
    pub fn add(&mut self, bytes: usize) -> Result<(), Error> {
        let fits = |counted: usize, most: usize| counted == self.bytes || counted + bytes <= most;
        let mut arrived = self.arrived.lock();
        if !fits(arrived.total, self.limits.bytes) {
            return Err(overloaded("too many bytes of partial bodies"));
        }
        let of_address = arrived.by_address.entry(self.address).or_default();
        if !fits(*of_address, self.limits.bytes_per_address) {
            return Err(overloaded(
                "too many bytes of partial bodies from the address",
            ));
        }
        *of_address += bytes;
        arrived.total += bytes;
        self.bytes += bytes;
        Ok(())
    }
}

impl Drop for PartialBody {
    fn drop(&mut self) {
        let mut arrived = self.arrived.lock();
        arrived.total -= self.bytes;
        if let Some(of_address) = arrived.by_address.get_mut(&self.address) {
            *of_address -= self.bytes;
            if *of_address == 0 {
                arrived.by_address.remove(&self.address);
            }
        }
    }
}

fn overloaded(cause: &'static str) -> Error {
    Error::refused(Code::Overloaded)
        .because(cause)
        .retry_after(RETRY_AFTER_S)
}

#[cfg(test)]
mod tests {
    use super::*;

    const KIB: usize = 1024;

    fn bodies() -> BodyBudget {
        BodyBudget::new(BodyLimits {
            bytes: 8 * KIB,
            bytes_per_address: 4 * KIB,
        })
    }

    fn address(last: u8) -> IpAddr {
        [192, 0, 2, last].into()
    }

    #[test]
    fn partial_bodies_are_limited_per_address_and_in_total() {
        let bodies = bodies();
        let full = |last| {
            let mut body = bodies.begin(address(last));
            (0..4).for_each(|_| body.add(KIB).unwrap());
            body
        };
        let first = full(1);
        let mut other = bodies.begin(address(1));
        let error = other.add(1).unwrap_err();
        assert_eq!(error.code(), Code::Overloaded);
        assert_eq!(error.retry_after_s(), Some(RETRY_AFTER_S));
        let second = full(2);
        assert!(bodies.begin(address(3)).add(1).is_err());
        drop((first, other));
        assert!(bodies.begin(address(3)).add(1).is_ok());
        drop(second);
        let arrived = bodies.arrived.lock();
        assert!(arrived.total == 0 && arrived.by_address.is_empty());
    }

    #[test]
    fn a_body_larger_than_a_limit_is_accepted_if_it_is_alone() {
        let bodies = bodies();
        let mut body = bodies.begin(address(1));
        body.add(9 * KIB).unwrap();
        body.add(KIB).unwrap();
        assert!(bodies.begin(address(2)).add(1).is_err());
        drop(body);
        assert!(bodies.begin(address(2)).add(1).is_ok());
    }

    #[test]
    fn addresses_of_one_ipv6_network_share_a_limit() {
        let bodies = bodies();
        let begin = |address: &str| bodies.begin(address.parse().unwrap());
        let mut body = begin("2001:db8::1");
        body.add(4 * KIB).unwrap();
        assert!(begin("2001:db8::2").add(1).is_err());
        assert!(begin("2001:db8:0:1::1").add(1).is_ok());
    }

    #[test]
    fn partial_bodies_still_count_after_a_reconfiguration() {
        let bodies = bodies();
        let mut body = bodies.begin(address(1));
        body.add(KIB).unwrap();
        let smaller = bodies.reconfigured(BodyLimits {
            bytes: KIB,
            bytes_per_address: KIB,
        });
        assert!(smaller.begin(address(2)).add(1).is_err());
        drop(body);
        assert!(smaller.begin(address(2)).add(1).is_ok());
    }
}
