//! Attackers that are slow in every possible way, and record how long their connections were tolerated.

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinSet;

use super::client::address;

/// The kinds of slowness, in the order of slowhttptest's options: a slow head, a slow body, a slow reader, and a silent connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Slow {
    Head,
    Body,
    Read,
    Silent,
}

pub const KINDS: [Slow; 4] = [Slow::Head, Slow::Body, Slow::Read, Slow::Silent];

/// Slow readers with a number below this one leave more unread than the system buffers for them.
const HEAVY: usize = 100;

/// Maximum number of connections from one address. It is below the gateway's limit per address, so that the test does not depend on
/// that limit.
const PER_ADDRESS: usize = 200;

/// The time for which each connection was tolerated, by kind.
#[derive(Clone, Debug, Default)]
pub struct Ended(Arc<Mutex<Vec<(Slow, Duration)>>>);

impl Ended {
    pub fn count(&self) -> usize {
        self.0.lock().unwrap().len()
    }

    pub fn longest(&self, kind: Slow) -> Duration {
        let ended = self.0.lock().unwrap();
        let of_kind = ended.iter().filter(|(slow, _)| *slow == kind);
        of_kind.map(|(_, took)| *took).max().unwrap_or_default()
    }
}

/// Opens this many connections at this rate, and is slow on each until it is closed. Runs on its own thread with low priority,
/// because the attackers' own cost is not what the test measures.
pub fn attack(
    to: SocketAddr,
    count: usize,
    a_second: usize,
) -> (Ended, std::thread::JoinHandle<()>) {
    let ended = Ended::default();
    let reported = ended.clone();
    let thread = std::thread::spawn(move || {
        rustix::process::setpriority_process(None, 5).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build();
        runtime.unwrap().block_on(async {
            let mut attackers = JoinSet::new();
            let mut pace = tokio::time::interval(Duration::from_millis(20));
            for number in 0..count {
                if number % (a_second / 50).max(1) == 0 {
                    pace.tick().await;
                }
                let kind = KINDS[number % KINDS.len()];
                let reported = reported.clone();
                attackers.spawn(async move {
                    let began = Instant::now();
                    if let Some(stream) = open(to, number, kind).await {
                        write_or_read_slowly(stream, kind, number).await;
                    }
                    reported.0.lock().unwrap().push((kind, began.elapsed()));
                });
            }
            while attackers.join_next().await.is_some() {}
        });
    });
    (ended, thread)
}

async fn open(to: SocketAddr, number: usize, kind: Slow) -> Option<TcpStream> {
    let socket = TcpSocket::new_v4().ok()?;
    socket
        .bind((IpAddr::V4(address(7, number / PER_ADDRESS)), 0).into())
        .ok()?;
    if kind == Slow::Read {
        socket.set_recv_buffer_size(1024).ok()?;
    }
    socket.connect(to).await.ok()
}

/// Writes or reads one byte a second.
async fn write_or_read_slowly(mut stream: TcpStream, kind: Slow, number: usize) {
    let post = "POST /api/http/ HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\n";
    let begin = match kind {
        Slow::Head => post.to_owned(),
        Slow::Body => format!("{post}Content-Length: 4096\r\n\r\nclass="),
        // The first readers request more than the system buffers for a peer that does not read. From all readers that would be a
        // flood, so the others request little and just idle.
        Slow::Read => {
            let count = if number < HEAVY { 600 } else { 5 };
            "GET /api/soap/?wsdl HTTP/1.1\r\nHost: x\r\n\r\n".repeat(count)
        }
        Slow::Silent => String::new(),
    };
    let mut pace = tokio::time::interval(Duration::from_secs(1));
    let (mut reader, mut writer) = stream.split();
    let reads = async {
        let mut byte = [0; 1];
        loop {
            if kind == Slow::Read {
                pace.tick().await;
            }
            if reader.read(&mut byte).await.map_or(true, |read| read == 0) {
                return;
            }
        }
    };
    let mut beat = tokio::time::interval(Duration::from_secs(1));
    let writes = async {
        if writer.write_all(begin.as_bytes()).await.is_err() {
            return;
        }
        loop {
            beat.tick().await;
            if matches!(kind, Slow::Head | Slow::Body) && writer.write_all(b"x").await.is_err() {
                return;
            }
            // A reader of one byte a second would see the end long after it has arrived, so it also writes.
            if kind == Slow::Read && writer.write_all(b" ").await.is_err() {
                return;
            }
        }
    };
    tokio::select! {
        () = reads => {}
        () = writes => {}
    }
}
