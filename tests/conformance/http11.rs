//! The HTTP/1.1 probe suite over raw sockets: Host, targets, headers, methods, framing, smuggling.

use std::collections::BTreeSet;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use tokio::task::JoinSet;

use super::expect::{self, Verdict};
use super::probe::{Probe, Seen, State, ask};
use super::{list, suite, text};
use crate::harness::Gateway;

/// The Host of every request, whatever the port, because lengths in the suite count it.
const HOST: &str = "127.0.0.1:18080";

/// Scored tests that the HTTP server below our code decides, with the reason why no harm results.
const BELOW_US: [(&str, &str); 3] = [
    (
        "RFC9112-3.2-FRAGMENT-IN-TARGET",
        "the fragment is dropped before any of our code sees the target: the path before it is judged",
    ),
    (
        "SMUG-CHUNK-EXT-CTRL",
        "one answer, and the connection ends: it carried Transfer-Encoding",
    ),
    (
        "SMUG-CHUNK-LF-TRAILER",
        "waits for the end of the trailers until the request's time is over, then ends the connection",
    ),
];

/// Scored tests in which we allow something that the suite would prefer to see refused, with our behavior.
const ALLOWED: [(&str, &str); 6] = [
    (
        "RFC9112-2.2-BARE-LF-REQUEST-LINE",
        "RFC 9112, 2.2 allows a bare LF; decided below us",
    ),
    ("COMP-EXPECT-UNKNOWN", "RFC 9110, 10.1.1: 417 is a may"),
    (
        "COMP-UPGRADE-INVALID-VER",
        "RFC 9110, 7.8: an Upgrade may be ignored",
    ),
    (
        "SMUG-CL-TE-BOTH",
        "the length is taken away below us; one answer, and the connection ends",
    ),
    (
        "SMUG-CL-TRAILING-SPACE",
        "white space around a value is no part of it",
    ),
    ("MAL-CL-TAB-BEFORE-VALUE", "likewise"),
];

/// Returns the bytes of a request, with our path in place of `/` and of the suite's echo, and with the Host filled in.
fn payload(step: &Value) -> Vec<u8> {
    let bytes = STANDARD.decode(text(step, "payload_b64")).unwrap();
    let bytes = replaced(&bytes, b"@@HOST@@", HOST.as_bytes());
    let line = bytes
        .iter()
        .position(|b| *b == b'\n')
        .unwrap_or(bytes.len());
    let (line, rest) = bytes.split_at(line);
    let ours = replaced(
        &replaced(
            &replaced(line, b" / ", b" /api/http/ "),
            b" /echo ",
            b" /api/http/ ",
        ),
        b" /\r",
        b" /api/http/\r",
    );
    [ours.as_slice(), rest].concat()
}

fn replaced(bytes: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let Some(first) = rest.first() {
        if let Some(behind) = rest.strip_prefix(from) {
            out.extend_from_slice(to);
            rest = behind;
        } else {
            out.push(*first);
            rest = &rest[1..];
        }
    }
    out
}

/// Runs one test. Returns `None` for a sequence whose steps depend on answers; none of these is scored.
async fn run(gateway: &Gateway, test: &Value) -> Option<(Verdict, Vec<Seen>)> {
    if text(test, "kind") == "single" {
        let seen = ask(gateway, &payload(test)).await;
        return Some((expect::single(test, &seen), vec![seen]));
    }
    let steps = list(test, "steps");
    if steps.iter().any(|step| step.get("payload_b64").is_none()) {
        return None;
    }
    let mut probe = Probe::connect(gateway).await;
    let mut seen = Vec::new();
    for step in steps {
        seen.push(probe.ask(&payload(step)).await);
        if seen.last().unwrap().state != State::Open {
            break;
        }
    }
    let is_cut = seen.len() < steps.len();
    Some((expect::sequence(&seen, is_cut), seen))
}

/// Returns the ids of the tests with this verdict. Asserts that they are exactly the named ones, so that a test that passes now has
/// to be removed from the list.
fn ended(results: &[(String, Verdict)], verdict: Verdict, named: &[(&str, &str)]) -> String {
    let ids = results.iter().filter(|(_, found)| *found == verdict);
    let ids: BTreeSet<&str> = ids.map(|(id, _)| id.as_str()).collect();
    let named: BTreeSet<&str> = named.iter().map(|(id, _)| *id).collect();
    // A sample of the suite contains only some of the named tests.
    let made = named
        .into_iter()
        .filter(|id| results.iter().any(|(made, _)| made == id));
    assert_eq!(ids, made.collect(), "{verdict:?}");
    ids.into_iter().collect::<Vec<_>>().join(" ")
}

#[tokio::test(flavor = "multi_thread")]
async fn the_http_1_1_probe_suite_passes_except_for_named_deviations() {
    let Some(suite) = suite("http11.json") else {
        return;
    };
    let gateway = Arc::new(Gateway::start());
    let mut running = JoinSet::new();
    for test in list(&suite, "tests").to_vec() {
        let gateway = Arc::clone(&gateway);
        running.spawn(async move {
            let ran = run(&gateway, &test).await;
            (test, ran)
        });
    }
    let (mut scored, mut unscored, mut skipped) = (Vec::new(), 0, 0);
    for (test, ran) in running.join_all().await {
        let id = text(&test, "id").to_owned();
        let Some((verdict, seen)) = ran else {
            skipped += 1;
            continue;
        };
        for answer in &seen {
            assert!(
                !answer.text.contains("INTERNAL_ERROR") && answer.status() != Some(500),
                "{id}: {}",
                answer.text
            );
        }
        // A request with Transfer-Encoding gets one answer, and then its connection ends.
        let sent = payload(if seen.len() == 1 && test.get("steps").is_none() {
            &test
        } else {
            &list(&test, "steps")[0]
        });
        if String::from_utf8_lossy(&sent)
            .to_ascii_lowercase()
            .contains("\r\ntransfer-encoding:")
        {
            assert!(
                seen[0].answers() < 2 && seen[0].state != State::Open,
                "{id}: {seen:?}"
            );
        }
        if test["scored"] == true {
            scored.push((id, verdict));
        } else {
            unscored += 1;
        }
    }
    let below = ended(&scored, Verdict::Fail, &BELOW_US);
    let allowed = ended(&scored, Verdict::Warn, &ALLOWED);
    let count = |verdict| scored.iter().filter(|(_, found)| *found == verdict).count();
    println!(
        "http11: {} scored, {} passed, {} allowed: {allowed}; {} below us: {below} ({unscored} unscored answered, {skipped} not made)",
        scored.len(),
        count(Verdict::Pass),
        count(Verdict::Warn),
        count(Verdict::Fail),
    );
    assert!(count(Verdict::Fail) <= 6);
}
