//! The operation table: seven operations, each declared once.
//!
//! Parsing, validation, bounds, cache and resend rules, redaction and the WSDL all follow from these rows. A new operation
//! is one row.

use crate::code::Code;
use crate::event::{CURSOR_BYTES, EVENT_FIELDS, EVENTS_MAX, GET_EVENTS, WAIT_MAX_S};

/// The one class that the chat API knows.
pub const CLASS: &str = "chat";

/// The effect of a call on the world. Caching, merging and resending depend on this alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Effect {
    /// Changes nothing: may be cached and merged with an identical one under way.
    Read,
    /// May change unread marks: never cached or merged.
    Consume,
    /// Reaches a person: never cached, merged, or resent once a byte left.
    Send,
    /// Is answered by the gateway, which may wait for something to happen: never cached, merged, or asked of the upstream.
    Watch,
}

/// The kind of a parameter's value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParameterKind {
    /// One of the four platforms; anything else is a channel that does not exist.
    Platform,
    /// An identifier of the upstream's, up to 128 bytes.
    Id,
    /// A text for a person: up to 16 KiB, TAB, LF and CR allowed.
    Message,
    /// One of the six file types.
    FileType,
    /// A public http or https URL of up to 2,048 bytes; the code names the wrong parameter.
    Url(Code),
    /// A place among the events: [`CURSOR_WORDS`](crate::CURSOR_WORDS), or what an answer gave as its cursor.
    Cursor,
    /// A whole number from the first to the second, in decimal digits.
    Number(u16, u16),
    /// Some of [`EVENT_TYPES`](crate::EVENT_TYPES), with commas between them.
    EventTypes,
}

impl ParameterKind {
    /// The longest value, in bytes of UTF-8.
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
            // As many digits as the largest number has.
            ParameterKind::Number(..) => 5,
        }
    }
}

/// How much of a value a log may show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sensitivity {
    /// May be shown as it is.
    Open,
    /// Identifies a person: only its end may be shown.
    Address,
    /// The content of a message: only its length may be shown.
    Content,
}

/// One declared parameter.
#[derive(Debug, PartialEq, Eq)]
pub struct Parameter {
    /// Its name on the wire.
    pub name: &'static str,
    /// Whether a call without it is refused.
    pub compulsory: bool,
    /// The kind of its value.
    pub kind: ParameterKind,
    /// How much of it a log may show.
    pub sensitivity: Sensitivity,
}

/// How the answers of a read are cached.
#[derive(Debug, PartialEq, Eq)]
pub struct Caching {
    /// How long an answer is kept where nothing else is configured, in seconds.
    pub default_s: u32,
    /// The field of an access that sets another time, in seconds.
    pub field: &'static str,
    /// The answers that are kept, for people.
    pub answers: &'static str,
}

/// One row of the table.
#[derive(Debug, PartialEq, Eq)]
pub struct Operation {
    /// The value of the parameter `method`.
    pub method: &'static str,
    /// Its effect.
    pub effect: Effect,
    /// How its answers are cached, if they are; a read alone may be.
    pub cacheable: Option<Caching>,
    /// Its parameters besides class, method and credentials.
    pub parameters: &'static [Parameter],
    /// The fields of each element of `list` on success; empty when there is no list.
    pub result_fields: &'static [&'static str],
    /// The values of the result beside `list`.
    pub result_values: &'static [&'static str],
    /// The chat API's codes that it may answer beyond the eight that every method has.
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

/// The table.
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

/// The operations whose answers are cached, and how.
pub fn cacheable() -> impl Iterator<Item = (&'static Operation, &'static Caching)> {
    let rows = OPERATIONS.iter();
    rows.filter_map(|operation| Some((operation, operation.cacheable.as_ref()?)))
}

/// The operations that there are, those of events only where these are switched on.
pub fn operations(has_events: bool) -> impl Iterator<Item = &'static Operation> {
    let rows = OPERATIONS.iter();
    rows.filter(move |row| has_events || row.effect != Effect::Watch)
}

/// How many rows the table has.
pub const OPERATION_COUNT: usize = OPERATIONS.len();

impl Operation {
    /// Its place in the table, below [`OPERATION_COUNT`].
    #[must_use]
    pub fn number(&self) -> usize {
        let place = OPERATIONS.iter().position(|row| row.method == self.method);
        place.unwrap_or(0)
    }

    /// The row with this method name.
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
pub(crate) const FILE_TYPES: [&str; 6] =
    ["image", "video", "audio", "voice", "document", "contact"];

/// The declared name equal to `name`, over all rows and the names that every call has.
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
