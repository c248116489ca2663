//! The common request: one operation with checked values, independent of the way in.

use std::fmt::Write as _;

use crate::code::Code;
use crate::error::Error;
use crate::event::{CURSOR_BYTES, CURSOR_WORDS, EVENT_TYPES};
use crate::file_url::is_public_url;
use crate::operation::{
    CLASS, FILE_TYPES, Operation, PLATFORMS, Parameter, ParameterKind, Sensitivity,
};
use crate::params::{Params, forbidden_character};
use crate::text::has_forbidden_character;

/// A call with valid values. Equal requests are the same call, so that a request can be part of a cache key.
#[derive(Clone)]
pub struct Request {
    operation: &'static Operation,
    /// One entry per declared parameter, in the table's order.
    values: Box<[Option<String>]>,
}

impl Request {
    /// Creates a request whose class and method are in `params`. Checks class, method, compulsory parameters and values, in that
    /// order.
    ///
    /// # Errors
    /// The code of the first check that fails.
    pub fn open(params: &mut Params) -> Result<Request, Error> {
        let class = word(params, "class")?;
        if class.as_deref() != Some(CLASS) {
            return Err(Error::refused(Code::IncorrectClass));
        }
        let method = word(params, "method")?.unwrap_or_default();
        let operation =
            Operation::named(&method).ok_or_else(|| Error::refused(Code::IncorrectMethod))?;
        Request::of(operation, params)
    }

    /// Creates a request for a known operation. Checks compulsory parameters first, then values.
    ///
    /// # Errors
    /// MISSING_COMPULSORY_PARAM, INCORRECT_PARAM, or the code of the parameter's kind.
    pub fn of(operation: &'static Operation, params: &mut Params) -> Result<Request, Error> {
        let values = checked_values(operation, params);
        let values = values.map_err(|error| error.of_operation(operation))?;
        Ok(Request { operation, values })
    }

    /// Returns the row of the operation table that the request calls.
    #[must_use]
    pub fn operation(&self) -> &'static Operation {
        self.operation
    }

    /// Returns the value of one parameter, if the caller gave it.
    #[must_use]
    pub fn value(&self, name: &str) -> Option<&str> {
        self.pairs()
            .find(|(parameter, _)| parameter.name == name)
            .map(|(_, value)| value)
    }

    /// Returns the parameters that the caller gave, in the table's order.
    pub fn pairs(&self) -> impl Iterator<Item = (&'static Parameter, &str)> {
        self.operation
            .parameters
            .iter()
            .zip(&self.values)
            .filter_map(|(parameter, value)| value.as_deref().map(|value| (parameter, value)))
    }

    /// Appends to `shown` the part of a value that a log may show: the whole value, its last four characters, or its length.
    pub fn redact(parameter: &Parameter, value: &str, shown: &mut String) {
        match parameter.sensitivity {
            Sensitivity::Open => shown.push_str(value),
            Sensitivity::Address => {
                let end = value.char_indices().rev().nth(3);
                shown.push('…');
                // A value of up to four characters is not shown at all, because its last four characters would be the whole value.
                shown.push_str(match end {
                    Some((at @ 1.., _)) => &value[at..],
                    Some((0, _)) | None => "",
                });
            }
            // Writing into a String can't fail.
            Sensitivity::Content => drop(write!(shown, "({} bytes)", value.len())),
        }
    }
}

/// Compares the operation by its method, because comparing two whole rows of the table costs 250 instructions.
impl PartialEq for Request {
    fn eq(&self, other: &Request) -> bool {
        self.operation.method == other.operation.method && self.values == other.values
    }
}

impl Eq for Request {}

impl std::hash::Hash for Request {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.operation.method.hash(state);
        self.values.hash(state);
    }
}

impl std::fmt::Debug for Request {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut shown = f.debug_struct(self.operation.method);
        for (parameter, value) in self.pairs() {
            let mut redacted = String::new();
            Request::redact(parameter, value, &mut redacted);
            shown.field(parameter.name, &redacted);
        }
        shown.finish()
    }
}

/// Returns class or method. They are compared with the names of the table, so their other bounds do not matter.
fn word(params: &mut Params, name: &str) -> Result<Option<String>, Error> {
    let value = params.take(name)?;
    if value
        .as_deref()
        .is_some_and(|value| has_forbidden_character(value, false))
    {
        return Err(forbidden_character(name));
    }
    Ok(value)
}

/// Returns the values of an operation's parameters, in the table's order.
fn checked_values(
    operation: &'static Operation,
    params: &mut Params,
) -> Result<Box<[Option<String>]>, Error> {
    if let Some(missing) = operation
        .parameters
        .iter()
        .find(|p| p.compulsory && !params.has(p.name))
    {
        let text = format!("The compulsory parameter {} is missing.", missing.name);
        return Err(Error::explained(Code::MissingCompulsoryParam, text));
    }
    params.refuse_doubled_keys()?;
    // With the right capacity, because collecting results allocates twice.
    let mut values = Vec::with_capacity(operation.parameters.len());
    for parameter in operation.parameters {
        let value = params.take(parameter.name)?;
        values.push(value.map(|value| checked(parameter, value)).transpose()?);
    }
    // Parameters of other operations have no effect here. Their mistakes are still mistakes, so that the same call gets the same
    // answer by every way in: SOAP could not even carry such characters.
    params.refuse_unused()?;
    Ok(values.into_boxed_slice())
}

/// Returns the value if its kind allows it.
fn checked(parameter: &Parameter, value: String) -> Result<String, Error> {
    let name = parameter.name;
    let max = parameter.kind.bytes_max();
    if value.len() > max {
        let text = format!("The parameter {name} is longer than {max} bytes.");
        return Err(Error::incorrect(text));
    }
    if has_forbidden_character(&value, parameter.kind == ParameterKind::Message) {
        let text = format!("The parameter {name} contains a character that is not allowed.");
        return Err(Error::incorrect(text));
    }
    let (right, code) = match parameter.kind {
        ParameterKind::Platform => (PLATFORMS.contains(&value.as_str()), Code::ChannelNotFound),
        ParameterKind::FileType => (
            FILE_TYPES.contains(&value.as_str()),
            Code::IncorrectFiletype,
        ),
        ParameterKind::Url(code) => (is_public_url(&value), code),
        ParameterKind::Id | ParameterKind::Message => (true, Code::IncorrectParam),
        ParameterKind::Cursor => (is_cursor(&value), Code::IncorrectParam),
        ParameterKind::Number(least, most) => {
            (is_within(&value, (least, most)), Code::IncorrectParam)
        }
        ParameterKind::EventTypes => {
            let mut types = value.split(',');
            let known = types.all(|one| EVENT_TYPES.contains(&one));
            (known, Code::IncorrectParam)
        }
    };
    if right {
        Ok(value)
    } else {
        Err(Error::refused(code))
    }
}

/// Returns whether the value can be a cursor: a cursor word, or a number in Crockford's base 32.
fn is_cursor(value: &str) -> bool {
    let is_digit =
        |byte: u8| byte.is_ascii_digit() || (byte.is_ascii_lowercase() && !b"ilou".contains(&byte));
    // A cursor has 63 bits, so its first digit uses only three of its five bits.
    let is_number =
        || value.starts_with(|first| ('0'..='7').contains(&first)) && value.bytes().all(is_digit);
    CURSOR_WORDS.contains(&value) || (value.len() == CURSOR_BYTES && is_number())
}

fn is_within(value: &str, (least, most): (u16, u16)) -> bool {
    let number = value.parse().ok();
    value.bytes().all(|byte| byte.is_ascii_digit())
        && number.is_some_and(|number: u16| (least..=most).contains(&number))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(pairs: &[(&str, &str)]) -> Result<Request, Code> {
        let mut params = Params::from_pairs(
            pairs
                .iter()
                .map(|(name, value)| (*name, (*value).to_owned())),
        );
        Request::open(&mut params).map_err(|error| error.code())
    }

    const SEND: [(&str, &str); 6] = [
        ("class", "chat"),
        ("method", "sendmessage"),
        ("platform", "whatsapp"),
        ("platformid", "100"),
        ("destination", "34600000000"),
        ("message", " hi\r\n"),
    ];

    fn send_with(name: &str, value: &str) -> Result<Request, Code> {
        open(&SEND.map(|(n, v)| if n == name { (n, value) } else { (n, v) }))
    }

    fn file_with(name: &str, value: &str) -> Result<Request, Code> {
        let call = [
            ("class", "chat"),
            ("method", "sendfile"),
            ("platform", "whatsapp"),
            ("platformid", "100"),
            ("destination", "34600000000"),
            ("type", "image"),
            ("fileurl", "https://files.example.com/a.png"),
            ("thumburl", "https://files.example.com/t.png"),
            ("message", "hi"),
        ];
        open(&call.map(|(n, v)| if n == name { (n, value) } else { (n, v) }))
    }

    #[test]
    fn unused_parameters_with_conflicts_or_control_characters_are_rejected() {
        let send_and = |pairs: &[(&str, &str)]| open(&[&SEND[..], pairs].concat());
        for wrong in [
            &[("type", "image"), ("type", "video")][..],
            &[("thumburl", "a\0")],
            &[("type", "\u{fffe}")],
            &[("fileurl", "a\nb")],
        ] {
            assert_eq!(send_and(wrong).unwrap_err(), Code::IncorrectParam);
        }
        for harmless in [
            &[("type", "image"), ("type", "image")][..],
            &[("fileurl", "nonsense")],
        ] {
            assert!(send_and(harmless).is_ok());
        }
        for wrong in [("class", "chat\0"), ("method", "send\u{1}message")] {
            assert_eq!(
                send_with(wrong.0, wrong.1).unwrap_err(),
                Code::IncorrectParam
            );
        }
    }

    #[test]
    fn an_error_of_a_call_names_its_operation() {
        let mut params = Params::from_pairs([
            ("class", "chat".to_owned()),
            ("method", "getchats".to_owned()),
        ]);
        let error = Request::open(&mut params).unwrap_err();
        assert_eq!(error.operation().unwrap().method, "getchats");
    }

    #[test]
    fn class_method_and_missing_parameters_are_checked_before_values() {
        assert_eq!(
            open(&[("class", "sms"), ("method", "nope")]).unwrap_err(),
            Code::IncorrectClass
        );
        assert_eq!(
            open(&[("class", "chat"), ("method", "nope")]).unwrap_err(),
            Code::IncorrectMethod
        );
        let late = open(&[
            ("class", "chat"),
            ("method", "getchats"),
            ("platform", "fax"),
        ]);
        assert_eq!(late.unwrap_err(), Code::MissingCompulsoryParam);
        assert_eq!(
            send_with("platform", "fax").unwrap_err(),
            Code::ChannelNotFound
        );
        assert_eq!(
            send_with("message", "").unwrap_err(),
            Code::MissingCompulsoryParam
        );
    }

    #[test]
    fn getevents_accepts_only_valid_cursors_numbers_and_event_types() {
        let check = |name: &str, value: &str| {
            open(&[("class", "chat"), ("method", "getevents"), (name, value)]).map(drop)
        };
        for (name, right, wrong) in [
            (
                "cursor",
                &["now", "earliest", "01k3b4c5d6e7f", ""][..],
                &["NOW", "01k3b4c5d6e7", "01k3b4c5d6e7u", "81k3b4c5d6e7f"][..],
            ),
            (
                "wait",
                &["0", "25", "007"],
                &["26", "-1", "+1", "1.0", "1s", " 1", "99999"],
            ),
            ("limit", &["1", "1000"], &["0", "1001"]),
            (
                "types",
                &["message.received", "chat.changed,message.status"],
                &[
                    "message",
                    "message.received, message.sent",
                    ",",
                    "webhook.ping",
                ],
            ),
        ] {
            for value in right {
                assert_eq!(check(name, value), Ok(()), "{name}={value}");
            }
            for value in wrong {
                assert_eq!(
                    check(name, value),
                    Err(Code::IncorrectParam),
                    "{name}={value}"
                );
            }
        }
        assert_eq!(check("platform", "fax"), Err(Code::ChannelNotFound));
    }

    #[test]
    fn a_message_is_limited_in_bytes_and_may_contain_line_breaks() {
        assert_eq!(
            send_with("message", " hi\r\n").unwrap().value("message"),
            Some(" hi\r\n")
        );
        assert!(send_with("message", &"é".repeat(8192)).is_ok());
        assert_eq!(
            send_with("message", &"é".repeat(8193)).unwrap_err(),
            Code::IncorrectParam
        );
        assert_eq!(
            send_with("destination", "a\nb").unwrap_err(),
            Code::IncorrectParam
        );
        assert_eq!(
            send_with("message", "a\u{b}b").unwrap_err(),
            Code::IncorrectParam
        );
        assert_eq!(
            send_with("message", "a\u{fffe}b").unwrap_err(),
            Code::IncorrectParam
        );
    }

    #[test]
    fn each_parameter_length_limit_is_exact_to_the_byte() {
        let url = |bytes: usize| format!("https://a.example/{:x<1$}", "", bytes - 18);
        assert_eq!(url(2048).len(), 2048);
        for (name, bytes, value) in [
            ("platformid", 128, "1".repeat(128)),
            ("destination", 128, "1".repeat(128)),
            ("message", 16 * 1024, "x".repeat(16 * 1024)),
            ("fileurl", 2048, url(2048)),
            ("thumburl", 2048, url(2048)),
        ] {
            assert!(file_with(name, &value).is_ok(), "{name} of {bytes} bytes");
            let longer = value + "1";
            let error = file_with(name, &longer).unwrap_err();
            assert_eq!(error, Code::IncorrectParam, "{name} of {} bytes", bytes + 1);
        }
    }

    #[test]
    fn parameters_with_control_characters_or_noncharacters_are_rejected() {
        for name in ["platformid", "destination", "type", "fileurl", "thumburl"] {
            for c in [
                "\n", "\r", "\t", "\u{0}", "\u{7f}", "\u{85}", "\u{fffe}", "\u{ffff}",
            ] {
                let value = format!("1{c}2");
                assert_eq!(
                    file_with(name, &value).unwrap_err(),
                    Code::IncorrectParam,
                    "{name} {c:?}"
                );
            }
        }
        assert_eq!(
            file_with("message", "a\u{ffff}b").unwrap_err(),
            Code::IncorrectParam
        );
    }

    #[test]
    fn unknown_platforms_unknown_file_types_and_internal_urls_are_rejected() {
        for (name, value, code) in [
            ("platform", "fax", Code::ChannelNotFound),
            ("platform", "WhatsApp", Code::ChannelNotFound),
            ("type", "sticker", Code::IncorrectFiletype),
            ("type", "Image", Code::IncorrectFiletype),
            ("fileurl", "http://10.0.0.1/a.png", Code::IncorrectFileurl),
            ("thumburl", "http://nas.lan/a.png", Code::IncorrectThumburl),
        ] {
            assert_eq!(file_with(name, value).unwrap_err(), code, "{name}={value}");
        }
        for kind in FILE_TYPES {
            assert!(file_with("type", kind).is_ok(), "{kind}");
        }
    }

    #[test]
    fn debug_output_of_a_request_hides_message_and_destination() {
        let request = send_with("message", "the secret plan").unwrap();
        let shown = format!("{request:?}");
        assert!(
            !shown.contains("plan") && !shown.contains("3460000"),
            "{shown}"
        );
        let short = send_with("destination", "1234").unwrap();
        assert!(!format!("{short:?}").contains("1234"));
    }
}
