//! Writes the log line of a request in one pass into the buffer of its thread. With `tracing` fields, the same line would add a
//! tenth of the instructions of a cached read. The filter of the log applies to these lines as well.

use std::cell::RefCell;
use std::fmt::Write as _;
use std::sync::OnceLock;
use std::time::Duration;

use jiff::Timestamp;
use tracing::Level;

use crate::log_buffer::{Output, in_class};
use crate::log_queue::LogClass;
use visible::{escape_in_json, is_invisible};

/// The target of the request lines.
const REQUEST_TARGET: &str = "chatgate::request";

/// The initial capacity of a thread's buffer, in bytes. Nearly every line is shorter.
const LINE_BYTES: usize = 2048;

/// Number of bytes that are checked at a time for characters that need an escape.
const PIECE_BYTES: usize = 16;

/// Length of a time with a precision of seconds, in bytes: `2026-11-22T00:00:00`.
const SECOND_BYTES: usize = 19;

/// The output for lines that programs read, with the fixed parts of a line. Unset if the log is text for people.
static PROGRAMS_OUTPUT: OnceLock<(Output, LineFrame)> = OnceLock::new();

thread_local! {
    static LINE: RefCell<RequestLine> = RefCell::new(RequestLine {
        text: String::with_capacity(LINE_BYTES),
        second: 0,
        is_json: false,
    });
}

/// The fixed parts of a line: before the time, between the time and the fields, and after the fields.
struct LineFrame {
    is_json: bool,
    start: &'static str,
    middle: &'static str,
    end: &'static str,
}

const JSON: LineFrame = LineFrame {
    is_json: true,
    start: "{\"timestamp\":\"",
    middle: "Z\",\"level\":\"INFO\",\"message\":\"request\"",
    end: ",\"target\":\"chatgate::request\"}\n",
};

const LOGFMT: LineFrame = LineFrame {
    is_json: false,
    start: "timestamp=",
    middle: "Z level=INFO message=request",
    end: " target=chatgate::request\n",
};

/// The name of a field in both formats of a line.
#[derive(Clone, Copy)]
pub struct Name {
    /// The name as the start of the next JSON member.
    pub json: &'static str,
    /// The name as the start of the next logfmt word.
    pub text: &'static str,
    /// The JSON form with the opening quote of a text.
    pub json_quoted: &'static str,
    /// The logfmt form with the opening quote of a text.
    pub text_quoted: &'static str,
}

/// Returns the name of a field. The name is a literal of this code and needs no escapes.
#[macro_export]
macro_rules! name {
    ($name:literal) => {
        $crate::Name {
            json: concat!(",\"", $name, "\":"),
            text: concat!(" ", $name, "="),
            json_quoted: concat!(",\"", $name, "\":\""),
            text_quoted: concat!(" ", $name, "=\""),
        }
    };
}

/// A line that is being written.
pub struct RequestLine {
    text: String,
    /// The second with which the line begins, since 1970, UTC.
    second: i64,
    is_json: bool,
}

/// Sends lines to this output from now on, as JSON or as logfmt.
pub(crate) fn write_for_programs(output: Output, is_json: bool) {
    let frame = if is_json { JSON } else { LOGFMT };
    // The output is already set only in tests, which start more than one log.
    let _ = PROGRAMS_OUTPUT.set((output, frame));
}

/// Logs a request if the level of the log includes such lines. The line has this class, this time since 1970, UTC, and the fields
/// that `write` adds.
pub fn log_request(class: LogClass, at: Duration, write: impl FnOnce(&mut RequestLine)) {
    if !tracing::enabled!(target: REQUEST_TARGET, Level::INFO) {
        return;
    }
    LINE.with_borrow_mut(|line| match PROGRAMS_OUTPUT.get() {
        Some((output, frame)) => {
            line.begin(frame, at);
            write(line);
            line.text.push_str(frame.end);
            output.line(class, false).take(line.text.as_bytes());
        }
        None => {
            line.text.clear();
            write(line);
            in_class(class, || {
                tracing::info!(target: REQUEST_TARGET, "request{}", line.text);
            });
        }
    });
}

impl RequestLine {
    /// Begins a new line with the time in microseconds (RFC 3339). Within one second, a thread reuses the beginning of its last
    /// line.
    fn begin(&mut self, frame: &LineFrame, at: Duration) {
        let second = i64::try_from(at.as_secs()).unwrap_or(i64::MAX);
        if self.second != second {
            self.text.clear();
            let time = Timestamp::from_second(second).unwrap_or(Timestamp::MAX);
            // Writing into a String cannot fail.
            let _ = write!(self.text, "{}{time:.0}", frame.start);
            self.second = second;
            self.is_json = frame.is_json;
        }
        // The Z follows after the microseconds.
        self.text.truncate(frame.start.len() + SECOND_BYTES);
        self.text.push('.');
        let mut digits = itoa::Buffer::new();
        let digits = digits.format(1_000_000 + at.subsec_micros());
        self.text.push_str(&digits[1..]);
        self.text.push_str(frame.middle);
    }

    fn name(&mut self, name: Name) {
        self.text
            .push_str(if self.is_json { name.json } else { name.text });
    }

    /// Appends a word that needs no escapes: a literal of this code, or a word with checked characters.
    pub fn word(&mut self, name: Name, word: &str) {
        self.quoted(name, |text| text.push_str(word));
    }

    /// Appends any text.
    pub fn text(&mut self, name: Name, text: &str) {
        self.quoted(name, |line| escape(line, text));
    }

    /// Appends the text that `write` adds, in quotes. The text must not need escapes.
    pub fn quoted(&mut self, name: Name, write: impl FnOnce(&mut String)) {
        self.text.push_str(if self.is_json {
            name.json_quoted
        } else {
            name.text_quoted
        });
        write(&mut self.text);
        self.text.push('"');
    }

    /// Appends a number.
    pub fn number(&mut self, name: Name, number: impl itoa::Integer) {
        self.name(name);
        self.text.push_str(itoa::Buffer::new().format(number));
    }

    /// Appends a duration in milliseconds with three decimals.
    pub fn ms(&mut self, name: Name, time: Duration) {
        self.name(name);
        let thousandths = u64::try_from((time.as_nanos() + 500) / 1000).unwrap_or(u64::MAX);
        let mut buffer = itoa::Buffer::new();
        self.text.push_str(buffer.format(thousandths / 1000));
        let digits = 1000 + thousandths % 1000;
        if digits > 1000 {
            self.text.push('.');
            self.text
                .push_str(buffer.format(digits)[1..].trim_end_matches('0'));
        }
    }
}

/// Appends text with the escapes of a JSON string (RFC 8259, 7), and with escapes for characters that a terminal does not show.
pub(crate) fn escape(line: &mut String, text: &str) {
    let mut rest = text;
    while let Some(at) = first_to_escape(rest.as_bytes()) {
        let (plain, others) = rest.split_at(at);
        line.push_str(plain);
        let mut others = others.chars();
        match others.next().unwrap_or_default() {
            '"' => line.push_str("\\\""),
            '\\' => line.push_str("\\\\"),
            '\n' => line.push_str("\\n"),
            '\r' => line.push_str("\\r"),
            '\t' => line.push_str("\\t"),
            c if is_invisible(c) => escape_in_json(line, c),
            c => line.push(c),
        }
        rest = others.as_str();
    }
    line.push_str(rest);
}

/// Returns the position of the first byte that may need an escape.
fn first_to_escape(text: &[u8]) -> Option<usize> {
    // All other invisible characters have bytes beyond ASCII.
    let may_not = |b: &u8| !(0x20..0x7f).contains(b) | (*b == b'"') | (*b == b'\\');
    // The fold has no early exit, so that the compiler can check a whole piece at once. Most pieces need no escape.
    let is_plain = |piece: &&[u8]| !piece.iter().fold(false, |found, b| found | may_not(b));
    let plain = text.chunks_exact(PIECE_BYTES).take_while(is_plain).count() * PIECE_BYTES;
    text[plain..].iter().position(may_not).map(|at| plain + at)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn line(frame: Option<&LineFrame>, write: impl Fn(&mut RequestLine)) -> String {
        let mut line = RequestLine {
            text: String::new(),
            second: 0,
            is_json: false,
        };
        if let Some(frame) = frame {
            line.begin(frame, Duration::from_micros(1_790_000_000_000_042));
        }
        write(&mut line);
        if let Some(frame) = frame {
            line.text.push_str(frame.end);
        }
        line.text
    }

    #[test]
    fn a_request_line_has_its_fields_in_order_after_the_time() {
        let write = |line: &mut RequestLine| {
            line.word(name!("way"), "soap");
            line.text(name!("user_agent"), "a \"b\"");
            line.number(name!("status"), 200);
            line.ms(name!("total_ms"), Duration::from_micros(1050));
        };
        let json = line(Some(&JSON), write);
        let (time, rest) = json.split_once("\",\"level\"").unwrap();
        let time = time.strip_prefix("{\"timestamp\":\"").unwrap();
        assert!(
            time.parse::<Timestamp>().is_ok() && time.len() == 27,
            "{time}"
        );
        assert_eq!(
            rest,
            ":\"INFO\",\"message\":\"request\",\"way\":\"soap\",\"user_agent\":\"a \\\"b\\\"\",\"status\":200,\"total_ms\":1.05,\"target\":\"chatgate::request\"}\n"
        );
        let fields = r#" way="soap" user_agent="a \"b\"" status=200 total_ms=1.05"#;
        assert_eq!(line(None, write), fields);
        assert_eq!(
            line(Some(&LOGFMT), write),
            format!(
                "timestamp={time} level=INFO message=request{fields} target=chatgate::request\n"
            )
        );
    }

    #[test]
    fn durations_are_logged_with_microsecond_precision() {
        for (micros, shown) in [
            (0, "0"),
            (1, "0.001"),
            (500, "0.5"),
            (1000, "1"),
            (12_345, "12.345"),
        ] {
            let logged = line(None, |line| {
                line.ms(name!("t"), Duration::from_micros(micros))
            });
            assert_eq!(logged, format!(" t={shown}"));
        }
    }

    proptest! {
        #[test]
        fn any_text_is_logged_as_one_json_line_that_parses_back(text in "\\PC*|[\\x00-\\x7f\u{2028}\\\\\"]*") {
            let line = line(Some(&JSON), |line| line.text(name!("text"), &text));
            prop_assert_eq!(line.matches('\n').count(), 1);
            let read: serde_json::Value = serde_json::from_str(&line).unwrap();
            prop_assert_eq!(&read["text"], &serde_json::json!(text));
        }
    }
}
