//! Tests of the shutdown of a listener while callers continue to call it.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use axum::Router;
use axum::routing::get;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::*;
use crate::policy::Deadlines;

/// Number of callers, each of which makes one connection after another.
const CALLERS: usize = 8;

/// Number of answers before the shutdown.
const ANSWERS: usize = 300;

/// Number of shutdowns that the test performs.
const ROUNDS: usize = 20;

/// How long a caller waits for a connection. The system repeats a dropped attempt only after a second.
const CONNECT_MAX: Duration = Duration::from_millis(100);

/// How long anything else may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);

struct Served {
    address: SocketAddr,
    stop: watch::Sender<Option<ShutdownPhase>>,
    serving: JoinHandle<()>,
}

impl Served {
    /// Starts a listener on another address than that of the callers. On the same address, a refused caller could connect to
    /// itself.
    fn start() -> Served {
        let listener = bind(([127, 0, 0, 2], 0).into()).unwrap();
        let address = listener.local_addr().unwrap();
        let policy = ConnectionPolicy {
            deadlines: Deadlines::default(),
            connections_max: 1000,
            per_address_max: 1000,
            trusted_proxies: Vec::new(),
            proxy_protocol: false,
            tls: None,
        };
        let router = Router::new().route("/", get(|| async { "ok" }));
        let (stop, stopped) = Shutdown::channel();
        let policy = Arc::new(ArcSwap::from_pointee(policy));
        let serving = tokio::spawn(serve(listener, router, policy, None, stopped));
        Served {
            address,
            stop,
            serving,
        }
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    fn end(&self) {
        let deadline = Instant::now() + PATIENCE;
        let ending = ShutdownPhase::Ending(deadline);
        self.stop.send_replace(Some(ending));
    }
}

/// Sends one more request and returns the head of its answer.
async fn ask(stream: &mut TcpStream) -> io::Result<String> {
    stream
        .write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        .await?;
    let mut answer = Vec::new();
    while !answer.ends_with(b"ok") {
        let read = timeout(PATIENCE, stream.read_buf(&mut answer)).await??;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    Ok(String::from_utf8(answer).unwrap().to_ascii_lowercase())
}

/// Returns whether the other side closes without sending anything more.
async fn is_closed(stream: &mut TcpStream) -> bool {
    let mut rest = Vec::new();
    let read = timeout(PATIENCE, stream.read_to_end(&mut rest)).await;
    matches!(read, Ok(Ok(0)))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_established_connection_is_served_during_shutdown() {
    for _ in 0..ROUNDS {
        let served = Served::start();
        let (answered, ends) = (
            Arc::new(AtomicUsize::new(0)),
            Arc::new(AtomicBool::new(false)),
        );
        let mut calling = JoinSet::new();
        for _ in 0..CALLERS {
            let (address, answered) = (served.address, Arc::clone(&answered));
            let ends = Arc::clone(&ends);
            calling.spawn(async move {
                loop {
                    match timeout(CONNECT_MAX, TcpStream::connect(address)).await {
                        Ok(Ok(mut stream)) => {
                            ask(&mut stream).await?;
                            answered.fetch_add(1, Ordering::Relaxed);
                        }
                        _ if ends.load(Ordering::Relaxed) => return Ok::<_, io::Error>(()),
                        _ => {}
                    }
                }
            });
        }
        while answered.load(Ordering::Relaxed) < ANSWERS {
            tokio::task::yield_now().await;
        }
        ends.store(true, Ordering::Relaxed);
        served.end();
        for ended in calling.join_all().await {
            ended.unwrap();
        }
        served.serving.await.unwrap();
    }
}

#[tokio::test]
async fn an_announced_shutdown_closes_connections_after_their_next_answer() {
    let served = Served::start();
    let (mut kept, mut idle) = (served.connect().await, served.connect().await);
    for stream in [&mut kept, &mut idle] {
        assert!(!ask(stream).await.unwrap().contains("connection: close"));
    }
    served.stop.send_replace(Some(ShutdownPhase::Announced));
    for mut stream in [kept, served.connect().await] {
        assert!(
            ask(&mut stream)
                .await
                .unwrap()
                .contains("connection: close")
        );
        assert!(is_closed(&mut stream).await);
    }
    // A silent connection stays open until the shutdown begins, and a little longer.
    served.end();
    let refused = async || {
        let connected = timeout(CONNECT_MAX / 20, TcpStream::connect(served.address)).await;
        matches!(connected, Ok(Err(_)))
    };
    while !refused().await {}
    assert!(ask(&mut idle).await.unwrap().contains("connection: close"));
    assert!(is_closed(&mut idle).await);
    served.serving.await.unwrap();
}

#[tokio::test]
async fn silent_and_idle_connections_are_closed_at_shutdown() {
    let served = Served::start();
    let (mut fresh, mut idle) = (served.connect().await, served.connect().await);
    ask(&mut idle).await.unwrap();
    served.end();
    assert!(is_closed(&mut fresh).await && is_closed(&mut idle).await);
    served.serving.await.unwrap();
}
