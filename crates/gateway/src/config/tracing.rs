//! Reads the settings of traces: their receiver, and the selection of traced calls.

use std::time::Duration;

use axum::http::HeaderValue;
use client::Roots;
use settings::{Reader, ValueKind, parse};
use telemetry::SampleRatio;
use url::Url;

use super::parse_chatgate::{bounded, http_url, upstream_url};
use super::upstream::parse_roots;

/// Maximum length of a service name, in bytes.
const SERVICE_BYTES_MAX: usize = 64;

/// The placeholder for the trace's id in the address of a viewer.
pub(crate) const TRACE_ID: &str = "{trace_id}";

/// The receiver of traced calls, and the selection of traced calls.
#[derive(Clone, Debug, PartialEq)]
pub struct TracingConfig {
    /// The receiver's address for OTLP over HTTP.
    pub url: Url,
    /// The value of the `Authorization` header, if the receiver requires one.
    pub authorization: Option<HeaderValue>,
    /// The certificate authorities that are trusted.
    pub roots: Roots,
    /// Maximum wait for an answer of the receiver.
    pub timeout: Duration,
    /// The share of calls that is traced, in addition to sends and failures.
    pub ratio: SampleRatio,
    /// True if the trace context is passed on to the upstream.
    pub propagates: bool,
    /// The name of this gateway in the traces.
    pub service: String,
}

/// The settings of traces.
pub struct TracesConfig {
    /// The receiver. If absent, no call is traced.
    pub receiver: Option<TracingConfig>,
    /// The address by which a viewer shows a trace, with a placeholder for the trace's id.
    pub viewer: Option<String>,
}

pub(super) fn traces(reader: &mut Reader<'_>) -> TracesConfig {
    TracesConfig {
        receiver: receiver(reader),
        viewer: viewer(reader),
    }
}

fn receiver(reader: &mut Reader<'_>) -> Option<TracingConfig> {
    let url = reader.optional_text("tracing.endpoint", upstream_url);
    let authorization = reader.secret("tracing.authorization");
    let authorization = authorization.and_then(|text| {
        let header = HeaderValue::try_from(text).ok();
        if header.is_none() {
            reader.reject(
                "tracing.authorization",
                "it contains a character that a header does not allow",
            );
        }
        header.map(|mut header| {
            header.set_sensitive(true);
            header
        })
    });
    let roots = reader.text("tracing.roots", "bundled", parse_roots);
    let timeout = reader.timeout("tracing.timeout", "5s");
    let ratio = reader.value(
        "tracing.ratio",
        "0.01",
        ValueKind::Number,
        SampleRatio::parse,
    );
    let propagates = reader.boolean("tracing.upstream", "false");
    let service = reader.text("tracing.service", "chatgate", |text| {
        bounded(text, SERVICE_BYTES_MAX)
    });
    Some(TracingConfig {
        url: url?,
        authorization,
        roots,
        timeout,
        ratio,
        propagates,
        service,
    })
}

fn viewer(reader: &mut Reader<'_>) -> Option<String> {
    reader.optional_text("tracing.viewer", |text| {
        http_url(text)?;
        if text.matches(TRACE_ID).count() != 1 {
            return Err(format!(
                "write {TRACE_ID} exactly once, in the place of the trace id"
            ));
        }
        parse::text(text)
    })
}
