//! Headers that pass the trace of a call on to an upstream.

use http::{HeaderMap, HeaderName, HeaderValue};

const TRACE_PARENT: HeaderName = HeaderName::from_static("traceparent");
const TRACE_STATE: HeaderName = HeaderName::from_static("tracestate");

/// The headers of W3C Trace Context.
#[derive(Clone, Debug)]
pub struct TraceHeaders {
    /// `traceparent`.
    pub parent: HeaderValue,
    /// `tracestate`.
    pub state: Option<HeaderValue>,
}

impl TraceHeaders {
    /// Adds the headers to those of a request.
    pub(crate) fn add_to(&self, headers: &mut HeaderMap) {
        headers.insert(TRACE_PARENT, self.parent.clone());
        headers.extend(self.state.clone().map(|state| (TRACE_STATE, state)));
    }
}
