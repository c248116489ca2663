//! What the console asks of the gateway. The gateway implements these traits; the console knows nothing else of it.

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
use webhooks::Webhooks;

use crate::metrics_snapshot::{MetricsFormat, MetricsSnapshot};

/// The whole port: the state of the gateway, and what an operator can have it do.
pub trait Gateway: Keys + Backups + Explains + Reloads {
    /// Returns why the gateway can't take traffic right now; `None` when it can.
    fn not_ready(&self) -> Option<&'static str>;

    /// Returns what is out of order while the gateway takes traffic, a word each.
    fn degraded(&self) -> Vec<&'static str>;

    /// Returns the metrics in a format of Prometheus.
    fn metrics(&self, format: MetricsFormat) -> String;

    /// Returns the counts that the pages show.
    fn metrics_snapshot(&self) -> MetricsSnapshot;

    /// Returns the status as one JSON object.
    fn status(&self) -> Value;

    /// Returns the OpenAPI document of the JSON ways in.
    fn openapi_ways(&self) -> Value;

    /// Whether the operators' listener is reached by TLS alone.
    fn admin_has_tls(&self) -> bool;

    /// Whether the configuration lists this lower-case name for the operators' listener.
    fn is_admin_host(&self, name: &str) -> bool;

    /// Returns the address at which a person sees this trace, if there is a viewer.
    fn trace_url(&self, trace_id: &str) -> Option<String>;

    /// Returns the time, in seconds since 1970, UTC.
    fn now(&self) -> i64;

    /// Returns the webhooks.
    fn webhooks(&self) -> &Webhooks;

    /// Counts a wrong key of an address, of which so many a minute are answered as wrong, together with the other replicas. Returns the
    /// seconds to wait if there were too many.
    fn count_wrong_key(
        self: Arc<Self>,
        address: Option<IpAddr>,
        per_minute: NonZeroU32,
    ) -> Answering<Result<Option<i64>, NotShared>>;
}

/// Counts are not shared, or their server is away: the caller counts by itself.
#[derive(Clone, Copy, Debug)]
pub struct NotShared;

/// The signing keys of a gateway.
pub trait Keys: Send + Sync {
    /// Returns all signing keys, the newest first.
    fn keys(&self) -> Vec<KeyRow>;

    /// Makes a new key and returns what [`Keys::keys`] returns from then on. The new one signs when this ends, unless a replica
    /// takes longer to know it than an operator may wait; then it signs as soon as all of them do. With `revoke` the other keys
    /// are dropped at once, which ends every token that they signed.
    fn rotate(self: Arc<Self>, revoke: bool) -> Pending<Vec<KeyRow>>;
}

/// Makes a copy of a gateway's store.
pub trait Backups: Send + Sync {
    /// Returns a consistent copy as an open file. The file has no name and is gone when it is closed.
    fn backup(self: Arc<Self>) -> Pending<File>;
}

/// Explains what would become of a call.
pub trait Explains: Send + Sync {
    /// Returns what would become of the call, as one JSON object. Nothing is counted.
    fn explain(self: Arc<Self>, question: ExplainQuestion) -> Answering<Value>;
}

/// The configuration of a gateway.
pub trait Reloads: Send + Sync {
    /// Reads the configuration again for the operator with this name. Returns the generation that is in force and the keys
    /// that changed; with [`OperationError::Invalid`] the old configuration stays.
    fn reload(self: Arc<Self>, actor: String) -> Pending<Value>;
}

/// An answer that may have to be asked for elsewhere.
pub type Answering<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// An operation under way. The future owns what it needs, so that it can go on when the operator has hung up.
pub type Pending<T> = Pin<Box<dyn Future<Output = Result<T, OperationError>> + Send>>;

/// Why an operation was not done.
#[derive(Debug)]
pub enum OperationError {
    /// The state of the gateway forbids it; the sentence says what stands against it, and until when.
    Conflict(String),
    /// The gateway failed; the sentence says why, and goes to the operator and into the log.
    Broken(String),
    /// The store can't do it now; the sentence says why, and goes into the log.
    Store(String),
    /// The input of the operation is wrong; each mistake is an object with a `text`.
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
    /// The id that tokens and the published keys name it by.
    pub kid: String,
    /// The signature algorithm.
    pub algorithm: &'static str,
    /// When the key was made, in seconds since 1970, UTC.
    pub created_at: i64,
    /// Whether it signs. One that a replica may not know yet verifies alone.
    pub signs: bool,
    /// Until when the key verifies, likewise; absent for the one that signs, and for one that will.
    pub verifies_until: Option<i64>,
}

/// A call that is explained and not made.
#[derive(Clone, Debug)]
pub struct ExplainQuestion {
    /// The other end of the connection, or the address that a PROXY header would name.
    pub peer: IpAddr,
    /// The header lines.
    pub headers: HeaderMap,
    /// The name of the access.
    pub access: String,
    /// The method.
    pub method: String,
    /// The way in.
    pub way: Way,
    /// The destination of a send, if it matters.
    pub destination: Option<String>,
    /// Whether the secret would stand in the URL.
    pub secret_in_url: bool,
}
