//! Measures the cost of streams: memory per stream, time from the log to the socket, and the effect of readers that read nothing on
//! others.

use std::time::{Duration, SystemTime};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinSet;

use super::reading::{SALES, Stream, warm, write};
use crate::harness::{Gateway, load, until};

/// Number of open streams without events, every day and for a release.
const IDLE: (usize, usize) = (400, 10_000);

/// The number of streams that get every event, and the number of messages that are written for them.
const READERS: usize = 100;
const MESSAGES: (usize, usize) = (12, 200);

/// The number of streams that nobody reads, and the size of each message in bytes.
const SLOW: (usize, usize) = (10, 100);
const LONG: usize = 8 * 1024;

/// Maximum memory of one stream, in bytes.
const STREAM_BYTES_MAX: usize = 24 * 1024;

/// Maximum time from the log to the socket.
const WRITTEN_WITHIN: Duration = Duration::from_millis(20);

/// Limits that only the machine can reach.
const MANY: &str = "[limits]\nper_address_per_minute = 100000000\nconnections = 24000\nconnections_per_address = 20000\n\
    [events]\nstreams = 12000\nstreams_per_access = 12000\n";

async fn connected(gateway: &Gateway, number: usize, query: &str, room: Option<u32>) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    if let Some(room) = room {
        socket.set_recv_buffer_size(room).unwrap();
    }
    let from = [127, 0, 2, u8::try_from(number % 200 + 1).unwrap()];
    socket.bind((from, 0).into()).unwrap();
    let mut stream = socket.connect(gateway.public).await.unwrap();
    let demo = gateway.demo();
    let pair = BASE64_STANDARD.encode(format!("{}:{}", demo.user, demo.password));
    let head = format!(
        "GET /api/events{query} HTTP/1.1\r\nHost: a\r\nAccept: text/event-stream\r\nAuthorization: Basic {pair}\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    stream
}

/// Reads until the stream has begun.
async fn begun(stream: &mut TcpStream) {
    let mut text = Vec::new();
    while !text.windows(6).any(|part| part == b"retry:") {
        let read = stream.read_buf(&mut text).await.unwrap();
        assert!(read > 0, "{}", String::from_utf8_lossy(&text));
    }
    assert!(
        text.starts_with(b"HTTP/1.1 200"),
        "{}",
        String::from_utf8_lossy(&text)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_stream_uses_little_memory() {
    let gateway = Gateway::configured(MANY, &[]);
    let mut first = Vec::new();
    // The first streams also cause the allocations that happen only once.
    for number in 0..50 {
        let mut stream = connected(&gateway, number, "?types=channel.resumed", None).await;
        begun(&mut stream).await;
        first.push(stream);
    }
    let before = gateway.process.rss();
    let count = load(IDLE.0, IDLE.1);
    let mut streams = Vec::new();
    for number in 0..count {
        let mut stream = connected(&gateway, number, "?types=channel.resumed", None).await;
        begun(&mut stream).await;
        streams.push(stream);
    }
    let each = gateway.process.rss().saturating_sub(before) / count;
    println!("{count} streams at {each} bytes each");
    assert!(each <= STREAM_BYTES_MAX, "{each} bytes each");
    drop(streams);
}

/// Returns milliseconds since 1970.
fn now_ms() -> i64 {
    let since = SystemTime::UNIX_EPOCH.elapsed().unwrap();
    i64::try_from(since.as_millis()).unwrap()
}

/// Returns the time in an event's cursor, in milliseconds since 1970. The last part of the cursor is not a time.
fn logged_ms(line: &str) -> i64 {
    const DIGITS: &str = "0123456789abcdefghjkmnpqrstvwxyz";
    let cursor = line.trim_start_matches("id: ");
    let digit = |c| i64::try_from(DIGITS.find(c).unwrap()).unwrap();
    cursor.chars().fold(0, |number, c| number << 5 | digit(c)) >> 20
}

/// Reads the events of this many messages and returns the age of each, in milliseconds.
async fn ages(mut stream: TcpStream, mark: &'static str, messages: usize) -> Vec<i64> {
    let (mut ages, mut text) = (Vec::new(), String::new());
    let mut cursor = 0;
    while ages.len() < messages {
        let mut piece = vec![0; 64 * 1024];
        let read = stream.read(&mut piece).await.unwrap();
        assert!(read > 0, "a reader was cut off");
        let at = now_ms();
        text.push_str(&String::from_utf8_lossy(&piece[..read]));
        while let Some((line, rest)) = text.split_once('\n') {
            if line.starts_with("id: ") {
                cursor = logged_ms(line.trim_end());
            } else if line.starts_with("data: ") && line.contains(mark) {
                ages.push(at - cursor);
            }
            text = rest.to_owned();
        }
    }
    ages
}

/// Writes messages for readers and returns the age of each frame when it was read, in milliseconds and sorted.
async fn written_to(gateway: &Gateway, mark: &'static str, bytes: usize) -> Vec<i64> {
    let messages = load(MESSAGES.0, MESSAGES.1);
    let mut readers = JoinSet::new();
    for number in 0..READERS {
        let mut stream = connected(gateway, number, "?cursor=now", None).await;
        begun(&mut stream).await;
        readers.spawn(ages(stream, mark, messages));
    }
    let text = format!("{mark}{}", "x".repeat(bytes));
    for number in 0..messages {
        write(gateway, SALES, &format!("34{mark}{number:05}"), &text).await;
    }
    let mut all = Vec::new();
    while let Some(read) = readers.join_next().await {
        all.extend(read.unwrap());
    }
    all.sort_unstable();
    all
}

fn p99(sorted: &[i64]) -> i64 {
    sorted[(sorted.len() * 99).div_ceil(100) - 1]
}

#[tokio::test(flavor = "multi_thread")]
async fn stalled_readers_do_not_delay_the_events_of_other_readers() {
    let gateway = Gateway::configured(MANY, &[]);
    let mut stream = Stream::of(&gateway, "").await;
    warm(&gateway, &mut stream).await;
    let alone = written_to(&gateway, "4411", 0).await;
    let long = written_to(&gateway, "4422", LONG).await;
    // Their streams take only what the system buffers for them.
    let mut slow = Vec::new();
    for number in 0..load(SLOW.0, SLOW.1) {
        slow.push(connected(&gateway, number, "?cursor=now", Some(4096)).await);
    }
    let open = READERS / 2;
    until("they are there", async || {
        let metrics = gateway.metrics().await;
        let line = metrics
            .lines()
            .find(|line| line.starts_with("chatgate_event_streams "))
            .unwrap();
        line.rsplit(' ').next().unwrap().parse::<usize>().unwrap() > slow.len().min(open)
    })
    .await;
    let before = gateway.process.rss();
    let beside = written_to(&gateway, "4433", LONG).await;
    let rise = gateway.process.rss().saturating_sub(before);
    let (alone, long, beside) = (p99(&alone), p99(&long), p99(&beside));
    println!(
        "from the log to {READERS} readers: p99 {alone} ms; of long ones {long} ms, beside {} who read nothing {beside} ms; {rise} bytes more",
        slow.len()
    );
    let is_measured = load(0, 1) == 1;
    let within = if is_measured {
        WRITTEN_WITHIN
    } else {
        Duration::from_secs(2)
    };
    assert!(
        u128::try_from(alone).unwrap() <= within.as_millis(),
        "{alone} ms"
    );
    let most = if is_measured {
        (long * 6 / 5).max(long + 2)
    } else {
        long + 2_000
    };
    assert!(beside <= most, "{beside} ms and not {long} ms");
    assert!(rise <= 16 * 1024 * 1024, "{rise} bytes");
}
