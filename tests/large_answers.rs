//! Tests of large answers, of which only a few are read at the same time: a read that finds no room is told to retry, and the
//! answer of a call that consumes messages is waited for.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::harness::{Answer, Demo, Gateway, UPSTREAM_ENVIRONMENT, client, stays, upstream};

/// Size of the upstream's send buffer in the system, in bytes.
const SENT_AHEAD_BYTES: u32 = 64 * 1024;

/// The first part of an answer whose rest is held back, in bytes. When it is written, the gateway has read so much of it that the
/// answer counts as large.
const BEGINNING_BYTES: usize = 2 * 1024 * 1024;

/// A time longer than a read waits for room.
const WAITS: Duration = Duration::from_secs(7);

/// Number of large answers that are read at the same time.
const AT_ONCE: usize = 2;

/// The upstream's progress, and the switch that ends the holding back.
#[derive(Clone, Copy, Default)]
struct Progress {
    /// Number of answers whose first part is written.
    begun: usize,
    /// True if the held-back parts may be sent.
    goes_on: bool,
}

/// Starts an upstream of large answers. It holds back the rest of answers for channel `held`.
async fn large_answers() -> (SocketAddr, watch::Sender<Progress>, JoinSet<()>) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_send_buffer_size(SENT_AHEAD_BYTES).unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(16).unwrap();
    let address = listener.local_addr().unwrap();
    let progress = watch::Sender::new(Progress::default());
    let (item, noted) = (json!({"message": "x".repeat(400)}), progress.clone());
    let list = json!({"status": "SUCCESS", "result": {"list": vec![item; 7000]}});
    let body: Arc<str> = list.to_string().into();
    let mut accepting = JoinSet::new();
    accepting.spawn(async move {
        let mut connections = JoinSet::new();
        while let Ok((stream, _)) = listener.accept().await {
            connections.spawn(answer(stream, Arc::clone(&body), noted.clone()));
        }
    });
    (address, progress, accepting)
}

/// Answers one call and closes the connection.
async fn answer(
    mut stream: TcpStream,
    body: Arc<str>,
    progress: watch::Sender<Progress>,
) -> Option<()> {
    let mut seen = Vec::new();
    // The form ends with the channel, or with the destination of a consuming call.
    let ends = ["platformid=whole", "platformid=held", "destination=1"];
    while !ends.iter().any(|end| seen.ends_with(end.as_bytes())) {
        let read = stream.read_buf(&mut seen).await.ok()?;
        (read > 0).then_some(())?;
    }
    let length = body.len();
    let head = format!("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n");
    stream.write_all(head.as_bytes()).await.ok()?;
    let (beginning, rest) = body.as_bytes().split_at(BEGINNING_BYTES);
    stream.write_all(beginning).await.ok()?;
    progress.send_modify(|progress| progress.begun += 1);
    if seen.ends_with(b"held") {
        let mut heard = progress.subscribe();
        heard.wait_for(|progress| progress.goes_on).await.ok()?;
    }
    stream.write_all(rest).await.ok()
}

fn call(gateway: &Gateway, demo: &Demo, method: &str, channel: &str) -> reqwest::RequestBuilder {
    let mut form = vec![("class", "chat"), ("method", method)];
    form.push(("platform", "whatsapp"));
    if method == "getunreadmessages" {
        form.push(("destination", "1"));
    }
    form.push(("platformid", channel));
    let request = client().post(gateway.url("/api/basic/"));
    request
        .basic_auth(&demo.user, Some(&demo.password))
        .form(&form)
}

#[tokio::test]
async fn without_room_a_consuming_call_waits_and_a_read_is_asked_to_retry() {
    let (address, progress, _accepting) = large_answers().await;
    let toml = format!("{}[cache]\ngetchats = \"0s\"\n", upstream(address));
    let gateway = Gateway::configured(&toml, &[UPSTREAM_ENVIRONMENT]);
    let demo = gateway.demo();
    let mut heard = progress.subscribe();
    let mut has_begun = async |count| {
        let begun = heard.wait_for(|progress: &Progress| progress.begun == count);
        begun.await.unwrap();
    };
    let mut held = JoinSet::new();
    for begun in 1..=AT_ONCE {
        held.spawn(Answer::of(call(&gateway, &demo, "getchats", "held")));
        has_begun(begun).await;
    }
    let consuming = call(&gateway, &demo, "getunreadmessages", "whole");
    let consuming = tokio::spawn(Answer::of(consuming));
    let read = Answer::of(call(&gateway, &demo, "getchats", "whole"));
    let waits = stays(WAITS, "the consuming call waits", async || {
        !consuming.is_finished()
    });
    let (read, ()) = tokio::join!(read, waits);
    assert_eq!((read.status, read.header("retry-after")), (503, "2"));
    progress.send_modify(|progress| progress.goes_on = true);
    let consumed = consuming.await.unwrap();
    assert_eq!(consumed.status, 200, "{}", consumed.body);
    for answer in held.join_all().await {
        assert_eq!(answer.status, 200, "{}", answer.body);
    }
}
