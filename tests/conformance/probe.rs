//! Sends raw bytes to a gateway as the HTTP/1.1 suite's own client does: it waits five seconds for a head and a moment for further
//! bytes, and then checks whether the connection is open.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::harness::Gateway;

/// Longest wait for an answer, as in the suite.
const HEAD_WAIT: Duration = Duration::from_secs(5);

/// The time for which an answered connection is watched for more bytes or for its end.
const QUIET: Duration = Duration::from_millis(600);

/// The state of a connection after an answer, or without one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    Open,
    Closed,
    TimedOut,
}

/// The received answer and the state of its connection.
#[derive(Debug)]
pub(super) struct Seen {
    pub(super) text: String,
    pub(super) state: State,
}

impl Seen {
    pub(super) fn status(&self) -> Option<u16> {
        self.text.strip_prefix("HTTP/1.")?.get(2..5)?.parse().ok()
    }

    /// Returns the number of answers.
    pub(super) fn answers(&self) -> usize {
        self.text.matches("HTTP/1.1 ").count()
    }

    pub(super) fn header(&self, name: &str) -> Option<&str> {
        let (head, _) = self.text.split_once("\r\n\r\n")?;
        let lines = head.lines().filter_map(|line| line.split_once(':'));
        let mut of_name = lines.filter(|(found, _)| found.eq_ignore_ascii_case(name));
        of_name.next().map(|(_, value)| value.trim())
    }

    pub(super) fn body(&self) -> &str {
        self.text
            .split_once("\r\n\r\n")
            .map_or("", |(_, body)| body)
    }

    pub(super) fn is_success(&self) -> bool {
        self.status()
            .is_some_and(|status| (200..300).contains(&status))
    }

    /// Returns whether the body is as long as the head announces.
    pub(super) fn is_framed(&self) -> bool {
        self.header("content-length") == Some(&self.body().len().to_string())
            && self.header("transfer-encoding").is_none()
    }
}

/// A connection that sends raw bytes.
pub(super) struct Probe {
    stream: TcpStream,
}

impl Probe {
    pub(super) async fn connect(gateway: &Gateway) -> Probe {
        Probe {
            stream: TcpStream::connect(gateway.public).await.unwrap(),
        }
    }

    /// Sends these bytes and waits for the answer.
    pub(super) async fn ask(&mut self, bytes: &[u8]) -> Seen {
        // If the gateway has already closed the connection, the read below notices it.
        let _ = self.stream.write_all(bytes).await;
        self.read().await
    }

    async fn read(&mut self) -> Seen {
        let mut seen = Vec::new();
        let mut wait = HEAD_WAIT;
        let state = loop {
            let mut piece = [0; 16 * 1024];
            match timeout(wait, self.stream.read(&mut piece)).await {
                Ok(Ok(0) | Err(_)) => break State::Closed,
                Ok(Ok(read)) => seen.extend_from_slice(&piece[..read]),
                Err(_) if wait == QUIET => break State::Open,
                Err(_) => break State::TimedOut,
            }
            if seen.windows(4).any(|end| end == b"\r\n\r\n") {
                wait = QUIET;
            }
        };
        let text = String::from_utf8_lossy(&seen).into_owned();
        Seen { text, state }
    }
}

/// Sends these bytes on a new connection.
pub(super) async fn ask(gateway: &Gateway, bytes: &[u8]) -> Seen {
    Probe::connect(gateway).await.ask(bytes).await
}
