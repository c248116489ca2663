//! The pages of the ways in, the operations and the codes.

use adapter::{
    Adapter, Answer, CURSOR_WORDS, Code, CodeOrigin, Dialect, EVENT_TYPES, Effect, Error,
    FILE_TYPES, Operation, PLATFORMS, Parameter, ParameterKind, Way, call_example,
};
use adapter_jwt::TOKEN_PATH;
use askama::Template;

use crate::interface::PublicInterface;
use crate::openapi::can_occur;

/// The first page, which describes the ways in.
#[derive(Template)]
#[template(path = "docs/ways.html")]
pub(crate) struct Ways<'a> {
    /// The address under which callers reach the gateway, without a trailing slash.
    url: &'a str,
    ways: Vec<WayIn>,
    token_url: String,
    has_tokens: bool,
    has_events: bool,
    /// The number of methods, as a word.
    methods: &'static str,
}

struct WayIn {
    name: &'static str,
    title: &'static str,
    url: String,
    credentials: &'static str,
    body: &'static str,
}

impl<'a> Ways<'a> {
    pub(crate) fn new(interface: &PublicInterface<'a>) -> Ways<'a> {
        let (url, ways) = (interface.url, interface.ways.iter());
        Ways {
            ways: ways.map(|(way, _)| WayIn::new(url, *way)).collect(),
            token_url: format!("{url}{TOKEN_PATH}"),
            has_tokens: interface.is_open(Way::Jwt),
            has_events: interface.has_events,
            methods: if interface.has_events { "seven" } else { "six" },
            url,
        }
    }
}

impl WayIn {
    fn new(url: &str, way: Way) -> WayIn {
        const PARAMETERS: &str = "Put class, method and parameters into the query, or into the body as a form, as multipart or as JSON.";
        let (credentials, body) = match way {
            Way::Http => (
                "The parameters user and password. Put them into the body, because URLs appear in logs.",
                PARAMETERS,
            ),
            Way::Basic => (
                "The header Authorization: Basic with user and password (RFC 7617).",
                PARAMETERS,
            ),
            Way::Jwt => ("The header Authorization: Bearer with a token.", PARAMETERS),
            Way::Soap => (
                "The elements user and password, a WS-Security UsernameToken with its password as text, or the header Authorization: Basic or Bearer.",
                "A SOAP 1.1 or 1.2 envelope whose body contains one element with the name of the method and one child for each parameter.",
            ),
        };
        WayIn {
            name: way.name(),
            title: title(way),
            url: format!("{url}{}", way.path()),
            credentials,
            body,
        }
    }
}

/// Returns the full name of a way in.
pub(crate) fn title(way: Way) -> &'static str {
    match way {
        Way::Http => "HTTP parameters",
        Way::Basic => "Basic authentication",
        Way::Jwt => "JWT",
        Way::Soap => "SOAP",
    }
}

/// Returns the short name of a way in, for tables.
fn short(way: Way) -> &'static str {
    match way {
        Way::Http => "HTTP",
        Way::Basic => "Basic",
        Way::Jwt => "JWT",
        Way::Soap => "SOAP",
    }
}

/// The rows of the operation table.
#[derive(Template)]
#[template(path = "docs/operations.html")]
pub(crate) struct Operations {
    operations: Vec<Row>,
    soap: bool,
}

struct Row {
    operation: &'static Operation,
    effect: &'static str,
    example: String,
}

impl Operations {
    pub(crate) fn new(interface: &PublicInterface<'_>) -> Operations {
        Operations {
            operations: interface.operations().map(Row::new).collect(),
            soap: interface.is_open(Way::Soap),
        }
    }
}

impl Row {
    fn new(operation: &'static Operation) -> Row {
        Row {
            operation,
            effect: match operation.effect {
                Effect::Read => {
                    "Reads data. The gateway may answer from its cache, and a retry is safe."
                }
                Effect::Consume => {
                    "Reads data and may remove unread marks. The gateway always forwards it to the chat service."
                }
                Effect::Watch => {
                    "Reads events. The gateway answers it itself, without the chat service. It waits for the first event, at most as long as you specify."
                }
                Effect::Send => {
                    "Sends once. The response reports the delivery as sent, not_sent (a retry is safe) or unknown."
                }
            },
            example: format!("{:#}", call_example(operation)),
        }
    }
}

/// Describes the values that the parser accepts for a parameter.
fn value(parameter: &Parameter) -> String {
    let most = parameter.kind.bytes_max();
    match parameter.kind {
        ParameterKind::Platform => format!("one of {}", PLATFORMS.join(", ")),
        ParameterKind::FileType => format!("one of {}", FILE_TYPES.join(", ")),
        ParameterKind::Id => format!("text of up to {most} bytes"),
        ParameterKind::Message => format!("text of up to {most} bytes, line breaks allowed"),
        ParameterKind::Url(_) => format!("a public http or https URL of up to {most} bytes"),
        ParameterKind::Cursor => {
            format!("{}, or the cursor of a response", CURSOR_WORDS.join(", "))
        }
        ParameterKind::Number(least, most) => format!("a whole number from {least} to {most}"),
        ParameterKind::EventTypes => {
            format!(
                "one or more of {}, separated by commas",
                EVENT_TYPES.join(", ")
            )
        }
    }
}

/// Every code, with its status in each way in.
#[derive(Template)]
#[template(path = "docs/codes.html")]
pub(crate) struct Codes {
    ways: Vec<&'static str>,
    soap: bool,
    /// The codes of the chat API, then the gateway's own codes.
    parts: [(&'static str, Vec<CodeRow>); 2],
}

struct CodeRow {
    word: &'static str,
    text: &'static str,
    canonical: u16,
    /// The status in each way in; `None` if the code can't occur there.
    statuses: Vec<Option<u16>>,
}

impl Codes {
    pub(crate) fn new(interface: &PublicInterface<'_>) -> Codes {
        let rows = |origin| {
            let codes = Code::ALL.into_iter().filter(|code| code.origin() == origin);
            let codes = codes.filter(|code| *code != Code::UpstreamCode);
            codes
                .map(|code| CodeRow::new(&interface.ways, code))
                .collect()
        };
        Codes {
            ways: interface.ways.iter().map(|(way, _)| short(*way)).collect(),
            soap: interface.is_open(Way::Soap),
            parts: [
                ("The chat API’s codes", rows(CodeOrigin::ChatApi)),
                ("The gateway’s own codes", rows(CodeOrigin::Gateway)),
            ],
        }
    }
}

impl CodeRow {
    fn new(ways: &[(Way, &dyn Adapter)], code: Code) -> CodeRow {
        let error = Error::refused(code);
        let status = |(way, adapter): &(Way, &dyn Adapter)| {
            let answer = Answer {
                request_id: "",
                operation: None,
                outcome: Err(&error),
            };
            // A SOAP caller may present any kind of credentials, and every way in can get a request with another method or path.
            let comes_about = *way == Way::Soap
                || can_occur(*way, code)
                || matches!(code, Code::HttpMethodNotAllowed | Code::NotFound);
            comes_about.then(|| adapter.encode(Dialect::default(), &answer).status)
        };
        CodeRow {
            word: code.word(),
            text: code.text(),
            canonical: code.status(),
            statuses: ways.iter().map(status).collect(),
        }
    }
}
