//! The port through which the console uses the gateway. The gateway implements these traits, and the console depends on nothing
//! else of it.

use std::fmt;
use std::fs::File;
use std::future::Future;
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::pin::Pin;
use std::sync::Arc;

use adapter::Way;
use http::HeaderMap;
use serde_json::Value;
use telemetry::{MetricsFormat, MetricsSnapshot};
use webhooks::Webhooks;

/// The whole port: the state of the gateway, and the operations that an operator can start.
pub trait Gateway: Keys + Backups + Explains + Reloads {
    /// Returns the reason why the gateway can't take traffic right now, or `None` if it can.
    fn not_ready(&self) -> Option<&'static str>;

    /// Returns the parts that are out of order while the gateway still takes traffic, one word each.
    fn degraded(&self) -> Vec<&'static str>;

    /// Returns the metrics in a format of Prometheus.
    fn metrics(&self, format: MetricsFormat) -> String;

    /// Returns the counts that the pages show.
    fn metrics_snapshot(&self) -> MetricsSnapshot;

    /// Returns the status as one JSON object.
    fn status(&self) -> Value;

    /// Returns the OpenAPI document of the ways in that use JSON.
    fn openapi_ways(&self) -> Value;

    /// Returns whether the operators' listener accepts TLS connections only.
    fn admin_has_tls(&self) -> bool;

    /// Returns whether the configuration lists this lower-case name for the operators' listener.
    fn is_admin_host(&self, name: &str) -> bool;

    /// Returns the address at which a person can view this trace, if a viewer is configured.
    fn trace_url(&self, trace_id: &str) -> Option<String>;

    /// Returns the time, in milliseconds since 1970, UTC.
    fn now_ms(&self) -> i64;

    /// Returns the webhooks.
    fn webhooks(&self) -> &Webhooks;

    /// Counts a wrong key of an address, together with the other replicas. Returns the seconds to wait if the address has sent more
    /// than `per_minute` wrong keys in this minute.
    fn count_wrong_key(
        self: Arc<Self>,
        address: Option<IpAddr>,
        per_minute: NonZeroU32,
    ) -> AnswerFuture<Result<Option<i64>, CountsNotShared>>;
}

/// The counters are not shared, or their server is unavailable: the caller has to count by itself.
#[derive(Clone, Copy, Debug)]
pub struct CountsNotShared;

/// The signing keys of a gateway.
pub trait Keys: Send + Sync {
    /// Returns all signing keys, the newest first.
    fn keys(&self) -> Vec<KeyRow>;

    /// Creates a new key and returns the keys as [`Keys::keys`] then lists them. The new key signs once this call ends, or, if a
    /// replica takes longer to learn the key than an operator may wait, as soon as all replicas know it. With `revoke` the other
    /// keys are dropped immediately, which ends every token that they signed.
    fn rotate(self: Arc<Self>, revoke: bool) -> OperationFuture<Vec<KeyRow>>;
}

/// Copies a gateway's store.
pub trait Backups: Send + Sync {
    /// Returns a consistent copy as an open file. The file has no name and ceases to exist when it is closed.
    fn backup(self: Arc<Self>) -> OperationFuture<File>;
}

/// Explains how the gateway would answer a call.
pub trait Explains: Send + Sync {
    /// Returns the explanation of the call as one JSON object. No counter or limit changes.
    fn explain(self: Arc<Self>, question: ExplainQuestion) -> AnswerFuture<Value>;
}

/// The configuration of a gateway.
pub trait Reloads: Send + Sync {
    /// Reads the configuration again for the operator with this name. Returns the generation of the current configuration and the
    /// keys that changed. After [`OperationError::Invalid`] the old configuration remains current.
    fn reload(self: Arc<Self>, actor: String) -> OperationFuture<Value>;
}

/// An answer that the gateway may have to fetch from another process.
pub type AnswerFuture<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// An operation in progress. The future owns everything it needs, so that it can continue after the operator has disconnected.
pub type OperationFuture<T> = Pin<Box<dyn Future<Output = Result<T, OperationError>> + Send>>;

/// The reason why an operation was not done.
#[derive(Debug)]
pub enum OperationError {
    /// The state of the gateway forbids the operation. The sentence names the obstacle and how long it lasts.
    Conflict(String),
    /// The gateway failed. The sentence gives the reason; it goes to the operator and into the log.
    Broken(String),
    /// The store can't do the operation now. The sentence gives the reason; it goes into the log.
    Store(String),
    /// The input of the operation is wrong. Each mistake is an object with a `text`.
    Invalid(Vec<Value>),
}

impl fmt::Display for OperationError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            OperationError::Conflict(why)
            | OperationError::Broken(why)
            | OperationError::Store(why) => f.write_str(why),
            OperationError::Invalid(mistakes) => {
                let texts = mistakes
                    .iter()
                    .filter_map(|mistake| mistake["text"].as_str());
                f.write_str(&texts.collect::<Vec<_>>().join("; "))
            }
        }
    }
}

/// A signing key as operators see it; the key itself is never shown.
#[derive(Clone, Debug)]
pub struct KeyRow {
    /// The id under which tokens and the published keys refer to the key.
    pub kid: String,
    /// The signature algorithm.
    pub algorithm: &'static str,
    /// The time when the key was made, in seconds since 1970, UTC.
    pub created_at: i64,
    /// True if the key signs. A key that a replica may not know yet only verifies.
    pub signs: bool,
    /// The time until which the key verifies, in seconds since 1970, UTC; `None` for the key that signs and for a key that will
    /// sign.
    pub verifies_until: Option<i64>,
}

/// A call to explain without making it.
#[derive(Clone, Debug)]
pub struct ExplainQuestion {
    /// The peer of the connection, or the address that a PROXY header would name.
    pub peer: IpAddr,
    /// The header lines.
    pub headers: HeaderMap,
    /// The name of the access.
    pub access: String,
    /// The method.
    pub method: String,
    /// The way in.
    pub way: Way,
    /// The destination of a send, if it is relevant.
    pub destination: Option<String>,
    /// True if the URL would contain the secret.
    pub secret_in_url: bool,
}
