//! Tests that the same call is the same by all ways in: hostile values reach the upstream identically, or all ways refuse them with
//! the same code.
//!
//! Nothing here shares code with the tested code: the upstream parses its form with another parser, and the requests are written by
//! hand.

mod dress;
mod generator;
mod pieces;
mod recorder;

use std::fmt::Write as _;
use std::net::SocketAddr;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

use crate::harness::{
    Gateway, Issuer, UPSTREAM_ENVIRONMENT, UPSTREAM_PASSWORD, UPSTREAM_USER, load, upstream,
};
use dress::{Credentials, Form, Post, WAYS};
use generator::{Call, Generator};
use recorder::{Pairs, Recorder};

/// A fixed seed, so that failures are reproducible.
const SEED: u64 = 0x5a3e_ca11;

/// Number of lanes, each with its own gateway and upstream. In a lane requests follow one another, so that the form that reaches
/// the upstream belongs to the last request.
const LANES: u64 = 2;

/// Number of calls in one lane, every day and for a release.
const CALLS: (usize, usize) = (250, 1_200);

/// Length of the longest query that is sent. The gateway accepts heads of 64 KiB, and a message of 16 KiB alone needs at most 48
/// KiB.
const QUERY_BYTES_MAX: usize = 60_000;

/// The credentials are hostile as well, as far as a user name may be. The check of such a secret takes microseconds.
const USER: &str = "same call & 100%+é=;";
const SECRET: &str = "cgs_same-call-same-call-same-call-same-call-sam";

const CONFIGURATION: &str = r#"
[limits]
per_address_per_minute = 100000000
[cache]
getchatchannels = 0
getchats = 0
[log]
level = "warn"
[[accesses]]
name = "same-call"
user = "same call & 100%+é=;"
password = "env:SECRET"
allow = ["127.0.0.0/8"]
"#;

/// The outcome of one request.
#[derive(Clone, PartialEq, Eq)]
enum Outcome {
    Arrived(Pairs),
    Refused(String),
}

/// One kept connection to the gateway.
struct Line {
    address: SocketAddr,
    stream: Option<BufReader<TcpStream>>,
}

impl Line {
    /// Sends a request and returns status and body.
    async fn ask(&mut self, post: &Post) -> (u16, String) {
        let mut stream = match self.stream.take() {
            Some(stream) => stream,
            None => BufReader::new(TcpStream::connect(self.address).await.unwrap()),
        };
        stream.write_all(&post.bytes(self.address)).await.unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let read = stream.read_until(b'\n', &mut head).await.unwrap();
            let so_far = String::from_utf8_lossy(&head);
            assert!(read > 0, "the gateway hung up after {so_far:?}");
        }
        let head = String::from_utf8(head).unwrap().to_ascii_lowercase();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        let length = header(&head, "content-length").parse().unwrap();
        let mut body = vec![0; length];
        stream.read_exact(&mut body).await.unwrap();
        if header(&head, "connection") != "close" {
            self.stream = Some(stream);
        }
        (status, String::from_utf8(body).unwrap())
    }
}

/// Returns the value of a header from a head in lower case, or an empty text if the header is absent.
fn header<'a>(head: &'a str, name: &str) -> &'a str {
    let mut lines = head.lines().filter_map(|line| line.split_once(':'));
    let found = lines.find(|(other, _)| *other == name);
    found.map_or("", |(_, value)| value.trim())
}

/// Counts of the results of a lane's calls.
#[derive(Default)]
struct Tally {
    calls: usize,
    requests: usize,
    identical: usize,
    refused: usize,
    too_long: usize,
}

impl Tally {
    fn add(&mut self, other: &Tally) {
        self.calls += other.calls;
        self.requests += other.requests;
        self.identical += other.identical;
        self.refused += other.refused;
        self.too_long += other.too_long;
    }
}

/// A gateway, its upstream and one connection for each way.
struct Lane {
    gateway: Gateway,
    recorder: Recorder,
    lines: Vec<Line>,
    credentials: Credentials,
    tally: Tally,
}

impl Lane {
    async fn open(issuer: &Issuer) -> Lane {
        let recorder = Recorder::start().await;
        let upstream = upstream(recorder.address);
        let toml = format!("{upstream}{CONFIGURATION}{}", issuer.as_configuration());
        let environment = [UPSTREAM_ENVIRONMENT, ("SECRET", SECRET)];
        let gateway = Gateway::configured(&toml, &environment);
        let line = |_| Line {
            address: gateway.public,
            stream: None,
        };
        Lane {
            lines: WAYS.iter().map(line).collect(),
            gateway,
            recorder,
            credentials: Credentials {
                user: USER,
                password: SECRET,
                token: issuer.token("same-call", 3600),
            },
            tally: Tally::default(),
        }
    }

    /// Sends a call by every way and returns the outcomes. An answer that contradicts the upstream's record is an error.
    async fn play(&mut self, call: &Call) -> Result<Vec<(Form, Outcome)>, String> {
        let mut outcomes = Vec::new();
        for (form, line) in WAYS.into_iter().zip(&mut self.lines) {
            let post = dress::dress(form, call, &self.credentials);
            if form == Form::Query && post.target.len() > QUERY_BYTES_MAX {
                self.tally.too_long += 1;
                continue;
            }
            let (status, body) = line.ask(&post).await;
            self.tally.requests += 1;
            let mut arrived = self.recorder.take();
            let outcome = match (arrived.len(), dress::verdict(form, call, &body)) {
                (1, None) => Outcome::Arrived(arrived.remove(0)),
                (0, Some(code)) => Outcome::Refused(code),
                (n, _) => return Err(format!("{form:?}: {n} arrived, but {status} {body}")),
            };
            outcomes.push((form, outcome));
        }
        Ok(outcomes)
    }

    async fn run(mut self, lane: u64) -> Tally {
        let mut generator = Generator::new(SEED + lane);
        for number in 0..load(CALLS.0, CALLS.1) {
            let call = generator.call();
            let outcomes = self.play(&call).await;
            let judged = outcomes.and_then(|outcomes| judged(&call, &outcomes));
            match judged {
                Ok(Outcome::Arrived(_)) => self.tally.identical += 1,
                Ok(Outcome::Refused(_)) => self.tally.refused += 1,
                Err(why) => panic!("seed {SEED:#x}, lane {lane}, call {number}: {call}\n{why}"),
            }
            self.tally.calls += 1;
        }
        let late = self.recorder.take();
        assert!(late.is_empty(), "arrived after the last answer: {late:?}");
        drop(self.gateway);
        self.tally
    }
}

/// Returns the common outcome of all ways, which has to be the intended one.
fn judged(call: &Call, outcomes: &[(Form, Outcome)]) -> Result<Outcome, String> {
    let (_, first) = &outcomes[0];
    let differs = |(form, outcome): &&(Form, Outcome)| {
        outcome != first && !is_the_same_in_xml(call, *form, outcome, first)
    };
    let wrong = match first {
        Outcome::Arrived(_) if call.faults > 0 => "a call with a fault arrived",
        Outcome::Arrived(pairs) if *pairs != expected(call) => "something else arrived",
        Outcome::Refused(_) if call.faults == 0 => "a call without a fault was refused",
        _ if outcomes.iter().any(|outcome| differs(&outcome)) => "the ways differ",
        Outcome::Arrived(_) | Outcome::Refused(_) => return Ok(first.clone()),
    };
    let mut text = wrong.to_owned();
    for (at, (form, outcome)) in outcomes.iter().enumerate() {
        match outcome {
            _ if at > 0 && outcome == first => write!(text, "\n  {form:?}: the same").unwrap(),
            Outcome::Refused(code) => write!(text, "\n  {form:?}: {code}").unwrap(),
            Outcome::Arrived(pairs) => {
                let shown = |(name, value): &(String, String)| {
                    format!("{name}={}", generator::shown(value))
                };
                let shown: Vec<_> = pairs.iter().map(shown).collect();
                write!(text, "\n  {form:?}: {}", shown.join(" ")).unwrap();
            }
        }
    }
    Err(text)
}

/// Returns whether a refusal by SOAP matches the others. A document with characters that XML cannot carry is not well-formed, so
/// SOAP cannot be more specific. If the call has no other fault, the other ways have to blame the characters as well.
fn is_the_same_in_xml(call: &Call, form: Form, outcome: &Outcome, others: &Outcome) -> bool {
    let refused_as = |outcome: &Outcome, word: &str| *outcome == Outcome::Refused(word.to_owned());
    let blames_characters = refused_as(others, "INCORRECT_PARAM") || call.faults > 1;
    matches!(form, Form::Soap11 | Form::Soap12)
        && !call.fits_xml()
        && refused_as(outcome, "MALFORMED_REQUEST")
        && blames_characters
        && matches!(others, Outcome::Refused(_))
}

/// Returns the form that the upstream has to receive: its own account and the non-empty values, in the order of the table.
fn expected(call: &Call) -> Pairs {
    let mut pairs = vec![
        ("class", "chat"),
        ("method", call.operation.method),
        ("user", UPSTREAM_USER),
        ("password", UPSTREAM_PASSWORD),
    ];
    let names = call.operation.parameters.iter().map(|p| p.name);
    pairs
        .extend(names.filter_map(|name| Some((name, call.value(name).filter(|v| !v.is_empty())?))));
    let owned = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
    pairs.into_iter().map(owned).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn all_ways_in_forward_the_same_call_identically_or_reject_it_alike() {
    let issuer = Issuer::new();
    let mut lanes = tokio::task::JoinSet::new();
    for lane in 0..LANES {
        lanes.spawn(Lane::open(&issuer).await.run(lane));
    }
    let mut all = Tally::default();
    while let Some(tally) = lanes.join_next().await {
        match tally {
            Ok(tally) => all.add(&tally),
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        }
    }
    eprintln!(
        "same call: {} calls, {} requests, {} identical at the upstream, {} same verdict, {} too long for a query (seed {SEED:#x})",
        all.calls, all.requests, all.identical, all.refused, all.too_long
    );
    assert!(all.calls >= load(500, 2_000));
    assert_eq!(all.identical + all.refused, all.calls);
    assert_eq!(all.requests + all.too_long, all.calls * WAYS.len());
    // Half of the calls are correct and half have a fault; far fewer of either would mean that the generator is broken.
    let third = all.calls / 3;
    assert!(all.identical >= third, "{} identical", all.identical);
    assert!(all.refused >= third, "{} refused", all.refused);
    assert!(all.too_long <= all.calls / 50, "{} too long", all.too_long);
}
