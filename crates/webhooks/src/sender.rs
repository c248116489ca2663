//! Sends one attempt: signs and posts the request, and derives the outcome from the answer.

use std::time::{Duration, UNIX_EPOCH};

use bytes::Bytes;
use client::{OutsideClient, OutsideError, OutsidePost};
use http::header::{CONTENT_TYPE, USER_AGENT};
use http::{HeaderMap, HeaderName, HeaderValue};
use store::{Webhook, WebhookSecret};
use tokio::time::Instant;

use crate::destination::{Destination, DestinationRules};
use crate::outcome::{Failure, FailureScope, Outcome};
use crate::signature::{live, sign};

/// The user agent that receivers see.
const AGENT: &str = "chatgate";

/// The words for the outcomes of attempts.
pub(crate) const OUTCOMES: [&str; 11] = [
    "ok",
    "status",
    "redirect",
    "overload",
    "gone",
    "blocked_address",
    "dns",
    "connect",
    "tls",
    "timeout",
    "broken",
];

/// The result of an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SendOutcome {
    pub(crate) outcome: Outcome,
    /// The status of the answer, if there was one.
    pub(crate) status: Option<u16>,
    /// `ok`, or the reason of the failure as one of the [`OUTCOMES`].
    pub(crate) cause: &'static str,
    /// The duration in milliseconds.
    pub(crate) ms: i64,
}

impl SendOutcome {
    /// Returns the result of an attempt without an answer that took this many milliseconds.
    pub(crate) fn failed(error: OutsideError, ms: i64) -> SendOutcome {
        let of = match error {
            OutsideError::Timeout | OutsideError::Broken => FailureScope::Event,
            OutsideError::BlockedAddress
            | OutsideError::Dns
            | OutsideError::Connect
            | OutsideError::Tls => FailureScope::Receiver,
        };
        SendOutcome {
            outcome: failed(of, None),
            status: None,
            cause: error.word(),
            ms,
        }
    }
}

/// The sender of one configuration: its rules and its client.
pub(crate) struct WebhookSender {
    pub(crate) rules: DestinationRules,
    pub(crate) client: OutsideClient,
}

impl WebhookSender {
    /// Posts a body that was rendered for this attempt, so that exactly the signed bytes are sent. `now` is in seconds since 1970,
    /// UTC.
    pub(crate) async fn send(
        &self,
        webhook: &Webhook,
        (event_id, body): (&str, Bytes),
        now: i64,
    ) -> SendOutcome {
        let began = Instant::now();
        let posted = self.post(webhook, (event_id, body), now).await;
        let ms = i64::try_from(began.elapsed().as_millis()).unwrap_or(i64::MAX);
        match posted {
            Ok((status, retry_after)) => {
                let (outcome, cause) = outcome_of(status, retry_after);
                SendOutcome {
                    outcome,
                    status: Some(status),
                    cause,
                    ms,
                }
            }
            Err(error) => SendOutcome::failed(error, ms),
        }
    }

    async fn post(
        &self,
        webhook: &Webhook,
        (event_id, body): (&str, Bytes),
        now: i64,
    ) -> Result<(u16, Option<Duration>), OutsideError> {
        // Check the URL again, because the rules may have changed since the operator set it.
        let destination = Destination::parse(&webhook.settings.url, &self.rules)
            .map_err(|_| OutsideError::BlockedAddress)?;
        let secrets = live(&webhook.secrets, now);
        let headers = headers(secrets, (event_id, now), &body).ok_or(OutsideError::Broken)?;
        let may_dial = |address| destination.may_dial(address, &self.rules);
        let post = OutsidePost {
            url: &destination.url,
            headers,
            body,
            may_dial: &may_dial,
        };
        let answer = self.client.post(post).await?;
        let since = UNIX_EPOCH + Duration::from_secs(now.unsigned_abs());
        let retry_after = answer.retry_after;
        let retry_after = retry_after.and_then(|value| client::retry_after(&value, since));
        Ok((answer.status, retry_after))
    }
}

fn outcome_of(status: u16, retry_after: Option<Duration>) -> (Outcome, &'static str) {
    match status {
        200..=299 => (Outcome::Delivered, "ok"),
        410 => (Outcome::Gone, "gone"),
        429 | 502 | 503 | 504 => (failed(FailureScope::Overload, retry_after), "overload"),
        300..=399 => (failed(FailureScope::Event, None), "redirect"),
        _ => (failed(FailureScope::Event, retry_after), "status"),
    }
}

fn failed(of: FailureScope, retry_after: Option<Duration>) -> Outcome {
    Outcome::Failed(Failure { of, retry_after })
}

fn headers<'s>(
    secrets: impl Iterator<Item = &'s WebhookSecret>,
    (event_id, now): (&str, i64),
    body: &[u8],
) -> Option<HeaderMap> {
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(USER_AGENT, HeaderValue::from_static(AGENT));
    let mut signature = HeaderValue::try_from(sign(secrets, (event_id, now), body)).ok()?;
    signature.set_sensitive(true);
    for (name, value) in [
        ("webhook-id", HeaderValue::try_from(event_id).ok()?),
        ("webhook-timestamp", HeaderValue::from(now)),
    ] {
        headers.insert(HeaderName::from_static(name), value);
    }
    headers.insert(SIGNATURE, signature);
    Some(headers)
}

/// The header of the signature. A request that contains it comes from a webhook, ours or a foreign one, and never from a caller.
pub const SIGNATURE: HeaderName = HeaderName::from_static("webhook-signature");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_determines_the_scope_of_a_failure() {
        let pause = Some(Duration::from_secs(7));
        for (status, expected) in [
            (200, Outcome::Delivered),
            (204, Outcome::Delivered),
            (301, failed(FailureScope::Event, None)),
            (400, failed(FailureScope::Event, pause)),
            (404, failed(FailureScope::Event, pause)),
            (410, Outcome::Gone),
            (429, failed(FailureScope::Overload, pause)),
            (500, failed(FailureScope::Event, pause)),
            (503, failed(FailureScope::Overload, pause)),
        ] {
            assert_eq!(outcome_of(status, pause).0, expected, "{status}");
        }
    }

    #[test]
    fn every_outcome_has_a_known_metric_label() {
        for status in [200, 301, 400, 404, 410, 429, 500, 503] {
            assert!(OUTCOMES.contains(&outcome_of(status, None).1), "{status}");
        }
        for error in [
            OutsideError::BlockedAddress,
            OutsideError::Dns,
            OutsideError::Connect,
            OutsideError::Tls,
            OutsideError::Timeout,
            OutsideError::Broken,
        ] {
            assert!(OUTCOMES.contains(&error.word()), "{error:?}");
        }
    }

    #[test]
    fn a_delivery_carries_the_headers_of_standard_webhooks() {
        let secret = WebhookSecret {
            text: "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD".to_owned().into(),
            created: 0,
            until: None,
        };
        let headers = headers([secret].iter(), ("evt_1", 77), b"{}").unwrap();
        assert_eq!(headers["webhook-id"], "evt_1");
        assert_eq!(headers["webhook-timestamp"], "77");
        assert!(
            headers["webhook-signature"]
                .to_str()
                .unwrap()
                .starts_with("v1,")
        );
        // Debug output must not contain the signature.
        assert!(!format!("{headers:?}").contains("v1,"));
    }
}
