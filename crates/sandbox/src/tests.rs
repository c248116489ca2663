//! Tests of the sandbox from a client's view: raw bytes over real sockets.

mod api;
mod control;
mod faulty;
mod web;

use std::io;
use std::path::Path;

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::{Sandbox, SandboxConfig};

const ACCOUNT: &str = "user=demo&password=p%C3%A4ss";

/// An answer: its parts, and how the connection ended.
struct Heard {
    status: u16,
    head: String,
    body: Vec<u8>,
    ended: Result<(), io::ErrorKind>,
}

impl Heard {
    fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

async fn start() -> Sandbox {
    start_on(None).await
}

async fn start_on(data: Option<&Path>) -> Sandbox {
    Sandbox::start(SandboxConfig {
        listen: "127.0.0.1:0".parse().unwrap(),
        data: data.map(Path::to_owned),
        user: "demo".to_owned(),
        password: "päss".into(),
        faults: Vec::new(),
        pages: true,
        control: true,
    })
    .await
    .unwrap()
}

/// Writes these bytes on a new connection and reads until the connection ends.
async fn exchange(sandbox: &Sandbox, request: &[u8]) -> Heard {
    let mut stream = TcpStream::connect(sandbox.address()).await.unwrap();
    let written = stream.write_all(request).await;
    let mut answer = Vec::new();
    let read = stream.read_to_end(&mut answer).await;
    let ended = written.and(read.map(drop)).map_err(|error| error.kind());
    let split = answer
        .windows(4)
        .position(|window| window == b"\r\n\r\n")
        .map_or(answer.len(), |at| at + 4);
    let body = answer.split_off(split);
    let head = String::from_utf8(answer).unwrap();
    let status = head.get(9..12).map_or(0, |digits| digits.parse().unwrap());
    Heard {
        status,
        head,
        body,
        ended,
    }
}

async fn request(sandbox: &Sandbox, line: &str, headers: &str, body: &str) -> Heard {
    let length = body.len();
    let text = format!(
        "{line} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {length}\r\n{headers}\r\n{body}"
    );
    exchange(sandbox, text.as_bytes()).await
}

/// Makes a call by GET with the right credentials.
async fn call(sandbox: &Sandbox, method: &str, rest: &str) -> Heard {
    let line = format!("GET /api/http/?{ACCOUNT}&class=chat&method={method}&{rest}");
    request(sandbox, &line, "", "").await
}

async fn list(sandbox: &Sandbox, method: &str, rest: &str) -> Vec<Value> {
    let answer = call(sandbox, method, rest).await.json();
    answer["result"]["list"].as_array().unwrap().clone()
}

async fn put_faults(sandbox: &Sandbox, rules: &str) {
    let heard = request(sandbox, "PUT /sandbox/faults", "", rules).await;
    assert_eq!(heard.status, 200, "{}", heard.text());
}

async fn arrivals(sandbox: &Sandbox) -> Value {
    request(sandbox, "GET /sandbox/sent", "", "").await.json()
}
