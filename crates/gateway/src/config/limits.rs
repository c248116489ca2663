//! Reads the limits on requests and connections.

use std::num::NonZeroU32;
use std::time::Duration;

use forward::{AnswerLimits, BodyLimits, ThrottleLimits};
use settings::{Reader, ValueKind, parse};

/// Maximum value of the body limit, in bytes. A body is stored in memory as a whole.
pub(super) const BODY_BYTES_LIMIT: usize = 64 * 1024 * 1024;

/// Maximum value of the limits for bodies and answers in memory, in bytes. It exceeds the memory of any machine.
const MEMORY_BYTES_MAX: usize = 1 << 40;

/// Maximum value of the envelope limit, in bytes. The XML layer does not accept more.
const SOAP_BYTES_MAX: usize = 256 * 1024;

/// Limits on requests and connections.
#[derive(Clone, Copy, Debug)]
pub struct LimitsConfig {
    /// Maximum size of a body on a JSON way in, in bytes.
    pub body_bytes: usize,
    /// Maximum size of a SOAP envelope, in bytes.
    pub soap_bytes: usize,
    /// Maximum wait for a TLS handshake, for the first byte after it, and for a whole head.
    pub header_timeout: Duration,
    /// Maximum wait for a body. Received bytes extend it.
    pub body_timeout: Duration,
    /// Maximum wait for a caller to take any byte of an answer, and to take the whole answer. Written bytes extend both.
    pub write_timeout: Duration,
    /// Minimum average rate at which bodies must arrive and answers must be taken, in bytes per second.
    pub rate: u32,
    /// Maximum time that an idle connection stays open.
    pub idle_timeout: Duration,
    /// Maximum time for a request and its body.
    pub request_timeout: Duration,
    /// How long the gateway still accepts connections after a stop signal. During this time it reports that it is not ready.
    pub drain_delay: Duration,
    /// Maximum wait for requests under way during the shutdown.
    pub drain_timeout: Duration,
    /// Maximum number of open connections.
    pub connections: usize,
    /// Maximum number of open connections from one peer address.
    pub connections_per_address: usize,
    /// Maximum number of bytes of bodies that have arrived in part.
    pub bodies: BodyLimits,
    /// Maximum number of answer bytes that are held in memory for callers that have not taken them.
    pub answers: AnswerLimits,
    /// Maximum number of calls per minute from one address, counted before authentication.
    pub per_address_per_minute: NonZeroU32,
    /// Maximum number of wrong secrets that are checked.
    pub guesses: ThrottleLimits,
}

pub(super) fn limits(reader: &mut Reader<'_>) -> LimitsConfig {
    LimitsConfig {
        body_bytes: reader.size_up_to("limits.body_bytes", "1MiB", BODY_BYTES_LIMIT),
        soap_bytes: reader.size_up_to("limits.soap_bytes", "256KiB", SOAP_BYTES_MAX),
        header_timeout: reader.timeout("limits.header_timeout", "10s"),
        body_timeout: reader.timeout("limits.body_timeout", "10s"),
        write_timeout: reader.timeout("limits.write_timeout", "30s"),
        rate: reader.value("limits.rate", "1KiB", ValueKind::Bytes, |text| {
            let bytes = parse::size_up_to(text, BODY_BYTES_LIMIT)?;
            u32::try_from(bytes).map_err(|_| format!("{text} is too much"))
        }),
        idle_timeout: reader.timeout("limits.idle_timeout", "75s"),
        request_timeout: reader.timeout("limits.request_timeout", "30s"),
        drain_delay: reader.duration("limits.drain_delay", "0s"),
        drain_timeout: reader.timeout("limits.drain_timeout", "30s"),
        connections: reader.count("limits.connections", "10000").get() as usize,
        connections_per_address: reader.count("limits.connections_per_address", "256").get()
            as usize,
        bodies: BodyLimits {
            bytes: reader.size_up_to("limits.bodies_bytes", "32MiB", MEMORY_BYTES_MAX),
            bytes_per_address: reader.size_up_to(
                "limits.bodies_bytes_per_address",
                "8MiB",
                MEMORY_BYTES_MAX,
            ),
        },
        answers: AnswerLimits {
            bytes: reader.size_up_to("limits.answers_bytes", "32MiB", MEMORY_BYTES_MAX),
            bytes_per_access: reader.size_up_to(
                "limits.answers_bytes_per_access",
                "16MiB",
                MEMORY_BYTES_MAX,
            ),
        },
        per_address_per_minute: reader.count("limits.per_address_per_minute", "600"),
        guesses: ThrottleLimits {
            per_name: reader.value(
                "limits.guesses_per_name",
                "60",
                ValueKind::Count(2),
                |text| {
                    // At least one guess for each of the two sides, because a single guess can't be divided.
                    parse::count_within(text, 2..=u32::MAX)
                },
            ),
            per_address: reader.count("limits.guesses_per_address", "300"),
        },
    }
}
