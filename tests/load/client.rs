//! Callers that cost little themselves: they write bytes on a connection and record the status and the time of the answer.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;

/// Longest wait for an answer. A missing answer is a failure.
const PATIENCE: Duration = Duration::from_secs(10);

/// Connects from an address of the loopback network.
pub async fn connect(to: SocketAddr, from: Ipv4Addr) -> io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.bind((IpAddr::V4(from), 0).into())?;
    let stream = socket.connect(to).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// Returns the n-th address of a network of callers, skipping addresses that end in 0 or 255.
pub fn address(network: u8, n: usize) -> Ipv4Addr {
    let (high, low) = (n / 250, n % 250 + 1);
    Ipv4Addr::new(
        127,
        network,
        u8::try_from(high).unwrap(),
        u8::try_from(low).unwrap(),
    )
}

/// Sends one request, reads the whole answer and returns its status.
pub async fn ask(stream: &mut TcpStream, request: &[u8]) -> io::Result<u16> {
    stream.write_all(request).await?;
    let mut answer = Vec::with_capacity(1024);
    let (end, length) = loop {
        if stream.read_buf(&mut answer).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if let Some(at) = answer.windows(4).position(|four| four == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&answer[..at]).to_ascii_lowercase();
            let length = head
                .lines()
                .find_map(|line| line.strip_prefix("content-length:"))
                .map_or(0, |length| length.trim().parse().unwrap());
            break (at + 4, length);
        }
    };
    while answer.len() < end + length {
        if stream.read_buf(&mut answer).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    let status = std::str::from_utf8(&answer[9..12]).unwrap();
    Ok(status.parse().unwrap())
}

/// The results of the callers.
#[derive(Clone, Debug, Default)]
pub struct Met {
    pub served: Vec<Duration>,
    pub failed: usize,
}

impl Met {
    /// Returns the share of served calls, in thousandths.
    pub fn served_per_mille(&self) -> f64 {
        let all = self.served.len() + self.failed;
        self.served.len() as f64 * 1000.0 / all.max(1) as f64
    }

    /// Returns the time within which this many thousandths of the served calls were answered.
    pub fn at(&mut self, per_mille: usize) -> Duration {
        at(&mut self.served, per_mille)
    }
}

pub fn at(times: &mut [Duration], per_mille: usize) -> Duration {
    times.sort_unstable();
    let at = times.len() * per_mille / 1000;
    times
        .get(at.min(times.len().saturating_sub(1)))
        .copied()
        .unwrap_or_default()
}

/// Callers that each call at a pace on a kept connection, and on a new one every tenth time.
pub struct Callers {
    stop: watch::Sender<bool>,
    met: Arc<Mutex<Met>>,
    tasks: JoinSet<()>,
}

impl Callers {
    /// Starts this many callers, each from its own address. `request` makes a request from a number that is never repeated.
    pub fn start(
        to: SocketAddr,
        count: usize,
        pace: Duration,
        request: impl Fn(usize) -> Vec<u8> + Clone + Send + 'static,
    ) -> Callers {
        let (stop, stopped) = watch::channel(false);
        let met = Arc::new(Mutex::new(Met::default()));
        let mut tasks = JoinSet::new();
        for caller in 0..count {
            let (stopped, met, request) = (stopped.clone(), Arc::clone(&met), request.clone());
            tasks.spawn(async move {
                let mut pace = tokio::time::interval(pace);
                pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
                let mut kept = None;
                for turn in 0.. {
                    pace.tick().await;
                    if *stopped.borrow() {
                        return;
                    }
                    let request = request(turn * count + caller);
                    let began = Instant::now();
                    let call = async {
                        let mut stream = match kept.take().filter(|_| turn % 10 != 0) {
                            Some(stream) => stream,
                            None => connect(to, address(9, caller)).await?,
                        };
                        let status = ask(&mut stream, &request).await?;
                        io::Result::Ok((stream, status))
                    };
                    let called = tokio::time::timeout(PATIENCE, call).await;
                    let mut met = met.lock().unwrap();
                    if let Ok(Ok((stream, 200))) = called {
                        kept = Some(stream);
                        met.served.push(began.elapsed());
                    } else {
                        met.failed += 1;
                        println!("a caller met {called:?}");
                    }
                }
            });
        }
        Callers { stop, met, tasks }
    }

    /// Returns the results since the last call of this function.
    pub fn met(&self) -> Met {
        std::mem::take(&mut *self.met.lock().unwrap())
    }

    /// Stops the callers.
    pub async fn stop(self) {
        self.stop.send_replace(true);
        self.tasks.join_all().await;
    }
}
