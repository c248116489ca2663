//! One exchange with an endpoint. Requests are built only here, and every possible result is converted here.

use std::time::{Duration, Instant, SystemTime};

use adapter::{CLASS, Effect, Request};
use client::{BodyError, ClientConfig, ClientFactory, Post, PostClient, ROOM_WAIT, Target};
use http::HeaderValue;
use secrecy::ExposeSecret;
use url::{Url, form_urlencoded};

use super::account::EncodedAccount;
use super::attempt::{Attempt, evaluate, failed, no_room, too_large, undecodable};
use super::config::{UpstreamAuth, UpstreamConfig};
use super::endpoint::UpstreamEndpoint;
use super::retry_after;
use crate::per_core::PerCore;
use crate::trace::AttemptLog;

/// The initial capacity for a form in bytes, which most forms fit into.
const FORM_BYTES: usize = 256;

/// A request to the upstream.
#[derive(Clone, Copy)]
pub(crate) struct UpstreamRequest<'a> {
    pub(crate) request: &'a Request,
    /// The log of the attempts, if the call is traced.
    pub(crate) trace: Option<&'a AttemptLog>,
}

impl<'a> UpstreamRequest<'a> {
    /// Creates a request of the gateway itself, which is not traced.
    pub(super) fn untraced(request: &'a Request) -> UpstreamRequest<'a> {
        UpstreamRequest {
            request,
            trace: None,
        }
    }
}

/// The clients of one upstream, with separate connections for each core.
pub(super) struct UpstreamClient {
    factory: ClientFactory,
    clients: PerCore<PostClient>,
    auth: UpstreamAuth,
    timeout: Duration,
    response_bytes: usize,
}

impl UpstreamClient {
    /// Reads the roots, and returns the targets of these URLs in their order. Opens no connection.
    ///
    /// # Errors
    /// A sentence, when the roots can't be read.
    pub(super) fn new(
        config: &UpstreamConfig,
        urls: &[Url],
    ) -> Result<(UpstreamClient, Vec<Target>), String> {
        let limits = &config.limits;
        let client_config = ClientConfig {
            roots: limits.roots.clone(),
            identity: None,
            // Less than the whole timeout, so that a connection that times out can be distinguished from an answer that does.
            connect_timeout: limits.connect_timeout.min(limits.timeout * 9 / 10),
            timeout: limits.timeout,
        };
        let (factory, targets) = ClientFactory::new(client_config, limits.connection_life, urls)?;
        let client = UpstreamClient {
            clients: PerCore::new(|| factory.build()),
            factory,
            auth: config.auth,
            timeout: limits.timeout,
            response_bytes: limits.response_bytes,
        };
        Ok((client, targets))
    }

    /// Returns whether the root files are unchanged since they were read.
    ///
    /// # Errors
    /// A sentence, when a file can't be read.
    pub(super) fn is_current(&self) -> Result<bool, String> {
        self.factory.is_current()
    }

    /// Closes connections that have been idle for too long.
    pub(super) fn close_idle(&self) {
        let now = Instant::now();
        for client in self.clients.iter() {
            client.close_idle(now);
        }
    }

    /// Posts a request to an endpoint once, and returns the result.
    pub(super) async fn exchange(
        &self,
        endpoint: &UpstreamEndpoint,
        account: &EncodedAccount,
        UpstreamRequest { request, trace }: UpstreamRequest<'_>,
        (now, deadline): (Instant, Instant),
    ) -> Attempt {
        let effect = request.operation().effect;
        let is_send = effect == Effect::Send;
        let word = |delivery| is_send.then_some(delivery);
        let remaining = deadline.saturating_duration_since(now);
        let timeout = remaining.min(self.timeout);
        let had_full_timeout = timeout == self.timeout;
        let (authorization, form) = self.form(account, request);
        let headers = trace.and_then(|trace| trace.begin(now, &endpoint.url));
        let posted = self.clients.local().post(Post {
            target: &endpoint.target,
            authorization,
            form,
            begins: now,
            deadline: now + timeout,
            trace: headers.as_ref(),
        });
        let mut answer = match posted.await {
            Ok(answer) => answer,
            Err(error) => return failed(error, had_full_timeout, word),
        };
        let status = answer.status();
        if let Some(trace) = trace {
            trace.answered(status.as_u16());
        }
        let wait = retry_after::requested_pause(status, answer.headers(), SystemTime::now);
        // Consumed messages and the outcome of a send can't be requested again, so their answers wait as long as possible.
        let room_wait = if effect == Effect::Read {
            ROOM_WAIT
        } else {
            timeout
        };
        let attempt = match answer.body(self.response_bytes, room_wait).await {
            Ok(body) => evaluate(&body, status, word),
            Err(BodyError::Broken(error)) => failed(error, had_full_timeout, word),
            Err(BodyError::Packed) => undecodable(word),
            Err(BodyError::TooLarge) => too_large("the answer is too large", word),
            Err(BodyError::NoRoom) => no_room(effect),
        };
        attempt.with_requested_pause(wait)
    }

    /// Returns the `Authorization` header if it contains the account, and the form.
    fn form(&self, account: &EncodedAccount, request: &Request) -> (Option<HeaderValue>, String) {
        let mut form = String::with_capacity(FORM_BYTES);
        // Class, method and names are ours and need no encoding.
        for part in ["class=", CLASS, "&method=", request.operation().method] {
            form.push_str(part);
        }
        if self.auth == UpstreamAuth::Form {
            form.push_str(account.fields.expose_secret());
        }
        // Only declared names, encoded by us, so that nothing of the caller's own encoding reaches the upstream.
        for (parameter, value) in request.pairs() {
            for part in ["&", parameter.name, "="] {
                form.push_str(part);
            }
            form.extend(form_urlencoded::byte_serialize(value.as_bytes()));
        }
        let is_basic = self.auth == UpstreamAuth::Basic;
        (is_basic.then(|| account.authorization.clone()), form)
    }
}
