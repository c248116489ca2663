//! Tests of every fault between the gateway and the upstream, by every way in, for reads and for sends: the right code, in time,
//! and a delivery word that the upstream's own count confirms.

mod http2;
mod moved;
mod pool;
mod raw;
mod standing;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use adapter::Way;

use crate::harness::{
    Answer, ClosedPort, Demo, Gateway, UPSTREAM_ENVIRONMENT, UPSTREAM_USER, bound, client, envelope,
};
use raw::{Asked, FIRST_BYTES, Fault, Packing, Raw};

/// The gateway's timeouts for an answer, and for a whole call.
const TIMEOUT: Duration = Duration::from_secs(1);
const DEADLINE: Duration = Duration::from_secs(4);

/// Extra time that an answer may take beyond the deadline.
const GRACE: Duration = Duration::from_millis(250);

/// The kind of upstream.
#[derive(Clone, Copy, Debug)]
enum Place {
    /// An upstream that answers with this fault.
    Raw(Fault),
    /// A port on which nothing listens.
    Refused,
    /// A name that does not resolve.
    NoName,
    /// A server that does not speak TLS.
    NoTls,
    /// A server that does not accept the connection.
    NotAccepting,
}

/// A code of the contract (`SUCCESS` for none), and the delivery word of a send.
type Expected = (&'static str, &'static str);

const SENT: Expected = ("SUCCESS", "sent");
const NOT_SENT: Expected = ("UPSTREAM_UNAVAILABLE", "not_sent");
const ERROR: Expected = ("UPSTREAM_ERROR", "unknown");
const TIMED_OUT: Expected = ("UPSTREAM_TIMEOUT", "unknown");

/// Each fault with the expected result of a read and of a send.
const FAULTS: [(Place, Expected, Expected); 39] = [
    both(Place::Refused, NOT_SENT),
    both(Place::NoName, NOT_SENT),
    both(Place::NoTls, NOT_SENT),
    both(Place::NotAccepting, NOT_SENT),
    raw(Fault::ResetBefore, ERROR),
    raw(Fault::ResetDuring, ERROR),
    raw(Fault::ResetAfter, ERROR),
    raw(Fault::ClosedAfterHead, ERROR),
    raw(Fault::ClosedAfter, ERROR),
    raw(Fault::NoAnswer, TIMED_OUT),
    raw(Fault::SlowFirstByte, SENT),
    raw(Fault::LateAnswer, TIMED_OUT),
    raw(Fault::SlowBody, TIMED_OUT),
    raw(Fault::Truncated, ERROR),
    raw(Fault::LengthTooShort, ERROR),
    raw(Fault::LengthTooLong, ERROR),
    raw(Fault::Interim, SENT),
    raw(Fault::Status(500), ERROR),
    raw(Fault::Status(503), ERROR),
    raw(Fault::Status(429), ERROR),
    raw(Fault::InvalidJson, ERROR),
    raw(Fault::Empty, ERROR),
    raw(Fault::Huge, ERROR),
    raw(Fault::GzipBomb, ERROR),
    raw(Fault::Packed("gzip", Packing::Whole), SENT),
    raw(Fault::Packed("GZIP", Packing::Whole), SENT),
    raw(Fault::Packed("x-gzip", Packing::Whole), SENT),
    raw(Fault::Packed("X-GZip", Packing::TwoMembers), SENT),
    raw(Fault::Packed("gzip", Packing::TwoMembers), SENT),
    raw(Fault::Packed("gzip, gzip", Packing::Twice), SENT),
    raw(Fault::Packed("identity", Packing::NotPacked), SENT),
    raw(Fault::Packed("gzip", Packing::Truncated), ERROR),
    raw(Fault::Packed("gzip", Packing::NotPacked), ERROR),
    // An encoding that was not requested.
    raw(Fault::Packed("br", Packing::Whole), ERROR),
    raw(Fault::Headers, ERROR),
    raw(Fault::DoubleLength, ERROR),
    raw(Fault::ExtraBytes, SENT),
    raw(Fault::Http10Close, SENT),
    // A read is retried on another connection; the outcome of a send is unknown.
    (Place::Raw(Fault::KeepAliveRace), SENT, ERROR),
];

const fn both(place: Place, expected: Expected) -> (Place, Expected, Expected) {
    (place, expected, expected)
}

const fn raw(fault: Fault, expected: Expected) -> (Place, Expected, Expected) {
    both(Place::Raw(fault), expected)
}

/// A gateway in front of one broken upstream.
struct Stage {
    gateway: Gateway,
    demo: Demo,
    token: String,
    /// One client for all calls that keeps its connections, because a client for each call would use up the machine's ports.
    client: reqwest::Client,
    upstream: Option<Raw>,
    /// A value that keeps the peer in its state.
    _held: Option<Held>,
}

type Held = Box<dyn Send + Sync>;

impl Stage {
    async fn set(place: Place) -> Stage {
        Stage::configured(place, "attempts = 2").await
    }

    async fn configured(place: Place, rest: &str) -> Stage {
        let (mut upstream, mut held) = (None, None);
        let url = match place {
            Place::Raw(fault) => {
                let started = Raw::start(fault).await;
                let url = format!("http://{}/", started.address);
                upstream = Some(started);
                url
            }
            Place::Refused => {
                let closed = ClosedPort::new();
                let url = format!("http://{}/", closed.address);
                held = Some(Box::new(closed) as Held);
                url
            }
            // RFC 6761 reserves this name, so that it never resolves.
            Place::NoName => "http://upstream.invalid/".to_owned(),
            Place::NoTls => {
                let started = Raw::start(Fault::Status(400)).await;
                let url = format!("https://{}/", started.address);
                upstream = Some(started);
                url
            }
            Place::NotAccepting => {
                let (address, full) = full_backlog();
                held = Some(full);
                format!("http://{address}/")
            }
        };
        Stage {
            upstream,
            _held: held,
            ..Stage::before(&url, rest).await
        }
    }

    /// Starts a gateway in front of this upstream, which the test itself runs.
    async fn before(url: &str, rest: &str) -> Stage {
        Stage::within(url, rest, &[]).await
    }

    /// Does the same in an environment.
    async fn within(url: &str, rest: &str, environment: &[(&str, &str)]) -> Stage {
        let (timeout, deadline) = (TIMEOUT.as_secs(), DEADLINE.as_secs());
        let toml = format!(
            "[upstream]\nurl = \"{url}\"\nuser = \"{UPSTREAM_USER}\"\npassword = \"env:UPSTREAM_PASSWORD\"\n\
             timeout = \"{timeout}s\"\nconnect_timeout = \"{timeout}s\"\n{rest}\n\
             [limits]\nrequest_timeout = \"{deadline}s\"\nper_address_per_minute = 1000000\n\
             [cache]\ngetchats = \"0s\"\n"
        );
        // With more than one thread, the connection of a call would be unpredictable.
        let environment = [&[UPSTREAM_ENVIRONMENT], environment].concat();
        let gateway = Gateway::on_one_core(&toml, &environment);
        let demo = gateway.demo();
        let client = client();
        let ask = client.post(gateway.url("/oauth/token"));
        let ask = ask.basic_auth(&demo.client_id, Some(&demo.client_secret));
        let answer = Answer::of(ask.form(&[("grant_type", "client_credentials")])).await;
        let token = answer.json()["access_token"].as_str().unwrap().to_owned();
        Stage {
            gateway,
            demo,
            token,
            client,
            upstream: None,
            _held: None,
        }
    }

    async fn call(&self, way: Way, call: &[(&str, &str)]) -> Answer {
        let (demo, request) = (&self.demo, self.client.post(self.gateway.url(way.path())));
        let credentials = [("user", &*demo.user), ("password", &*demo.password)];
        let named = [&[("class", "chat")], call].concat();
        Answer::of(match way {
            Way::Http => request.form(&[&named, &credentials[..]].concat()),
            Way::Basic => request
                .basic_auth(&demo.user, Some(&demo.password))
                .form(&named),
            Way::Jwt => request.bearer_auth(&self.token).form(&named),
            Way::Soap => {
                let (_, method) = call[0];
                request
                    .header("Content-Type", "text/xml")
                    .body(envelope(method, &[&call[1..], &credentials].concat()))
            }
        })
        .await
    }
}

/// Returns a listener whose queue is full, so that the system drops every further attempt to connect.
fn full_backlog() -> (SocketAddr, Held) {
    let socket = bound();
    socket.listen(0).unwrap();
    let listener: std::net::TcpListener = socket.into();
    let address = listener.local_addr().unwrap();
    let mut waiting = Vec::new();
    while let Ok(stream) =
        std::net::TcpStream::connect_timeout(&address, Duration::from_millis(200))
    {
        waiting.push(stream);
    }
    (address, Box::new((listener, waiting)))
}

/// Plays one fault by each way in, for reads or for sends. Returns the wrong cells.
async fn play(place: Place, expected: Expected, is_send: bool) -> Vec<String> {
    let stage = Stage::set(place).await;
    let mut wrong = Vec::new();
    for way in Way::ALL {
        if matches!(place, Place::Raw(Fault::KeepAliveRace)) {
            // Leaves a connection that has answered once.
            let warm_up = format!("warm-up-{}", way.name());
            stage.call(way, &chats(&warm_up)).await;
        }
        // Long enough for several segments.
        let message = format!("{} {}", way.name(), "x".repeat(10_000));
        let call = if is_send {
            message_call(&message).to_vec()
        } else {
            chats(way.name()).to_vec()
        };
        let first_bytes = |upstream: &Raw| upstream.arrived(FIRST_BYTES);
        let before = stage.upstream.as_ref().map_or(0, first_bytes);
        let began = Instant::now();
        let answer = stage.call(way, &call).await;
        let mut mistakes = judge(way, place, expected, (&answer, began.elapsed()), is_send);
        if let Some(upstream) = stage.upstream.as_ref().filter(|_| is_send) {
            let arrived = upstream.arrived(way.name()) + first_bytes(upstream) - before;
            let performed = upstream.performed(way.name());
            let agrees = match delivery(&answer) {
                "sent" => performed == 1,
                "not_sent" => arrived == 0,
                _ => performed <= 1,
            };
            if !agrees || arrived > 1 {
                mistakes.push(format!(
                    "arrived {arrived} times, performed {performed} times"
                ));
            }
        }
        wrong.extend(mistakes.into_iter().map(|mistake| {
            let (way, answer) = (way.name(), &answer.body);
            format!("{place:?} by {way} (send: {is_send}): {mistake}: {answer}")
        }));
    }
    wrong
}

fn chats(platformid: &str) -> [(&str, &str); 3] {
    [
        ("method", "getchats"),
        ("platform", "whatsapp"),
        ("platformid", platformid),
    ]
}

fn message_call(message: &str) -> [(&str, &str); 5] {
    [
        ("method", "sendmessage"),
        ("platform", "whatsapp"),
        ("platformid", "100"),
        ("destination", "34600000000"),
        ("message", message),
    ]
}

/// Returns the faults of one answer.
fn judge(
    way: Way,
    place: Place,
    expected: Expected,
    (answer, took): (&Answer, Duration),
    is_send: bool,
) -> Vec<String> {
    // A connection that is reset immediately may be noticed before or after the first byte; both results are correct then.
    let is_early = matches!(place, Place::Raw(Fault::ResetBefore)) && code_of(answer) == NOT_SENT.0;
    let (code, word) = if is_early { NOT_SENT } else { expected };
    let mut mistakes = Vec::new();
    if code_of(answer) != code || answer.status != status(way, code) {
        mistakes.push(format!("status {} and not {code}", answer.status));
    }
    if took > DEADLINE + GRACE {
        mistakes.push(format!("took {took:?}"));
    }
    if is_send && delivery(answer) != word {
        mistakes.push(format!("not {word}"));
    }
    mistakes
}

fn code_of(answer: &Answer) -> &str {
    let body = &answer.body;
    let between = |start: &str, end: char| {
        let at = body.find(start)? + start.len();
        body[at..].split(end).next()
    };
    between("\"error\":\"", '"')
        .or(between("<c:code>", '<'))
        .unwrap_or("SUCCESS")
}

fn delivery(answer: &Answer) -> &str {
    ["\"delivery\":\"", "delivery>"]
        .iter()
        .find_map(|start| {
            let at = answer.body.find(start)? + start.len();
            answer.body[at..].split(['"', '<']).next()
        })
        .unwrap_or("(none)")
}

fn status(way: Way, code: &str) -> u16 {
    match (way, code) {
        (_, "SUCCESS") => 200,
        (Way::Soap, _) => 500,
        (_, "UPSTREAM_UNAVAILABLE") => 503,
        (_, "UPSTREAM_TIMEOUT") => 504,
        _ => 502,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_upstream_fault_gets_its_code_and_doubles_no_send() {
    let places = Arc::new(tokio::sync::Semaphore::new(6));
    let mut playing = tokio::task::JoinSet::new();
    for (place, read, send) in FAULTS {
        for (expected, is_send) in [(read, false), (send, true)] {
            let places = Arc::clone(&places);
            playing.spawn(async move {
                let _place = places.acquire_owned().await.unwrap();
                play(place, expected, is_send).await
            });
        }
    }
    let wrong: Vec<_> = playing.join_all().await.concat();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let cells = FAULTS.len() * Way::ALL.len() * 2;
    println!("{} faults, {cells} cells: all right", FAULTS.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_send_is_not_retried_after_the_upstream_has_read_a_byte() {
    let wrong = play(Place::Raw(Fault::ResetDuring), ERROR, true).await;
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_closed_before_its_first_byte_delivers_nothing() {
    for is_send in [false, true] {
        let stage = Stage::set(Place::Raw(Fault::ClosedBefore)).await;
        for way in Way::ALL {
            let answer = if is_send {
                stage.call(way, &message_call(way.name())).await
            } else {
                stage.call(way, &chats(way.name())).await
            };
            // The end may arrive before the first byte is written, or just after it.
            let word = if is_send { delivery(&answer) } else { "" };
            let is_exact = match code_of(&answer) {
                "UPSTREAM_UNAVAILABLE" => ["", "not_sent"].contains(&word),
                "UPSTREAM_ERROR" => ["", "unknown"].contains(&word),
                _ => false,
            };
            assert!(is_exact, "{}: {}", way.name(), answer.body);
        }
        let upstream = stage.upstream.as_ref().unwrap();
        assert!(upstream.counts.lock().unwrap().arrived.is_empty());
    }
}

/// Returns the time to retry from the answer's header; the body has to give the same time.
fn again(answer: &Answer) -> Option<u64> {
    let header = answer.header("retry-after").parse().ok();
    let reported = ["\"retry_after\":", "<c:retry_after>"];
    let reported = reported.iter().find_map(|start| {
        let at = answer.body.find(start)? + start.len();
        answer.body[at..]
            .split(['}', ',', '<'])
            .next()?
            .parse()
            .ok()
    });
    assert_eq!(header, reported, "{}", answer.body);
    header
}

/// Plays an upstream that asks for a pause, by one way in: the call that gets the request, and later calls, which must not reach
/// the upstream.
async fn check_retry_after(way: Way, fault: Fault, first: Expected, most_s: u64, is_send: bool) {
    let stage = Stage::set(Place::Raw(fault)).await;
    let upstream = stage.upstream.as_ref().unwrap();
    let about = format!("{fault:?} by {} (send: {is_send})", way.name());
    let send = message_call("first");
    let read = chats("1");
    let call: &[_] = if is_send { &send } else { &read };
    let answer = stage.call(way, call).await;
    assert_eq!(code_of(&answer), first.0, "{about}: {}", answer.body);
    if is_send {
        assert_eq!(delivery(&answer), first.1, "{about}: {}", answer.body);
    }
    let wait_s = again(&answer).unwrap();
    assert!((1..=most_s).contains(&wait_s), "{about}: {wait_s}");
    let mark = if is_send { "first" } else { "getchats" };
    // A read is not retried either.
    assert_eq!(upstream.arrived(mark), 1, "{about}");
    upstream.set(Fault::None);
    for way in Way::ALL {
        let read = stage.call(way, &chats("1")).await;
        assert_eq!(code_of(&read), NOT_SENT.0, "{about}: {}", read.body);
        let send = stage.call(way, &message_call("second")).await;
        assert_eq!((code_of(&send), delivery(&send)), NOT_SENT, "{about}");
        assert!(again(&send).is_some_and(|wait_s| (1..=most_s).contains(&wait_s)));
    }
    assert_eq!(
        upstream.arrived("getchats"),
        usize::from(!is_send),
        "{about}"
    );
    assert_eq!(upstream.arrived("second"), 0, "{about}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upstream_that_sends_retry_after_is_not_called_until_then() {
    let cases = [
        (Fault::ComeAgain(503, Asked::Words("60")), ERROR, 60),
        (Fault::ComeAgain(429, Asked::Date(120)), ERROR, 120),
        (
            Fault::ComeAgain(429, Asked::Error("60")),
            ("TOO_MANY", "not_sent"),
            60,
        ),
        // Neither a mistake nor a malicious upstream can shut everybody out for a day.
        (Fault::ComeAgain(503, Asked::Words("86400")), ERROR, 300),
    ];
    let places = Arc::new(tokio::sync::Semaphore::new(3));
    let mut playing = tokio::task::JoinSet::new();
    for (fault, first, most_s) in cases {
        for (way, is_send) in Way::ALL
            .into_iter()
            .flat_map(|way| [(way, false), (way, true)])
        {
            let places = Arc::clone(&places);
            playing.spawn(async move {
                let _place = places.acquire_owned().await.unwrap();
                check_retry_after(way, fault, first, most_s, is_send).await;
            });
        }
    }
    playing.join_all().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn during_a_retry_after_pause_another_endpoint_is_used() {
    let other = Raw::start(Fault::None).await;
    let fallback = format!(
        "attempts = 1\nfallback_urls = [\"http://{}/\"]",
        other.address
    );
    let asks = Fault::ComeAgain(503, Asked::Words("2"));
    let stage = Stage::configured(Place::Raw(asks), &fallback).await;
    let first = stage.upstream.as_ref().unwrap();
    let heard = stage.call(Way::Http, &chats("1")).await;
    assert_eq!((code_of(&heard), again(&heard)), (ERROR.0, Some(2)));
    let asked = Instant::now();
    first.set(Fault::None);
    while first.arrived("getchats") == 1 {
        let send = stage.call(Way::Http, &message_call("elsewhere")).await;
        assert_eq!(delivery(&send), "sent", "{}", send.body);
        assert_eq!(
            code_of(&stage.call(Way::Http, &chats("1")).await),
            "SUCCESS"
        );
        assert!(asked.elapsed() < Duration::from_secs(10));
    }
    let waited = asked.elapsed();
    assert!(waited >= Duration::from_millis(1900), "{waited:?}");
    assert!(other.arrived("elsewhere") > 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_refused_connection_the_retry_uses_the_healthy_endpoint() {
    let (closed, well) = (ClosedPort::new(), Raw::start(Fault::None).await);
    let rest = format!(
        "attempts = 2\nfallback_urls = [\"http://{}/\", \"http://{}/\"]",
        closed.address, well.address
    );
    let asks = Fault::ComeAgain(503, Asked::Words("60"));
    let stage = Stage::configured(Place::Raw(asks), &rest).await;
    let send = stage.call(Way::Http, &message_call("first")).await;
    assert_eq!((code_of(&send), delivery(&send)), ERROR);
    // The first endpoint is left alone, so the closed port is asked first.
    for n in 0..3 {
        let message = format!("other-{n}");
        let send = stage.call(Way::Http, &message_call(&message)).await;
        assert_eq!((code_of(&send), delivery(&send)), SENT, "{}", send.body);
        assert_eq!(well.arrived(&message), 1);
        let logged = stage.gateway.logged(send.header("x-request-id"));
        assert_eq!(logged["attempts"], 2);
    }
}
