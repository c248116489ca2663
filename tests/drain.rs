//! Tests of the shutdown of a gateway with a thousand connected callers: every request that has begun is answered, idle connections
//! delay nothing, and the journal contains everything.

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

use crate::harness::{
    Answer, Demo, Gateway, UPSTREAM_ENVIRONMENT, admin_request, assert_within, callers_id, client,
    until, upstream,
};
use crate::sends::{posted, read_request, send_form};

/// The number of callers, each on its own connection, and the number of callers per address.
const CALLERS: usize = 1000;
const PER_ADDRESS: usize = 100;

/// Maximum time of a drain: the gateway's own deadline.
const DRAIN_DEADLINE: Duration = Duration::from_secs(30);

/// Longest wait for something that should come immediately. It allows for a busy machine and is not a measured figure.
const PATIENCE: Duration = Duration::from_secs(20);

/// The state of a caller when the signal comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Doing {
    /// The caller has been answered and keeps its connection.
    Rests,
    /// The upstream has the caller's read and has not answered yet.
    Reads,
    /// The upstream has the caller's send and has not answered yet.
    Sends,
    /// The caller has written half of its send.
    Uploads,
}

impl Doing {
    fn of(number: usize) -> Doing {
        match number % 10 {
            0..=2 => Doing::Rests,
            3..=5 => Doing::Reads,
            6..=8 => Doing::Sends,
            _ => Doing::Uploads,
        }
    }

    fn count(self) -> usize {
        (0..CALLERS)
            .filter(|number| Doing::of(*number) == self)
            .count()
    }
}

/// An upstream that answers only lists of channels until it is released.
struct Slow {
    address: SocketAddr,
    arrived: Arc<Semaphore>,
    let_go: watch::Sender<bool>,
    accepting: tokio::task::JoinHandle<()>,
}

impl Slow {
    async fn start() -> Slow {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let arrived = Arc::new(Semaphore::new(0));
        let (let_go, may_go) = watch::channel(false);
        let arriving = Arc::clone(&arrived);
        let accepting = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((mut stream, _)) = listener.accept().await {
                let (arrived, mut may_go) = (Arc::clone(&arriving), may_go.clone());
                connections.spawn(async move {
                    let seen = read_request(&mut stream).await;
                    if !seen.contains("method=getchatchannels") {
                        arrived.add_permits(1);
                        may_go.wait_for(|may_go| *may_go).await.unwrap();
                    }
                    let body = r#"{"status":"SUCCESS","result":{"list":[]}}"#;
                    let head = "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length:";
                    let answer = format!("{head} {}\r\n\r\n{body}", body.len());
                    // The gateway may have ended without waiting, which other assertions report.
                    let _ = stream.write_all(answer.as_bytes()).await;
                });
            }
        });
        Slow {
            address,
            arrived,
            let_go,
            accepting,
        }
    }

    /// Waits until this many more requests have arrived.
    async fn arrive(&self, count: usize) {
        let count = u32::try_from(count).unwrap();
        let arrived = tokio::time::timeout(PATIENCE, self.arrived.acquire_many(count)).await;
        arrived.expect("requests did not arrive").unwrap().forget();
    }
}

impl Drop for Slow {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

struct Caller {
    number: usize,
    stream: TcpStream,
}

impl Caller {
    /// Connects and gets one answer.
    async fn start(number: usize, gateway: SocketAddr, demo: &Demo) -> Caller {
        let socket = TcpSocket::new_v4().unwrap();
        let host = u8::try_from(2 + number / PER_ADDRESS).unwrap();
        socket
            .bind((Ipv4Addr::new(127, 0, 0, host), 0).into())
            .unwrap();
        let stream = socket.connect(gateway).await.unwrap();
        let mut caller = Caller { number, stream };
        let form = read_form(demo, "getchatchannels", "100");
        let request = posted(&form, &format!("first-{number}"));
        caller.stream.write_all(request.as_bytes()).await.unwrap();
        let answer = caller.answer().await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        assert!(!answer.contains("connection: close"), "{answer}");
        caller
    }

    /// Returns the bytes of the second request.
    fn request(&self, demo: &Demo) -> String {
        let number = self.number.to_string();
        let form = match Doing::of(self.number) {
            Doing::Reads => read_form(demo, "getchats", &number),
            _ => send_form(demo, &number),
        };
        posted(&form, &format!("second-{number}"))
    }

    /// Reads one answer. Its head is in lower case.
    async fn answer(&mut self) -> String {
        let mut seen = Vec::new();
        loop {
            let mut piece = [0; 4096];
            let read = self.stream.read(&mut piece).await.unwrap();
            assert_ne!(read, 0, "{} was not answered", self.number);
            seen.extend_from_slice(&piece[..read]);
            let text = String::from_utf8_lossy(&seen);
            let Some((head, body)) = text.split_once("\r\n\r\n") else {
                continue;
            };
            let head = head.to_ascii_lowercase().replacen("http", "HTTP", 1);
            let length = head
                .lines()
                .find_map(|line| line.strip_prefix("content-length: "));
            if body.len() >= length.unwrap().parse().unwrap() {
                return format!("{head}\r\n\r\n{body}");
            }
        }
    }

    /// Waits for the end of the connection.
    async fn wait_for_the_close(&mut self) {
        let mut rest = Vec::new();
        let ended = self.stream.read_to_end(&mut rest);
        let ended = tokio::time::timeout(PATIENCE, ended).await;
        ended.expect("a connection is held").unwrap();
        assert!(rest.is_empty(), "{}", String::from_utf8_lossy(&rest));
    }
}

fn read_form(demo: &Demo, method: &str, platformid: &str) -> String {
    url::form_urlencoded::Serializer::new(String::new())
        .extend_pairs([("class", "chat"), ("method", method)])
        .extend_pairs([("platform", "whatsapp"), ("platformid", platformid)])
        .extend_pairs([("user", &demo.user), ("password", &demo.password)])
        .finish()
}

/// Returns the journal's delivery word for each request, or an empty one.
async fn journalled(gateway: &Gateway) -> HashMap<String, String> {
    let (client, mut rows, mut cursor) = (client(), HashMap::new(), String::new());
    loop {
        let path = format!("journal?order=oldest&follow=true&limit=1000{cursor}");
        let page = admin_request(&client, gateway, Method::GET, &path, &Value::Null);
        let page = Answer::of(page).await.json();
        for row in page["rows"].as_array().unwrap() {
            assert_ne!(row["open"], true, "{row}");
            let text = |name: &str| row[name].as_str().unwrap_or_default().to_owned();
            rows.insert(
                callers_id(row).unwrap_or_default().to_owned(),
                text("delivery"),
            );
        }
        match page["next"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return rows,
        }
    }
}

/// Brings all callers into their states and waits until the gateway counts their requests.
async fn bring_into_their_states(
    callers: &mut [Caller],
    slow: &Slow,
    (gateway, demo): (&Gateway, &Demo),
) {
    for caller in callers {
        let request = caller.request(demo);
        let sent = match Doing::of(caller.number) {
            Doing::Rests => "",
            // The head and a part of the form.
            Doing::Uploads => &request[..request.len() - 20],
            Doing::Reads | Doing::Sends => &request,
        };
        caller.stream.write_all(sent.as_bytes()).await.unwrap();
    }
    slow.arrive(Doing::Reads.count() + Doing::Sends.count())
        .await;
    // A request begins with the last byte of its head; a connection without one is idle.
    let begun = CALLERS - Doing::Rests.count();
    let metric = format!("chatgate_inflight_requests {begun}\n");
    until("requests begin", async || {
        gateway.metrics().await.contains(&metric)
    })
    .await;
}

/// Waits for the answers to all requests: each is correct and the last one on its connection.
async fn all_answered(callers: Vec<Caller>) -> usize {
    let mut answering = JoinSet::new();
    for mut caller in callers {
        answering.spawn(async move {
            let answer = caller.answer().await;
            assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
            assert!(answer.contains("connection: close"), "{answer}");
            let is_send = Doing::of(caller.number) != Doing::Reads;
            assert_eq!(answer.contains(r#""delivery":"sent""#), is_send, "{answer}");
            caller.wait_for_the_close().await;
        });
    }
    answering.join_all().await.len()
}

#[tokio::test]
async fn a_drain_ends_at_its_timeout_and_journals_unanswered_calls() {
    let slow = Slow::start().await;
    let toml = format!(
        "{}[limits]\ndrain_timeout = \"1s\"\n",
        upstream(slow.address)
    );
    let gateway = Gateway::configured(&toml, &[UPSTREAM_ENVIRONMENT]);
    let demo = gateway.demo();
    let mut callers = Vec::new();
    // One caller of each kind but uploads, because an upload would be the caller's own delay.
    for number in [0, 3, 6] {
        callers.push(Caller::start(number, gateway.public, &demo).await);
    }
    for caller in callers.iter_mut().skip(1) {
        let request = caller.request(&demo);
        caller.stream.write_all(request.as_bytes()).await.unwrap();
    }
    slow.arrive(2).await;
    let began = Instant::now();
    gateway.process.signal("TERM");
    let folder = Arc::clone(&gateway.folder);
    let (code, lines) = gateway.process.ended();
    let took = began.elapsed();
    assert_eq!(code, Some(0), "{}", lines.join("\n"));
    // On top of the one second come the grace period of the operators' side and the end of the process.
    assert_within(took, Duration::from_secs(5));
    let rows = journalled(&Gateway::over(folder, &toml, &[UPSTREAM_ENVIRONMENT])).await;
    let word = |number: usize| rows.get(&format!("second-{number}")).map(String::as_str);
    assert_eq!((word(3), word(6)), (Some(""), Some("unknown")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drain_answers_a_thousand_callers_and_closes_idle_connections() {
    let slow = Slow::start().await;
    // The limit of concurrent calls starts at a quarter of this.
    let calls = 4 * CALLERS;
    let toml = format!(
        "{}calls = {calls}\n[log]\nlevel = \"info\"\n",
        upstream(slow.address)
    );
    let gateway = Gateway::configured(&toml, &[UPSTREAM_ENVIRONMENT]);
    let demo = Arc::new(gateway.demo());
    let mut connecting = JoinSet::new();
    for number in 0..CALLERS {
        let (address, demo) = (gateway.public, Arc::clone(&demo));
        connecting.spawn(async move { Caller::start(number, address, &demo).await });
    }
    let mut callers = connecting.join_all().await;
    bring_into_their_states(&mut callers, &slow, (&gateway, &demo)).await;

    let began = Instant::now();
    gateway.process.signal("TERM");
    let is_drain = |line: &str| line.contains("draining");
    let draining = gateway.process.wait_for("the drain", is_drain);
    assert!(draining.contains("INFO"), "{draining}");
    let ready = Answer::of(client().get(format!("http://{}/readyz", gateway.admin))).await;
    assert_eq!(ready.status, 503, "{}", ready.body);
    let (mut resting, mut asking): (Vec<_>, Vec<_>) = callers
        .into_iter()
        .partition(|caller| Doing::of(caller.number) == Doing::Rests);
    for caller in &mut resting {
        caller.wait_for_the_close().await;
    }
    assert!(TcpStream::connect(gateway.public).await.is_err());
    for caller in &mut asking {
        if Doing::of(caller.number) == Doing::Uploads {
            let request = caller.request(&demo);
            let rest = &request[request.len() - 20..];
            caller.stream.write_all(rest.as_bytes()).await.unwrap();
        }
    }
    slow.arrive(Doing::Uploads.count()).await;
    slow.let_go.send_replace(true);
    let answered = all_answered(asking).await;
    let folder = Arc::clone(&gateway.folder);
    let (code, lines) = gateway.process.ended();
    let took = began.elapsed();
    assert_eq!(code, Some(0), "{}", lines.join("\n"));
    assert!(took < DRAIN_DEADLINE, "{took:?}");

    let rows = journalled(&Gateway::over(folder, &toml, &[UPSTREAM_ENVIRONMENT])).await;
    for number in 0..CALLERS {
        assert!(rows.contains_key(&format!("first-{number}")), "{number}");
        let second = rows.get(&format!("second-{number}")).map(String::as_str);
        let expected = match Doing::of(number) {
            Doing::Rests => None,
            Doing::Reads => Some(""),
            Doing::Sends | Doing::Uploads => Some("sent"),
        };
        assert_eq!(second, expected, "{number}");
    }
    let (resting, rows) = (resting.len(), rows.len());
    println!(
        "a drain with {CALLERS} connections: {answered} answered, {resting} let go, none failed; over after {took:.1?}; \
         {rows} rows"
    );
}
