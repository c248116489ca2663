//! `chatgate explain`: asks a running gateway which outcome a call would have, and why.

use std::fmt::Write as _;

use http::Method;
use serde_json::{Value, json};
use visible::escape_invisible;

use super::admin::{Admin, COMMAND_TIMEOUT};
use super::output::{print, print_json};
use super::terminal::{BAD, GOOD, styled};
use crate::args::explain::ExplainArgs;

pub(crate) async fn run(args: ExplainArgs) -> Result<(), String> {
    let question = json!({
        "peer": args.peer,
        "headers": args.headers,
        "access": args.access,
        "method": args.method,
        "way": args.way,
        "destination": args.destination,
        "secret_in_url": args.secret_in_url,
    });
    let answer = Admin::new(&args.request.admin, COMMAND_TIMEOUT)?
        .send(Method::POST, "/admin/v1/explain", &question)
        .await?;
    if args.request.json {
        return print_json(&answer);
    }
    print(render(&answer))
}

/// Renders one line for each proxy hop to the caller, for each check, and for the verdict.
fn render(answer: &Value) -> String {
    let text = |value: &Value| escape_invisible(value.as_str().unwrap_or("-")).into_owned();
    let mut lines = String::new();
    let mut line = |line: String| {
        // Writing to a string cannot fail.
        let _ = writeln!(lines, "{line}");
    };
    for step in answer["steps"].as_array().into_iter().flatten() {
        let at = match step["line"].as_u64() {
            None => format!("peer {}", text(&step["address"])),
            Some(n) => format!("{} line {n}, {}", text(&step["from"]), step["written"]),
        };
        let (finding, reason) = (text(&step["finding"]), text(&step["reason"]));
        line(format!("{at}: {finding}, {reason}"));
    }
    line(format!("caller: {}", text(&answer["address"])));
    for judgement in answer["judgements"].as_array().into_iter().flatten() {
        let said = format!("{}: {}", text(&judgement["rule"]), text(&judgement["says"]));
        let code = |member: &str| judgement[member].as_str();
        line(match (code("refuses"), code("would_refuse")) {
            (Some(code), _) => format!("{said} ({code})"),
            (None, Some(code)) => format!("{said} (report only, otherwise {code})"),
            (None, None) => said,
        });
    }
    for list in ["platforms", "channels"] {
        if !answer[list].is_null() {
            line(format!("{list}: only {}", answer[list]));
        }
    }
    if let Some(cache) = kept(&answer["cache"]) {
        line(format!("cache: {cache}"));
    }
    line(match answer["code"].as_str() {
        None => format!("verdict: {}", styled(GOOD, "admitted")),
        Some(code) => {
            let reason = text(&answer["reason"]);
            let verdict = format!("refused with {} {code}", answer["status"]);
            format!("verdict: {}, {reason}", styled(BAD, &verdict))
        }
    });
    lines
}

fn kept(cache: &Value) -> Option<String> {
    if let Some(why) = cache["why"].as_str() {
        return Some(format!("not cached: {why}"));
    }
    let partition = &cache["partition"];
    Some(format!(
        "cached {} s for {} of {}, version {}",
        cache["kept_s"].as_f64()?,
        partition["method"].as_str()?,
        partition["access"].as_str()?,
        partition["version"]
    ))
}
