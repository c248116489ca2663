//! The stored form of addresses in the journal, in which a network is one range of an index.

use std::net::IpAddr;

use ipnet::IpNet;

/// The first byte of an address, which stands for its family; without it, IPv4 addresses would sort between IPv6 addresses.
const V4: u8 = 4;
const V6: u8 = 6;

/// Returns the stored form of an address in its canonical form.
pub(super) fn to_bytes(address: IpAddr) -> Vec<u8> {
    raw(address.to_canonical())
}

/// Returns the address with this stored form.
pub(in crate::sqlite) fn from_bytes(bytes: &[u8]) -> Option<IpAddr> {
    match bytes.split_first()? {
        (&V4, octets) => Some(<[u8; 4]>::try_from(octets).ok()?.into()),
        (&V6, octets) => Some(<[u8; 16]>::try_from(octets).ok()?.into()),
        _ => None,
    }
}

/// Returns the stored forms of the first and the last address of a network.
pub(super) fn range(network: IpNet) -> (Vec<u8>, Vec<u8>) {
    let network = network.trunc();
    (raw(network.network()), raw(network.broadcast()))
}

/// Returns the family and the bytes, whose order is the order of addresses. An end of a network keeps the network's family.
fn raw(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(address) => [&[V4][..], &address.octets()].concat(),
        IpAddr::V6(address) => [&[V6][..], &address.octets()].concat(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_round_trips_and_is_only_in_the_ranges_of_its_networks() {
        let inside = |network: &str, address: &str| {
            let (first, last) = range(network.parse().unwrap());
            let address = to_bytes(address.parse().unwrap());
            first <= address && address <= last
        };
        for address in ["10.1.2.3", "2001:db8::1", "0.0.0.0", "ffff::"] {
            let parsed: IpAddr = address.parse().unwrap();
            assert_eq!(from_bytes(&to_bytes(parsed)), Some(parsed));
        }
        assert!(inside("10.0.0.0/8", "10.255.255.255") && inside("10.0.0.0/8", "::ffff:10.0.0.1"));
        assert!(!inside("10.0.0.0/8", "11.0.0.0") && !inside("10.0.0.0/8", "a00::1"));
        assert!(inside("::/0", "2001:db8::1") && !inside("::/0", "10.0.0.1"));
        assert!(inside("0.0.0.0/0", "::ffff:1.2.3.4") && !inside("0.0.0.0/0", "::1"));
        assert!(
            inside("2001:db8::/32", "2001:db8:ffff::") && !inside("2001:db8::/32", "2001:db9::")
        );
    }
}
