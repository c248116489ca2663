//! Attackers that are slow in every way there is, and note how long they were put up with.

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinSet;

use super::client::address;

/// How they are slow, in the order of slowhttptest's letters: a head, a body, a reader; and one that says nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Slow {
    Head,
    Body,
    Read,
    Silent,
}

pub const KINDS: [Slow; 4] = [Slow::Head, Slow::Body, Slow::Read, Slow::Silent];

/// Those before this number who read slowly leave more unread than the system holds for them.
const HEAVY: usize = 100;

/// Most connections from one address: less than the cap, so that the cap is not what saves us.
const PER_ADDRESS: usize = 200;

/// What became of them: how long each was put up with, by kind.
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

/// Opens so many connections, so many a second, and is slow on each until it is closed. On a thread of its own with the
/// least claim to the processor: what attackers cost themselves is not what is measured.
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
                        be_slow(stream, kind, number).await;
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

/// One byte a second of whatever it is.
async fn be_slow(mut stream: TcpStream, kind: Slow, number: usize) {
    let post = "POST /api/http/ HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\n";
    let begin = match kind {
        Slow::Head => post.to_owned(),
        Slow::Body => format!("{post}Content-Length: 4096\r\n\r\nclass="),
        // Of the first, more than the system takes over for a peer that does not read; of others that would be a flood, and
        // what they do is rest.
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
            // A reader of a byte a second would see the end long after it has come.
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
