//! Tests of answers that nobody takes: many connections that request megabytes and read nothing cost little memory, by every way
//! in, cached or not, while other callers are served.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use adapter::Way;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::task::JoinSet;

use crate::harness::{
    Answer, Demo, Gateway, UPSTREAM_ENVIRONMENT, admin, client, envelope, load, upstream,
};

/// Maximum growth of the process, in bytes.
const RISE_MAX: usize = 64 * 1024 * 1024;

/// Size of the system's receive buffer for a peer that reads nothing, in bytes.
const RECEIVED_BYTES: u32 = 4096;

/// Longest wait for an expected event. It allows for a busy machine and is not a measured figure.
const PATIENCE: Duration = Duration::from_secs(120);

/// Returns a list of messages that XML has to escape, slightly less than four megabytes.
fn list() -> String {
    let message = "<&> \u{fc}".repeat(5800);
    let item = json!({"platformid": "100", "message": message, "sent": "1"});
    let items = vec![item; 98];
    json!({"status": "SUCCESS", "result": {"list": items}}).to_string()
}

/// An upstream whose lists are long unless the channel is `small`. It ends when it is dropped.
struct Lists {
    address: SocketAddr,
    accepting: tokio::task::JoinHandle<()>,
}

impl Lists {
    async fn start() -> Lists {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let long: Arc<str> = list().into();
        let accepting = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                connections.spawn(answer_all(stream, Arc::clone(&long)));
            }
        });
        Lists { address, accepting }
    }
}

impl Drop for Lists {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn answer_all(mut stream: TcpStream, long: Arc<str>) -> Option<()> {
    loop {
        let mut seen = Vec::new();
        let is_small = loop {
            let mut piece = [0; 4096];
            let read = stream
                .read(&mut piece)
                .await
                .ok()
                .filter(|read| *read > 0)?;
            seen.extend_from_slice(&piece[..read]);
            let text = String::from_utf8_lossy(&seen);
            let length = |head: &str| {
                let head = head.to_ascii_lowercase();
                let (_, length) = head.split_once("content-length: ")?;
                length.lines().next()?.parse::<usize>().ok()
            };
            if let Some((head, form)) = text.split_once("\r\n\r\n")
                && length(head).is_some_and(|length| form.len() >= length)
            {
                break form.contains("platformid=small");
            }
        };
        let body = if is_small {
            r#"{"status":"SUCCESS","result":{"list":[]}}"#
        } else {
            &long
        };
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
        stream.write_all(head.as_bytes()).await.ok()?;
        stream.write_all(body.as_bytes()).await.ok()?;
    }
}

/// Returns the bytes of a request for the chats of a channel.
fn request(way: Way, (demo, token): (&Demo, &str), version: &str) -> String {
    let call = "class=chat&method=getchats&platform=whatsapp&platformid=100";
    let pair = BASE64_STANDARD.encode(format!("{}:{}", demo.user, demo.password));
    let (query, header, body) = match way {
        Way::Http => {
            let mut account = url::form_urlencoded::Serializer::new(String::new());
            account.append_pair("user", &demo.user);
            account.append_pair("password", &demo.password);
            (
                format!("?{call}&{}", account.finish()),
                String::new(),
                String::new(),
            )
        }
        Way::Basic => (
            format!("?{call}"),
            format!("Authorization: Basic {pair}\r\n"),
            String::new(),
        ),
        Way::Jwt => (
            format!("?{call}"),
            format!("Authorization: Bearer {token}\r\n"),
            String::new(),
        ),
        Way::Soap => {
            let channel = [("platform", "whatsapp"), ("platformid", "100")];
            let account = [("user", &*demo.user), ("password", &*demo.password)];
            let header = "Content-Type: text/xml\r\n".to_owned();
            (
                String::new(),
                header,
                envelope("getchats", &[channel, account].concat()),
            )
        }
    };
    let method = if way == Way::Soap { "POST" } else { "GET" };
    let (path, length) = (way.path(), body.len());
    format!(
        "{method} {path}{query} {version}\r\nHost: x\r\n{header}Content-Length: {length}\r\n\r\n{body}"
    )
}

/// Sends a request, reads only the status, and keeps the connection.
async fn request_and_read_only_the_status(
    gateway: SocketAddr,
    request: Arc<str>,
) -> (String, TcpStream) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(RECEIVED_BYTES).unwrap();
    let mut stream = socket.connect(gateway).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut status = [0; 12];
    let read = tokio::time::timeout(PATIENCE, stream.read_exact(&mut status)).await;
    read.expect("no answer begins").unwrap();
    (String::from_utf8_lossy(&status[9..]).into_owned(), stream)
}

/// Reads the whole answer over a connection that ends after it, as old clients do. Checks the announced length and returns it.
async fn whole(gateway: SocketAddr, request: &str) -> usize {
    let mut stream = TcpStream::connect(gateway).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    let read = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut answer)).await;
    read.expect("the answer does not end").unwrap();
    let text = String::from_utf8(answer).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    assert!(
        head.starts_with("HTTP/1.0 200") || head.starts_with("HTTP/1.1 200"),
        "{head}"
    );
    let head = head.to_ascii_lowercase();
    assert!(
        head.contains(&format!("content-length: {}", body.len())),
        "{head}"
    );
    assert!(!head.contains("chunked"), "{head}");
    assert_eq!(body.matches("100").count(), 98);
    body.len()
}

struct Stage {
    gateway: Gateway,
    demo: Demo,
    token: String,
    modest: String,
    _lists: Lists,
}

impl Stage {
    async fn set(kept_s: u32, limits: &str) -> Stage {
        let lists = Lists::start().await;
        let toml = format!(
            "{}timeout = \"60s\"\n[limits]\nrequest_timeout = \"90s\"\nper_address_per_minute = 1000000\n\
             connections_per_address = 5000\n{limits}[cache]\ngetchats = \"{kept_s}s\"\n",
            upstream(lists.address)
        );
        let gateway = Gateway::configured(&toml, &[UPSTREAM_ENVIRONMENT]);
        let demo = gateway.demo();
        let ask = client().post(gateway.url("/oauth/token"));
        let ask = ask.basic_auth(&demo.client_id, Some(&demo.client_secret));
        let answer = Answer::of(ask.form(&[("grant_type", "client_credentials")])).await;
        let token = answer.json()["access_token"].as_str().unwrap().to_owned();
        let draft = json!({"name": "modest", "allow": ["127.0.0.1"]});
        let made = admin(&gateway, reqwest::Method::POST, "accesses", &draft).await;
        let modest = made.json()["password"].as_str().unwrap().to_owned();
        Stage {
            gateway,
            demo,
            token,
            modest,
            _lists: lists,
        }
    }

    /// Makes a small read of another access.
    async fn small(&self) -> Answer {
        let call = [
            ("class", "chat"),
            ("method", "getchats"),
            ("platform", "whatsapp"),
            ("platformid", "small"),
        ];
        let request = client().post(self.gateway.url("/api/basic/"));
        Answer::of(request.basic_auth("modest", Some(&self.modest)).form(&call)).await
    }

    /// Makes many requests by one way whose answers nobody takes. Returns the growth of the process, the number of answers, and the
    /// number of requests that were told to retry.
    async fn make_unread_requests(&self, way: Way, connections: usize) -> (usize, usize, usize) {
        let process = &self.gateway.process;
        let request: Arc<str> = request(way, (&self.demo, &self.token), "HTTP/1.1").into();
        let before = process.rss();
        let mut asking = JoinSet::new();
        for _ in 0..connections {
            asking.spawn(request_and_read_only_the_status(
                self.gateway.public,
                Arc::clone(&request),
            ));
        }
        let resting = asking.join_all().await;
        let small = self.small().await;
        assert_eq!(small.status, 200, "{}", small.body);
        let rise = process.rss().saturating_sub(before);
        let answered = resting.iter().filter(|(status, _)| status == "200").count();
        // In SOAP 1.1 every fault is a 500.
        let again = if way == Way::Soap { "500" } else { "503" };
        let refused = resting.iter().filter(|(status, _)| status == again).count();
        assert!(
            answered > 0 && answered + refused == connections,
            "{answered}, {refused}"
        );
        drop(resting);
        (rise, answered, refused)
    }
}

async fn check_unread_answers_by_every_way(kept_s: u32) {
    let connections = load(60, 200);
    let stage = Stage::set(kept_s, "").await;
    for way in Way::ALL {
        let old = request(way, (&stage.demo, &stage.token), "HTTP/1.0");
        let began = Instant::now();
        let bytes = whole(stage.gateway.public, &old).await;
        let (rise, answered, refused) = stage.make_unread_requests(way, connections).await;
        println!(
            "{} ({kept_s} s kept), {bytes} bytes: {connections} connections, {answered} answered, {refused} to come again, \
             {} KiB more, {:.1} s",
            way.name(),
            rise / 1024,
            began.elapsed().as_secs_f64()
        );
        assert!(rise <= RISE_MAX, "{rise}");
        // Closed connections make room.
        let again = request(way, (&stage.demo, &stage.token), "HTTP/1.1");
        let began = Instant::now();
        while request_and_read_only_the_status(stage.gateway.public, again.as_str().into())
            .await
            .0
            != "200"
        {
            assert!(began.elapsed() < PATIENCE, "no room comes back");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn unread_cached_answers_use_little_memory() {
    check_unread_answers_by_every_way(600).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn unread_fresh_answers_use_little_memory() {
    check_unread_answers_by_every_way(0).await;
}

#[tokio::test]
async fn a_consuming_call_is_answered_even_if_the_answer_budget_is_full() {
    // One list fits, and two do not.
    let stage = Stage::set(0, "answers_bytes_per_access = \"6MiB\"\n").await;
    let gateway = stage.gateway.public;
    let read = request(Way::Basic, (&stage.demo, &stage.token), "HTTP/1.1");
    let consume = read.replace("method=getchats", "method=getunreadmessages&destination=1");
    let (held, _untaken) = request_and_read_only_the_status(gateway, read.as_str().into()).await;
    let (refused, _connection) = request_and_read_only_the_status(gateway, read.into()).await;
    let (answered, _untaken_too) = request_and_read_only_the_status(gateway, consume.into()).await;
    assert_eq!([&*held, &*refused, &*answered], ["200", "503", "200"]);
}
