//! Endless answers and requests, and the memory that they cost.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};

use super::client::{address, ask, connect};
use super::{ENVIRONMENT, configuration, read};
use crate::harness::{Gateway, load, until};

/// Number of bodies that are never completed, and the size of the part that arrives. All parts together have 60 MB.
const PARTIAL_BODIES: usize = 60;
const PARTIAL_BODY_BYTES: usize = 1_000_000;

/// Maximum growth of memory.
const RISE_MAX: usize = 16 * 1024 * 1024;

/// The way in which an answer is too large.
#[derive(Clone, Copy, Debug)]
enum Bomb {
    Announced,
    Chunks,
    Gzip,
    Headers,
    EndlessHead,
    Interim,
}

const BOMBS: [Bomb; 6] = [
    Bomb::Announced,
    Bomb::Chunks,
    Bomb::Gzip,
    Bomb::Headers,
    Bomb::EndlessHead,
    Bomb::Interim,
];

/// An upstream whose answers are set by the test; without a bomb it answers correctly.
struct Bomber {
    address: SocketAddr,
    bomb: Arc<Mutex<Option<Bomb>>>,
    accepting: JoinHandle<()>,
}

impl Bomber {
    async fn start() -> Bomber {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let bomb = Arc::new(Mutex::new(None));
        let reported = Arc::clone(&bomb);
        let gzip = Arc::new(sandbox::gzip_bomb(100 * 1024 * 1024));
        let accepting = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (reported, gzip) = (Arc::clone(&reported), Arc::clone(&gzip));
                // The gateway closes the connection as soon as the answer is too large.
                tokio::spawn(async move { answer(stream, &reported, &gzip).await });
            }
        });
        Bomber {
            address,
            bomb,
            accepting,
        }
    }
}

impl Drop for Bomber {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn answer(
    mut stream: TcpStream,
    bomb: &Mutex<Option<Bomb>>,
    gzip: &[u8],
) -> std::io::Result<()> {
    const OK: &str = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n";
    if stream.read(&mut [0; 4096]).await? == 0 {
        return Ok(());
    }
    let bomb = *bomb.lock().unwrap();
    let blanks = vec![b' '; 64 * 1024];
    match bomb {
        None => {
            let body = r#"{"status":"SUCCESS","result":{"list":[]}}"#;
            let whole = format!(
                "{OK}Connection: close\r\nContent-Length: {}\r\n\r\n{body}",
                body.len()
            );
            stream.write_all(whole.as_bytes()).await
        }
        Some(Bomb::Announced) => {
            let head = format!("{OK}Content-Length: {}\r\n\r\n", 100 * 1024 * 1024);
            stream.write_all(head.as_bytes()).await?;
            for _ in 0..1600 {
                stream.write_all(&blanks).await?;
            }
            Ok(())
        }
        Some(Bomb::Chunks) => {
            let head = format!("{OK}Transfer-Encoding: chunked\r\n\r\n");
            stream.write_all(head.as_bytes()).await?;
            loop {
                stream.write_all(b"10000\r\n").await?;
                stream.write_all(&blanks).await?;
                stream.write_all(b"\r\n").await?;
            }
        }
        Some(Bomb::Gzip) => {
            let head = format!(
                "{OK}Content-Encoding: gzip\r\nContent-Length: {}\r\n\r\n",
                gzip.len()
            );
            stream.write_all(head.as_bytes()).await?;
            stream.write_all(gzip).await
        }
        Some(Bomb::Headers) => {
            let many: String = (0..10_000).map(|n| format!("X-{n}: {n}\r\n")).collect();
            stream.write_all(format!("{OK}{many}\r\n").as_bytes()).await
        }
        Some(Bomb::EndlessHead) => {
            stream.write_all(format!("{OK}X-Much: ").as_bytes()).await?;
            loop {
                stream.write_all(&blanks).await?;
            }
        }
        Some(Bomb::Interim) => loop {
            stream
                .write_all(&b"HTTP/1.1 102 Processing\r\n\r\n".repeat(1000))
                .await?;
        },
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn endless_upstream_answers_fail_the_call_and_memory_stays_bounded() {
    let (rounds, at_once) = (load(4, 20), 1);
    let upstream = Bomber::start().await;
    // An answer that never begins ends with the upstream timeout.
    let toml = configuration(upstream.address, "").replace("[cache]", "timeout = \"2s\"\n[cache]");
    let gateway = Gateway::configured(&toml, &ENVIRONMENT);
    let call = async |n: usize| {
        let mut stream = connect(gateway.public, address(5, n % 100)).await.unwrap();
        ask(&mut stream, &read(n)).await.unwrap()
    };
    for n in 0..200 {
        assert_eq!(call(n).await, 200);
    }
    let before = gateway.process.rss();
    for (kind, bomb) in BOMBS.into_iter().enumerate() {
        *upstream.bomb.lock().unwrap() = Some(bomb);
        let mut most = 0;
        for round in 0..rounds {
            let mut calls = JoinSet::new();
            for n in 0..at_once {
                let (to, n) = (gateway.public, 1000 * (kind + 1) + round * at_once + n);
                calls.spawn(async move {
                    let mut stream = connect(to, address(5, n % 100)).await.unwrap();
                    ask(&mut stream, &read(n)).await.unwrap()
                });
            }
            // The breaker may have opened by then, so that the failing upstream gets no more calls.
            while let Some(status) = calls.join_next().await {
                assert!(matches!(status.unwrap(), 502..=504), "{bomb:?}");
                most = most.max(gateway.process.rss());
            }
            // Fewer than half of the answers may be bad, so that the breaker lets the next calls through.
            *upstream.bomb.lock().unwrap() = None;
            let began = std::time::Instant::now();
            let mut well = 0;
            while well < at_once && began.elapsed() < Duration::from_secs(20) {
                well += usize::from(call(100_000 + well).await == 200);
            }
            *upstream.bomb.lock().unwrap() = Some(bomb);
        }
        println!(
            "load: {} answers of {bomb:?}, {at_once} at once: memory rose by {:.1} MiB from {:.1} MiB",
            rounds * at_once,
            most.saturating_sub(before) as f64 / 1048576.0,
            before as f64 / 1048576.0
        );
        assert!(
            most < before + RISE_MAX,
            "{bomb:?}: from {before} to {most}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn endless_requests_are_rejected_and_memory_stays_bounded() {
    let upstream = Bomber::start().await;
    let gateway = Gateway::configured(&configuration(upstream.address, ""), &ENVIRONMENT);
    let post = "POST /api/http/ HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\n";
    let begin = [
        (
            format!("{post}Expect: 100-continue\r\nContent-Length: 1000000000\r\n\r\n"),
            "413",
        ),
        (format!("{post}Transfer-Encoding: chunked\r\n\r\n"), "413"),
        (format!("{post}X-Much: "), "431"),
    ];
    let mut before = None;
    for (number, (begin, status)) in begin.iter().enumerate() {
        let mut attackers = JoinSet::new();
        for n in 0..load(20, 200) {
            let (to, begin) = (gateway.public, begin.clone());
            attackers.spawn(async move {
                let mut stream = connect(to, address(4, n)).await.unwrap();
                let (mut reader, mut writer) = stream.split();
                writer.write_all(begin.as_bytes()).await.unwrap();
                let chunk = ["10000\r\n", &"x".repeat(0x10000), "\r\n"].concat();
                let piece = if number == 1 {
                    chunk
                } else {
                    "x".repeat(0x10000)
                };
                let flood = async {
                    // After `Expect` nothing is written before there is an answer.
                    while number != 0 && writer.write_all(piece.as_bytes()).await.is_ok() {}
                    std::future::pending::<()>().await;
                };
                let mut answer = [0; 12];
                tokio::select! {
                    read = reader.read_exact(&mut answer) => {
                        read.unwrap();
                        String::from_utf8_lossy(&answer[9..12]).into_owned()
                    }
                    () = flood => unreachable!(),
                }
            });
        }
        let mut most = 0;
        while let Some(answer) = attackers.join_next().await {
            assert_eq!(answer.unwrap(), *status);
            most = most.max(gateway.process.rss());
        }
        let before = *before.get_or_insert(most);
        println!(
            "load: requests that end in {status}: memory rose by {:.1} MiB",
            most.saturating_sub(before) as f64 / 1048576.0
        );
        // A chunked body is buffered up to the limit for one body, and a head likewise.
        assert!(
            most < before + 256 * 1024 * 1024,
            "{status}: from {before} to {most}"
        );
    }
}

/// Sends the head of a POST with a body of one mebibyte, without credentials.
async fn begin_post(gateway: &Gateway, from: Ipv4Addr, path: &str) -> TcpStream {
    let mut stream = connect(gateway.public, from).await.unwrap();
    let head = format!("POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 1048576\r\n\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    stream
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn partial_bodies_of_one_address_cost_bounded_memory_and_other_addresses_are_served() {
    let gateway = Gateway::start();
    let attacker = address(6, 0);
    let before = gateway.process.rss();
    let rejected = Arc::new(Mutex::new(0));
    let mut attackers = JoinSet::new();
    for _ in 0..PARTIAL_BODIES {
        let mut stream = begin_post(&gateway, attacker, "/api/http/").await;
        let rejected = Arc::clone(&rejected);
        attackers.spawn(async move {
            // The gateway may close a rejected body's connection before it has been written.
            let _ = stream.write_all(&vec![b'x'; PARTIAL_BODY_BYTES]).await;
            let mut answer = [0; 12];
            stream.read_exact(&mut answer).await.unwrap();
            assert_eq!(&answer, b"HTTP/1.1 503");
            *rejected.lock().unwrap() += 1;
        });
    }
    // Eight MiB are accepted from one address.
    let expected = PARTIAL_BODIES - 8 * 1024 * 1024 / PARTIAL_BODY_BYTES;
    until("the rejections", async || {
        *rejected.lock().unwrap() >= expected
    })
    .await;
    let after = gateway.process.rss();
    // The bodies are 60 MB. Memory of rejected ones may be free and still belong to the process.
    assert!(
        after < before + RISE_MAX * 5 / 2,
        "from {before} to {after}"
    );

    // The same address is still served if a body arrives as a whole, and other addresses also if it arrives in parts.
    let demo = gateway.demo();
    let body = format!(
        "class=chat&method=getchatchannels&user={}&password={}",
        demo.user, demo.password
    );
    let head = format!(
        "POST /api/http/ HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    let mut stream = connect(gateway.public, attacker).await.unwrap();
    assert_eq!(
        ask(&mut stream, (head.clone() + &body).as_bytes())
            .await
            .unwrap(),
        200
    );
    let mut stream = connect(gateway.public, address(6, 1)).await.unwrap();
    let (begin, rest) = body.split_at(9);
    stream.write_all((head + begin).as_bytes()).await.unwrap();
    assert_eq!(ask(&mut stream, rest.as_bytes()).await.unwrap(), 200);
}

#[tokio::test]
async fn a_large_body_is_not_read_if_the_head_lacks_credentials() {
    let gateway = Gateway::start();
    for (path, code) in [
        ("/api/basic/", "MISSING_USER"),
        ("/api/jwt/", "MISSING_TOKEN"),
    ] {
        let mut stream = begin_post(&gateway, address(6, 2), path).await;
        let mut answer = String::new();
        let read = stream.read_to_string(&mut answer);
        tokio::time::timeout(Duration::from_secs(5), read)
            .await
            .unwrap()
            .unwrap();
        assert!(answer.starts_with("HTTP/1.1 401 "), "{answer}");
        assert!(answer.contains("connection: close\r\n"), "{answer}");
        assert!(answer.contains(code), "{answer}");
    }
}
