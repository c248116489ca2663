//! Bounds on requests and connections.

use std::num::NonZeroU32;
use std::time::Duration;

use forward::{AnswerLimits, ThrottleLimits};
use settings::{Reader, ValueKind, parse};

/// Most that a body may be allowed to have, in bytes: it is held in memory whole.
pub(super) const BODY_BYTES_MOST: usize = 64 * 1024 * 1024;

/// Most that may be held of answers, in bytes: more than any machine has that this runs on.
const ANSWERS_BYTES_MOST: usize = 1 << 40;

/// Most that an envelope may be allowed to have, in bytes: the XML layer takes no more.
const SOAP_BYTES_MOST: usize = 256 * 1024;

/// Bounds on requests and connections.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Largest body of a JSON way, in bytes.
    pub body_bytes: usize,
    /// Largest SOAP envelope, in bytes.
    pub soap_bytes: usize,
    /// Longest wait for a TLS handshake, for the first byte after it, and for a whole head.
    pub header_timeout: Duration,
    /// Longest wait for a body, before what has come earns more.
    pub body_timeout: Duration,
    /// Longest wait for a caller to take something of an answer, and all of it before what was taken earns more.
    pub write_timeout: Duration,
    /// How fast bodies have to come and answers to be taken on average, in bytes a second.
    pub rate: u32,
    /// Longest rest of a kept connection.
    pub idle_timeout: Duration,
    /// Longest life of a request, its body included.
    pub request_timeout: Duration,
    /// Longest wait for what is under way once the gateway has to stop.
    pub drain_timeout: Duration,
    /// Most connections at once.
    pub connections: usize,
    /// Most connections at once from one peer address.
    pub connections_per_address: usize,
    /// How much of answers is held for callers that have not taken them.
    pub answers: AnswerLimits,
    /// Calls a minute from one address, counted before authentication.
    pub per_address_per_minute: NonZeroU32,
    /// How many wrong secrets are checked.
    pub guesses: ThrottleLimits,
}

pub(super) fn limits(reader: &mut Reader<'_>) -> Limits {
    Limits {
        body_bytes: reader.room("limits.body_bytes", "1MiB", BODY_BYTES_MOST),
        soap_bytes: reader.room("limits.soap_bytes", "256KiB", SOAP_BYTES_MOST),
        header_timeout: reader.timeout("limits.header_timeout", "10s"),
        body_timeout: reader.timeout("limits.body_timeout", "10s"),
        write_timeout: reader.timeout("limits.write_timeout", "30s"),
        rate: reader.value("limits.rate", "1KiB", ValueKind::Bytes, |text| {
            let bytes = parse::room(text, BODY_BYTES_MOST)?;
            u32::try_from(bytes).map_err(|_| format!("{text} is too much"))
        }),
        idle_timeout: reader.timeout("limits.idle_timeout", "75s"),
        request_timeout: reader.timeout("limits.request_timeout", "30s"),
        drain_timeout: reader.timeout("limits.drain_timeout", "30s"),
        connections: reader.count("limits.connections", "10000").get() as usize,
        connections_per_address: reader.count("limits.connections_per_address", "256").get()
            as usize,
        answers: AnswerLimits {
            bytes: reader.room("limits.answers_bytes", "32MiB", ANSWERS_BYTES_MOST),
            bytes_per_access: reader.room(
                "limits.answers_bytes_per_access",
                "16MiB",
                ANSWERS_BYTES_MOST,
            ),
        },
        per_address_per_minute: reader.count("limits.per_address_per_minute", "600"),
        guesses: ThrottleLimits {
            per_name: reader.value(
                "limits.guesses_per_name",
                "60",
                ValueKind::Count(2),
                |text| {
                    // One for either side: a single guess can't be shared out.
                    parse::count_within(text, 2..=u32::MAX)
                },
            ),
            per_address: reader.count("limits.guesses_per_address", "300"),
        },
    }
}
