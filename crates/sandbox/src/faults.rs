//! The fault script: defines which calls fail, how, and how often.

use std::time::Duration;

use adapter::Operation;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

/// Maximum number of rules in one list, because every call is compared with all of them.
const RULES_MAX: usize = 1000;

/// Maximum value of `ms`, in milliseconds: ten minutes, longer than any timeout worth testing.
const MS_MAX: u64 = 600_000;

/// A rule. The first rule in the list that matches a call is applied to it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    /// The method that the rule is for; every method if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub method: Option<String>,
    /// The kind of fault.
    pub fault: FaultKind,
    /// A time in milliseconds. For `slow_body`: the pause between two bytes. For `refused`: the lifetime of the rule, from the time
    /// when the list was set. For all other kinds: the delay before the fault.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ms: Option<u64>,
    /// The number of calls that the rule is for. Then it is removed. Without a count it stays forever.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub count: Option<u32>,
    /// The error word that `error_code` answers. Required for that kind, and not allowed for any other.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// The text that `body` answers. Required for that kind, and not allowed for any other.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<String>,
}

/// The kinds of faults. Unless the variant is marked "Not performed", the call is performed first, so that a send is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FaultKind {
    /// The right answer, after `ms`.
    Latency,
    /// HTTP 404 with an HTML page. Not performed.
    #[serde(rename = "http_404")]
    Http404,
    /// HTTP 429 with an HTML page. Not performed.
    #[serde(rename = "http_429")]
    Http429,
    /// HTTP 500 with an HTML page. Not performed.
    #[serde(rename = "http_500")]
    Http500,
    /// HTTP 503 with an HTML page. Not performed.
    #[serde(rename = "http_503")]
    Http503,
    /// A well-formed error with the rule's `code`. Not performed.
    ErrorCode,
    /// Status 200 and exactly the rule's `body`. Not performed.
    Body,
    /// The first half of the right answer, as if it were the whole answer.
    BrokenJson,
    /// Status 200 without a body.
    Empty,
    /// The right answer with `"status":"success"` in lower case.
    SuccessLowercase,
    /// Half of the bytes that Content-Length promises, then an orderly close.
    Truncated,
    /// A TCP reset once the request has been read. Not performed.
    Reset,
    /// A TCP reset instead of the answer.
    ResetAfter,
    /// Half of the answer, then a TCP reset.
    ResetMidBody,
    /// A TCP reset as soon as the head of a request to the API has been read, on new and existing connections. The request does not
    /// count as arrived. Takes precedence over all other rules and can't have a method, because it does not wait for the body. The
    /// port stays open, so that the control paths can end the fault. Not performed.
    Refused,
    /// No answer until the client disconnects; a TCP reset after 60 s.
    NoAnswer,
    /// The right answer byte by byte, with a pause of `ms` between two bytes.
    SlowBody,
    /// A body of 100 MiB. Not performed.
    Huge,
    /// A gzip body that unpacks to 100 MiB. Not performed.
    GzipBomb,
}

impl FaultKind {
    /// Returns whether the call is performed before the fault is applied.
    pub(crate) fn performs(self) -> bool {
        use FaultKind::*;
        match self {
            Latency | BrokenJson | Empty | SuccessLowercase | Truncated | ResetAfter
            | ResetMidBody | NoAnswer | SlowBody => true,
            Http404 | Http429 | Http500 | Http503 | ErrorCode | Body | Reset | Refused | Huge
            | GzipBomb => false,
        }
    }
}

impl Fault {
    /// Reads a JSON list of rules.
    ///
    /// # Errors
    /// Returns a sentence that names the wrong rule and its mistake.
    pub fn parse_list(json: &str) -> Result<Vec<Fault>, String> {
        let rules: Vec<Fault> = serde_json::from_str(json)
            .map_err(|error| format!("The JSON is not a list of faults: {error}."))?;
        if rules.len() > RULES_MAX {
            return Err(format!("There are more than {RULES_MAX} faults."));
        }
        for (index, rule) in rules.iter().enumerate() {
            rule.check()
                .map_err(|what| format!("Fault {}: {what}", index + 1))?;
        }
        Ok(rules)
    }

    fn check(&self) -> Result<(), String> {
        let needs_ms = matches!(self.fault, FaultKind::Latency | FaultKind::SlowBody);
        if let Some(method) = &self.method {
            if Operation::named(method).is_none() {
                return Err(format!("there is no method {method:?}."));
            }
            if self.fault == FaultKind::Refused {
                return Err("the fault refused can't have a method, because it acts before the body is read.".to_owned());
            }
        }
        if needs_ms && self.ms.is_none() {
            return Err("ms is required.".to_owned());
        }
        if self.ms.is_some_and(|ms| ms > MS_MAX) {
            return Err(format!("ms is more than {MS_MAX}."));
        }
        if self.count == Some(0) {
            return Err("count is 0, so it would never apply.".to_owned());
        }
        if self.code.is_some() != (self.fault == FaultKind::ErrorCode) {
            return Err(
                "code is allowed only with the fault error_code, which requires it.".to_owned(),
            );
        }
        if self.body.is_some() != (self.fault == FaultKind::Body) {
            return Err("body is allowed only with the fault body, which requires it.".to_owned());
        }
        Ok(())
    }

    /// Returns `ms` as a duration, or zero if it is absent.
    pub(crate) fn wait(&self) -> Duration {
        Duration::from_millis(self.ms.unwrap_or(0))
    }
}

/// The current rules.
pub(crate) struct Faults(Mutex<ActiveFaults>);

struct ActiveFaults {
    rules: Vec<Fault>,
    since: Instant,
}

impl Faults {
    pub(crate) fn new(rules: Vec<Fault>) -> Faults {
        Faults(Mutex::new(ActiveFaults::new(rules)))
    }

    /// Replaces all rules.
    pub(crate) fn replace(&self, rules: Vec<Fault>) {
        *self.0.lock() = ActiveFaults::new(rules);
    }

    /// Returns the remaining rules, each with its remaining count.
    pub(crate) fn list(&self) -> Vec<Fault> {
        let mut active = self.0.lock();
        active.drop_elapsed();
        active.rules.clone()
    }

    /// Returns whether to reset a request unread. Uses up one count of the matching rule.
    pub(crate) fn refuse_now(&self) -> bool {
        let mut active = self.0.lock();
        active.drop_elapsed();
        active
            .take(|rule| rule.fault == FaultKind::Refused)
            .is_some()
    }

    /// Returns the rule for a call, and uses up one of its counts.
    pub(crate) fn take(&self, method: Option<&str>) -> Option<Fault> {
        self.0.lock().take(|rule| {
            let fits = rule.method.is_none() || rule.method.as_deref() == method;
            fits && rule.fault != FaultKind::Refused
        })
    }
}

impl ActiveFaults {
    fn new(rules: Vec<Fault>) -> ActiveFaults {
        ActiveFaults {
            rules,
            since: Instant::now(),
        }
    }

    fn drop_elapsed(&mut self) {
        let elapsed = self.since.elapsed();
        self.rules.retain(|rule| {
            rule.fault != FaultKind::Refused || rule.ms.is_none() || elapsed < rule.wait()
        });
    }

    fn take(&mut self, fits: impl Fn(&Fault) -> bool) -> Option<Fault> {
        let index = self.rules.iter().position(fits)?;
        let rule = &mut self.rules[index];
        match &mut rule.count {
            Some(1) => Some(self.rules.remove(index)),
            Some(left) => {
                *left = left.saturating_sub(1);
                Some(rule.clone())
            }
            None => Some(rule.clone()),
        }
    }
}
