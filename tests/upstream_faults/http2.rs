//! Tests of an upstream that speaks HTTP/2: whatever it does to a connection or a stream, the delivery word is exact.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use adapter::Way;
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio_rustls::TlsAcceptor;

use super::{Expected, Stage, chats, code_of, delivery, message_call};
use crate::harness::http2::{
    DATA, END_HEADERS, END_STREAM, GOAWAY, HEADERS, PING, PREFACE, RST_STREAM, SETTINGS, frame,
};
use crate::harness::until;

/// The upstream's reaction to a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Behaviour {
    Answers,
    /// Sends GOAWAY that names no stream after the request has arrived: the stream was not processed (RFC 9113, 6.8).
    GoAwayBefore,
    /// Sends GOAWAY that names the stream, and ends the connection.
    GoAwayAfter,
    /// Sends GOAWAY that names the stream, and then answers.
    GoAwayThenAnswers,
    /// Sends RST_STREAM with REFUSED_STREAM: not processed (RFC 9113, 8.7).
    RefusesStream,
    /// Sends RST_STREAM with INTERNAL_ERROR.
    ResetsStream,
    /// Sends a frame that violates the protocol. The gateway itself sends GOAWAY then, which does not reveal the outcome of the
    /// request.
    BreaksProtocol,
    /// Ends the connection in the middle.
    Closes,
    /// Ends the connection right after the handshake, before a byte of a request is read.
    ClosesAtOnce,
    /// Answers once, and then lets no stream be opened until it is told to.
    Pauses,
}

const REFUSED_STREAM: u32 = 7;
const INTERNAL_ERROR: u32 = 2;

const SENT: Expected = ("SUCCESS", "sent");
const NOT_SENT: Expected = ("UPSTREAM_UNAVAILABLE", "not_sent");
const UNKNOWN: Expected = ("UPSTREAM_ERROR", "unknown");

const CELLS: [(Behaviour, Expected); 8] = [
    (Behaviour::Answers, SENT),
    (Behaviour::GoAwayBefore, NOT_SENT),
    (Behaviour::GoAwayAfter, UNKNOWN),
    (Behaviour::GoAwayThenAnswers, SENT),
    (Behaviour::RefusesStream, NOT_SENT),
    (Behaviour::ResetsStream, UNKNOWN),
    (Behaviour::BreaksProtocol, UNKNOWN),
    (Behaviour::Closes, UNKNOWN),
];

/// SETTINGS_MAX_CONCURRENT_STREAMS (RFC 9113, 6.5.2).
const STREAMS_MAX: u16 = 3;

#[derive(Default)]
struct Counts {
    connections: usize,
    requests: usize,
    answered: usize,
    /// Number of settings that the gateway has acknowledged.
    acknowledged: usize,
    /// Notified when a pause is to end.
    goes_on: Arc<Notify>,
}

/// An upstream over TLS that negotiates HTTP/2.
struct Upstream {
    address: SocketAddr,
    counts: Arc<Mutex<Counts>>,
    /// The PEM file with the upstream's certificate.
    roots: tempfile::NamedTempFile,
    accepting: tokio::task::JoinHandle<()>,
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl Upstream {
    async fn start(behaviour: Behaviour) -> Upstream {
        let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
        let roots = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(roots.path(), made.cert.pem()).unwrap();
        let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
        let mut config = ServerConfig::builder()
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.der().clone()], key)
            .unwrap();
        config.alpn_protocols = vec![b"h2".to_vec()];
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let counts = Arc::<Mutex<Counts>>::default();
        let counting = Arc::clone(&counts);
        let accepting = tokio::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let (acceptor, counts) = (acceptor.clone(), Arc::clone(&counting));
                connections.spawn(async move {
                    // Some of the tests are about connections that end early.
                    if let Ok(stream) = acceptor.accept(stream).await {
                        counts.lock().unwrap().connections += 1;
                        let _ = serve(stream, behaviour, &counts).await;
                    }
                });
            }
        });
        Upstream {
            address,
            counts,
            roots,
            accepting,
        }
    }
}

/// Serves one connection until it ends.
async fn serve(
    mut stream: tokio_rustls::server::TlsStream<tokio::net::TcpStream>,
    behaviour: Behaviour,
    counts: &Mutex<Counts>,
) -> std::io::Result<()> {
    if behaviour == Behaviour::ClosesAtOnce {
        return stream.shutdown().await;
    }
    let mut preface = [0; PREFACE.len()];
    stream.read_exact(&mut preface).await?;
    assert_eq!(&preface, PREFACE);
    stream.write_all(&frame(SETTINGS, 0, 0, &[])).await?;
    let mut open = HashSet::new();
    let goes_on = Arc::clone(&counts.lock().unwrap().goes_on);
    loop {
        // The tests notify this while no frame is on its way, so that no part of a frame is lost.
        let (kind, flags, id, payload) = tokio::select! {
            next = next_frame(&mut stream) => next?,
            () = goes_on.notified() => {
                stream.write_all(&streams_max(1)).await?;
                continue;
            }
        };
        match kind {
            SETTINGS if flags & 1 == 0 => stream.write_all(&frame(SETTINGS, 1, 0, &[])).await?,
            SETTINGS => counts.lock().unwrap().acknowledged += 1,
            PING if flags & 1 == 0 => stream.write_all(&frame(PING, 1, 0, &payload)).await?,
            HEADERS => {
                counts.lock().unwrap().requests += 1;
                match behaviour {
                    Behaviour::RefusesStream => {
                        stream.write_all(&reset(id, REFUSED_STREAM)).await?;
                    }
                    Behaviour::ResetsStream => {
                        stream.write_all(&reset(id, INTERNAL_ERROR)).await?;
                    }
                    // Settings belong to the connection (RFC 9113, 6.5).
                    Behaviour::BreaksProtocol => {
                        stream.write_all(&frame(SETTINGS, 0, id, &[])).await?;
                    }
                    Behaviour::GoAwayBefore => {
                        stream.write_all(&go_away(0)).await?;
                        return leave(stream).await;
                    }
                    Behaviour::GoAwayAfter => {
                        stream.write_all(&go_away(id)).await?;
                        return leave(stream).await;
                    }
                    Behaviour::Closes => return stream.shutdown().await,
                    _ => {
                        open.insert(id);
                    }
                }
            }
            _ => {}
        }
        if matches!(kind, HEADERS | DATA) && flags & END_STREAM != 0 && open.remove(&id) {
            answer(&mut stream, behaviour, id).await?;
            counts.lock().unwrap().answered += 1;
        }
    }
}

/// Returns the next frame as kind, flags, stream and payload.
async fn next_frame(
    stream: &mut tokio_rustls::server::TlsStream<tokio::net::TcpStream>,
) -> std::io::Result<(u8, u8, u32, Vec<u8>)> {
    let mut head = [0; 9];
    stream.read_exact(&mut head).await?;
    let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
    let id = u32::from_be_bytes(head[5..].try_into().unwrap());
    let mut payload = vec![0; length];
    stream.read_exact(&mut payload).await?;
    Ok((head[3], head[4], id, payload))
}

/// Answers the request of a stream.
async fn answer(
    stream: &mut tokio_rustls::server::TlsStream<tokio::net::TcpStream>,
    behaviour: Behaviour,
    id: u32,
) -> std::io::Result<()> {
    if behaviour == Behaviour::GoAwayThenAnswers {
        stream.write_all(&go_away(id)).await?;
    }
    // `:status: 200` in HPACK's static table.
    let head = frame(HEADERS, END_HEADERS, id, &[0x88]);
    stream.write_all(&head).await?;
    let body = br#"{"status":"SUCCESS","result":{"list":[]}}"#;
    stream.write_all(&frame(DATA, END_STREAM, id, body)).await?;
    if behaviour == Behaviour::Pauses {
        stream.write_all(&streams_max(0)).await?;
    }
    Ok(())
}

/// Ends the connection, and reads what the peer still sends. With unread bytes the system would reset the connection on closing,
/// and the peer might lose the last frames.
async fn leave(
    mut stream: tokio_rustls::server::TlsStream<tokio::net::TcpStream>,
) -> std::io::Result<()> {
    stream.shutdown().await?;
    tokio::io::copy(&mut stream, &mut tokio::io::sink()).await?;
    Ok(())
}

fn reset(id: u32, code: u32) -> Vec<u8> {
    frame(RST_STREAM, 0, id, &code.to_be_bytes())
}

/// Returns the settings that let this many streams be open at the same time.
fn streams_max(most: u32) -> Vec<u8> {
    let setting = [&STREAMS_MAX.to_be_bytes()[..], &most.to_be_bytes()].concat();
    frame(SETTINGS, 0, 0, &setting)
}

fn go_away(last: u32) -> Vec<u8> {
    let no_error = 0_u32;
    frame(
        GOAWAY,
        0,
        0,
        &[last.to_be_bytes(), no_error.to_be_bytes()].concat(),
    )
}

async fn stage(upstream: &Upstream) -> Stage {
    let url = format!("https://{}/", upstream.address);
    let roots = format!(
        "attempts = 1\nroots = \"file:{}\"",
        upstream.roots.path().display()
    );
    Stage::before(&url, &roots).await
}

#[tokio::test(flavor = "multi_thread")]
async fn each_http_2_stream_end_gets_its_exact_delivery_word() {
    let mut wrong = Vec::new();
    for (behaviour, expected) in CELLS {
        for is_send in [false, true] {
            let upstream = Upstream::start(behaviour).await;
            let stage = stage(&upstream).await;
            for way in Way::ALL {
                let before = upstream.counts.lock().unwrap().answered;
                let answer = if is_send {
                    stage.call(way, &message_call("hello")).await
                } else {
                    stage.call(way, &chats(way.name())).await
                };
                let answered = upstream.counts.lock().unwrap().answered - before;
                let word = if is_send {
                    delivery(&answer)
                } else {
                    expected.1
                };
                let is_right = (code_of(&answer), word) == expected
                    && answered == usize::from(expected == SENT);
                if !is_right {
                    wrong.push(format!(
                        "{behaviour:?} by {} (send: {is_send}): answered {answered} times: {}",
                        way.name(),
                        answer.body
                    ));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    println!(
        "{} cells of HTTP/2: all right",
        CELLS.len() * Way::ALL.len() * 2
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_send_waiting_for_a_free_stream_is_reported_as_unknown() {
    let upstream = Upstream::start(Behaviour::Pauses).await;
    let stage = stage(&upstream).await;
    let answer = stage.call(Way::Http, &message_call("first")).await;
    assert_eq!(delivery(&answer), "sent", "{}", answer.body);
    until("the gateway knows that it may open no stream", async || {
        upstream.counts.lock().unwrap().acknowledged == 2
    })
    .await;
    let answer = stage.call(Way::Http, &message_call("second")).await;
    assert_eq!(delivery(&answer), "unknown", "{}", answer.body);
    assert_eq!(upstream.counts.lock().unwrap().requests, 1);
    upstream.counts.lock().unwrap().goes_on.notify_one();
    until(
        "it leaves, although its caller has been answered",
        async || upstream.counts.lock().unwrap().requests == 2,
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn upstream_calls_share_one_http_2_connection() {
    let upstream = Upstream::start(Behaviour::Answers).await;
    let stage = stage(&upstream).await;
    for _ in 0..8 {
        let answer = stage.call(Way::Http, &message_call("hello")).await;
        assert_eq!(delivery(&answer), "sent", "{}", answer.body);
    }
    let counts = upstream.counts.lock().unwrap();
    assert_eq!(
        (counts.connections, counts.requests, counts.answered),
        (1, 8, 8)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_http_2_connection_closed_before_a_request_delivers_nothing() {
    let upstream = Upstream::start(Behaviour::ClosesAtOnce).await;
    let stage = stage(&upstream).await;
    for way in Way::ALL {
        let answer = stage.call(way, &message_call("hello")).await;
        assert_ne!(delivery(&answer), "sent", "{}", answer.body);
    }
    assert_eq!(upstream.counts.lock().unwrap().requests, 0);
}
