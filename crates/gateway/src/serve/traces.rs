//! Sends traced calls to their receiver: OTLP over HTTP, in protobuf.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use axum::http::{HeaderValue, StatusCode};
use client::{Client, ClientConfig, PostedDocument, post_document, retry_after};
use telemetry::{TraceCounts, Tracer};

use crate::config::TracingConfig;
use crate::state::traces::ConfiguredTracer;

/// Maximum number of attempts for one request, if the receiver may accept it later.
const ATTEMPTS_MAX: u32 = 3;

/// Pause before the second attempt, doubled for the third. The receiver may ask for a longer pause.
const PAUSE: Duration = Duration::from_secs(1);

/// Maximum pause that the receiver is granted. The queue holds only a few seconds of calls.
const PAUSE_MAX: Duration = Duration::from_secs(10);

/// Starts to trace. Returns the previous tracer if the configuration of traces has not changed.
///
/// # Errors
/// A sentence, when the root certificates can't be read.
pub(super) fn trace_by(
    config: Option<&TracingConfig>,
    previous: Option<&Arc<ConfiguredTracer>>,
    counts: &TraceCounts,
) -> Result<Option<Arc<ConfiguredTracer>>, String> {
    let Some(config) = config else {
        return Ok(None);
    };
    if let Some(same) = previous.filter(|previous| previous.config == *config) {
        return Ok(Some(Arc::clone(same)));
    }
    let receiver = Arc::new(TraceReceiver {
        client: client::build(&ClientConfig {
            roots: config.roots.clone(),
            identity: None,
            connect_timeout: config.timeout,
            timeout: config.timeout,
        })?,
        config: config.clone(),
        is_failing: AtomicBool::new(false),
    });
    let service = config.service.clone();
    let (tracer, export) = Tracer::new(service, config.ratio, config.propagates, counts.clone());
    // The task ends when the last snapshot with this tracer is dropped.
    tokio::spawn(export.run(move |body| Arc::clone(&receiver).post(body)));
    let config = config.clone();
    Ok(Some(Arc::new(ConfiguredTracer { config, tracer })))
}

/// The receiver of traced calls.
struct TraceReceiver {
    client: Client,
    config: TracingConfig,
    is_failing: AtomicBool,
}

/// The reason why the receiver did not accept a request.
struct ExportRejected {
    cause: String,
    /// The pause that the receiver asks for; `None` if another attempt is useless.
    pause: Option<Duration>,
}

impl TraceReceiver {
    /// Posts a request and retries it after temporary failures. Returns whether the receiver accepted it.
    async fn post(self: Arc<Self>, body: Vec<u8>) -> bool {
        let mut pause = PAUSE;
        for attempt in 1..=ATTEMPTS_MAX {
            let failure = match self.try_post(body.clone()).await {
                Ok(()) => {
                    if self.is_failing.swap(false, Ordering::Relaxed) {
                        tracing::info!("the trace receiver accepts spans again");
                    }
                    return true;
                }
                Err(failure) => failure,
            };
            if !self.is_failing.swap(true, Ordering::Relaxed) {
                let cause = failure.cause;
                tracing::warn!(cause, "the trace receiver does not accept spans");
            }
            let Some(asked) = failure.pause.filter(|_| attempt < ATTEMPTS_MAX) else {
                break;
            };
            tokio::time::sleep(pause.max(asked)).await;
            pause *= 2;
        }
        false
    }

    async fn try_post(&self, body: Vec<u8>) -> Result<(), ExportRejected> {
        let document = PostedDocument {
            content_type: "application/x-protobuf",
            authorization: self.config.authorization.clone(),
            body,
        };
        let posted = post_document(&self.client, self.config.url.clone(), document).await;
        let (status, asked) = posted.map_err(|cause| ExportRejected {
            cause,
            pause: Some(Duration::ZERO),
        })?;
        if status.is_success() {
            return Ok(());
        }
        // The status codes that OTLP calls temporary (OTLP, "Failures").
        let passes = matches!(
            status,
            StatusCode::TOO_MANY_REQUESTS
                | StatusCode::BAD_GATEWAY
                | StatusCode::SERVICE_UNAVAILABLE
                | StatusCode::GATEWAY_TIMEOUT
        );
        Err(ExportRejected {
            cause: format!("status {}", status.as_u16()),
            pause: passes.then(|| pause(asked.as_ref())),
        })
    }
}

/// Returns the pause that Retry-After asks for.
fn pause(header: Option<&HeaderValue>) -> Duration {
    let asked = header.and_then(|value| retry_after(value, SystemTime::now()));
    asked.unwrap_or_default().min(PAUSE_MAX)
}
