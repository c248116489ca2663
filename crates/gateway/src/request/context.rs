//! The facts about a request that are known before its body is read. None of them changes after the request is admitted.

use std::borrow::Cow;
use std::net::IpAddr;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use adapter::Wire;
use axum::body::Bytes;
use axum::http::request::Parts;
use axum::http::{HeaderValue, header};
use server::{Peer, PeerAddr};

use crate::client_addr::ClientIp;
use crate::paths::PublicPath;
use crate::request::request_id::RequestId;
use crate::request::validate::METHOD_BYTES_MAX;

/// Maximum number of characters of a user agent that are logged, because callers choose it.
const USER_AGENT_CHARACTERS_MAX: usize = 128;

/// The facts about one request.
pub(crate) struct RequestContext {
    pub(crate) head: Parts,
    pub(crate) path: PublicPath,
    pub(crate) peer: Peer,
    pub(crate) id: RequestId,
    began: Instant,
    /// The time of `began`, since 1970, UTC.
    began_at: Duration,
    /// The resolved address of the caller.
    pub(crate) client: Option<ClientIp>,
    /// The id of the trace that the request belongs to, if a trusted peer names one or the request is traced.
    pub(crate) trace_id: Option<u128>,
    /// The origin of a browser's call, if calls from that origin are allowed.
    pub(crate) cors_origin: Option<HeaderValue>,
}

impl RequestContext {
    /// Starts with the head alone. Admission adds the rest.
    pub(crate) fn of(path: PublicPath, peer: Peer, head: Parts) -> RequestContext {
        let began_at = SystemTime::now().duration_since(UNIX_EPOCH);
        let began_at = began_at.unwrap_or_default();
        RequestContext {
            id: RequestId::of(&head.headers, began_at),
            head,
            path,
            peer,
            began: Instant::now(),
            began_at,
            client: None,
            trace_id: None,
            cors_origin: None,
        }
    }

    /// Returns the request as adapters read it, with this body.
    pub(crate) fn wire<'a>(&'a self, body: &'a Bytes) -> Wire<'a> {
        Wire {
            query: self.head.uri.query().unwrap_or_default(),
            headers: &self.head.headers,
            body,
        }
    }

    /// Returns the HTTP method for logs. A method longer than any that exists has been rejected, and is cut here.
    pub(crate) fn http_method(&self) -> &str {
        let method = self.head.method.as_str();
        method.get(..METHOD_BYTES_MAX).unwrap_or(method)
    }

    /// Returns the user agent for logs. It is cut, and bytes that are not UTF-8 or could control a terminal are replaced.
    pub(crate) fn user_agent(&self) -> Cow<'_, str> {
        let Some(agent) = self.head.headers.get(header::USER_AGENT) else {
            return Cow::Borrowed("");
        };
        match agent.to_str() {
            Ok(text) if text.len() <= USER_AGENT_CHARACTERS_MAX => Cow::Borrowed(text),
            Ok(text) => text.chars().take(USER_AGENT_CHARACTERS_MAX).collect(),
            Err(_) => {
                let text = String::from_utf8_lossy(agent.as_bytes());
                let text = text.replace(char::is_control, "\u{fffd}");
                text.chars().take(USER_AGENT_CHARACTERS_MAX).collect()
            }
        }
    }

    /// Returns the address of the peer.
    pub(crate) fn peer(&self) -> PeerAddr {
        self.peer.addr
    }

    /// Returns the resolved address of the caller; before it is resolved, the address of the peer.
    pub(crate) fn client_address(&self) -> IpAddr {
        self.client
            .map_or(self.peer().address.ip().to_canonical(), |client| client.0)
    }

    /// Returns whether the connection carries many requests at the same time. Such a connection ends with GOAWAY and not with a
    /// header.
    pub(crate) fn is_multiplexed(&self) -> bool {
        self.head.version == axum::http::Version::HTTP_2
    }

    /// Returns the time by which the caller must have an answer.
    pub(crate) fn deadline(&self, limit: Duration) -> Instant {
        self.began + limit
    }

    /// Returns the instant at which the request began, and the same moment since 1970, UTC.
    pub(crate) fn began(&self) -> (Instant, Duration) {
        (self.began, self.began_at)
    }

    /// Returns the age of the request.
    pub(crate) fn age(&self) -> Duration {
        self.began.elapsed()
    }

    /// Returns the time since 1970 at which the request had this age.
    pub(crate) fn time_at(&self, age: Duration) -> Duration {
        self.began_at + age
    }

    /// Returns the milliseconds since 1970 at which the request had this age.
    pub(crate) fn ms_at(&self, age: Duration) -> i64 {
        i64::try_from(self.time_at(age).as_millis()).unwrap_or(i64::MAX)
    }
}
