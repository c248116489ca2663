//! Reads the PROXY protocol, versions 1 and 2. A load balancer sends the address of its client in a few bytes before everything
//! else (<https://www.haproxy.org/download/3.0/doc/proxy-protocol.txt>).

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

/// Maximum time for a header. A balancer sends it in one piece as soon as it has connected.
const DEADLINE: Duration = Duration::from_secs(5);

/// Maximum length of a header of version 1 in bytes, including its line end, according to the specification.
const V1_BYTES_MAX: usize = 107;

/// Maximum number of bytes after the fixed part of version 2. Both parts together fill the smallest IPv4 segment that every host
/// accepts, and the specification demands that a receiver reads this much. Addresses take up to 36 of the bytes, extensions the
/// rest.
const V2_REST_BYTES_MAX: usize = 536;

/// The first bytes of version 2.
const V2_SIGNATURE: [u8; 12] = *b"\r\n\r\n\0\r\nQUIT\n";

/// The first bytes of version 1.
const V1_START: &[u8] = b"PROXY ";

/// Returns the error for a malformed header. The error ends the connection, because with a guess a caller could choose an address.
fn malformed(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

/// Reads the header and no byte beyond it. Returns `None` for the balancer's own connections, such as health checks.
///
/// # Errors
/// When the header is missing, malformed or too long, or does not arrive in time.
pub(crate) async fn read(stream: &mut TcpStream) -> io::Result<Option<SocketAddr>> {
    match tokio::time::timeout(DEADLINE, read_header(stream)).await {
        Ok(read) => read,
        Err(_) => Err(io::ErrorKind::TimedOut.into()),
    }
}

async fn read_header(stream: &mut TcpStream) -> io::Result<Option<SocketAddr>> {
    // The shortest header of version 1, `PROXY UNKNOWN` and its line end, is longer than this.
    let mut start = [0; V2_SIGNATURE.len()];
    // One byte is read first. If it belongs to neither version, the connection closes without waiting for eleven more bytes.
    stream.read_exact(&mut start[..1]).await?;
    if start[0] != V1_START[0] && start[0] != V2_SIGNATURE[0] {
        return Err(malformed("no PROXY header"));
    }
    stream.read_exact(&mut start[1..]).await?;
    if start == V2_SIGNATURE {
        let mut fixed = [0; 4];
        stream.read_exact(&mut fixed).await?;
        let [command, family, high, low] = fixed;
        let length = usize::from(u16::from_be_bytes([high, low]));
        if length > V2_REST_BYTES_MAX {
            return Err(malformed("a PROXY header that is too long"));
        }
        let mut rest = [0; V2_REST_BYTES_MAX];
        stream.read_exact(&mut rest[..length]).await?;
        version_2(command, family, &rest[..length])
    } else if start.starts_with(V1_START) {
        let line = read_line(stream, start.to_vec()).await?;
        version_1(&line)
    } else {
        Err(malformed("no PROXY header"))
    }
}

/// Reads the rest of the line. The bytes are peeked first, so that no byte beyond the line is taken out of the socket.
async fn read_line(stream: &mut TcpStream, mut line: Vec<u8>) -> io::Result<Vec<u8>> {
    let mut seen = [0; V1_BYTES_MAX];
    while line.len() < V1_BYTES_MAX {
        let seen = &mut seen[..V1_BYTES_MAX - line.len()];
        let count = stream.peek(seen).await?;
        if count == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let end = seen[..count].iter().position(|byte| *byte == b'\n');
        let ours = end.map_or(count, |at| at + 1);
        stream.read_exact(&mut seen[..ours]).await?;
        line.extend_from_slice(&seen[..ours]);
        if end.is_some() {
            return Ok(line);
        }
    }
    Err(malformed("a PROXY header that is too long"))
}

/// Parses `PROXY TCP4 192.0.2.1 198.51.100.1 56324 443`, with single spaces and CR LF. Returns `None` if the line names no
/// client.
///
/// # Errors
/// When the line is malformed.
pub fn version_1(line: &[u8]) -> io::Result<Option<SocketAddr>> {
    let line = line
        .strip_suffix(b"\r\n")
        .and_then(|line| std::str::from_utf8(line).ok())
        .ok_or_else(|| malformed("a PROXY line without its end"))?;
    let parts: Vec<_> = line.split(' ').collect();
    match parts[..] {
        // The specification demands that the rest of the line is ignored.
        ["PROXY", "UNKNOWN", ..] => Ok(None),
        [
            "PROXY",
            family @ ("TCP4" | "TCP6"),
            source,
            target,
            source_port,
            target_port,
        ] => {
            let is_v4 = family == "TCP4";
            let address = |text: &str| {
                text.parse::<IpAddr>()
                    .ok()
                    .filter(|address| address.is_ipv4() == is_v4)
            };
            let ends = address(source)
                .zip(port(source_port))
                .zip(address(target).zip(port(target_port)));
            ends.map(|(source, _)| Some(source.into()))
                .ok_or_else(|| malformed("a PROXY line without addresses"))
        }
        _ => Err(malformed("a PROXY line of an unknown form")),
    }
}

/// Parses a decimal port number without sign or leading zero.
fn port(text: &str) -> Option<u16> {
    let port: u16 = text.parse().ok()?;
    (port.to_string() == text).then_some(port)
}

/// Parses the binary form. The header contains version and command in one byte, family and transport in the next byte, source and
/// target address, source and target port, and extensions, which are ignored. Returns `None` if the header names no client.
///
/// # Errors
/// When the header is malformed.
pub fn version_2(command: u8, family: u8, rest: &[u8]) -> io::Result<Option<SocketAddr>> {
    let short = || malformed("a PROXY header without its addresses");
    match (command, family) {
        // LOCAL with any family, and PROXY for a source without an address.
        (0x20, _) | (0x21, 0x00) => Ok(None),
        (0x21, 0x11) => source::<4, 12>(rest).map(Some).ok_or_else(short),
        (0x21, 0x21) => source::<16, 36>(rest).map(Some).ok_or_else(short),
        // Datagrams and local sockets do not reach a TCP listener.
        _ => Err(malformed("a PROXY header of an unknown form")),
    }
}

/// Returns the source from a block of `BLOCK` bytes, which holds two addresses of `ADDRESS` bytes each and two ports.
fn source<const ADDRESS: usize, const BLOCK: usize>(rest: &[u8]) -> Option<SocketAddr>
where
    IpAddr: From<[u8; ADDRESS]>,
{
    let block = rest.first_chunk::<BLOCK>()?;
    let address = IpAddr::from(*block.first_chunk::<ADDRESS>()?);
    let port = block[2 * ADDRESS..].first_chunk()?;
    Some((address, u16::from_be_bytes(*port)).into())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check_1(line: &str, expected: Result<Option<&str>, ()>) {
        let expected = expected.map(|source| source.map(|text| text.parse().unwrap()));
        assert_eq!(
            version_1(line.as_bytes()).map_err(drop),
            expected,
            "{line:?}"
        );
    }

    #[test]
    fn proxy_protocol_version_1_headers_are_parsed() {
        check_1(
            "PROXY TCP4 192.0.2.1 198.51.100.1 56324 443\r\n",
            Ok(Some("192.0.2.1:56324")),
        );
        check_1(
            "PROXY TCP6 2001:db8::1 2001:db8::2 1 65535\r\n",
            Ok(Some("[2001:db8::1]:1")),
        );
        check_1("PROXY UNKNOWN\r\n", Ok(None));
        check_1("PROXY UNKNOWN ffff::1 ffff::2 65535 65535\r\n", Ok(None));
    }

    #[test]
    fn malformed_proxy_protocol_version_1_headers_are_rejected() {
        for line in [
            "PROXY TCP4 192.0.2.1 198.51.100.1 56324 443\n",
            "PROXY TCP4 192.0.2.1 198.51.100.1 56324\r\n",
            "PROXY TCP4 192.0.2.1 198.51.100.1 56324 443 \r\n",
            "PROXY TCP4  192.0.2.1 198.51.100.1 56324 443\r\n",
            "PROXY TCP4 192.0.2.01 198.51.100.1 56324 443\r\n",
            "PROXY TCP4 192.0.2.1 198.51.100.1 056324 443\r\n",
            "PROXY TCP4 192.0.2.1 198.51.100.1 +5 443\r\n",
            "PROXY TCP4 192.0.2.1 198.51.100.1 65536 443\r\n",
            "PROXY TCP4 2001:db8::1 2001:db8::2 1 2\r\n",
            "PROXY TCP6 192.0.2.1 198.51.100.1 1 2\r\n",
            "PROXY TCP6 fe80::1%eth0 fe80::2 1 2\r\n",
            "PROXY UDP4 192.0.2.1 198.51.100.1 1 2\r\n",
            "proxy UNKNOWN\r\n",
            "PROXY \r\n",
        ] {
            check_1(line, Err(()));
        }
    }

    #[test]
    fn proxy_protocol_version_2_headers_are_parsed() {
        let v4 = [
            192, 0, 2, 1, 198, 51, 100, 1, 0xdc, 0x04, 0x01, 0xbb, 0x04, 0, 1, 0,
        ];
        let expected = Some("192.0.2.1:56324".parse().unwrap());
        assert_eq!(version_2(0x21, 0x11, &v4).unwrap(), expected);
        assert_eq!(version_2(0x21, 0x11, &v4[..12]).unwrap(), expected);
        let mut v6 = [0; 36];
        v6[..4].copy_from_slice(&[0x20, 0x01, 0x0d, 0xb8]);
        (v6[15], v6[33]) = (1, 80);
        let expected = Some("[2001:db8::1]:80".parse().unwrap());
        assert_eq!(version_2(0x21, 0x21, &v6).unwrap(), expected);
        for (command, family) in [(0x20, 0x11), (0x20, 0x00), (0x20, 0xff), (0x21, 0x00)] {
            assert_eq!(version_2(command, family, &v4).unwrap(), None);
        }
    }

    #[test]
    fn malformed_proxy_protocol_version_2_headers_are_rejected() {
        let rest = [1; 216];
        assert!(version_2(0x21, 0x11, &rest[..11]).is_err());
        assert!(version_2(0x21, 0x21, &rest[..35]).is_err());
        for (command, family) in [
            (0x11, 0x11),
            (0x22, 0x11),
            (0x21, 0x12),
            (0x21, 0x31),
            (0x21, 0x10),
        ] {
            assert!(
                version_2(command, family, &rest).is_err(),
                "{command:x} {family:x}"
            );
        }
    }

    proptest! {
        #[test]
        fn arbitrary_proxy_protocol_bytes_cause_no_panic(
            line in "PROXY( (TCP4|TCP6|UNKNOWN))?( [0-9a-f.:]{0,20}| [ -~]{0,20}){0,5}(\r\n)?",
            command: u8, family: u8, rest in prop::collection::vec(any::<u8>(), 0..600),
        ) {
            let _ = version_1(&[line.as_bytes(), &rest].concat());
            // The specification names the client in every line that is accepted, except in this one.
            if let Ok(source) = version_1(line.as_bytes()) {
                prop_assert_eq!(source.is_none(), line.starts_with("PROXY UNKNOWN"));
            }
            let _ = version_2(command, family, &rest);
        }

        #[test]
        fn arbitrary_addresses_round_trip_through_proxy_protocol_version_1(source: SocketAddr, target: IpAddr) {
            let target = if source.is_ipv4() == target.is_ipv4() { target } else { source.ip() };
            let family = if source.is_ipv4() { "TCP4" } else { "TCP6" };
            let line = format!("PROXY {family} {} {target} {} 443\r\n", source.ip(), source.port());
            let read = version_1(line.as_bytes()).unwrap().unwrap();
            prop_assert_eq!((read.ip(), read.port()), (source.ip(), source.port()));
        }
    }
}
