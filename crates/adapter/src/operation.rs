//! The operation table: seven operations, each declared once.
//!
//! Parsing, validation, bounds, cache and resend rules, redaction and the WSDL are all derived from these rows. A new operation is
//! one row.

use crate::code::Code;
use crate::event::{CURSOR_BYTES, EVENT_FIELDS, EVENTS_MAX, GET_EVENTS, WAIT_MAX_S};

/// The only class of the chat API.
pub const CLASS: &str = "chat";

/// The effect of a call. Caching, merging and resending depend on this alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Effect {
    /// Changes nothing. May be cached, and merged with an identical concurrent call.
    Read,
    /// May change unread marks. Never cached or merged.
    Consume,
    /// Reaches a person. Never cached or merged, and never resent after a byte has left the gateway.
    Send,
    /// Answered by the gateway, which may wait for an event. Never cached or merged, and never passed to the upstream.
    Watch,
}

/// The kind of a parameter's value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParameterKind {
    /// One of the four platforms; any other value is an unknown channel.
    Platform,
    /// An identifier of the upstream, up to 128 bytes.
    Id,
    /// A text for a person, up to 16 KiB, with TAB, LF and CR allowed.
    Message,
    /// One of the six file types.
    FileType,
    /// A public http or https URL of up to 2,048 bytes; the code is the error of this parameter.
    Url(Code),
    /// A position among the events: one of [`CURSOR_WORDS`](crate::CURSOR_WORDS), or a cursor from an earlier answer.
    Cursor,
    /// A whole number within these bounds (both included), in decimal digits.
    Number(u16, u16),
    /// Entries of [`EVENT_TYPES`](crate::EVENT_TYPES), separated by commas.
    EventTypes,
}

impl ParameterKind {
    /// Returns the maximum length of a value, in bytes of UTF-8.
    #[must_use]
    pub const fn bytes_max(self) -> usize {
        match self {
            ParameterKind::Platform
            | ParameterKind::Id
            | ParameterKind::FileType
            | ParameterKind::EventTypes => 128,
            ParameterKind::Message => 16 * 1024,
            ParameterKind::Url(_) => 2048,
            ParameterKind::Cursor => CURSOR_BYTES,
            // The number of digits of the largest number.
            ParameterKind::Number(..) => 5,
        }
    }
}

/// The part of a value that a log may show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sensitivity {
    /// The whole value.
    Open,
    /// Only the end of the value, because it identifies a person.
    Address,
    /// Only the length of the value, because it is the content of a message.
    Content,
}

/// One declared parameter.
#[derive(Debug, PartialEq, Eq)]
pub struct Parameter {
    /// The name of the parameter on the wire.
    pub name: &'static str,
    /// True if a call without the parameter is rejected.
    pub compulsory: bool,
    /// The kind of the parameter's value.
    pub kind: ParameterKind,
    /// The part of the value that a log may show.
    pub sensitivity: Sensitivity,
}

/// The caching of a read's answers.
#[derive(Debug, PartialEq, Eq)]
pub struct Caching {
    /// Default lifetime of a cached answer, in seconds.
    pub default_s: u32,
    /// The field of an access that sets another lifetime, in seconds.
    pub field: &'static str,
    /// The name of the cached answers, for people.
    pub answers: &'static str,
}

/// One row of the table.
#[derive(Debug, PartialEq, Eq)]
pub struct Operation {
    /// The value of the parameter `method`.
    pub method: &'static str,
    /// The effect of the call.
    pub effect: Effect,
    /// The caching of the answers, if they are cached; only a read may be.
    pub cacheable: Option<Caching>,
    /// The parameters in addition to class, method and credentials.
    pub parameters: &'static [Parameter],
    /// The fields of each element of `list` on success; empty if the result has no list.
    pub result_fields: &'static [&'static str],
    /// The values of the result other than `list`.
    pub result_values: &'static [&'static str],
    /// The chat API's codes that the operation may answer, in addition to the eight codes that every method has.
    pub codes: &'static [Code],
}

const fn required(name: &'static str, kind: ParameterKind, sensitivity: Sensitivity) -> Parameter {
    Parameter {
        name,
        compulsory: true,
        kind,
        sensitivity,
    }
}

const fn optional(name: &'static str, kind: ParameterKind, sensitivity: Sensitivity) -> Parameter {
    Parameter {
        name,
        compulsory: false,
        kind,
        sensitivity,
    }
}

const PLATFORM: Parameter = required("platform", ParameterKind::Platform, Sensitivity::Open);
const PLATFORM_ID: Parameter = required("platformid", ParameterKind::Id, Sensitivity::Open);
const DESTINATION: Parameter = required("destination", ParameterKind::Id, Sensitivity::Address);

const CHAT_FIELDS: &[&str] = &[
    "platformid",
    "platform",
    "message",
    "destination",
    "messageid",
    "sent",
    "status",
    "datetime",
];
const UNREAD_FIELDS: &[&str] = &[
    "platformid",
    "platform",
    "message",
    "destination",
    "messageid",
    "issent",
    "status",
    "datetime",
];
const CHAT_CODES: &[Code] = &[Code::ChannelNotFound, Code::ChatNotFound];

/// The operation table.
pub static OPERATIONS: [Operation; 7] = [
    Operation {
        method: "getchatchannels",
        effect: Effect::Read,
        cacheable: Some(Caching {
            default_s: 60,
            field: "getchatchannels_s",
            answers: "lists of channels",
        }),
        parameters: &[],
        result_fields: &["platformid", "platform", "name"],
        result_values: &[],
        codes: &[],
    },
    Operation {
        method: "sendmessage",
        effect: Effect::Send,
        cacheable: None,
        parameters: &[
            PLATFORM,
            PLATFORM_ID,
            DESTINATION,
            required("message", ParameterKind::Message, Sensitivity::Content),
        ],
        result_fields: &[],
        result_values: &[],
        codes: &[Code::ChannelNotFound],
    },
    Operation {
        method: "sendfile",
        effect: Effect::Send,
        cacheable: None,
        parameters: &[
            PLATFORM,
            PLATFORM_ID,
            DESTINATION,
            required("type", ParameterKind::FileType, Sensitivity::Open),
            required(
                "fileurl",
                ParameterKind::Url(Code::IncorrectFileurl),
                Sensitivity::Content,
            ),
            optional(
                "thumburl",
                ParameterKind::Url(Code::IncorrectThumburl),
                Sensitivity::Content,
            ),
            optional("message", ParameterKind::Message, Sensitivity::Content),
        ],
        result_fields: &[],
        result_values: &[],
        codes: &[
            Code::ChannelNotFound,
            Code::ChatNotFound,
            Code::IncorrectFiletype,
            Code::IncorrectFileurl,
            Code::IncorrectThumburl,
        ],
    },
    Operation {
        method: "getchats",
        effect: Effect::Read,
        cacheable: Some(Caching {
            default_s: 2,
            field: "getchats_s",
            answers: "lists of chats",
        }),
        parameters: &[PLATFORM, PLATFORM_ID],
        result_fields: CHAT_FIELDS,
        result_values: &[],
        codes: CHAT_CODES,
    },
    Operation {
        method: "getmessages",
        effect: Effect::Consume,
        cacheable: None,
        parameters: &[PLATFORM, PLATFORM_ID, DESTINATION],
        result_fields: CHAT_FIELDS,
        result_values: &[],
        codes: CHAT_CODES,
    },
    Operation {
        method: "getunreadmessages",
        effect: Effect::Consume,
        cacheable: None,
        parameters: &[PLATFORM, PLATFORM_ID, DESTINATION],
        result_fields: UNREAD_FIELDS,
        result_values: &[],
        codes: CHAT_CODES,
    },
    Operation {
        method: GET_EVENTS,
        effect: Effect::Watch,
        cacheable: None,
        parameters: &[
            optional("cursor", ParameterKind::Cursor, Sensitivity::Open),
            optional(
                "wait",
                ParameterKind::Number(0, WAIT_MAX_S),
                Sensitivity::Open,
            ),
            optional(
                "limit",
                ParameterKind::Number(1, EVENTS_MAX),
                Sensitivity::Open,
            ),
            optional("types", ParameterKind::EventTypes, Sensitivity::Open),
            optional("platform", ParameterKind::Platform, Sensitivity::Open),
            optional("platformid", ParameterKind::Id, Sensitivity::Open),
        ],
        result_fields: EVENT_FIELDS,
        result_values: &["cursor", "more", "reset"],
        codes: &[Code::ChannelNotFound],
    },
];

/// Returns the operations whose answers are cached, and their caching.
pub fn cacheable() -> impl Iterator<Item = (&'static Operation, &'static Caching)> {
    let rows = OPERATIONS.iter();
    rows.filter_map(|operation| Some((operation, operation.cacheable.as_ref()?)))
}

/// Returns the available operations. The operations of events are included only if events are enabled.
pub fn operations(has_events: bool) -> impl Iterator<Item = &'static Operation> {
    let rows = OPERATIONS.iter();
    rows.filter(move |row| has_events || row.effect != Effect::Watch)
}

/// The number of rows of the table.
pub const OPERATION_COUNT: usize = OPERATIONS.len();

impl Operation {
    /// Returns the index of the operation in the table, which is below [`OPERATION_COUNT`].
    #[must_use]
    pub fn number(&self) -> usize {
        let place = OPERATIONS.iter().position(|row| row.method == self.method);
        place.unwrap_or(0)
    }

    /// Returns the row with this method name.
    #[must_use]
    pub fn named(method: &str) -> Option<&'static Operation> {
        OPERATIONS
            .iter()
            .find(|operation| operation.method == method)
    }
}

/// The values of `platform`.
pub const PLATFORMS: [&str; 4] = ["webchat", "whatsapp", "telegram", "operator"];

/// The values of `type`.
pub const FILE_TYPES: [&str; 6] = ["image", "video", "audio", "voice", "document", "contact"];

/// Returns the declared name that equals `name`, among the parameters of all rows and the names that every call has.
pub(crate) fn declared_name(name: &str) -> Option<&'static str> {
    const COMMON: [&str; 5] = ["class", "method", "user", "password", "idempotency_key"];
    COMMON
        .into_iter()
        .chain(
            OPERATIONS
                .iter()
                .flat_map(|operation| operation.parameters.iter().map(|p| p.name)),
        )
        .find(|declared| *declared == name)
}
