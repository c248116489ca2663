//! A row of the journal, as it is written and read.

use std::borrow::Cow;
use std::net::{IpAddr, SocketAddr};

use aws_lc_rs::hmac;
use serde::Serialize;
use serde_json::Value;

/// Number of bits of an id below the milliseconds: each millisecond has room for a million rows, more than any disk can write.
const SEQUENCE_BITS: u32 = 20;

/// Number of stored bytes of a destination's hash: enough that no two destinations of a gateway have the same hash.
const DESTINATION_BYTES: usize = 16;

/// Returns the lowest id that a row of this time can have.
pub(crate) fn first_id_at(ms: i64) -> i64 {
    // Times after the year 200,000 do not occur.
    ms.clamp(0, i64::MAX >> SEQUENCE_BITS) << SEQUENCE_BITS
}

/// The kind of a row.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum JournalKind {
    /// A request, rejected or served.
    #[default]
    Request,
    /// A change of an access.
    Change,
    /// The deletion of rows because of their age or their size.
    Clearing,
    /// The deletion of the stored data about one destination.
    Erasure,
    /// A successful or failed action of an admin key on the operators' side, or a wrong key there.
    Operator,
    /// A failover of the database to another server.
    Failover,
    /// A kind that only a newer version of the program knows.
    Unknown,
}

impl JournalKind {
    const ALL: [JournalKind; 6] = [
        JournalKind::Request,
        JournalKind::Change,
        JournalKind::Clearing,
        JournalKind::Erasure,
        JournalKind::Operator,
        JournalKind::Failover,
    ];

    /// Returns the word in the table and in the admin API.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            JournalKind::Request => "request",
            JournalKind::Change => "change",
            JournalKind::Clearing => "clearing",
            JournalKind::Erasure => "erasure",
            JournalKind::Operator => "operator",
            JournalKind::Failover => "failover",
            JournalKind::Unknown => "unknown",
        }
    }

    pub(crate) fn from_word(word: &str) -> JournalKind {
        let mut all = JournalKind::ALL.into_iter();
        all.find(|kind| kind.word() == word)
            .unwrap_or(JournalKind::Unknown)
    }
}

/// The number of calls that one row stands for: one, unless calls were counted together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct Calls(pub u64);

impl Default for Calls {
    fn default() -> Calls {
        Calls(1)
    }
}

/// A word, usually of a closed set, so that writing a row copies nothing.
type Word = Cow<'static, str>;

/// One row. A field is absent if it was unknown or does not apply to the row's kind.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct JournalRow {
    /// The row's number, assigned when the row is written; later rows have higher numbers.
    #[serde(skip)]
    pub id: i64,
    /// The time of the recorded event; milliseconds since 1970, UTC.
    #[serde(skip)]
    pub at_ms: i64,
    /// The kind of the row.
    pub kind: JournalKind,
    /// True if the outcome is still to come.
    pub open: bool,
    /// The number of calls that the row stands for; the row describes the first call.
    pub count: Calls,
    /// The id that the gateway gave the request; each request has a different one.
    pub request_id: Option<String>,
    /// The id that the caller chose for the request, if it chose one; other callers may have chosen the same.
    pub caller_request_id: Option<String>,
    /// The id of the request's trace, if the request was traced; 32 hexadecimal digits.
    pub trace_id: Option<String>,
    /// The way in.
    pub way: Option<Word>,
    /// The access, if it was proven.
    pub access: Option<String>,
    /// The operation, if it was determined.
    pub method: Option<Word>,
    /// The HTTP method.
    pub http_method: Option<Word>,
    /// The path as routed.
    pub path: Option<Word>,
    /// The peer address of the connection.
    pub peer: Option<SocketAddr>,
    /// The resolved address, in canonical form.
    pub client: Option<IpAddr>,
    /// The status on the wire; 0 if the caller had disconnected.
    pub status: Option<u16>,
    /// The status that describes the actual outcome.
    pub canonical: Option<u16>,
    /// The code of the outcome; absent if the request succeeded.
    pub code: Option<Word>,
    /// The code that the upstream returned.
    pub upstream_code: Option<Word>,
    /// What is known about the delivery of a send's message.
    pub delivery: Option<Word>,
    /// The number of attempts at the upstream.
    pub attempts: Option<u32>,
    /// Time in the queue for the upstream, in microseconds.
    pub queue_us: Option<i64>,
    /// Time at the upstream, in microseconds.
    pub upstream_us: Option<i64>,
    /// Time from the head of the request to its answer, in microseconds.
    pub total_us: Option<i64>,
    /// The part that the cache played in the answer.
    pub cache: Option<Word>,
    /// The narrowest limit that counted the request.
    pub limited_by: Option<Word>,
    /// The size of this limit.
    pub limit_max: Option<u32>,
    /// The remainder of this limit after the request.
    pub limit_left: Option<u32>,
    /// The generation of the configuration with which the request began.
    pub generation: Option<i64>,
    /// The caller's program, as it identifies itself.
    pub user_agent: Option<String>,
    /// The cause of the outcome, for operators.
    pub cause: Option<Word>,
    /// The verdict of a rule that only reports and would have rejected the request.
    pub would_refuse: Option<String>,
    /// The actor of a change, a clearing or an erasure.
    pub actor: Option<Word>,
    /// The access before a change, without secrets.
    pub before: Option<Box<Value>>,
    /// The access after a change, without secrets.
    pub after: Option<Box<Value>>,
    /// The content of the call.
    #[serde(flatten)]
    pub payload: JournalPayload,
}

/// The content of a call, which is stored for a shorter time than the row.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct JournalPayload {
    /// The destination of the call; the store contains only a keyed hash of it, so that rows read from the store have none.
    #[serde(skip)]
    pub destination: Option<String>,
    /// The parameters, redacted.
    pub parameters: Option<String>,
    /// The answer's result, if the access's journal level is full.
    pub answer: Option<String>,
}

impl JournalPayload {
    pub(crate) fn is_empty(&self) -> bool {
        *self == JournalPayload::default()
    }
}

/// Returns the hash under which a destination is stored and found.
pub(crate) fn destination_hash(key: &hmac::Key, destination: &str) -> Vec<u8> {
    let tag = hmac::sign(key, destination.as_bytes());
    tag.as_ref()[..DESTINATION_BYTES].to_vec()
}

impl JournalRow {
    /// Returns the time of the event that the row with this number records; milliseconds since 1970, UTC.
    #[must_use]
    pub fn time_of(id: i64) -> i64 {
        id >> SEQUENCE_BITS
    }

    /// Returns the row's approximate size in memory, in bytes.
    pub(crate) fn weight(&self) -> usize {
        let texts = [
            self.request_id.as_deref(),
            self.caller_request_id.as_deref(),
            self.access.as_deref(),
            self.user_agent.as_deref(),
            self.cause.as_deref(),
            self.would_refuse.as_deref(),
            self.payload.destination.as_deref(),
            self.payload.parameters.as_deref(),
            self.payload.answer.as_deref(),
        ];
        let texts: usize = texts.into_iter().flatten().map(str::len).sum();
        size_of::<JournalRow>() + texts
    }
}
