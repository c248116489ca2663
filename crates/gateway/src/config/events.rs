//! Reads the settings of events: whether and how often channels are polled, and how long events are stored.

use std::time::Duration;

use events::{EventDepth, EventsConfig, StreamLimits};
use settings::{Reader, ValueKind, parse};
use store::EventRetention;

/// Minimum size limit for the log of events, in bytes. It holds some thousands of events.
const BYTES_MIN: usize = 1024 * 1024;

/// Minimum pause between two polls of a channel.
const POLL_INTERVAL_MIN: Duration = Duration::from_millis(50);

/// Reads the settings of events. `has_upstream` is true if an upstream is configured. If its `getunreadmessages` may mark messages
/// as read, only hints are used. The embedded sandbox is known not to do that.
pub(super) fn events(reader: &mut Reader<'_>, has_upstream: bool) -> EventsConfig {
    let clears = [("yes", true), ("no", false)];
    let may_clear = reader.choice("upstream.unread_clears", "yes", &clears);
    let depths = [("auto", EventDepth::Unread), ("hint", EventDepth::Hint)];
    let depth = reader.choice("events.depth", "auto", &depths);
    let poll_min = reader.timeout("events.poll_min", "1s");
    let poll_max = reader.timeout("events.poll_max", "5s");
    if poll_min < POLL_INTERVAL_MIN {
        reader.reject("events.poll_min", "it is less than 50ms");
    }
    if poll_max < poll_min {
        reader.reject("events.poll_max", "it is less than events.poll_min");
    }
    EventsConfig {
        enabled: reader.boolean("events.enabled", "true"),
        depth: if has_upstream && may_clear {
            EventDepth::Hint
        } else {
            depth
        },
        poll_min,
        poll_max,
        calls_per_second: reader.count("events.calls_per_second", "10"),
        interest: reader.timeout("events.interest", "24h"),
        keeps_texts: reader.choice("events.content", "full", &[("full", true), ("none", false)]),
        retention: EventRetention {
            age: reader.timeout("events.retention", "4d"),
            bytes: reader.value(
                "events.bytes",
                "1GiB",
                ValueKind::Bytes,
                |text| match parse::bytes(text)? {
                    size if size >= BYTES_MIN => Ok(size as u64),
                    _ => Err(format!("{text} is less than {BYTES_MIN} bytes")),
                },
            ),
        },
        streams: StreamLimits {
            all: reader.count("events.streams", "2000").get() as usize,
            per_access: reader.count("events.streams_per_access", "64").get() as usize,
        },
        stream_life: reader.timeout("events.stream_life", "1h"),
    }
}
