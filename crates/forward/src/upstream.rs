//! The upstream: one request built in one place, every way that it can end told by one of the contract's codes.

use std::borrow::Cow;
use std::time::{Duration, Instant};

use adapter::{CLASS, Code, Delivery, Effect, Error, Request, Response};
use reqwest::header::{CONTENT_TYPE, HeaderValue};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::value::RawValue;
use url::{Url, form_urlencoded};

use crate::client::{self, BodyError, ClientConfig, Roots, causes};

/// Where the upstream is and how to speak to it.
#[derive(Clone, Debug)]
pub struct UpstreamConfig {
    /// The endpoint, such as `https://www.afilnet.com/api/http/`.
    pub url: Url,
    /// The account's user name.
    pub user: String,
    /// The account's password.
    pub password: SecretString,
    /// Where the account stands in a request; never in the URL.
    pub auth: UpstreamAuth,
    /// Longest wait for a connection.
    pub connect_timeout: Duration,
    /// Longest wait for the whole answer.
    pub timeout: Duration,
    /// Largest answer, in bytes after decompression.
    pub response_bytes: usize,
    /// Whose certificates are trusted.
    pub roots: Roots,
}

impl UpstreamConfig {
    /// Whether both speak to one account at one place, so that what one was answered holds for the other.
    pub(crate) fn is_account_of(&self, other: &UpstreamConfig) -> bool {
        (&self.url, &self.user) == (&other.url, &other.user)
    }

    /// Whether a client made for one serves the other. Roots in files may have changed since they were read.
    pub(crate) fn is_same(&self, other: &UpstreamConfig) -> bool {
        let times = |config: &UpstreamConfig| (config.connect_timeout, config.timeout);
        self.is_account_of(other)
            && self.password.expose_secret() == other.password.expose_secret()
            && (self.auth, self.response_bytes) == (other.auth, other.response_bytes)
            && times(self) == times(other)
            && self.roots == other.roots
            && !matches!(self.roots, Roots::Files(_))
    }
}

/// Where the account stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UpstreamAuth {
    /// In the posted form.
    Form,
    /// In a Basic `Authorization` header.
    Basic,
}

/// The upstream of one gateway.
pub struct Upstream {
    client: reqwest::Client,
    config: UpstreamConfig,
}

impl Upstream {
    /// Makes the client. Opens no connection.
    ///
    /// # Errors
    /// A sentence, when the roots can't be read.
    pub fn new(config: UpstreamConfig) -> Result<Upstream, String> {
        // A connection that takes all the time there is must still be told from an answer that does.
        let connect_timeout = config.connect_timeout.min(config.timeout * 9 / 10);
        let client = client::build(&ClientConfig {
            roots: config.roots.clone(),
            identity: None,
            connect_timeout,
            timeout: config.timeout,
        })?;
        Ok(Upstream { client, config })
    }

    /// Asks once, until the deadline at the longest. Never asks again, whatever happens.
    ///
    /// # Errors
    /// The page's code that the upstream answered, or UPSTREAM_*; a send carries its delivery word.
    pub(crate) async fn call(
        &self,
        request: &Request,
        deadline: Instant,
    ) -> Result<Response, Error> {
        let is_send = request.operation().effect == Effect::Send;
        let word = |delivery| is_send.then_some(delivery);
        let left = deadline.saturating_duration_since(Instant::now());
        let timeout = left.min(self.config.timeout);
        let sent = self.request(request).timeout(timeout).send().await;
        let response = sent.map_err(|error| failed(error, word))?;
        let is_success = response.status().is_success();
        let status = response.status().as_u16();
        let body = client::read_body(response, self.config.response_bytes)
            .await
            .map_err(|error| match error {
                BodyError::Broken(error) => failed(error, word),
                BodyError::TooLarge => unusable("the answer is too large", word(Delivery::Unknown)),
            })?;
        match parse(&body) {
            Ok(Envelope::Success(result)) if is_success => Ok(Response::new(result)),
            Ok(Envelope::Error(code)) => match refused(&code) {
                Some(error) => Err(error.with_delivery(word(Delivery::NotSent))),
                None => Err(unusable(
                    "an error code of an unknown shape",
                    word(Delivery::Unknown),
                )),
            },
            _ if !is_success => Err(unusable(
                format!("status {status}"),
                word(Delivery::Unknown),
            )),
            Ok(Envelope::Success(_)) => Err(unusable(
                "success with an HTTP error",
                word(Delivery::Unknown),
            )),
            Err(cause) => Err(unusable(cause, word(Delivery::Unknown))),
        }
    }

    fn request(&self, request: &Request) -> reqwest::RequestBuilder {
        let mut form = form_urlencoded::Serializer::new(String::with_capacity(256));
        form.append_pair("class", CLASS)
            .append_pair("method", request.operation().method);
        if self.config.auth == UpstreamAuth::Form {
            form.append_pair("user", &self.config.user);
            form.append_pair("password", self.config.password.expose_secret());
        }
        // Declared names only, encoded by us: nothing of the caller's own spelling reaches the upstream.
        for (parameter, value) in request.pairs() {
            form.append_pair(parameter.name, value);
        }
        let post = self
            .client
            .post(self.config.url.clone())
            .header(
                CONTENT_TYPE,
                HeaderValue::from_static("application/x-www-form-urlencoded"),
            )
            .body(form.finish());
        match self.config.auth {
            UpstreamAuth::Form => post,
            UpstreamAuth::Basic => post.basic_auth(
                &self.config.user,
                Some(self.config.password.expose_secret()),
            ),
        }
    }
}

enum Envelope<'a> {
    Success(Option<&'a str>),
    Error(String),
}

#[derive(Deserialize)]
struct Written<'a> {
    #[serde(borrow)]
    status: Cow<'a, str>,
    #[serde(borrow, default, deserialize_with = "present")]
    result: Option<&'a RawValue>,
    #[serde(borrow, default)]
    error: Option<&'a RawValue>,
}

/// Keeps `null` apart from absence: a result that the upstream sent is passed on as it is.
fn present<'de: 'a, 'a, D: serde::Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<&'a RawValue>, D::Error> {
    <&RawValue>::deserialize(deserializer).map(Some)
}

fn parse(body: &[u8]) -> Result<Envelope<'_>, &'static str> {
    let text = std::str::from_utf8(body).map_err(|_| "the answer is not UTF-8")?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let written: Written<'_> =
        serde_json::from_str(text).map_err(|_| "the answer is not the envelope")?;
    if written.status.eq_ignore_ascii_case("success") {
        Ok(Envelope::Success(written.result.map(RawValue::get)))
    } else if written.status.eq_ignore_ascii_case("error") {
        // Only asked for here: what stands beside a success is of no account.
        let code = written
            .error
            .and_then(|raw| serde_json::from_str(raw.get()).ok());
        code.map(Envelope::Error).ok_or("an error without a code")
    } else {
        Err("the status is neither success nor error")
    }
}

/// What an error code of the upstream means for the caller; nothing when it has not the shape of one.
fn refused(word: &str) -> Option<Error> {
    match Code::from_page(word) {
        // All three speak of our own account, which the caller has no part in.
        Some(code) if code.is_credential() => {
            let cause = format!("the upstream says {}", code.word());
            Some(Error::refused(Code::UpstreamRefusedCredentials).because(cause))
        }
        Some(code) => Some(Error::refused(code).because("said by the upstream")),
        None => is_well_shaped(word)
            .then(|| Error::upstream_code(word.to_owned()).because("said by the upstream")),
    }
}

fn is_well_shaped(word: &str) -> bool {
    (1..=64).contains(&word.len())
        && word
            .bytes()
            .all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_')
}

fn unusable(cause: impl Into<Cow<'static, str>>, delivery: Option<Delivery>) -> Error {
    Error::refused(Code::UpstreamError)
        .because(cause)
        .with_delivery(delivery)
}

/// Names a failure of the transport. Only a connection that was never made is certain to have carried nothing.
fn failed(error: reqwest::Error, word: impl Fn(Delivery) -> Option<Delivery>) -> Error {
    let error = error.without_url();
    let (code, delivery) = if error.is_connect() {
        (Code::UpstreamUnavailable, Delivery::NotSent)
    } else if error.is_timeout() {
        (Code::UpstreamTimeout, Delivery::Unknown)
    } else {
        (Code::UpstreamError, Delivery::Unknown)
    };
    let refusal = Error::refused(code)
        .because(causes(&error))
        .with_delivery(word(delivery));
    if code == Code::UpstreamUnavailable {
        refusal.retry_after(1)
    } else {
        refusal
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(body: &str, expected: Result<&str, &str>) {
        let told = match parse(body.as_bytes()) {
            Ok(Envelope::Success(result)) => Ok(result.unwrap_or("(none)").to_owned()),
            Ok(Envelope::Error(code)) => {
                Err(refused(&code).map_or("(no code)".to_owned(), |error| error.word().to_owned()))
            }
            Err(cause) => Err(cause.to_owned()),
        };
        assert_eq!(
            told.as_ref().map(String::as_str).map_err(String::as_str),
            expected
        );
    }

    #[test]
    fn the_upstreams_envelope_is_taken_as_it_writes_it() {
        check(
            r#"{"status":"SUCCESS","result":{"list":[]}}"#,
            Ok(r#"{"list":[]}"#),
        );
        check("\u{feff}\n{\"status\":\"success\"}\n", Ok("(none)"));
        check(
            r#"{"status":"SUCCESS","result":null,"error":false}"#,
            Ok("null"),
        );
        check(
            r#"{"status":"SUCCESS","result":[1.0,2e3],"more":1}"#,
            Ok("[1.0,2e3]"),
        );
        check(
            r#"{"status":"Error","error":"CHAT_NOT_FOUND"}"#,
            Err("CHAT_NOT_FOUND"),
        );
        check(
            r#"{"status":"ERROR","error":"NEW_ONE_9"}"#,
            Err("NEW_ONE_9"),
        );
        check(
            r#"{"status":"ERROR","error":"RATE_LIMITED"}"#,
            Err("RATE_LIMITED"),
        );
        check(
            r#"{"status":"ERROR","error":"INCORRECT_USER_PASSWORD"}"#,
            Err("UPSTREAM_REFUSED_CREDENTIALS"),
        );
        check(
            r#"{"status":"ERROR","error":"<b>no</b>"}"#,
            Err("(no code)"),
        );
    }

    #[test]
    fn everything_else_is_unusable() {
        check(
            r#"{"status":"ERROR","error":7}"#,
            Err("an error without a code"),
        );
        check("", Err("the answer is not the envelope"));
        check("<html>", Err("the answer is not the envelope"));
        check(
            r#"{"status":"SUCCESS","result":{}"#,
            Err("the answer is not the envelope"),
        );
        check(
            r#"{"status":"SUCCESS","status":"ERROR"}"#,
            Err("the answer is not the envelope"),
        );
        check(r#"{"status":"ERROR"}"#, Err("an error without a code"));
        check(
            r#"{"status":"MAYBE"}"#,
            Err("the status is neither success nor error"),
        );
        check(r#"{"result":{}}"#, Err("the answer is not the envelope"));
    }
}
