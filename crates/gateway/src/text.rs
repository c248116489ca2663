//! Numbers and addresses as text. Every answer has a dozen of them; by way of `Display` they cost several times as much.

use std::net::{IpAddr, SocketAddr};

/// The longest text of an IPv4 address with a port, in bytes.
const V4_BYTES_MAX: usize = "255.255.255.255:65535".len();

/// As `Display` writes it.
pub(crate) fn of_address(address: IpAddr) -> String {
    match address {
        IpAddr::V4(address) => {
            let mut text = String::with_capacity(V4_BYTES_MAX);
            push_octets(&mut text, address.octets());
            text
        }
        IpAddr::V6(address) => address.to_string(),
    }
}

/// As `Display` writes it.
pub(crate) fn of_socket(address: SocketAddr) -> String {
    match address {
        SocketAddr::V4(address) => {
            let mut text = String::with_capacity(V4_BYTES_MAX);
            push_octets(&mut text, address.ip().octets());
            push_number(&mut text, ":", address.port());
            text
        }
        SocketAddr::V6(address) => address.to_string(),
    }
}

/// A word and a number behind it.
pub(crate) fn push_number(text: &mut String, word: &str, number: impl itoa::Integer) {
    text.push_str(word);
    text.push_str(itoa::Buffer::new().format(number));
}

fn push_octets(text: &mut String, octets: [u8; 4]) {
    for (at, octet) in octets.into_iter().enumerate() {
        push_number(text, if at > 0 { "." } else { "" }, octet);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn an_address_is_written_as_display_writes_it(address: IpAddr, port: u16) {
            prop_assert_eq!(of_address(address), address.to_string());
            let socket = SocketAddr::new(address, port);
            prop_assert_eq!(of_socket(socket), socket.to_string());
        }
    }
}
