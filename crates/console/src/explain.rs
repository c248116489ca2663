//! The request body of an explanation: the call that operators ask about.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use adapter::Way;
use http::{HeaderMap, HeaderName, HeaderValue};
use serde::Deserialize;

use crate::port::ExplainQuestion;

/// Maximum number of header lines in one question: as many as the ways in accept.
pub(crate) const HEADERS_MAX: usize = 100;

/// The question as operators write it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ExplainBody {
    pub(crate) peer: String,
    #[serde(default)]
    pub(crate) headers: HeaderLines,
    pub(crate) access: String,
    pub(crate) method: String,
    pub(crate) way: Option<String>,
    pub(crate) destination: Option<String>,
    #[serde(default)]
    pub(crate) secret_in_url: bool,
}

/// Header lines, as pairs or as an object. Only pairs can contain a name twice.
#[derive(Deserialize)]
#[serde(
    untagged,
    expecting = "headers are pairs of name and value, or an object of them"
)]
pub(crate) enum HeaderLines {
    Pairs(Vec<(String, String)>),
    Named(BTreeMap<String, String>),
}

impl Default for HeaderLines {
    fn default() -> HeaderLines {
        HeaderLines::Pairs(Vec::new())
    }
}

impl ExplainBody {
    /// Reads the question. The error contains every mistake, by field.
    pub(crate) fn read(self) -> Result<ExplainQuestion, Vec<(String, String)>> {
        let mut mistakes = Vec::new();
        let mut wrong = |field: &str, text: String| mistakes.push((field.to_owned(), text));
        let peer = address(&self.peer);
        if peer.is_none() {
            wrong("peer", format!("{:?} is not an address", self.peer));
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
            (Some(peer), Ok(headers), Some(way)) => Ok(ExplainQuestion {
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

/// Reads an address, with a port or without.
fn address(text: &str) -> Option<IpAddr> {
    let with_port = || text.parse().ok().map(|address: SocketAddr| address.ip());
    text.parse().ok().or_else(with_port)
}

impl HeaderLines {
    fn read(self) -> Result<HeaderMap, String> {
        let lines = match self {
            HeaderLines::Pairs(pairs) => pairs,
            HeaderLines::Named(named) => named.into_iter().collect(),
        };
        if lines.len() > HEADERS_MAX {
            return Err(format!("at most {HEADERS_MAX} lines"));
        }
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            // As in HTTP, spaces around a value are not part of it.
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
