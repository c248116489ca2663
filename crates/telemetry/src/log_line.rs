//! The log line of a request, written in one pass into the buffer of its thread. By way of `tracing` fields, the same line costs
//! a tenth of a cached read more instructions. The filter of the log holds for it as well.

use std::cell::RefCell;
use std::fmt::Write as _;
use std::sync::OnceLock;
use std::time::Duration;

use jiff::Timestamp;
use tracing::Level;

use crate::log_buffer::{Output, in_class};
use crate::log_queue::LogClass;
use visible::{escape_in_json, is_unseen};

/// The target of the lines about requests.
const REQUEST_TARGET: &str = "chatgate::request";

/// The initial capacity of a thread's buffer, in bytes: more than nearly every line takes.
const LINE_BYTES: usize = 2048;

/// The beginning of each line, with placeholders for the digits.
const LINE_START: &str = "{\"timestamp\":\"2026-11-22T00:00:00";

/// The output for JSON lines; unset when the log is text for people.
static JSON_OUTPUT: OnceLock<Output> = OnceLock::new();

thread_local! {
    static LINE: RefCell<RequestLine> = RefCell::new(RequestLine {
        text: String::with_capacity(LINE_BYTES),
        second: 0,
        is_json: true,
    });
}

/// The name of a field in both formats of a line.
#[derive(Clone, Copy)]
pub struct Name {
    /// As the next field of an object.
    pub json: &'static str,
    /// As the next word of a line.
    pub text: &'static str,
    /// With the quote that a text begins with.
    pub json_quoted: &'static str,
    /// Likewise.
    pub text_quoted: &'static str,
}

/// A field's name. It is ours and needs no escapes.
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
    /// The second that it begins with, since 1970, UTC.
    second: i64,
    is_json: bool,
}

/// Sends lines to this output as JSON from now on.
pub(crate) fn write_json_to(output: Output) {
    // Set before only in tests, which start more than one log.
    let _ = JSON_OUTPUT.set(output);
}

/// Logs a request, if the log shows such lines: a line of this class and of this moment since 1970, UTC, with the fields that
/// `write` adds.
pub fn log_request(class: LogClass, at: Duration, write: impl FnOnce(&mut RequestLine)) {
    if !tracing::enabled!(target: REQUEST_TARGET, Level::INFO) {
        return;
    }
    LINE.with_borrow_mut(|line| match JSON_OUTPUT.get() {
        Some(output) => {
            line.begin_json(at);
            write(line);
            line.text.push_str(",\"target\":\"chatgate::request\"}\n");
            output.line(class, false).take(line.text.as_bytes());
        }
        None => {
            line.is_json = false;
            line.text.clear();
            write(line);
            in_class(class, || {
                tracing::info!(target: REQUEST_TARGET, "request{}", line.text);
            });
        }
    });
}

impl RequestLine {
    /// Begins a new line with the time to the microsecond (RFC 3339). Within one second, a thread reuses the beginning of its
    /// last line.
    fn begin_json(&mut self, at: Duration) {
        let second = i64::try_from(at.as_secs()).unwrap_or(i64::MAX);
        if self.second != second || !self.is_json {
            self.text.clear();
            let time = Timestamp::from_second(second).unwrap_or(Timestamp::MAX);
            // Writing into a String can't fail.
            let _ = write!(self.text, "{{\"timestamp\":\"{time:.0}");
            self.second = second;
            self.is_json = true;
        }
        // The Z comes behind the microseconds.
        self.text.truncate(LINE_START.len());
        self.text.push('.');
        let mut digits = itoa::Buffer::new();
        let digits = digits.format(1_000_000 + at.subsec_micros());
        self.text.push_str(&digits[1..]);
        self.text
            .push_str("Z\",\"level\":\"INFO\",\"message\":\"request\"");
    }

    fn name(&mut self, name: Name) {
        self.text
            .push_str(if self.is_json { name.json } else { name.text });
    }

    /// Appends a word that needs no escapes: one of ours, or one whose characters were checked.
    pub fn word(&mut self, name: Name, word: &str) {
        self.quoted(name, |text| text.push_str(word));
    }

    /// Appends any text.
    pub fn text(&mut self, name: Name, text: &str) {
        self.quoted(name, |line| escape(line, text));
    }

    /// Appends what `write` adds, in quotes; it must not need escapes.
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

/// Appends text with the escapes of a JSON string (RFC 8259, 7), and with those for what a terminal does not show.
fn escape(line: &mut String, text: &str) {
    // What else nobody sees has bytes beyond ASCII.
    let may_go = |b: u8| !(0x20..0x7f).contains(&b) || b == b'"' || b == b'\\';
    // Without a way out of the loop it is done for many bytes at once, and most texts have none of these.
    let is_plain = !text.bytes().fold(false, |found, b| found | may_go(b));
    if is_plain {
        line.push_str(text);
        return;
    }
    let mut rest = text;
    while let Some(at) = rest.bytes().position(may_go) {
        let (plain, others) = rest.split_at(at);
        line.push_str(plain);
        let mut others = others.chars();
        match others.next().unwrap_or_default() {
            '"' => line.push_str("\\\""),
            '\\' => line.push_str("\\\\"),
            '\n' => line.push_str("\\n"),
            '\r' => line.push_str("\\r"),
            '\t' => line.push_str("\\t"),
            c if is_unseen(c) => escape_in_json(line, c),
            c => line.push(c),
        }
        rest = others.as_str();
    }
    line.push_str(rest);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn line(is_json: bool, write: impl Fn(&mut RequestLine)) -> String {
        let mut line = RequestLine {
            text: String::new(),
            second: 0,
            is_json: false,
        };
        if is_json {
            line.begin_json(Duration::from_micros(1_790_000_000_000_042));
        }
        write(&mut line);
        line.text
    }

    #[test]
    fn a_line_has_the_fields_in_their_order_behind_the_time() {
        let write = |line: &mut RequestLine| {
            line.word(name!("way"), "soap");
            line.text(name!("user_agent"), "a \"b\"");
            line.number(name!("status"), 200);
            line.ms(name!("total_ms"), Duration::from_micros(1050));
        };
        let json = line(true, write);
        let (time, rest) = json.split_once("\",\"level\"").unwrap();
        let time = time.strip_prefix("{\"timestamp\":\"").unwrap();
        assert!(
            time.parse::<Timestamp>().is_ok() && time.len() == 27,
            "{time}"
        );
        assert_eq!(
            rest,
            r#":"INFO","message":"request","way":"soap","user_agent":"a \"b\"","status":200,"total_ms":1.05"#
        );
        assert_eq!(
            line(false, write),
            r#" way="soap" user_agent="a \"b\"" status=200 total_ms=1.05"#
        );
    }

    #[test]
    fn durations_are_logged_to_the_microsecond() {
        for (micros, shown) in [
            (0, "0"),
            (1, "0.001"),
            (500, "0.5"),
            (1000, "1"),
            (12_345, "12.345"),
        ] {
            let logged = line(false, |line| {
                line.ms(name!("t"), Duration::from_micros(micros))
            });
            assert_eq!(logged, format!(" t={shown}"));
        }
    }

    proptest! {
        #[test]
        fn any_text_is_one_line_that_reads_back(text in "\\PC*|[\\x00-\\x7f\u{2028}\\\\\"]*") {
            let mut line = line(true, |line| line.text(name!("text"), &text));
            prop_assert_eq!(line.matches('\n').count(), 0);
            line.push('}');
            let read: serde_json::Value = serde_json::from_str(&line).unwrap();
            prop_assert_eq!(&read["text"], &serde_json::json!(text));
        }
    }
}
