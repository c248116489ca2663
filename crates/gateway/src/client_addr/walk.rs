//! Describes the walk to the caller's address in words, for the log line of a rejected request and for `explain`.

use std::fmt::{self, Write as _};
use std::net::IpAddr;

use axum::http::HeaderMap;
use serde_json::{Value, json};

use super::{Finding, PeerAddr, Trust, WalkStep, walk};

/// Maximum number of characters of a hop that are shown, because anybody may have written the hop.
const HOP_CHARACTERS_MAX: usize = 64;

/// The description of every step of a walk.
pub(crate) struct Walk {
    /// The steps in words, for a log.
    text: String,
    /// The same steps as JSON, for programs.
    steps: Vec<Value>,
}

impl Walk {
    /// Walks and describes the finding of each step.
    pub(crate) fn of(peer: PeerAddr, headers: &HeaderMap, trust: Trust<'_>) -> Walk {
        let mut explained = Walk {
            text: String::new(),
            steps: Vec::new(),
        };
        // The result is not needed: the last step's finding contains it.
        let _ = walk(peer, headers, trust, |step| {
            explained.take(step, peer, trust)
        });
        explained
    }

    /// Returns the steps in one line, if the walk read a hop of the header.
    pub(crate) fn forwarded_steps(self) -> Option<String> {
        (self.steps.len() > 1).then_some(self.text)
    }

    /// Returns the steps in one line.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// Returns each step as JSON: its place, its text, its finding and the reason.
    pub(crate) fn steps(self) -> Vec<Value> {
        self.steps
    }

    fn take(&mut self, step: WalkStep<'_>, peer: PeerAddr, trust: Trust<'_>) {
        let shown: String = step.written.chars().take(HOP_CHARACTERS_MAX).collect();
        let comma = if self.text.is_empty() { "" } else { ", " };
        // Writing to a string can't fail.
        let _ = match step.finding {
            Finding::Unreadable(_) => write!(self.text, "{comma}{shown:?} {}", step.finding),
            Finding::Trusted(address) | Finding::Client(address) => {
                write!(self.text, "{comma}{address} {}", step.finding)
            }
        };
        let header = trust.header.name();
        self.steps.push(json!({
            "from": step.line.map_or("peer", |_| header),
            "line": step.line,
            "written": step.line.map(|_| shown),
            "address": step.finding.address(),
            "finding": step.finding.to_string(),
            "reason": reason(&step, peer, header),
        }));
    }
}

fn reason(step: &WalkStep<'_>, peer: PeerAddr, header: &str) -> String {
    match (step.finding, step.line) {
        (Finding::Trusted(_), None) => format!("a trusted proxy, so its {header} is used"),
        (Finding::Trusted(_), Some(_)) => "a trusted proxy, so the walk continues".to_owned(),
        (Finding::Client(_), None) if peer.is_caller => {
            format!("the caller itself, so its {header} is ignored")
        }
        (Finding::Client(_), None) => format!("not a trusted proxy, so its {header} is ignored"),
        (Finding::Client(_), Some(_)) => "the first hop that is not a trusted proxy".to_owned(),
        (Finding::Unreadable(why), _) => why.to_owned(),
    }
}

impl Finding {
    fn address(self) -> Option<IpAddr> {
        match self {
            Finding::Trusted(address) | Finding::Client(address) => Some(address),
            Finding::Unreadable(_) => None,
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Finding::Trusted(_) => "trusted",
            Finding::Client(_) => "client",
            Finding::Unreadable(_) => "unreadable",
        })
    }
}
