//! An upstream that answers byte by byte as the test says, and counts its requests.

use std::collections::HashMap;
use std::io::Write;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::harness::pass;

/// Longer than any timeout of the gateway in these tests.
pub const LATE: Duration = Duration::from_millis(1600);

/// The kind of answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    None,
    ResetBefore,
    ResetDuring,
    ResetAfter,
    /// Closed, without a reset, as soon as it is accepted.
    ClosedBefore,
    /// Closed, without a reset, when the head has been read and nothing of the body.
    ClosedAfterHead,
    /// Closed, without a reset, when the whole request has been read.
    ClosedAfter,
    NoAnswer,
    SlowFirstByte,
    SlowBody,
    Truncated,
    LengthTooShort,
    LengthTooLong,
    Interim,
    Status(u16),
    /// This status for every third request of a mark.
    EveryThird(u16),
    /// Refuses this user.
    Refuses(&'static str),
    InvalidJson,
    Empty,
    Huge,
    GzipBomb,
    /// The answer, packed in this way and labelled with this encoding.
    Packed(&'static str, Packing),
    /// This status, with a page or a well-formed error, and a time to retry.
    ComeAgain(u16, Asked),
    Headers,
    DoubleLength,
    ExtraBytes,
    LateAnswer,
    Http10Close,
    /// Closes a connection that has answered once, as soon as the next request has been read.
    KeepAliveRace,
}

/// The bytes of a packed answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Packing {
    Whole,
    TwoMembers,
    Twice,
    Truncated,
    NotPacked,
}

/// The form in which an answer gives the time to retry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// This text.
    Words(&'static str),
    /// The date in this many seconds.
    Date(u64),
    /// This text, with a well-formed error.
    Error(&'static str),
}

impl Asked {
    /// Returns the value of the header and the body.
    fn header_and_body(self) -> (String, &'static str) {
        match self {
            Asked::Words(words) => (words.to_owned(), "<html></html>"),
            Asked::Error(words) => (words.to_owned(), r#"{"status":"ERROR","error":"TOO_MANY"}"#),
            Asked::Date(seconds) => {
                let date = SystemTime::now() + Duration::from_secs(seconds);
                (httpdate::fmt_http_date(date), "<html></html>")
            }
        }
    }
}

/// The mark of requests of which only the beginning is read.
pub const FIRST_BYTES: &str = "(the first bytes)";

/// An upstream on its own port.
pub struct Raw {
    pub address: SocketAddr,
    fault: Arc<Mutex<Fault>>,
    pub counts: Arc<Mutex<Counts>>,
    accepting: tokio::task::JoinHandle<()>,
}

/// Counts by the first word of the message, or by the method if there is no message.
#[derive(Default)]
pub struct Counts {
    /// Requests that began to arrive.
    pub arrived: HashMap<String, usize>,
    /// Sends that the upstream would have made.
    pub performed: HashMap<String, usize>,
}

impl Raw {
    pub async fn start(fault: Fault) -> Raw {
        Raw::at("127.0.0.1:0", fault).await
    }

    /// Starts an upstream on this address.
    pub async fn at(address: &str, fault: Fault) -> Raw {
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let counts = Arc::<Mutex<Counts>>::default();
        let counting = Arc::clone(&counts);
        let fault = Arc::new(Mutex::new(fault));
        let in_force = Arc::clone(&fault);
        let accepting = tokio::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let (counts, fault) = (Arc::clone(&counting), Arc::clone(&in_force));
                // Ends when the client disconnects.
                connections.spawn(async move { serve(stream, &fault, &counts).await });
            }
        });
        Raw {
            address,
            fault,
            counts,
            accepting,
        }
    }

    /// Sets the fault from the next request on.
    pub fn set(&self, fault: Fault) {
        *self.fault.lock().unwrap() = fault;
    }

    pub fn arrived(&self, mark: &str) -> usize {
        let counts = self.counts.lock().unwrap();
        counts.arrived.get(mark).copied().unwrap_or(0)
    }

    pub fn performed(&self, mark: &str) -> usize {
        let counts = self.counts.lock().unwrap();
        counts.performed.get(mark).copied().unwrap_or(0)
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

fn reset(stream: TcpStream) {
    stream.set_zero_linger().unwrap();
    drop(stream);
}

async fn serve(mut stream: TcpStream, faults: &Mutex<Fault>, counts: &Mutex<Counts>) -> Option<()> {
    match *faults.lock().unwrap() {
        // Reset before anything was read.
        Fault::ResetBefore => {
            reset(stream);
            return None;
        }
        Fault::ClosedBefore => return None,
        _ => {}
    }
    let mut answered = 0;
    loop {
        let enough = match *faults.lock().unwrap() {
            Fault::ResetDuring => Enough::FirstBytes,
            Fault::ClosedAfterHead => Enough::Head,
            _ => Enough::Whole,
        };
        let (mark, user) = request(&mut stream, enough).await?;
        let mut fault = *faults.lock().unwrap();
        if let Fault::Refuses(refused) = fault {
            fault = if user == refused { fault } else { Fault::None };
        }
        let number = {
            let mut counts = counts.lock().unwrap();
            let arrived = counts.arrived.entry(mark.clone()).or_default();
            *arrived += 1;
            *arrived
        };
        if let Fault::EveryThird(status) = fault {
            let fails = number % 3 == 0;
            fault = if fails {
                Fault::Status(status)
            } else {
                Fault::None
            };
        }
        let is_race = fault == Fault::KeepAliveRace && answered > 0;
        if matches!(fault, Fault::ResetDuring | Fault::ResetAfter) || is_race {
            reset(stream);
            return None;
        }
        if matches!(fault, Fault::ClosedAfterHead | Fault::ClosedAfter) {
            stream.shutdown().await.ok()?;
            // Unread bytes would turn the close into a reset.
            tokio::io::copy(&mut stream, &mut tokio::io::sink())
                .await
                .ok()?;
            return None;
        }
        let performs_nothing = matches!(
            fault,
            Fault::Status(_) | Fault::ComeAgain(..) | Fault::Refuses(_)
        );
        if !performs_nothing {
            *counts.lock().unwrap().performed.entry(mark).or_default() += 1;
        }
        answer(&mut stream, fault).await?;
        answered += 1;
    }
}

/// The part of a request that is read before the fault happens.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Enough {
    FirstBytes,
    Head,
    Whole,
}

/// Reads this part of one request, and returns its mark and its user.
async fn request(stream: &mut TcpStream, enough: Enough) -> Option<(String, String)> {
    let mut seen = Vec::new();
    loop {
        let mut piece = [0; 16 * 1024];
        let bytes = if enough == Enough::Head {
            1
        } else {
            piece.len()
        };
        let read = stream.read(&mut piece[..bytes]).await.ok()?;
        if read == 0 {
            return None;
        }
        seen.extend_from_slice(&piece[..read]);
        if enough == Enough::Head {
            if seen.ends_with(b"\r\n\r\n") {
                return Some((FIRST_BYTES.to_owned(), String::new()));
            }
            continue;
        }
        let text = String::from_utf8_lossy(&seen);
        let whole = text.split_once("\r\n\r\n").filter(|(head, body)| {
            let length = head.lines().find_map(|line| {
                let line = line.to_ascii_lowercase();
                line.strip_prefix("content-length: ")?.parse::<usize>().ok()
            });
            body.len() >= length.unwrap_or(0)
        });
        if let Some((_, form)) = whole {
            let pairs: HashMap<_, _> = url::form_urlencoded::parse(form.as_bytes()).collect();
            let mark = pairs.get("message").or(pairs.get("method"));
            let word = mark?.split(' ').next().unwrap_or_default().to_owned();
            let user = pairs.get("user").map(|user| user.clone().into_owned());
            return Some((word, user.unwrap_or_default()));
        }
        if enough == Enough::FirstBytes {
            return Some((FIRST_BYTES.to_owned(), String::new()));
        }
    }
}

const BODY: &str = r#"{"status":"SUCCESS","result":{"list":[]}}"#;

impl Packing {
    fn bytes(self) -> Vec<u8> {
        let (first, second) = BODY.as_bytes().split_at(10);
        let mut members = [packed(first), packed(second)].concat();
        match self {
            Packing::Whole => packed(BODY.as_bytes()),
            Packing::TwoMembers => members,
            Packing::Twice => packed(&members),
            Packing::NotPacked => BODY.as_bytes().to_vec(),
            Packing::Truncated => {
                members.truncate(members.len() - 5);
                members
            }
        }
    }
}

fn packed(text: &[u8]) -> Vec<u8> {
    let level = flate2::Compression::default();
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), level);
    encoder.write_all(text).unwrap();
    encoder.finish().unwrap()
}

const REFUSAL: &str = r#"{"status":"ERROR","error":"INCORRECT_USER_PASSWORD"}"#;

fn head(status: &str, length: usize) -> String {
    format!("HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n")
}

/// Answers. Returns `Some` if the connection continues.
async fn answer(stream: &mut TcpStream, fault: Fault) -> Option<()> {
    match fault {
        // Until the client disconnects.
        Fault::NoAnswer => drop(stream.read(&mut [0]).await),
        // A quarter of the gateway's timeout, because the machine may be busy.
        Fault::SlowFirstByte => pass(Duration::from_millis(250)).await,
        Fault::LateAnswer => pass(LATE).await,
        Fault::SlowBody => {
            let head = format!("{}\r\n", head("200 OK", BODY.len()));
            stream.write_all(head.as_bytes()).await.ok()?;
            for byte in BODY.bytes() {
                stream.write_all(&[byte]).await.ok()?;
                pass(Duration::from_millis(100)).await;
            }
            return Some(());
        }
        Fault::Huge => {
            let size = 100 * 1024 * 1024;
            let head = format!("{}\r\n", head("200 OK", size));
            stream.write_all(head.as_bytes()).await.ok()?;
            let piece = vec![b' '; 64 * 1024];
            for _ in 0..size / piece.len() {
                stream.write_all(&piece).await.ok()?;
            }
        }
        _ => {}
    }
    stream.write_all(&text(fault)?).await.ok()?;
    let ends = matches!(
        fault,
        Fault::Truncated | Fault::LengthTooLong | Fault::Http10Close
    );
    (!ends).then_some(())
}

/// Returns the bytes of an answer, or `None` if the fault is not in the bytes.
fn text(fault: Fault) -> Option<Vec<u8>> {
    let length = BODY.len();
    let right = head("200 OK", length);
    let whole = format!("{right}\r\n{BODY}");
    Some(
        match fault {
            Fault::None | Fault::KeepAliveRace | Fault::SlowFirstByte | Fault::LateAnswer => whole,
            Fault::Truncated => format!("{right}\r\n{}", &BODY[..10]),
            Fault::LengthTooShort => format!("{}\r\n{BODY}", head("200 OK", length - 5)),
            Fault::LengthTooLong => format!("{}\r\n{BODY}", head("200 OK", length + 5)),
            Fault::Interim => {
                let early = "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n";
                format!("HTTP/1.1 102 Processing\r\n\r\n{early}{whole}")
            }
            Fault::Status(status) => {
                format!("{}\r\n<html></html>", head(&format!("{status} No"), 13))
            }
            Fault::Refuses(_) => format!("{}\r\n{REFUSAL}", head("200 OK", REFUSAL.len())),
            Fault::InvalidJson => format!("{}\r\n{{\"status\":", head("200 OK", 10)),
            Fault::Empty => format!("{}\r\n", head("200 OK", 0)),
            Fault::GzipBomb => {
                let bomb = sandbox::gzip_bomb(100 * 1024 * 1024);
                let head = head("200 OK", bomb.len());
                let head = format!("{head}Content-Encoding: gzip\r\n\r\n");
                return Some([head.into_bytes(), bomb].concat());
            }
            Fault::Packed(name, packing) => {
                let body = packing.bytes();
                let head = head("200 OK", body.len());
                let head = format!("{head}Content-Encoding: {name}\r\n\r\n");
                return Some([head.into_bytes(), body].concat());
            }
            Fault::ComeAgain(status, asked) => {
                let (again, body) = asked.header_and_body();
                let head = head(&format!("{status} No"), body.len());
                format!("{head}Retry-After: {again}\r\n\r\n{body}")
            }
            Fault::Headers => {
                let many: String = (0..10_000).map(|n| format!("X-{n}: {n}\r\n")).collect();
                format!("{right}{many}\r\n{BODY}")
            }
            Fault::DoubleLength => format!("{right}Content-Length: 7\r\n\r\n{BODY}"),
            // A second answer to no request, which the next caller must not get.
            Fault::ExtraBytes => format!("{whole}{}\r\n{REFUSAL}", head("200 OK", REFUSAL.len())),
            Fault::Http10Close => {
                format!("HTTP/1.0 200 OK\r\nContent-Type: application/json\r\n\r\n{BODY}")
            }
            Fault::EveryThird(_)
            | Fault::ResetBefore
            | Fault::ResetDuring
            | Fault::ResetAfter
            | Fault::ClosedBefore
            | Fault::ClosedAfterHead
            | Fault::ClosedAfter
            | Fault::NoAnswer
            | Fault::SlowBody
            | Fault::Huge => return None,
        }
        .into_bytes(),
    )
}
