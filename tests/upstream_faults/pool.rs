//! Tests of a pool of connections that the peer closes at any time: nothing is sent twice, and each delivery word is true.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use adapter::Way;
use proptest::prelude::Rng;
use proptest::test_runner::{RngAlgorithm, TestRng};
use tokio::io::{AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use super::{Stage, delivery, message_call};
use crate::harness::load;

/// Number of sends in CI, and in the release check.
const SENDS: usize = 4_000;
const SENDS_FULL: usize = 100_000;

/// Number of concurrent callers, each with its own connection at the upstream most of the time.
const CALLERS: usize = 16;

/// Number of complete arrivals of each message.
type Arrivals = Arc<Mutex<HashMap<String, usize>>>;

/// The upstream's action after it has read a request.
#[derive(Clone, Copy, Debug)]
enum Ends {
    /// Answers and continues.
    Never,
    /// Answers and closes immediately, without having announced it.
    AfterAnswer,
    /// Answers, and closes when the next bytes arrive.
    AtNextRequest,
    /// Closes without an answer.
    BeforeAnswer,
    /// Answers and resets the connection.
    ByReset,
}

/// Returns a random end of a request. So few requests break that the endpoint's breaker, which opens when half of the last twenty
/// requests fail, stays closed.
fn ends(random: u64) -> Ends {
    match random % 24 {
        0 => Ends::AtNextRequest,
        1 => Ends::BeforeAnswer,
        2 => Ends::ByReset,
        3..=8 => Ends::AfterAnswer,
        _ => Ends::Never,
    }
}

struct Upstream {
    address: SocketAddr,
    arrivals: Arrivals,
    accepting: tokio::task::JoinHandle<()>,
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl Upstream {
    async fn start() -> Upstream {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let arrivals = Arrivals::default();
        let arriving = Arc::clone(&arrivals);
        let accepting = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            let mut random = TestRng::from_seed(RngAlgorithm::ChaCha, &[7; 32]);
            while let Ok((stream, _)) = listener.accept().await {
                let (arrivals, seed) = (Arc::clone(&arriving), random.next_u64());
                // Breaking connections are the subject of this test.
                connections.spawn(async move { drop(serve(stream, seed, &arrivals).await) });
                while connections.try_join_next().is_some() {}
            }
        });
        Upstream {
            address,
            arrivals,
            accepting,
        }
    }
}

async fn serve(
    stream: TcpStream,
    mut seed: u64,
    arrivals: &Mutex<HashMap<String, usize>>,
) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    loop {
        let form = read_form(&mut stream).await?;
        let message = url::form_urlencoded::parse(form.as_bytes())
            .find(|(name, _)| name == "message")
            .map_or_else(String::new, |(_, value)| value.into_owned());
        *arrivals.lock().unwrap().entry(message).or_default() += 1;
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let ends = ends(seed >> 33);
        if matches!(ends, Ends::BeforeAnswer) {
            return Ok(());
        }
        let body = r#"{"status":"SUCCESS","result":{}}"#;
        let answer = format!(
            "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(answer.as_bytes()).await?;
        match ends {
            Ends::AfterAnswer => return Ok(()),
            Ends::ByReset => return stream.get_ref().set_zero_linger(),
            Ends::AtNextRequest => {
                stream.read_u8().await?;
                return Ok(());
            }
            Ends::Never | Ends::BeforeAnswer => {}
        }
    }
}

/// Reads the body of the next request.
async fn read_form(stream: &mut BufReader<TcpStream>) -> std::io::Result<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await?);
    }
    let head = String::from_utf8(head).unwrap().to_ascii_lowercase();
    let length = head
        .split("content-length: ")
        .nth(1)
        .and_then(|rest| rest.lines().next());
    let mut body = vec![0; length.unwrap().trim().parse().unwrap()];
    stream.read_exact(&mut body).await?;
    Ok(String::from_utf8(body).unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn randomly_closed_connections_double_no_send_and_falsify_no_delivery_word() {
    let sends = load(SENDS, SENDS_FULL);
    let upstream = Upstream::start().await;
    let url = format!("http://{}/", upstream.address);
    // Broken connections are too few to open the upstream's breaker, which would answer in its place.
    let stage = Arc::new(Stage::before(&url, "attempts = 1").await);
    let mut callers = JoinSet::new();
    for caller in 0..CALLERS {
        let stage = Arc::clone(&stage);
        callers.spawn(async move {
            let mut words = Vec::new();
            for number in 0..sends / CALLERS {
                let message = format!("{caller}-{number}");
                let way = Way::ALL[number % Way::ALL.len()];
                let answer = stage.call(way, &message_call(&message)).await;
                words.push((message, delivery(&answer).to_owned()));
            }
            words
        });
    }
    let words: Vec<_> = callers.join_all().await.concat();
    let arrivals = upstream.arrivals.lock().unwrap();
    let mut counts: HashMap<&str, usize> = HashMap::new();
    for (message, word) in &words {
        let arrived = arrivals.get(message).copied().unwrap_or(0);
        let is_true = match word.as_str() {
            "sent" => arrived == 1,
            "not_sent" => arrived == 0,
            "unknown" => arrived <= 1,
            _ => false,
        };
        assert!(is_true, "{message} is {word} and arrived {arrived} times");
        *counts.entry(word).or_default() += 1;
    }
    assert!(
        counts
            .get("sent")
            .is_some_and(|sent| *sent > words.len() / 4),
        "{counts:?}"
    );
    println!(
        "sends over closing connections, {}: {counts:?}",
        words.len()
    );
}
