//! Writes numbers and addresses as text, for log lines and headers. Every answer has a dozen of them, and with `Display` each would
//! cost several times as much.

use std::net::{IpAddr, SocketAddr};

/// Appends the address as `Display` writes it.
pub fn push_address(text: &mut String, address: IpAddr) {
    match address {
        IpAddr::V4(address) => {
            let [first, rest @ ..] = address.octets();
            push_octet(text, first);
            for octet in rest {
                text.push('.');
                push_octet(text, octet);
            }
        }
        IpAddr::V6(address) => text.push_str(&address.to_string()),
    }
}

/// Writes digit by digit, because that costs less for such a short number than formatting it and copying the result.
fn push_octet(text: &mut String, octet: u8) {
    let mut push_digit = |number: u8| text.push(char::from(b'0' + number % 10));
    if octet >= 100 {
        push_digit(octet / 100);
    }
    if octet >= 10 {
        push_digit(octet / 10);
    }
    push_digit(octet);
}

/// Appends the address and port as `Display` writes them.
pub fn push_socket(text: &mut String, address: SocketAddr) {
    match address {
        SocketAddr::V4(address) => {
            push_address(text, IpAddr::V4(*address.ip()));
            push_number(text, ":", address.port());
        }
        SocketAddr::V6(address) => text.push_str(&address.to_string()),
    }
}

/// Appends a word, followed by a number.
pub fn push_number(text: &mut String, word: &str, number: impl itoa::Integer) {
    text.push_str(word);
    text.push_str(itoa::Buffer::new().format(number));
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn push_address_and_push_socket_write_the_display_form(address: IpAddr, port: u16) {
            let (socket, mut text) = (SocketAddr::new(address, port), String::new());
            push_address(&mut text, address);
            text.push(' ');
            push_socket(&mut text, socket);
            prop_assert_eq!(text, format!("{address} {socket}"));
        }
    }
}
