//! Strangers who are refused as fast as they can call: what they cost, and that nobody else loses rows, sends or time because of
//! them.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;

use super::client::{at, connect};
use super::upstream::Upstream;
use super::{is_measured, ms};
use crate::harness::{Gateway, UPSTREAM_ENVIRONMENT, callers_id, load, pass, rows, upstream};

/// Maximum growth of the log in a minute of flood, in bytes.
const LOG_BYTES_MAX: usize = 10 * 1024 * 1024;

/// Longest wait for one answer.
const PATIENCE: Duration = Duration::from_secs(20);

/// A flood: its source address, its request, and the codes of its refusals.
struct Kind {
    name: &'static str,
    from: Ipv4Addr,
    query: &'static str,
    codes: &'static [&'static str],
}

const KINDS: [Kind; 3] = [
    Kind {
        name: "beyond the limit per address",
        from: Ipv4Addr::new(127, 61, 0, 1),
        query: "class=chat",
        codes: &["MISSING_USER", "RATE_LIMITED"],
    },
    Kind {
        name: "from a denied network",
        from: Ipv4Addr::new(127, 62, 0, 1),
        query: "class=chat",
        codes: &["IP_NOT_ALLOWED"],
    },
    Kind {
        name: "with wrong secrets",
        from: Ipv4Addr::new(127, 63, 0, 1),
        query: "class=chat&method=getchats&user=nobody&password=wrong%20horse",
        codes: &[
            "INCORRECT_USER_PASSWORD",
            "OVERLOADED",
            "RATE_LIMITED",
            "TOO_MANY_FAILURES",
        ],
    },
];

const PASSWORDS: [(&str, &str); 3] = [
    UPSTREAM_ENVIRONMENT,
    ("A", "correct horse"),
    ("B", "battery staple"),
];

fn configuration(upstream_at: SocketAddr) -> String {
    let access = |name: &str, variable: &str| {
        format!(
            "[[accesses]]\nname = \"{name}\"\nuser = \"{name}\"\npassword = \"env:{variable}\"\nallow = [\"127.9.0.0/16\"]\n"
        )
    };
    format!(
        "{}[cache]\ngetchats = \"0\"\n[journal]\nbytes = \"64MiB\"\n[server]\ndeny = [\"127.62.0.0/16\"]\n\
         [limits]\nper_address_per_minute = 6000\n{}{}",
        upstream(upstream_at),
        access("a", "A"),
        access("b", "B"),
    )
}

/// Sends one request and returns the answer's status, its body, and whether the connection ends with it.
async fn ask(stream: &mut TcpStream, request: &[u8]) -> std::io::Result<(u16, String, bool)> {
    stream.write_all(request).await?;
    let mut answer = Vec::with_capacity(1024);
    loop {
        if stream.read_buf(&mut answer).await? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        let text = String::from_utf8_lossy(&answer);
        let Some((head, body)) = text.split_once("\r\n\r\n") else {
            continue;
        };
        let head = head.to_ascii_lowercase();
        let field = |name: &str| head.lines().find_map(|line| line.strip_prefix(name));
        let length = field("content-length:").map_or(0, |length| length.trim().parse().unwrap());
        if body.len() >= length {
            let status = head[9..12].parse().unwrap();
            let closes = field("connection:").is_some_and(|value| value.contains("close"));
            return Ok((status, body.to_owned(), closes));
        }
    }
}

/// Floods over two connections that call as fast as they are answered until they are stopped. Returns the number of answers by
/// code, and the number of connections used.
async fn flood(
    to: SocketAddr,
    kind: &Kind,
    stop: watch::Receiver<bool>,
) -> (BTreeMap<String, u64>, u64) {
    let mut tasks = JoinSet::new();
    for _ in 0..2 {
        let (stop, from) = (stop.clone(), kind.from);
        let request = format!("GET /api/http/?{} HTTP/1.1\r\nHost: x\r\n\r\n", kind.query);
        tasks.spawn(async move {
            let (mut codes, mut connections) = (BTreeMap::<String, u64>::new(), 0);
            let mut kept = None;
            while !*stop.borrow() {
                let mut stream = match kept.take() {
                    Some(stream) => stream,
                    None => {
                        connections += 1;
                        connect(to, from).await.unwrap()
                    }
                };
                let asked = tokio::time::timeout(PATIENCE, ask(&mut stream, request.as_bytes()));
                let (_, body, closes) = asked.await.unwrap().unwrap();
                let reported: Value = serde_json::from_str(&body).unwrap();
                let code = reported["error"].as_str().unwrap().to_owned();
                *codes.entry(code).or_default() += 1;
                kept = Some(stream).filter(|_| !closes);
            }
            (codes, connections)
        });
    }
    let mut all = (BTreeMap::new(), 0);
    for (codes, connections) in tasks.join_all().await {
        all.1 += connections;
        for (code, count) in codes {
            *all.0.entry(code).or_default() += count;
        }
    }
    all
}

/// The results of the two accesses: the times of their calls, and the ids of the answered ones.
#[derive(Default)]
struct Met {
    took: Vec<Duration>,
    ids: Vec<String>,
    failed: Vec<String>,
}

/// Two accesses that read and send at a pace.
struct Accesses {
    stop: watch::Sender<bool>,
    met: Arc<Mutex<Met>>,
    tasks: JoinSet<()>,
}

impl Accesses {
    fn start(to: SocketAddr) -> Accesses {
        let (stop, stopped) = watch::channel(false);
        let met = Arc::new(Mutex::new(Met::default()));
        let mut tasks = JoinSet::new();
        let calls = [("a", "correct%20horse"), ("b", "battery%20staple")];
        for (n, (name, password)) in calls.into_iter().enumerate() {
            let from = Ipv4Addr::new(127, 9, 0, u8::try_from(n + 1).unwrap());
            for (is_send, pace) in [(false, 50), (true, 100)] {
                let (stopped, met) = (stopped.clone(), Arc::clone(&met));
                tasks.spawn(async move {
                    let mut pace = tokio::time::interval(Duration::from_millis(pace));
                    pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
                    let mut kept = None;
                    for turn in 0.. {
                        pace.tick().await;
                        if *stopped.borrow() {
                            return;
                        }
                        let id = format!("{name}-{}-{turn}", if is_send { "send" } else { "read" });
                        let what = if is_send {
                            "sendmessage&destination=34600000000&message=hello"
                        } else {
                            "getchats"
                        };
                        let query = format!(
                            "class=chat&method={what}&platform=webchat&platformid={turn}&user={name}&password={password}"
                        );
                        let request = format!(
                            "GET /api/http/?{query} HTTP/1.1\r\nHost: x\r\nX-Request-ID: {id}\r\n\r\n"
                        );
                        let began = Instant::now();
                        let call = async {
                            let mut stream = match kept.take() {
                                Some(stream) => stream,
                                None => connect(to, from).await?,
                            };
                            let reported = ask(&mut stream, request.as_bytes()).await?;
                            std::io::Result::Ok((stream, reported))
                        };
                        let called = tokio::time::timeout(PATIENCE, call).await;
                        let mut met = met.lock().unwrap();
                        match called {
                            Ok(Ok((stream, (200, body, _)))) if body.contains("SUCCESS") => {
                                kept = Some(stream);
                                met.took.push(began.elapsed());
                                met.ids.push(id);
                            }
                            other => met.failed.push(format!("{id}: {other:?}")),
                        }
                    }
                });
            }
        }
        Accesses { stop, met, tasks }
    }

    fn take_times(&self) -> Vec<Duration> {
        std::mem::take(&mut self.met.lock().unwrap().took)
    }

    async fn stop(self) -> Met {
        self.stop.send_replace(true);
        self.tasks.join_all().await;
        std::mem::take(&mut *self.met.lock().unwrap())
    }
}

/// Returns the user and system time that the process has used.
fn cpu(gateway: &Gateway) -> Duration {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", gateway.process.id())).unwrap();
    let fields = stat.rsplit_once(") ").unwrap().1.split(' ');
    let ticks: u64 = fields
        .skip(11)
        .take(2)
        .map(|n| n.parse::<u64>().unwrap())
        .sum();
    // A tick is a hundredth of a second on every Linux.
    Duration::from_millis(ticks * 10)
}

fn log_bytes(gateway: &Gateway) -> usize {
    let lines = gateway.process.lines();
    lines.iter().map(|line| line.len() + 1).sum()
}

/// Figures of the quiet time.
struct Quiet {
    p99: Duration,
    /// CPU time of the gateway per second.
    cpu: f64,
}

/// Floods in one way for this long and compares the results with the quiet time.
async fn judge(
    gateway: &Gateway,
    accesses: &Accesses,
    (kind, seconds): (&Kind, Duration),
    quiet: &Quiet,
) {
    let (log_before, cpu_before, began) = (log_bytes(gateway), cpu(gateway), Instant::now());
    let (stop, stopped) = watch::channel(false);
    let flooding = flood(gateway.public, kind, stopped);
    let passing = async {
        pass(seconds).await;
        stop.send_replace(true);
    };
    let ((codes, connections), ()) = tokio::join!(flooding, passing);
    let took = began.elapsed().as_secs_f64();
    let used = (cpu(gateway) - cpu_before).as_secs_f64() - quiet.cpu * took;
    let log = log_bytes(gateway) - log_before;
    let refused: u64 = codes.values().sum();
    let p99 = at(&mut accesses.take_times(), 990);
    let ratio = ms(p99) / ms(quiet.p99);
    println!(
        "load: refused {}: {refused} in {took:.1} s over {connections} connections, {codes:?}; CPU of one {:.1} µs; log {} KiB; \
         accesses p99 {:.1} ms after {:.1} ms, ratio {ratio:.2}",
        kind.name,
        used * 1e6 / refused as f64,
        log / 1024,
        ms(p99),
        ms(quiet.p99),
    );
    assert!(
        codes.keys().all(|code| kind.codes.contains(&code.as_str())),
        "{codes:?}"
    );
    assert!(log <= LOG_BYTES_MAX, "{log}");
    assert!(connections >= refused / 8, "{connections}");
    assert!(!is_measured() || ratio <= 2.0, "{ratio}");
    // The flood's rows show the address, the code and the exact number of calls.
    let from = rows(gateway, &format!("ip={}", kind.from)).await;
    let mut counted = BTreeMap::<String, u64>::new();
    for row in &from {
        assert_eq!(row["client"], json!(kind.from.to_string()));
        assert_eq!(
            (&row["access"], &row["path"]),
            (&Value::Null, &json!("/api/http/"))
        );
        let code = row["code"].as_str().unwrap().to_owned();
        *counted.entry(code).or_default() += row["count"].as_u64().unwrap();
    }
    assert_eq!(counted, codes);
    let minutes = took as usize / 60 + 2;
    assert!(
        from.len() <= minutes * kind.codes.len(),
        "{} rows",
        from.len()
    );
}

/// Returns the ids of all calls of the two accesses that have rows. Each call has its own row, and rows of sends are marked as
/// sent.
async fn ids_of_rows(gateway: &Gateway) -> Vec<String> {
    let mut ids = Vec::new();
    for name in ["a", "b"] {
        let rows = rows(gateway, &format!("access={name}")).await;
        for row in rows.iter().filter(|row| row["kind"] == "request") {
            assert_eq!(row["count"], json!(1));
            let is_send = row["method"] == "sendmessage";
            assert_eq!(row["delivery"] == "sent", is_send, "{row}");
            ids.push(callers_id(row).unwrap().to_owned());
        }
    }
    ids.sort_unstable();
    ids
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_of_refused_calls_costs_other_callers_no_row_send_or_time() {
    let seconds = Duration::from_secs(load(3, 60) as u64);
    let upstream = Upstream::start(256, Duration::from_millis(20)).await;
    let gateway = Gateway::configured(&configuration(upstream.address), &PASSWORDS);
    let accesses = Accesses::start(gateway.public);
    pass(Duration::from_secs(2)).await;
    accesses.take_times();
    let (began, cpu_before) = (Instant::now(), cpu(&gateway));
    pass(seconds.max(Duration::from_secs(5))).await;
    let quiet = Quiet {
        p99: at(&mut accesses.take_times(), 990),
        cpu: (cpu(&gateway) - cpu_before).as_secs_f64() / began.elapsed().as_secs_f64(),
    };
    for kind in &KINDS {
        judge(&gateway, &accesses, (kind, seconds), &quiet).await;
    }
    let mut met = accesses.stop().await;
    assert!(met.failed.is_empty(), "{:?}", met.failed);
    let kept = ids_of_rows(&gateway).await;
    met.ids.sort_unstable();
    println!(
        "load: {} calls of two accesses, {} rows",
        met.ids.len(),
        kept.len()
    );
    assert_eq!(kept, met.ids);
    let metrics = gateway.metrics().await;
    for class in ["known", "unknown"] {
        let none = format!("chatgate_journal_dropped_total{{class=\"{class}\"}} 0\n");
        assert!(metrics.contains(&none), "{metrics}");
    }
}
