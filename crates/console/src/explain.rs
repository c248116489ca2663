//! `/admin/v1/explain`: what would become of a call and why, without making it.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use adapter::Way;
use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use http::{HeaderMap, HeaderName, HeaderValue, Request, StatusCode};
use serde::Deserialize;
use serde_json::Value;

use crate::Console;
use crate::endpoint::{Endpoint, Key};
use crate::problem::{Problem, json_answer};
use crate::request::body;

/// Most header lines of one question: as many as the ways in take.
pub(crate) const HEADERS_MAX: usize = 100;

/// A call that nobody makes.
#[derive(Clone, Debug)]
pub struct Question {
    /// The other end of its connection, or whom a PROXY header would name.
    pub peer: IpAddr,
    /// Its header lines.
    pub headers: HeaderMap,
    /// The name of the access.
    pub access: String,
    /// The method.
    pub method: String,
    /// The way in.
    pub way: Way,
    /// To whom it would send, if that matters.
    pub destination: Option<String>,
    /// Whether the secret would stand in the URL.
    pub secret_in_url: bool,
}

/// What a gateway would do.
pub trait Explains: Send + Sync {
    /// Says what would become of the call, as one JSON object. Counts nothing.
    fn explain(&self, question: &Question) -> Value;
}

/// The paths.
pub(crate) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::post("/admin/v1/explain", explain)
            .named("explain", "What would become of a call, and why")
            .wants(Key::Viewer)
            .takes("Question")
            .answers(200, "Explanation"),
    ]
}

async fn explain(
    State(console): State<Arc<Console>>,
    request: Request<Body>,
) -> Result<Response, Problem> {
    console.viewer(request.headers())?;
    let question = body::<Draft>(request).await?.read();
    let question = question.map_err(Problem::unreadable)?;
    let answer = console.gateway.explain(&question);
    Ok(json_answer(StatusCode::OK, &answer))
}

/// The question as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Draft {
    pub(crate) peer: String,
    #[serde(default)]
    pub(crate) headers: Lines,
    pub(crate) access: String,
    pub(crate) method: String,
    pub(crate) way: Option<String>,
    pub(crate) destination: Option<String>,
    #[serde(default)]
    pub(crate) secret_in_url: bool,
}

/// Header lines: pairs where one name has several, else simply an object.
#[derive(Deserialize)]
#[serde(untagged)]
pub(crate) enum Lines {
    Pairs(Vec<(String, String)>),
    Named(BTreeMap<String, String>),
}

impl Default for Lines {
    fn default() -> Lines {
        Lines::Pairs(Vec::new())
    }
}

impl Draft {
    /// Every mistake at once, by field.
    pub(crate) fn read(self) -> Result<Question, Vec<(String, String)>> {
        let mut mistakes = Vec::new();
        let mut wrong = |field: &str, text: String| mistakes.push((field.to_owned(), text));
        let peer = address(&self.peer);
        if peer.is_none() {
            wrong("peer", format!("{:?} is no address", self.peer));
        }
        let headers = self.headers.read();
        if let Err(text) = &headers {
            wrong("headers", text.clone());
        }
        let way = self.way.as_deref().unwrap_or(Way::Http.name());
        let way = Way::ALL.into_iter().find(|known| known.name() == way);
        if way.is_none() {
            let names = Way::ALL.map(Way::name).join(", ");
            wrong("way", format!("write one of {names}"));
        }
        match (peer, headers, way) {
            (Some(peer), Ok(headers), Some(way)) => Ok(Question {
                peer,
                headers,
                access: self.access,
                method: self.method,
                way,
                destination: self.destination,
                secret_in_url: self.secret_in_url,
            }),
            _ => Err(mistakes),
        }
    }
}

/// An address, with a port or without.
fn address(text: &str) -> Option<IpAddr> {
    let with_port = || text.parse().ok().map(|address: SocketAddr| address.ip());
    text.parse().ok().or_else(with_port)
}

impl Lines {
    fn read(self) -> Result<HeaderMap, String> {
        let lines = match self {
            Lines::Pairs(pairs) => pairs,
            Lines::Named(named) => named.into_iter().collect(),
        };
        if lines.len() > HEADERS_MAX {
            return Err(format!("at most {HEADERS_MAX} lines"));
        }
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            // As HTTP reads them: spaces around a value are none of it.
            let value = value.trim_matches([' ', '\t']);
            let (Ok(name), Ok(value)) = (
                HeaderName::try_from(&name),
                HeaderValue::from_bytes(value.as_bytes()),
            ) else {
                return Err(format!("{name:?} can't be a header line"));
            };
            headers.append(name, value);
        }
        Ok(headers)
    }
}
