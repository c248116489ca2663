//! HTTP/2 as raw frames over TLS: a client that can do more than any library permits, such as resetting a request at a chosen
//! moment.

use std::time::{Duration, Instant};

use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::gateway::Gateway;
use super::wait::PATIENCE;
use crate::tls::{Pair, connector};

pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Frame types.
pub const DATA: u8 = 0;
pub const HEADERS: u8 = 1;
pub const RST_STREAM: u8 = 3;
pub const SETTINGS: u8 = 4;
pub const PING: u8 = 6;
pub const GOAWAY: u8 = 7;
pub const WINDOW_UPDATE: u8 = 8;
pub const CONTINUATION: u8 = 9;

pub const END_STREAM: u8 = 1;
pub const END_HEADERS: u8 = 4;

pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut frame = u32::try_from(payload.len()).unwrap().to_be_bytes()[1..].to_vec();
    frame.extend([kind, flags]);
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

/// Returns a header field that is in no table, as HPACK writes it without Huffman.
pub fn field(name: &str, value: &str) -> Vec<u8> {
    let mut field = vec![0];
    for text in [name, value] {
        // Seven bits of the length, and the remainder in bytes of seven bits each (RFC 7541, 5.1).
        match text.len().checked_sub(127) {
            None => field.push(u8::try_from(text.len()).unwrap()),
            Some(mut rest) => {
                field.push(127);
                while rest >= 128 {
                    field.push(u8::try_from(rest % 128 + 128).unwrap());
                    rest /= 128;
                }
                field.push(u8::try_from(rest).unwrap());
            }
        }
        field.extend(text.as_bytes());
    }
    field
}

/// `:method` GET and POST in HPACK's static table.
pub const GET: u8 = 0x82;
pub const POST: u8 = 0x83;

/// Returns the head of a request with these additional fields.
pub fn head(method: u8, path: &str, fields: &[(&str, &str)]) -> Vec<u8> {
    // `:scheme` https.
    let mut head = vec![method, 0x87];
    for (name, value) in [(":authority", "chat.example"), (":path", path)]
        .iter()
        .chain(fields)
    {
        head.extend(field(name, value));
    }
    head
}

/// Returns the head of a GET.
pub fn get(path: &str) -> Vec<u8> {
    head(GET, path, &[])
}

/// One connection. Its streams have odd numbers, each higher than the one before.
pub struct Peer {
    stream: TlsStream<TcpStream>,
    next: u32,
}

impl Peer {
    /// Connects, negotiates HTTP/2 and sends the preface.
    pub async fn connect(pair: &Pair, gateway: &Gateway) -> Peer {
        Peer::with_settings(pair, gateway, &[]).await
    }

    pub async fn with_settings(pair: &Pair, gateway: &Gateway, settings: &[u8]) -> Peer {
        let mut stream = shake(pair, gateway, &["h2", "http/1.1"]).await;
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
        stream.write_all(PREFACE).await.unwrap();
        let hello = frame(SETTINGS, 0, 0, settings);
        stream.write_all(&hello).await.unwrap();
        Peer { stream, next: 1 }
    }

    pub async fn send(&mut self, frame: &[u8]) -> bool {
        self.stream.write_all(frame).await.is_ok() && self.stream.flush().await.is_ok()
    }

    /// Sends a whole request and returns the number of its stream.
    pub async fn request(&mut self, head: &[u8], body: &[u8]) -> u32 {
        let stream = self.begin(head).await;
        assert!(self.send(&frame(DATA, END_STREAM, stream, body)).await);
        stream
    }

    /// Sends the head of a request whose body follows later, and returns the number of its stream.
    pub async fn begin(&mut self, head: &[u8]) -> u32 {
        let stream = self.next;
        self.next += 2;
        assert!(self.send(&frame(HEADERS, END_HEADERS, stream, head)).await);
        stream
    }

    /// Resets requests, and then waits for the answer to another request on the same connection, so that the gateway has seen the
    /// resets.
    pub async fn take_back(&mut self, streams: &[u32]) {
        const CANCEL: [u8; 4] = 8_u32.to_be_bytes();
        for stream in streams {
            assert!(self.send(&frame(RST_STREAM, 0, *stream, &CANCEL)).await);
        }
        let other = self.request(&get("/nothing"), &[]).await;
        self.answer(other).await;
    }

    /// Returns the first byte of the answer's head, and its body. Skips frames of other streams.
    pub async fn answer(&mut self, stream: u32) -> (u8, String) {
        let (mut status, mut body) = (None, Vec::new());
        loop {
            let next = tokio::time::timeout(PATIENCE, self.receive());
            let (kind, flags, of, payload) = next.await.unwrap().unwrap();
            match kind {
                HEADERS if of == stream => status = status.or(payload.first().copied()),
                DATA if of == stream => body.extend(payload),
                RST_STREAM if of == stream => panic!("{stream} is reset: {payload:?}"),
                GOAWAY => panic!("the gateway says goodbye: {payload:?}"),
                _ => continue,
            }
            if of == stream && flags & END_STREAM != 0 {
                return (status.unwrap(), String::from_utf8(body).unwrap());
            }
        }
    }

    /// Returns the next frame as kind, flags, stream and payload, or `None` at the end.
    pub async fn receive(&mut self) -> Option<(u8, u8, u32, Vec<u8>)> {
        let mut head = [0; 9];
        self.stream.read_exact(&mut head).await.ok()?;
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
        let stream = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
        let mut payload = vec![0; length];
        self.stream.read_exact(&mut payload).await.ok()?;
        Some((head[3], head[4], stream, payload))
    }

    /// Returns the time until the connection ends.
    pub async fn ended(mut self) -> Duration {
        let began = Instant::now();
        let ended = async { while self.receive().await.is_some() {} };
        let ended = tokio::time::timeout(PATIENCE, ended).await;
        ended.expect("the connection is still open");
        began.elapsed()
    }

    /// Sends these frames as long as they are accepted, without reading much, and returns the number of bytes.
    pub async fn flood(self, mut next: impl FnMut(u32) -> Vec<u8>) -> usize {
        const MOST: usize = 256 * 1024 * 1024;
        let (mut reader, mut writer) = tokio::io::split(self.stream);
        let reading = async {
            // The attacker reads as much as it must, so that the flood continues.
            let mut scratch = vec![0; 64 * 1024];
            while reader.read(&mut scratch).await.is_ok_and(|read| read > 0) {}
        };
        let writing = async {
            let mut sent = 0;
            for number in 0.. {
                let frames = next(number);
                if writer.write_all(&frames).await.is_err() || writer.flush().await.is_err() {
                    return sent;
                }
                sent += frames.len();
                assert!(sent < MOST, "{MOST} bytes were taken");
            }
            sent
        };
        let mut reading = std::pin::pin!(reading);
        let mut writing = std::pin::pin!(writing);
        let flood = async {
            tokio::select! {
                () = &mut reading => writing.await,
                sent = &mut writing => sent,
            }
        };
        tokio::time::timeout(PATIENCE, flood).await.unwrap()
    }
}

pub async fn shake(pair: &Pair, gateway: &Gateway, offered: &[&str]) -> TlsStream<TcpStream> {
    let mut config = ClientConfig::clone(connector(&[pair]).config());
    config.alpn_protocols = offered
        .iter()
        .map(|name| name.as_bytes().to_vec())
        .collect();
    let stream = TcpStream::connect(gateway.public).await.unwrap();
    let name = ServerName::try_from("127.0.0.1").unwrap();
    let connector = TlsConnector::from(std::sync::Arc::new(config));
    connector.connect(name, stream).await.unwrap()
}

/// Returns the heads and the body bytes that arrive until this many streams have ended.
pub async fn answers(peer: &mut Peer, count: usize) -> (Vec<Vec<u8>>, Vec<u8>) {
    let (mut heads, mut bodies, mut ended) = (Vec::new(), Vec::new(), 0);
    while ended < count {
        let next = tokio::time::timeout(PATIENCE, peer.receive());
        let (kind, flags, _, payload) = next.await.unwrap().unwrap();
        match kind {
            HEADERS => heads.push(payload),
            DATA => bodies.extend(payload),
            GOAWAY | RST_STREAM => panic!("{kind}: {payload:?}"),
            _ => continue,
        }
        ended += usize::from(flags & END_STREAM != 0);
    }
    (heads, bodies)
}

/// `:status` 200 and 400 in HPACK's static table.
pub const OK: u8 = 0x88;
pub const BAD_REQUEST: u8 = 0x8c;
