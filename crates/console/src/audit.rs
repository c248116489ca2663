//! The audit trail of admin keys in the journal. Each request that changes or exports something, or is rejected because of the
//! key's role, leaves one row; pages and queries leave none. Wrong keys are counted by address and minute, so that guessing does
//! not fill the journal. Requests that change nothing (rejections and exports) are counted after the first of a minute, because
//! rows of this kind are pruned last and a viewer's key must not fill the journal with them. A row contains the route's path
//! template and no part of the body, so that no secret gets into the journal.

pub(crate) mod notes;

use std::borrow::Cow;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{ConnectInfo, MatchedPath, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, Method, Request, StatusCode, header};
use store::{CountKey, CountResult, JournalKind, JournalRow};

use crate::api::auth::BEHIND_KEYS;
use crate::journal::export::wants_ndjson;
use crate::problem::Problem;
use crate::route_kind::RouteKind;
use crate::state::Console;
use crate::web::page_error::SIGN_IN;
use crate::web::visitor::signed_in;
use notes::{ActionNote, OpenedSession, RefusalCode};

/// The code of a wrong key, in the admin API and in the console.
const UNAUTHORIZED: &str = "unauthorized";

/// Handles the request and writes its row, if it leaves one.
pub(crate) async fn record(
    State(console): State<Arc<Console>>,
    request: Request<Body>,
    next: Next,
) -> Response {
    let actor = actor(&console, request.uri().path(), request.headers()).await;
    let mut audited = AuditedRequest::new(Arc::clone(&console), actor, &request);
    let response = next.run(request).await;
    audited.answered(&response);
    match audited.wait_after_wrong_key(response.status()).await {
        Some(wait_s) => too_many_wrong_keys(wait_s),
        None => response,
    }
}

fn too_many_wrong_keys(wait_s: i64) -> Response {
    let text = "Too many wrong keys. Wait a minute, or send the right key.";
    let problem = Problem::new(StatusCode::TOO_MANY_REQUESTS, "too_many_wrong_keys", text);
    let mut response = problem.into_response();
    let headers = response.headers_mut();
    headers.insert(header::RETRY_AFTER, wait_s.into());
    response
}

/// A request in progress.
struct AuditedRequest {
    console: Arc<Console>,
    /// The row, whose time is set at the end of the request. A row with an older time could appear behind readers that follow the
    /// journal.
    row: JournalRow,
    route: RouteKind,
    /// True if a key was presented with the request.
    presents_key: bool,
    /// True if the request tries to change or export something.
    acts: bool,
    /// True if the request tries to change something.
    changes: bool,
    /// The address of the client.
    client: Option<IpAddr>,
    is_answered: bool,
}

impl AuditedRequest {
    fn new(
        console: Arc<Console>,
        actor: Option<String>,
        request: &Request<Body>,
    ) -> AuditedRequest {
        let headers = request.headers();
        let route = console.route_kinds.of(request);
        let path = request.extensions().get::<MatchedPath>();
        let path = path.map(MatchedPath::as_str).unwrap_or_default();
        let peer = request.extensions().get::<ConnectInfo<SocketAddr>>();
        let peer = peer.map(|ConnectInfo(peer)| *peer);
        let row = JournalRow {
            kind: JournalKind::Operator,
            http_method: Some(method_word(request.method()).into()),
            path: Some(path.to_owned().into()).filter(|path: &Cow<'_, str>| !path.is_empty()),
            peer,
            client: peer.map(|peer| peer.ip().to_canonical()),
            access: access(&console, path, request.uri().path()),
            actor: actor.map(Cow::Owned),
            ..JournalRow::default()
        };
        AuditedRequest {
            presents_key: headers.contains_key(header::AUTHORIZATION),
            acts: acts(request.method(), route, headers),
            changes: !is_read(request.method()) && route != RouteKind::Session,
            client: row.client,
            route,
            console,
            row,
            is_answered: false,
        }
    }

    /// Completes the row, and writes or counts it if the request leaves a row.
    fn answered(&mut self, response: &Response) {
        self.is_answered = true;
        self.row.at_ms = self.console.now_ms();
        let (status, with) = (response.status(), response.extensions());
        if self.is_wrong_key(status) {
            self.count_wrong_key(status);
            return;
        }
        let code = with.get().map(|RefusalCode(code)| *code);
        let row = &mut self.row;
        row.status = Some(status.as_u16());
        row.code = code.map(Cow::Borrowed);
        row.cause = with.get().map(|ActionNote(text)| Cow::Owned(text.clone()));
        if let Some(OpenedSession(name)) = with.get() {
            row.actor = Some(name.clone().into());
        }
        let has_own_row = self.route == RouteKind::JournaledChange && is_done(status);
        let leaves = self.acts && !has_own_row;
        // A rejection because of the role leaves a row, even for a request that would leave none.
        if !leaves && status != StatusCode::FORBIDDEN {
            return;
        }
        if self.changes && is_done(status) {
            self.write();
        } else {
            self.write_or_count(code.unwrap_or_default());
        }
    }

    /// Counts a wrong key at the admin API. Returns the seconds that its address has to wait if the address has sent too many wrong
    /// keys, to the API or to the console.
    async fn wait_after_wrong_key(&self, status: StatusCode) -> Option<i64> {
        let is_at_api = self.presents_key && status == StatusCode::UNAUTHORIZED;
        if !is_at_api {
            return None;
        }
        self.console.note_wrong_key(self.client).await
    }

    fn is_wrong_key(&self, status: StatusCode) -> bool {
        let is_sign_in = self.acts && self.path() == SIGN_IN;
        match status {
            StatusCode::UNAUTHORIZED => is_sign_in || self.presents_key,
            StatusCode::TOO_MANY_REQUESTS => is_sign_in,
            _ => false,
        }
    }

    fn path(&self) -> &str {
        self.row.path.as_deref().unwrap_or_default()
    }

    /// Counts a wrong key. One row stands for all wrong keys of an address at one entry within a minute.
    fn count_wrong_key(&self, status: StatusCode) {
        let entry = if self.path() == SIGN_IN {
            SIGN_IN
        } else {
            BEHIND_KEYS
        };
        let address = self.row.client.unwrap_or(Ipv4Addr::UNSPECIFIED.into());
        let journal = self.console.store.journal();
        let key = CountKey::new(None, address, entry, UNAUTHORIZED);
        if let CountResult::First(counted) = journal.note(key, self.row.at_ms) {
            let row = JournalRow {
                at_ms: self.row.at_ms,
                kind: JournalKind::Operator,
                path: Some(entry.into()),
                peer: self.row.peer,
                client: self.row.client,
                status: Some(status.as_u16()),
                code: Some(UNAUTHORIZED.into()),
                cause: Some("a wrong admin key".into()),
                ..JournalRow::default()
            };
            journal.begin_count(&counted, row);
        }
    }

    /// Writes the row if a key was accepted. After the first row of a minute, rows with the same key, path and code are only
    /// counted.
    fn write_or_count(&mut self, code: &'static str) {
        let row = std::mem::take(&mut self.row);
        let Some(actor) = row.actor.clone() else {
            return;
        };
        let address = row.client.unwrap_or(Ipv4Addr::UNSPECIFIED.into());
        let path = row.path.clone().unwrap_or_default();
        let key = CountKey::of_operator(actor.into_owned(), address, path, code);
        let journal = self.console.store.journal();
        match journal.note(key, row.at_ms) {
            CountResult::Listed => journal.add(row),
            CountResult::First(counted) => journal.begin_count(&counted, row),
            CountResult::Counted => {}
        }
    }

    /// Writes the row if a key was accepted.
    fn write(&mut self) {
        let row = std::mem::take(&mut self.row);
        if row.actor.is_some() {
            self.console.store.journal().add(row);
        }
    }
}

/// Records a request that the operator abandoned, because its operation may have completed anyway.
impl Drop for AuditedRequest {
    fn drop(&mut self) {
        if !self.is_answered && self.acts {
            self.row.at_ms = self.console.now_ms();
            self.row.status = Some(0);
            self.row.cause = Some("the operator disconnected before the answer".into());
            if self.changes {
                self.write();
            } else {
                self.write_or_count("");
            }
        }
    }
}

/// Returns whether a request changes or exports something.
fn acts(method: &Method, route: RouteKind, headers: &HeaderMap) -> bool {
    match route {
        RouteKind::Query => false,
        RouteKind::Export => true,
        RouteKind::JournalRead => !is_read(method) || wants_ndjson(headers),
        _ => !is_read(method),
    }
}

fn is_read(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD)
}

fn is_done(status: StatusCode) -> bool {
    status.is_success() || status.is_redirection()
}

/// Returns the name of the key. Programs present the key itself, people a session.
async fn actor(console: &Console, path: &str, headers: &HeaderMap) -> Option<String> {
    if path.starts_with(BEHIND_KEYS) {
        console.any_key_name(headers).ok()
    } else {
        signed_in(console, headers).await
    }
}

/// Returns the access that a path names. Returns `None` if it does not exist, because a caller may write any name.
fn access(console: &Console, template: &str, path: &str) -> Option<String> {
    let parts = template.split('/').zip(path.split('/'));
    let mut names = parts.skip_while(|(part, _)| *part != "accesses").skip(1);
    let (_, name) = names.next().filter(|(part, _)| *part == "{name}")?;
    let accesses = console.store.accesses();
    accesses.named(name).map(|access| access.name.clone())
}

/// Returns the method's name, or `OTHER` for a method that the caller made up.
fn method_word(method: &Method) -> &'static str {
    const WORDS: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];
    let mut words = WORDS.into_iter();
    words
        .find(|word| *word == method.as_str())
        .unwrap_or("OTHER")
}
