//! Numbers and addresses as text, in rows, log lines and headers. Every answer has a dozen of them; by way of `Display` they
//! cost several times as much.

use std::net::{IpAddr, SocketAddr};

/// As `Display` writes it.
pub fn push_address(text: &mut String, address: IpAddr) {
    match address {
        IpAddr::V4(address) => push_octets(text, address.octets()),
        IpAddr::V6(address) => text.push_str(&address.to_string()),
    }
}

/// As `Display` writes it.
pub fn push_socket(text: &mut String, address: SocketAddr) {
    match address {
        SocketAddr::V4(address) => {
            push_octets(text, address.ip().octets());
            push_number(text, ":", address.port());
        }
        SocketAddr::V6(address) => text.push_str(&address.to_string()),
    }
}

/// A word and a number behind it.
pub fn push_number(text: &mut String, word: &str, number: impl itoa::Integer) {
    text.push_str(word);
    text.push_str(itoa::Buffer::new().format(number));
}

/// The longest text of an IPv4 address, in bytes.
const V4_BYTES_MAX: usize = "255.255.255.255".len();

fn push_octets(text: &mut String, octets: [u8; 4]) {
    let mut digits = [b'.'; V4_BYTES_MAX];
    let mut at = 0;
    for octet in octets {
        for (least, digit) in [(100, octet / 100), (10, octet / 10 % 10), (0, octet % 10)] {
            if octet >= least {
                digits[at] = b'0' + digit;
                at += 1;
            }
        }
        // Behind each a dot, which is there already.
        at += 1;
    }
    text.push_str(std::str::from_utf8(&digits[..at - 1]).unwrap_or_default());
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn an_address_is_written_as_display_writes_it(address: IpAddr, port: u16) {
            let (socket, mut text) = (SocketAddr::new(address, port), String::new());
            push_address(&mut text, address);
            text.push(' ');
            push_socket(&mut text, socket);
            prop_assert_eq!(text, format!("{address} {socket}"));
        }
    }
}
