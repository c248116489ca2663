//! Bounds on requests and connections.

use std::num::NonZeroU32;
use std::time::Duration;

use forward::{AnswerLimits, ThrottleLimits};
use settings::{Reader, ValueKind, parse};

/// Highest limit for a body, in bytes: it is held in memory whole.
pub(super) const BODY_BYTES_MOST: usize = 64 * 1024 * 1024;

/// Highest limit for answers in memory, in bytes: more than any machine has.
const ANSWERS_BYTES_MOST: usize = 1 << 40;

/// Highest limit for an envelope, in bytes: the XML layer accepts no more.
const SOAP_BYTES_MOST: usize = 256 * 1024;

/// Bounds on requests and connections.
#[derive(Clone, Copy, Debug)]
pub struct LimitsConfig {
    /// Largest body of a JSON way, in bytes.
    pub body_bytes: usize,
    /// Largest SOAP envelope, in bytes.
    pub soap_bytes: usize,
    /// Longest wait for a TLS handshake, for the first byte after it, and for a whole head.
    pub header_timeout: Duration,
    /// Longest wait for a body; the bytes that have come extend it.
    pub body_timeout: Duration,
    /// Longest wait for a caller to take any byte of an answer, and to take all of it; the bytes taken extend the latter.
    pub write_timeout: Duration,
    /// Slowest average rate at which bodies come and answers are taken, in bytes a second.
    pub rate: u32,
    /// Longest time that an idle connection is kept.
    pub idle_timeout: Duration,
    /// Longest time for a request and its body.
    pub request_timeout: Duration,
    /// How long the gateway still accepts connections once it is told to stop, while it reports that it is not ready.
    pub drain_delay: Duration,
    /// Longest wait for requests under way when the gateway stops.
    pub drain_timeout: Duration,
    /// Most connections at once.
    pub connections: usize,
    /// Most connections at once from one peer address.
    pub connections_per_address: usize,
    /// How many bytes of answers are held for callers that have not taken them.
    pub answers: AnswerLimits,
    /// Calls a minute from one address, counted before authentication.
    pub per_address_per_minute: NonZeroU32,
    /// How many wrong secrets are checked.
    pub guesses: ThrottleLimits,
}

pub(super) fn limits(reader: &mut Reader<'_>) -> LimitsConfig {
    LimitsConfig {
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
        drain_delay: reader.duration("limits.drain_delay", "0s"),
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
