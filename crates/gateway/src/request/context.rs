//! What is known of a request before its body is read. Nothing of it changes once the request is admitted.

use std::net::IpAddr;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use adapter::Wire;
use axum::body::Bytes;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, header};
use server::{Peer, PeerAddr};

use crate::client_addr::ClientIp;
use crate::paths::PublicPath;
use crate::request::request_id::RequestId;
use crate::request::validate::METHOD_BYTES_MAX;

/// How much of a user agent is logged, in characters: callers choose it.
const USER_AGENT_CHARACTERS_MAX: usize = 128;

/// The facts about one request.
pub(crate) struct RequestContext {
    pub(crate) head: Parts,
    pub(crate) path: PublicPath,
    pub(crate) peer: Peer,
    pub(crate) id: RequestId,
    began: Instant,
    /// The same moment as a time of day, since 1970, UTC.
    began_at: Duration,
    /// The resolved address of the caller.
    pub(crate) client: Option<ClientIp>,
    /// The trace that the request belongs to, if a trusted peer names one.
    pub(crate) trace_id: Option<String>,
    /// The origin of a browser's call, if that origin may call.
    pub(crate) cors_origin: Option<HeaderValue>,
}

impl RequestContext {
    /// Begins with the head alone; admission adds the rest.
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

    /// Returns the HTTP method for logs. A longer one than any that exists has been rejected, and is cut here.
    pub(crate) fn http_method(&self) -> &str {
        let method = self.head.method.as_str();
        method.get(..METHOD_BYTES_MAX).unwrap_or(method)
    }

    /// Returns the user agent for logs: cut, and with a replacement for what is not UTF-8 or would steer a terminal.
    pub(crate) fn user_agent(&self) -> String {
        let Some(agent) = self.head.headers.get(header::USER_AGENT) else {
            return String::new();
        };
        let cut = |text: &str| match text.len() {
            0..=USER_AGENT_CHARACTERS_MAX => text.to_owned(),
            _ => text.chars().take(USER_AGENT_CHARACTERS_MAX).collect(),
        };
        agent.to_str().map_or_else(
            |_| {
                let text = String::from_utf8_lossy(agent.as_bytes());
                cut(&text.replace(char::is_control, "\u{fffd}"))
            },
            cut,
        )
    }

    /// Returns the address of the peer.
    pub(crate) fn peer(&self) -> PeerAddr {
        self.peer.addr
    }

    /// Returns the resolved address, or the peer's until it is resolved.
    pub(crate) fn client_address(&self) -> IpAddr {
        self.client
            .map_or(self.peer().address.ip().to_canonical(), |client| client.0)
    }

    /// Returns whether the connection carries many requests at once, so that it ends by GOAWAY and not by a header.
    pub(crate) fn is_multiplexed(&self) -> bool {
        self.head.version == axum::http::Version::HTTP_2
    }

    /// Returns when the caller has to have an answer.
    pub(crate) fn deadline(&self, limit: Duration) -> Instant {
        self.began + limit
    }

    /// Returns how long ago the request began.
    pub(crate) fn age(&self) -> Duration {
        self.began.elapsed()
    }

    /// Returns the time since 1970 when the request had this age.
    pub(crate) fn time_at(&self, age: Duration) -> Duration {
        self.began_at + age
    }

    /// Returns the same in milliseconds.
    pub(crate) fn ms_at(&self, age: Duration) -> i64 {
        i64::try_from(self.time_at(age).as_millis()).unwrap_or(i64::MAX)
    }
}

/// Reads the trace id of a well-formed `traceparent` (W3C Trace Context, 3.2). Call it for trusted peers only.
pub(crate) fn trace_id(headers: &HeaderMap) -> Option<String> {
    let mut fields = headers.get("traceparent")?.to_str().ok()?.split('-');
    let (version, trace) = (fields.next()?, fields.next()?);
    let is_hex = |text: &str| text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    let fits = version.len() == 2 && version != "ff" && trace.len() == 32 && is_hex(version);
    let is_id =
        |id: &str, length| id.len() == length && is_hex(id) && id.bytes().any(|b| b != b'0');
    (fits && is_id(trace, 32) && is_id(fields.next()?, 16)).then(|| trace.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_well_formed_traceparent_names_a_trace() {
        let id = |text: &str| {
            let mut headers = HeaderMap::new();
            headers.insert("traceparent", text.parse().unwrap());
            trace_id(&headers)
        };
        let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
        assert_eq!(
            id(&format!("00-{trace}-00f067aa0ba902b7-01")).as_deref(),
            Some(trace)
        );
        for wrong in [
            format!("ff-{trace}-00f067aa0ba902b7-01"),
            format!("00-{}-00f067aa0ba902b7-01", "0".repeat(32)),
            format!("00-{trace}-0000000000000000-01"),
            format!("00-{}-00f067aa0ba902b7-01", trace.to_uppercase()),
            format!("00-{trace}"),
            String::new(),
        ] {
            assert_eq!(id(&wrong), None, "{wrong}");
        }
    }
}
