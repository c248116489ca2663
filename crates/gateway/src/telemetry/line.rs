//! The log as JSON lines. The line of a request is written here in one pass; by way of the subscriber's own formatter it
//! cost a sixth of a forwarded call. Everything else is that formatter's.

use std::cell::RefCell;
use std::fmt::{self, Debug, Write as _};

use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::format::{Format, Json, Writer};
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields, format};
use tracing_subscriber::registry::LookupSpan;

/// The target of the lines that tell of requests.
pub(crate) const REQUEST_TARGET: &str = "chatgate::request";

/// What a thread's buffer begins with, in bytes: more than nearly every line has.
const LINE_BYTES: usize = 2048;

thread_local! {
    static LINE: RefCell<String> = RefCell::new(String::with_capacity(LINE_BYTES));
}

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
        writer.write_str("{\"timestamp\":\"")?;
        SystemTime.format_time(&mut writer)?;
        LINE.with_borrow_mut(|line| {
            line.clear();
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

    /// A number, or what else JSON writes as Rust does. Writing into a String can't fail.
    fn plain(&mut self, field: &Field, value: impl fmt::Display) {
        self.name(field);
        let _ = write!(self.0, "{value}");
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
        self.plain(field, value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.plain(field, value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.plain(field, value);
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        if value.is_finite() {
            self.plain(field, value);
        } else {
            self.plain(field, "null");
        }
    }
}

struct Escaping<'a>(&'a mut String);

impl fmt::Write for Escaping<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        escape(self.0, text);
        Ok(())
    }
}

/// Text as it stands in a JSON string (RFC 8259, 7).
fn escape(line: &mut String, text: &str) {
    let mut rest = text;
    while let Some(at) = rest
        .bytes()
        .position(|b| b < 0x20 || b == b'"' || b == b'\\')
    {
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
