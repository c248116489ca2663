//! Spans in OTLP (opentelemetry-proto 1.x, `trace/v1` and `collector/trace/v1`): only the messages and fields that we use, with the
//! protocol's numbers. The end-to-end tests read them with OpenTelemetry's own types.

use prost::Message;

use crate::build_info::VERSION;

/// `SpanKind`: the role of a span in its trace.
pub(crate) const KIND_INTERNAL: i32 = 1;
pub(crate) const KIND_SERVER: i32 = 2;
pub(crate) const KIND_CLIENT: i32 = 3;

/// `StatusCode.STATUS_CODE_ERROR`.
const STATUS_ERROR: i32 = 2;

#[derive(Clone, PartialEq, Message)]
struct ExportTraceServiceRequest {
    #[prost(message, repeated, tag = "1")]
    resource_spans: Vec<ResourceSpans>,
}

#[derive(Clone, PartialEq, Message)]
struct ResourceSpans {
    #[prost(message, optional, tag = "1")]
    resource: Option<SpanResource>,
    #[prost(message, repeated, tag = "2")]
    scope_spans: Vec<ScopeSpans>,
}

#[derive(Clone, PartialEq, Message)]
struct SpanResource {
    #[prost(message, repeated, tag = "1")]
    attributes: Vec<KeyValue>,
}

#[derive(Clone, PartialEq, Message)]
struct ScopeSpans {
    #[prost(message, optional, tag = "1")]
    scope: Option<InstrumentationScope>,
    #[prost(message, repeated, tag = "2")]
    spans: Vec<Span>,
}

#[derive(Clone, PartialEq, Message)]
struct InstrumentationScope {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(string, tag = "2")]
    version: String,
}

/// One span.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct Span {
    #[prost(bytes = "vec", tag = "1")]
    pub(crate) trace_id: Vec<u8>,
    #[prost(bytes = "vec", tag = "2")]
    pub(crate) span_id: Vec<u8>,
    #[prost(string, tag = "3")]
    pub(crate) trace_state: String,
    #[prost(bytes = "vec", tag = "4")]
    pub(crate) parent_span_id: Vec<u8>,
    #[prost(string, tag = "5")]
    pub(crate) name: String,
    #[prost(int32, tag = "6")]
    pub(crate) kind: i32,
    #[prost(fixed64, tag = "7")]
    pub(crate) start_time_unix_nano: u64,
    #[prost(fixed64, tag = "8")]
    pub(crate) end_time_unix_nano: u64,
    #[prost(message, repeated, tag = "9")]
    pub(crate) attributes: Vec<KeyValue>,
    #[prost(message, optional, tag = "15")]
    pub(crate) status: Option<SpanStatus>,
}

/// The status of a span.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct SpanStatus {
    #[prost(int32, tag = "3")]
    code: i32,
}

/// An attribute.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct KeyValue {
    #[prost(string, tag = "1")]
    key: String,
    #[prost(message, optional, tag = "2")]
    value: Option<AnyValue>,
}

#[derive(Clone, PartialEq, Message)]
struct AnyValue {
    #[prost(oneof = "AttributeValue", tags = "1, 3")]
    value: Option<AttributeValue>,
}

/// The value of an attribute.
#[derive(Clone, PartialEq, prost::Oneof)]
enum AttributeValue {
    #[prost(string, tag = "1")]
    Text(String),
    #[prost(int64, tag = "3")]
    Number(i64),
}

impl Span {
    /// Adds a word as an attribute, if it is not empty.
    pub(crate) fn word(&mut self, key: &str, word: impl Into<String>) {
        let word = word.into();
        if !word.is_empty() {
            self.attributes.push(text(key, word));
        }
    }

    /// Adds a number as an attribute.
    pub(crate) fn number(&mut self, key: &str, number: impl Into<i64>) {
        let number = AttributeValue::Number(number.into());
        self.attributes.push(attribute(key, number));
    }

    /// Marks the span as failed, with a word for the kind of failure.
    pub(crate) fn fail(&mut self, kind: &str) {
        let code = STATUS_ERROR;
        self.status = Some(SpanStatus { code });
        self.word("error.type", kind);
    }
}

/// Encodes a request to a receiver of traces, with spans of the service with this name.
pub(crate) fn encode(service: &str, spans: Vec<Span>) -> Vec<u8> {
    let resource = [
        ("service.name", service),
        ("service.version", VERSION),
        ("telemetry.sdk.language", "rust"),
        ("telemetry.sdk.name", "chatgate"),
        ("telemetry.sdk.version", VERSION),
    ];
    let resource = resource.map(|(key, value)| text(key, value.to_owned()));
    let scope = InstrumentationScope {
        name: "chatgate".to_owned(),
        version: VERSION.to_owned(),
    };
    let request = ExportTraceServiceRequest {
        resource_spans: vec![ResourceSpans {
            resource: Some(SpanResource {
                attributes: resource.into(),
            }),
            scope_spans: vec![ScopeSpans {
                scope: Some(scope),
                spans,
            }],
        }],
    };
    request.encode_to_vec()
}

fn text(key: &str, value: String) -> KeyValue {
    attribute(key, AttributeValue::Text(value))
}

fn attribute(key: &str, value: AttributeValue) -> KeyValue {
    KeyValue {
        key: key.to_owned(),
        value: Some(AnyValue { value: Some(value) }),
    }
}
