//! Traces: where they go, and which calls are traced.

use std::time::Duration;

use axum::http::HeaderValue;
use client::Roots;
use settings::{Reader, ValueKind, parse};
use telemetry::SampleRatio;
use url::Url;

use super::parse_chatgate::{bounded, http_url, upstream_url};
use super::upstream::parse_roots;

/// Longest name of a service, in bytes.
const SERVICE_BYTES_MAX: usize = 64;

/// What stands for the trace's id in the address of a viewer.
pub(crate) const TRACE_ID: &str = "{trace_id}";

/// Where traced calls go, and which are traced.
#[derive(Clone, Debug, PartialEq)]
pub struct TracingConfig {
    /// The receiver's address for OTLP over HTTP.
    pub url: Url,
    /// The header of this name, if the receiver asks for one.
    pub authorization: Option<HeaderValue>,
    /// Whose certificates are trusted.
    pub roots: Roots,
    /// Longest wait for its answer.
    pub timeout: Duration,
    /// Which part of the calls is traced, besides sends and failures.
    pub ratio: SampleRatio,
    /// Whether the upstream hears of the traces.
    pub passes_on: bool,
    /// The name by which the receiver knows this gateway.
    pub service: String,
}

/// Traces of calls.
pub struct TracesConfig {
    /// Where they go; nowhere when absent.
    pub receiver: Option<TracingConfig>,
    /// The address by which a viewer shows a trace, with a place for its id.
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
            reader.reject("tracing.authorization", "it can't stand in a header");
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
    let passes_on = reader.boolean("tracing.upstream", "false");
    let service = reader.text("tracing.service", "chatgate", |text| {
        bounded(text, SERVICE_BYTES_MAX)
    });
    Some(TracingConfig {
        url: url?,
        authorization,
        roots,
        timeout,
        ratio,
        passes_on,
        service,
    })
}

fn viewer(reader: &mut Reader<'_>) -> Option<String> {
    reader.optional_text("tracing.viewer", |text| {
        http_url(text)?;
        if text.matches(TRACE_ID).count() != 1 {
            return Err(format!(
                "write {TRACE_ID} once, where the trace's id stands"
            ));
        }
        parse::text(text)
    })
}
