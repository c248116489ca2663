//! The log as JSON lines. The line of a request is written here in one pass; by way of the subscriber's own formatter it
//! cost a sixth of a forwarded call. Everything else is that formatter's.

use std::cell::RefCell;
use std::fmt::{self, Debug, Write as _};
use std::time::UNIX_EPOCH;

use jiff::Timestamp;
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::format::{Format, Json, Writer};
use tracing_subscriber::fmt::time::SystemTime;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields, format};
use tracing_subscriber::registry::LookupSpan;

/// The target of the lines that tell of requests.
pub(crate) const REQUEST_TARGET: &str = "chatgate::request";

/// What a thread's buffer begins with, in bytes: more than nearly every line has.
const LINE_BYTES: usize = 2048;

thread_local! {
    static LINE: RefCell<Line> = RefCell::new(Line {
        text: String::with_capacity(LINE_BYTES),
        second: 0,
    });
}

/// A thread's line, which begins as the last one did as long as the second is the same.
struct Line {
    text: String,
    /// The second that it begins with, since 1970, UTC.
    second: i64,
}

impl Line {
    /// Begins it anew with the time of day to the microsecond (RFC 3339).
    fn begin(&mut self) {
        let since = std::time::SystemTime::now().duration_since(UNIX_EPOCH);
        let since = since.unwrap_or_default();
        let second = i64::try_from(since.as_secs()).unwrap_or(i64::MAX);
        if self.second != second || self.text.len() < LINE_START.len() {
            self.text.clear();
            let time = Timestamp::from_second(second).unwrap_or(Timestamp::MAX);
            // Writing into a String can't fail.
            let _ = write!(self.text, "{{\"timestamp\":\"{time:.0}");
            // The Z, which comes behind the microseconds.
            self.text.pop();
            self.second = second;
        }
        self.text.truncate(LINE_START.len());
        self.text.push('.');
        let mut digits = itoa::Buffer::new();
        let digits = digits.format(1_000_000 + since.subsec_micros());
        self.text.push_str(&digits[1..]);
        self.text.push('Z');
    }
}

/// What each line begins with, but for the digits.
const LINE_START: &str = "{\"timestamp\":\"2026-11-22T00:00:00";

/// Writes events as JSON, one a line.
pub(super) struct JsonLines {
    others: Format<Json, SystemTime>,
}

impl JsonLines {
    pub(super) fn new() -> JsonLines {
        JsonLines {
            others: format()
                .json()
                .flatten_event(true)
                .with_current_span(false)
                .with_span_list(false),
        }
    }
}

impl<S, N> FormatEvent<S, N> for JsonLines
where
    S: Subscriber + for<'lookup> LookupSpan<'lookup>,
    N: for<'writer> FormatFields<'writer> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let metadata = event.metadata();
        if metadata.target() != REQUEST_TARGET {
            return self.others.format_event(context, writer, event);
        }
        LINE.with_borrow_mut(|line| {
            line.begin();
            let line = &mut line.text;
            line.push_str("\",\"level\":\"");
            line.push_str(metadata.level().as_str());
            line.push('"');
            event.record(&mut Fields(line));
            line.push_str(",\"target\":\"");
            line.push_str(REQUEST_TARGET);
            line.push_str("\"}\n");
            writer.write_str(line)
        })
    }
}

/// Writes each field behind the ones before it. Names are ours and need no escapes.
struct Fields<'a>(&'a mut String);

impl Fields<'_> {
    fn name(&mut self, field: &Field) {
        self.0.push_str(",\"");
        self.0.push_str(field.name());
        self.0.push_str("\":");
    }

    /// What JSON writes as it is.
    fn plain(&mut self, field: &Field, value: &str) {
        self.name(field);
        self.0.push_str(value);
    }
}

impl Visit for Fields<'_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.name(field);
        self.0.push('"');
        escape(self.0, value);
        self.0.push('"');
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.name(field);
        self.0.push('"');
        let _ = write!(Escaping(self.0), "{value:?}");
        self.0.push('"');
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.plain(field, itoa::Buffer::new().format(value));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.plain(field, itoa::Buffer::new().format(value));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.plain(field, if value { "true" } else { "false" });
    }

    /// To three digits behind the point, as durations in milliseconds have them.
    fn record_f64(&mut self, field: &Field, value: f64) {
        let thousandths = (value * 1000.0).round();
        if !(0.0..=THOUSANDTHS_MAX).contains(&thousandths) {
            self.plain(field, "null");
            return;
        }
        let thousandths = thousandths as u64;
        self.plain(field, itoa::Buffer::new().format(thousandths / 1000));
        let digits = 1000 + thousandths % 1000;
        if digits > 1000 {
            self.0.push('.');
            let mut buffer = itoa::Buffer::new();
            self.0
                .push_str(buffer.format(digits)[1..].trim_end_matches('0'));
        }
    }
}

/// Above it not every thousandth is a number of its own (2^53).
const THOUSANDTHS_MAX: f64 = 9_007_199_254_740_992.0;

struct Escaping<'a>(&'a mut String);

impl fmt::Write for Escaping<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        escape(self.0, text);
        Ok(())
    }
}

/// Text as it stands in a JSON string (RFC 8259, 7).
fn escape(line: &mut String, text: &str) {
    let has_to_go = |b: u8| b < 0x20 || b == b'"' || b == b'\\';
    // Without a way out of the loop it is done for many bytes at once, and nearly no text has one of these.
    let is_plain = !text.bytes().fold(false, |found, b| found | has_to_go(b));
    if is_plain {
        line.push_str(text);
        return;
    }
    let mut rest = text;
    while let Some(at) = rest.bytes().position(has_to_go) {
        line.push_str(&rest[..at]);
        match rest.as_bytes()[at] {
            b'"' => line.push_str("\\\""),
            b'\\' => line.push_str("\\\\"),
            b'\n' => line.push_str("\\n"),
            b'\r' => line.push_str("\\r"),
            b'\t' => line.push_str("\\t"),
            byte => {
                let _ = write!(line, "\\u{byte:04x}");
            }
        }
        rest = &rest[at + 1..];
    }
    line.push_str(rest);
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::{Arc, Mutex};

    use proptest::prelude::*;

    use super::*;

    #[derive(Clone, Default)]
    struct Kept(Arc<Mutex<Vec<u8>>>);

    impl Write for Kept {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    fn line(text: &str) -> String {
        let kept = Kept::default();
        let writer = kept.clone();
        let subscriber = tracing_subscriber::fmt()
            .event_format(JsonLines::new())
            .fmt_fields(tracing_subscriber::fmt::format::JsonFields::new())
            .with_writer(move || writer.clone())
            .finish();
        tracing::subscriber::with_default(subscriber, || {
            tracing::info!(target: REQUEST_TARGET, text, shown = %text, ms = 0.5, count = 7, gone = None::<u32>, "request");
        });
        let bytes = kept.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn a_line_has_the_fields_in_their_order_between_time_and_target() {
        let line = line("a");
        let (time, rest) = line.split_once("\",\"level\"").unwrap();
        assert!(
            time.starts_with("{\"timestamp\":\"20") && time.ends_with('Z'),
            "{time}"
        );
        assert_eq!(
            rest,
            ":\"INFO\",\"message\":\"request\",\"text\":\"a\",\"shown\":\"a\",\"ms\":0.5,\"count\":7,\"target\":\"chatgate::request\"}\n"
        );
    }

    proptest! {
        #[test]
        fn any_text_is_one_line_that_reads_back(text in "\\PC*|[\\x00-\\x7f\u{2028}\\\\\"]*") {
            let line = line(&text);
            prop_assert_eq!(line.matches('\n').count(), 1);
            let read: serde_json::Value = serde_json::from_str(&line).unwrap();
            prop_assert_eq!(&read["text"], &serde_json::json!(text));
            prop_assert_eq!(&read["shown"], &serde_json::json!(text));
        }
    }
}
