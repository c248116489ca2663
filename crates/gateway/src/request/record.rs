//! What is known about one request, collected on its way and told once: one log line, the metrics, one row of the journal.

mod counting;
mod journal;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use adapter::{Answer, Code, Delivery, Dialect, Effect, Operation, Request, Way};
use forward::{CacheStatus, DayState, HeldAnswer, LimitState, UpstreamTiming};
use http::request::Parts;
use http::{HeaderMap, header};
use server::Peer;
use server::PeerAddr;
use store::{Intent, Noted, Settlement};
use tokio::sync::oneshot;

use crate::client_addr::{ClientIp, Trust, Walk};
use crate::request::idempotency;
use crate::request::reply;
use crate::request::request_id;
use crate::request::validate::{ALLOW, METHOD_BYTES_MAX};
use crate::state::snapshot::Snapshot;
use crate::telemetry::{self, Class, DeliveryLabel, ReasonLabel, name, text};

pub(crate) use counting::tell_counts;
pub(crate) use journal::trace_id;

/// How much of a path or user agent the log shows, in characters: both are the caller's to choose.
const LOGGED_CHARACTERS_MAX: usize = 128;

/// What most calls' parameters take as the log shows them, in bytes.
const PARAMETERS_BYTES: usize = 96;

/// The story of one request. Dropped untold, it says that the client went away.
pub(crate) struct Story {
    snapshot: Arc<Snapshot>,
    began: Instant,
    /// The same moment as a time of day, since 1970, UTC.
    began_at: Duration,
    told: bool,
    way: Option<Way>,
    caller: Peer,
    /// Whether its connection carries many requests at once, and is told to go away otherwise.
    is_multiplexed: bool,
    http_method: http::Method,
    /// The path as it is routed; what a caller wrote instead may hold anything, secrets too.
    route: &'static str,
    user_agent: String,
    /// The id under which the caller knows the request.
    pub(crate) request_id: String,
    /// Ours, where the caller has chosen theirs.
    own_id: Option<String>,
    /// The resolved address, once it is known.
    pub(crate) client: Option<ClientIp>,
    /// How the address was found, if the call is refused and a forwarded header had to do with it.
    walk: Option<String>,
    /// The trace that it belongs to, where a trusted peer says so.
    pub(crate) trace_id: Option<String>,
    /// The dialect to answer in.
    pub(crate) dialect: Dialect,
    /// The name of the access, once it is proven.
    pub(crate) access: Option<String>,
    /// The operation and its redacted parameters, once they are known.
    pub(crate) call: Option<(&'static Operation, String)>,
    /// Whether the journal keeps the answer, too.
    pub(crate) keeps_answer: bool,
    /// Of whom it speaks; the journal keeps a hash of it.
    destination: Option<String>,
    /// The narrowest limit after this call.
    pub(crate) limit: Option<(&'static str, LimitState)>,
    /// The access's limit per day after this call.
    pub(crate) day: Option<DayState>,
    /// Whether it asks for nothing but the checks.
    pub(crate) check_only: bool,
    /// Whether it has been handed on, so that something may have happened outside.
    pub(crate) dispatched: bool,
    /// The methods that are served at its path.
    pub(crate) allow: &'static str,
    /// What the cache had to do with it.
    pub(crate) cache: Option<CacheStatus>,
    /// What it took, when the upstream was asked.
    pub(crate) timing: Option<UpstreamTiming>,
    /// What a rule that only reports would have said.
    pub(crate) would_refuse: Option<String>,
    /// The origin of a browser's call, if it is one that may.
    pub(crate) cors_origin: Option<http::HeaderValue>,
    /// Whether the connection has to end: nothing may ride behind a chunked request.
    pub(crate) close: bool,
    /// Whether the URL holds a query, and so perhaps credentials.
    pub(crate) has_query: bool,
    /// Whether it tells once more what an earlier request was told.
    pub(crate) replays: bool,
    /// A large answer, until it is handed to the connection.
    pub(crate) held: Option<HeldAnswer>,
    /// The trace of a send that may have left, and whether it has claimed a key.
    intent: Option<(Intent, bool)>,
    /// Told when what became of that key is on the disk.
    pub(crate) settling: Option<oneshot::Receiver<()>>,
}

impl Story {
    pub(crate) fn begin(
        snapshot: &Arc<Snapshot>,
        (way, route): (Option<Way>, &'static str),
        caller: Peer,
        head: &Parts,
    ) -> Story {
        snapshot.metrics.inflight.inc();
        let capped = |text: &str| {
            if text.len() <= LOGGED_CHARACTERS_MAX {
                return text.to_owned();
            }
            text.chars().take(LOGGED_CHARACTERS_MAX).collect()
        };
        let began_at = SystemTime::now().duration_since(UNIX_EPOCH);
        let began_at = began_at.unwrap_or_default();
        let (request_id, own_id) = request_id::of(head.headers.get(reply::REQUEST_ID), began_at);
        Story {
            snapshot: Arc::clone(snapshot),
            began: Instant::now(),
            began_at,
            told: false,
            way,
            caller,
            is_multiplexed: head.version == http::Version::HTTP_2,
            http_method: head.method.clone(),
            route,
            user_agent: match head.headers.get(header::USER_AGENT) {
                None => String::new(),
                Some(name) => name
                    .to_str()
                    .map_or_else(|_| capped(&beyond_ascii(name.as_bytes())), capped),
            },
            request_id,
            own_id,
            client: None,
            walk: None,
            trace_id: None,
            dialect: Dialect::default(),
            access: None,
            call: None,
            keeps_answer: false,
            destination: None,
            limit: None,
            day: None,
            check_only: false,
            dispatched: false,
            allow: ALLOW,
            cache: None,
            timing: None,
            would_refuse: None,
            cors_origin: None,
            close: head.headers.contains_key(header::TRANSFER_ENCODING),
            has_query: head.uri.query().is_some(),
            replays: false,
            held: None,
            intent: None,
            settling: None,
        }
    }

    /// The id that no other request has.
    fn own_id(&self) -> &str {
        self.own_id.as_deref().unwrap_or(&self.request_id)
    }

    /// The id that the caller chose, if they did.
    fn callers_id(&self) -> Option<&str> {
        self.own_id.as_ref().map(|_| &*self.request_id)
    }

    /// Notes what is called, redacted as the operation table says.
    pub(crate) fn calls(&mut self, request: &Request) {
        let mut shown = String::with_capacity(PARAMETERS_BYTES);
        for (parameter, value) in request.pairs() {
            if !shown.is_empty() {
                shown.push(' ');
            }
            shown.push_str(parameter.name);
            shown.push('=');
            Request::redact(parameter, value, &mut shown);
        }
        self.destination = request.value("destination").map(str::to_owned);
        self.call = Some((request.operation(), shown));
    }

    /// The operation, once it is known.
    pub(crate) fn operation(&self) -> Option<&'static Operation> {
        self.call.as_ref().map(|(operation, _)| *operation)
    }

    /// What is shown of the HTTP method: one that is too long to be one has been refused, and is cut here.
    fn http_method(&self) -> &str {
        let method = self.http_method.as_str();
        method.get(..METHOD_BYTES_MAX).unwrap_or(method)
    }

    /// The other end of the connection.
    pub(crate) fn peer(&self) -> PeerAddr {
        self.caller.addr
    }

    /// The resolved address; the peer's until it is resolved.
    pub(crate) fn client_address(&self) -> IpAddr {
        self.client
            .map_or(self.peer().address.ip().to_canonical(), |client| client.0)
    }

    /// Notes how the address was found, in the words of an explanation. For refusals: it walks once more.
    pub(crate) fn tell_walk(&mut self, headers: &HeaderMap, trust: Trust<'_>) {
        if !trust.believes(self.peer()) {
            // Nothing beyond the peer was looked at, and refusals have to be cheap.
            return;
        }
        self.walk = Walk::of(self.peer(), headers, trust).beyond_the_peer();
    }

    /// Tells the story of a request that is no call: a document, OPTIONS, or the token endpoint.
    pub(crate) fn tell_reply(&mut self, wire_status: u16, error: Option<&adapter::Error>) {
        let success = adapter::Response::empty();
        let request_id = self.request_id.clone();
        let outcome = error.map_or(Ok(&success), Err);
        self.tell(
            wire_status,
            &Answer {
                request_id: &request_id,
                operation: None,
                outcome,
            },
        );
    }

    /// Notes the access's own limits, which are narrower than the address's, and what they would have said.
    pub(crate) fn limited_by(
        &mut self,
        limit: Option<LimitState>,
        day: Option<DayState>,
        would_refuse: Option<String>,
    ) {
        if let Some(limit) = limit {
            self.limit = Some(("minute", limit));
        }
        self.day = day;
        if would_refuse.is_some() {
            self.would_refuse = would_refuse;
        }
    }

    /// When the caller has to have an answer.
    pub(crate) fn deadline(&self, limit: Duration) -> Instant {
        self.began + limit
    }

    /// A defect of ours after a send was handed on leaves open what became of it.
    pub(crate) fn judge_delivery(&self, error: adapter::Error) -> adapter::Error {
        if error.code() == Code::InternalError && self.dispatched {
            error.with_delivery(self.is_send().then_some(Delivery::Unknown))
        } else {
            error
        }
    }

    /// How long ago the request began.
    pub(crate) fn age(&self) -> Duration {
        self.began.elapsed()
    }

    /// Tells the story: the status on the wire and how the call ended.
    pub(crate) fn tell(&mut self, wire_status: u16, answer: &Answer<'_>) {
        self.told = true;
        let error = answer.outcome.err();
        self.judge_connection(error.is_some());
        let word = error.map_or("", adapter::Error::word);
        let delivery = answer
            .delivery()
            .filter(|_| self.is_send())
            .map(adapter::Delivery::word);
        let canonical = error.map_or(200, |error| error.code().status());
        let took = self.age();
        self.count(answer, delivery, took);
        // Nobody else pays for the copy of a result that a receipt keeps.
        let settlement = self
            .has_claimed()
            .then(|| idempotency::settlement(answer.outcome));
        let ending = Ending {
            took,
            wire_status,
            canonical,
            code: word,
            refusal: error.map_or("", |error| error.code().word()),
            delivery: delivery.unwrap_or_default(),
            cause: error.and_then(adapter::Error::cause).unwrap_or_default(),
            answer: answer
                .outcome
                .ok()
                .filter(|_| self.keeps_answer && !self.check_only),
        };
        self.end(&ending, settlement);
    }

    /// Has a connection end on which nobody proves who they are. That of a trusted proxy carries calls of many.
    fn judge_connection(&mut self, is_refused: bool) {
        if self.access.is_some() {
            self.caller.reset_refusals();
        } else if is_refused
            && !self.snapshot.trust().believes(self.peer())
            && self.caller.count_refusal()
        {
            if self.is_multiplexed {
                self.caller.go_away();
            } else {
                self.close = true;
            }
        }
    }

    /// The log first, so that a row is never of a request that the log does not know. What is counted with others has neither.
    fn end(&mut self, ending: &Ending<'_>, settlement: Option<Settlement>) {
        let noted = self.note(ending);
        if matches!(noted, Noted::Counted) {
            return;
        }
        self.log(ending);
        match (self.intent.take(), settlement) {
            (None, _) if self.snapshot.journals_all => {
                let row = self.row(ending);
                let journal = self.snapshot.store.journal();
                match noted {
                    Noted::First(counted) => journal.begin_count(&counted, row),
                    Noted::Listed | Noted::Counted => journal.add(row),
                }
            }
            (None, _) => {}
            (Some((intent, _)), None) => intent.close(self.row(ending)),
            (Some((intent, _)), Some(settlement)) => {
                let row = self.row(ending);
                self.settling = Some(intent.settle(row, settlement));
            }
        }
    }

    /// Whether it is a send whose key has to be left in some way.
    fn has_claimed(&self) -> bool {
        self.intent.as_ref().is_some_and(|(_, has_key)| *has_key)
    }

    /// From here on something may leave.
    pub(crate) fn sends(&mut self, intent: Intent, has_key: bool) {
        self.intent = Some((intent, has_key));
        self.dispatched = true;
    }

    fn is_send(&self) -> bool {
        self.operation()
            .is_some_and(|operation| operation.effect == Effect::Send)
    }

    fn count(&self, answer: &Answer<'_>, delivery: Option<&'static str>, took: Duration) {
        let metrics = &self.snapshot.metrics;
        let operation = self.operation();
        // The upstream's own words are free text, so that one code stands for all of them.
        let code = answer.code();
        let access = self.access.as_deref();
        metrics.requests.count(self.way, operation, access, code);
        let duration = metrics.request_duration(self.way, operation);
        duration.observe(took);
        if let Some(timing) = self.timing {
            let attempts = metrics.upstream_attempts(operation);
            attempts.inc_by(timing.attempts.into());
            metrics
                .upstream_duration(operation)
                .observe(timing.upstream);
        }
        match self.cache {
            Some(cache) => {
                metrics.cache_result(cache).inc();
            }
            None if answer.outcome.is_err() => {
                metrics
                    .denied
                    .get_or_create(&ReasonLabel {
                        reason: code.map_or("", Code::word),
                    })
                    .inc();
            }
            None => {}
        }
        if self.would_refuse.is_some() {
            metrics.would_deny.inc();
        }
        // What is told once more was counted the first time.
        if let Some(delivery) = delivery.filter(|_| !self.replays) {
            metrics
                .deliveries
                .get_or_create(&DeliveryLabel { delivery })
                .inc();
        }
    }

    fn log(&self, ending: &Ending<'_>) {
        // Who has proved nothing can ask as often as they like; their lines take no room of others.
        let class = if self.access.is_some() {
            Class::Known
        } else {
            Class::Unknown
        };
        telemetry::tell(class, self.began_at + ending.took, |line| {
            line.word(name!("request_id"), self.own_id());
            line.word(name!("caller_request_id"), self.callers_id().unwrap_or(""));
            line.word(name!("way"), self.way.map_or("", Way::name));
            line.text(name!("access"), self.access.as_deref().unwrap_or_default());
            let method = self.operation().map_or("", |operation| operation.method);
            line.word(name!("method"), method);
            let parameters = self.call.as_ref().map(|(_, parameters)| &**parameters);
            line.text(name!("parameters"), parameters.unwrap_or_default());
            line.quoted(name!("peer"), |line| {
                text::push_socket(line, self.peer().address)
            });
            if let Some(client) = self.client {
                line.quoted(name!("client"), |line| text::push_address(line, client.0));
            }
            line.text(name!("walk"), self.walk.as_deref().unwrap_or_default());
            line.word(name!("http_method"), self.http_method());
            line.word(name!("path"), self.route);
            line.text(name!("user_agent"), &self.user_agent);
            line.number(name!("status"), ending.wire_status);
            line.number(name!("canonical_status"), ending.canonical);
            line.word(name!("code"), ending.code);
            line.word(name!("delivery"), ending.delivery);
            line.word(name!("cache"), self.cache.map_or("", CacheStatus::word));
            if let Some(timing) = self.timing {
                line.number(name!("attempts"), timing.attempts);
                line.ms(name!("queue_ms"), timing.queued);
                line.ms(name!("upstream_ms"), timing.upstream);
            }
            line.ms(name!("total_ms"), ending.took);
            line.text(name!("cause"), ending.cause);
            let would_refuse = self.would_refuse.as_deref();
            line.text(name!("would_refuse"), would_refuse.unwrap_or_default());
        });
    }
}

/// How a request ended.
struct Ending<'a> {
    /// From its beginning; the same in the log, the metrics and the journal.
    took: Duration,
    wire_status: u16,
    canonical: u16,
    code: &'a str,
    /// The closed code; empty if there was no error.
    refusal: &'static str,
    delivery: &'a str,
    cause: &'a str,
    answer: Option<&'a adapter::Response>,
}

impl Drop for Story {
    fn drop(&mut self) {
        self.snapshot.metrics.inflight.dec();
        if !self.told {
            // A send that has been handed on may have been sent, whoever is left to be told.
            let delivery = if self.is_send() && self.dispatched {
                "unknown"
            } else {
                ""
            };
            let settlement = self
                .has_claimed()
                .then(|| Settlement::Unknown(Code::InternalError.word()));
            let ending = Ending {
                took: self.age(),
                wire_status: 0,
                canonical: 499,
                code: "CLIENT_GONE",
                refusal: "CLIENT_GONE",
                delivery,
                cause: "the client went away, or the gateway had to end",
                answer: None,
            };
            self.end(&ending, settlement);
        }
    }
}

/// What is no UTF-8, or would steer a terminal, shows where it was.
fn beyond_ascii(name: &[u8]) -> String {
    let text = String::from_utf8_lossy(name);
    text.replace(char::is_control, "\u{fffd}")
}
