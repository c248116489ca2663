//! Writes events as logfmt: `name=value` pairs, with texts in quotes and escaped as in JSON strings. `log_line.rs` writes request
//! lines with the same fields in the same form.

use std::fmt;

use jiff::Timestamp;
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

use crate::log_line::escape;

/// Writes an event as one line.
pub(crate) struct LogfmtEvents;

impl<S, N> FormatEvent<S, N> for LogfmtEvents
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        _: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let (level, target) = (event.metadata().level(), event.metadata().target());
        write!(writer, "timestamp={:.6} level={level}", Timestamp::now())?;
        let mut fields = LogfmtFields(String::new());
        event.record(&mut fields);
        writeln!(writer, "{} target={target}", fields.0)
    }
}

/// The fields of an event, each with a leading space.
struct LogfmtFields(String);

impl LogfmtFields {
    fn bare(&mut self, field: &Field, value: impl fmt::Display) {
        use fmt::Write as _;
        // Writing into a String cannot fail.
        let _ = write!(self.0, " {}={value}", field.name());
    }
}

impl Visit for LogfmtFields {
    fn record_i64(&mut self, field: &Field, value: i64) {
        self.bare(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.bare(field, value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.bare(field, value);
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.bare(field, '"');
        escape(&mut self.0, value);
        self.0.push('"');
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.record_str(field, &format!("{value:?}"));
    }
}

#[cfg(test)]
mod tests {
    use std::io::{self, Write};
    use std::sync::{Arc, Mutex};

    use super::*;

    /// A writer that records the output.
    #[derive(Clone, Default)]
    struct Written(Arc<Mutex<Vec<u8>>>);

    impl Write for Written {
        fn write(&mut self, line: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(line);
            Ok(line.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_log_event_with_any_values_is_one_logfmt_line() {
        let written = Written::default();
        let output = written.clone();
        let subscriber = tracing_subscriber::fmt()
            .event_format(LogfmtEvents)
            .with_writer(move || output.clone());
        tracing::subscriber::with_default(subscriber.finish(), || {
            let cause = "a\nlevel=ERROR \"b\" \\ \u{202e}";
            tracing::warn!(target: "chatgate::x", cause, count = 7, accepted = true, error = %"e=1", "not well");
        });
        let line = String::from_utf8(written.0.lock().unwrap().clone()).unwrap();
        let (time, rest) = line.split_once(' ').unwrap();
        let time = time.strip_prefix("timestamp=").unwrap();
        assert!(
            time.parse::<Timestamp>().is_ok() && time.len() == 27,
            "{time}"
        );
        assert_eq!(
            rest,
            "level=WARN message=\"not well\" cause=\"a\\nlevel=ERROR \\\"b\\\" \\\\ \\u202e\" count=7 accepted=true error=\"e=1\" \
             target=chatgate::x\n"
        );
    }
}
