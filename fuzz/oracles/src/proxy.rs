//! Judges the PROXY protocol. Input: an even byte and a line of version 1; or an odd byte, command, family and the rest of a header
//! of version 2.

use std::net::{IpAddr, SocketAddr};

use server::proxy_protocol;

pub(crate) fn judge(input: &[u8]) {
    match input {
        [version, line @ ..] if version % 2 == 0 => version_1(line),
        [_, command, family, rest @ ..] => version_2(*command, *family, rest),
        _ => {}
    }
}

fn version_1(line: &[u8]) {
    let Ok(found) = proxy_protocol::version_1(line) else {
        return;
    };
    let text = std::str::from_utf8(line).expect("a line is text");
    let text = text.strip_suffix("\r\n").expect("a line has its end");
    let Some(source) = found else {
        assert!(text.starts_with("PROXY UNKNOWN"));
        return;
    };
    let parts: Vec<_> = text.split(' ').collect();
    let [_, family, from, to, port, to_port] = parts[..] else {
        panic!("{text:?} has no six parts");
    };
    assert_eq!(from.parse::<IpAddr>().ok(), Some(source.ip()));
    let target = to.parse::<IpAddr>().expect("the target is an address");
    assert_eq!(port, source.port().to_string());
    assert!(to_port.parse::<u16>().is_ok());
    assert_eq!(family, if source.is_ipv4() { "TCP4" } else { "TCP6" });
    assert_eq!(source.is_ipv4(), target.is_ipv4());
    let again = format!(
        "PROXY {family} {} {target} {port} {to_port}\r\n",
        source.ip()
    );
    assert_eq!(
        proxy_protocol::version_1(again.as_bytes()).ok(),
        Some(found)
    );
}

fn version_2(command: u8, family: u8, rest: &[u8]) {
    let Ok(found) = proxy_protocol::version_2(command, family, rest) else {
        return;
    };
    assert_eq!(command >> 4, 2, "the version is not 2");
    let Some(source) = found else {
        assert!(command == 0x20 || family == 0);
        return;
    };
    assert_eq!(command, 0x21);
    let (address, ports) = match source {
        SocketAddr::V4(v4) => (v4.ip().octets().to_vec(), 8),
        SocketAddr::V6(v6) => (v6.ip().octets().to_vec(), 32),
    };
    assert_eq!(family, if source.is_ipv4() { 0x11 } else { 0x21 });
    assert_eq!(rest[..address.len()], address);
    assert_eq!(rest[ports..ports + 2], source.port().to_be_bytes());
    assert!(rest.len() >= ports + 4);
    // Extensions change nothing, and a truncated header is refused.
    assert_eq!(
        proxy_protocol::version_2(command, family, &rest[..ports + 4]).ok(),
        Some(found)
    );
    assert!(proxy_protocol::version_2(command, family, &rest[..ports + 3]).is_err());
}
