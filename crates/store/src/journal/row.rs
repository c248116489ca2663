//! A row of the journal, as it is written and as it is read.

use std::borrow::Cow;
use std::net::{IpAddr, SocketAddr};

use aws_lc_rs::hmac;
use serde::Serialize;
use serde_json::Value;

/// Bits of an id below the milliseconds: a million rows fit into each of them, more than any disk takes.
const SEQUENCE_BITS: u32 = 20;

/// Bytes of the hash of a destination that are kept: enough that no two of a gateway's destinations share one.
const DESTINATION_BYTES: usize = 16;

/// The first id that a row of this moment can have.
pub(crate) fn first_id_at(ms: i64) -> i64 {
    // Times beyond the year 200,000 do not occur.
    ms.clamp(0, i64::MAX >> SEQUENCE_BITS) << SEQUENCE_BITS
}

/// What a row records.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum JournalKind {
    /// A request, refused or served.
    #[default]
    Request,
    /// A change of an access.
    Change,
    /// The deletion of rows because of their age or the room that they took.
    Clearing,
    /// The deletion of what was kept of one destination.
    Erasure,
    /// What an admin key did or failed to do on the operators' side, and wrong keys there.
    Operator,
    /// Another server took the place of the database's.
    Failover,
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

    /// The word in the table and in the admin API.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            JournalKind::Request => "request",
            JournalKind::Change => "change",
            JournalKind::Clearing => "clearing",
            JournalKind::Erasure => "erasure",
            JournalKind::Operator => "operator",
            JournalKind::Failover => "failover",
        }
    }

    pub(crate) fn from_word(word: &str) -> Option<JournalKind> {
        let mut all = JournalKind::ALL.into_iter();
        all.find(|kind| kind.word() == word)
    }
}

/// Calls that one row stands for: one, unless they were counted together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct Calls(pub u64);

impl Default for Calls {
    fn default() -> Calls {
        Calls(1)
    }
}

/// A word of a closed set as a rule, so that writing a row copies nothing.
type Word = Cow<'static, str>;

/// One row. What is absent was not known, or is of no account for its kind.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct JournalRow {
    /// Its number, given when it is written; later rows have higher ones.
    #[serde(skip)]
    pub id: i64,
    /// When it happened; milliseconds since 1970, UTC.
    #[serde(skip)]
    pub at_ms: i64,
    /// What it records.
    pub kind: JournalKind,
    /// Whether the outcome is still to come.
    pub open: bool,
    /// How many calls it stands for; it describes the first of them.
    pub count: Calls,
    /// The id that the gateway gave the request: no two have the same.
    pub request_id: Option<String>,
    /// The id that its caller chose for it, if they did; others may have chosen the same.
    pub caller_request_id: Option<String>,
    /// The id of its trace, if the request was traced; 32 hexadecimal digits.
    pub trace_id: Option<String>,
    /// The way in.
    pub way: Option<Word>,
    /// The access, once it was proven.
    pub access: Option<String>,
    /// The operation, once it was known.
    pub method: Option<Word>,
    /// The HTTP method.
    pub http_method: Option<Word>,
    /// The path as it is routed.
    pub path: Option<Word>,
    /// The other end of the connection.
    pub peer: Option<SocketAddr>,
    /// The resolved address, in canonical form.
    pub client: Option<IpAddr>,
    /// The status on the wire; 0 when the caller had gone.
    pub status: Option<u16>,
    /// The status that the outcome really has.
    pub canonical: Option<u16>,
    /// The code that it ended with, unless it succeeded.
    pub code: Option<Word>,
    /// The code that the upstream said.
    pub upstream_code: Option<Word>,
    /// What is known about the message of a send.
    pub delivery: Option<Word>,
    /// How often the upstream was asked.
    pub attempts: Option<u32>,
    /// How long it waited for its turn at the upstream, in microseconds.
    pub queue_us: Option<i64>,
    /// How long the upstream took, in microseconds.
    pub upstream_us: Option<i64>,
    /// From the head of the request to its answer, in microseconds.
    pub total_us: Option<i64>,
    /// What the cache had to do with it.
    pub cache: Option<Word>,
    /// The narrowest limit that counted it.
    pub limited_by: Option<Word>,
    /// What this limit lets through.
    pub limit_max: Option<u32>,
    /// What was left of it.
    pub limit_left: Option<u32>,
    /// The configuration that it began with.
    pub generation: Option<i64>,
    /// The caller's program, as it calls itself.
    pub user_agent: Option<String>,
    /// Why it ended so, for operators.
    pub cause: Option<Word>,
    /// What a rule that only reports would have said.
    pub would_refuse: Option<String>,
    /// Who made a change, a clearing or an erasure.
    pub actor: Option<Word>,
    /// The access before a change, without secrets.
    pub before: Option<Box<Value>>,
    /// The access after a change, without secrets.
    pub after: Option<Box<Value>>,
    /// What was said.
    #[serde(flatten)]
    pub payload: JournalPayload,
}

/// What was said, kept for a shorter time.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct JournalPayload {
    /// Of whom the call speaks; only a keyed hash of it is kept, so that a row that is read has none.
    #[serde(skip)]
    pub destination: Option<String>,
    /// The parameters, redacted.
    pub parameters: Option<String>,
    /// The answer's result, where the access's journal level is full.
    pub answer: Option<String>,
}

impl JournalPayload {
    pub(crate) fn is_empty(&self) -> bool {
        *self == JournalPayload::default()
    }
}

/// The hash under which a destination is kept and found again.
pub(crate) fn destination_hash(key: &hmac::Key, destination: &str) -> Vec<u8> {
    let tag = hmac::sign(key, destination.as_bytes());
    tag.as_ref()[..DESTINATION_BYTES].to_vec()
}

impl JournalRow {
    /// When what a row with this number records happened; milliseconds since 1970, UTC.
    #[must_use]
    pub fn time_of(id: i64) -> i64 {
        id >> SEQUENCE_BITS
    }

    /// What it takes in memory, in bytes, by and large.
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
