//! The page that explains how the gateway would answer a call and why: the form, the steps to the caller's address, and the rules.

use std::sync::Arc;

use askama::Template;
use axum::extract::State;
use http::StatusCode;
use serde_json::Value;

use crate::access::draft::{methods, ways};
use crate::explain::{ExplainBody, HeaderLines};
use crate::problem::Problem;
use crate::state::ConsoleState;
use crate::web::access::list::suggested_names;
use crate::web::fields::Fields;
use crate::web::json::{items, text};
use crate::web::layout::{PageLayout, html};
use crate::web::page_error::PageResult;
use crate::web::text::escape_invisible;
use crate::web::visitor::Visitor;

#[derive(Template)]
#[template(path = "explain.html")]
struct ExplainPage {
    layout: PageLayout,
    fields: Fields,
    accesses: Vec<String>,
    methods: Vec<&'static str>,
    ways: Vec<&'static str>,
    wrong: Option<String>,
    answer: Option<ExplanationView>,
}

struct ExplanationView {
    verdict: String,
    is_admitted: bool,
    address: String,
    steps: Vec<StepView>,
    rules: Vec<RuleView>,
    cache: Option<String>,
}

/// A step in finding the caller's address.
struct StepView {
    address: String,
    finding: String,
    reason: String,
    /// The part of the request in which the address was written.
    source: String,
}

struct RuleView {
    rule: String,
    says: String,
    /// The verdict: `passes`, `rejects` or `would reject`.
    word: &'static str,
    /// The CSS class.
    kind: &'static str,
    /// True if this rule decides because it is the first one that rejects the call.
    decided: bool,
    /// The remaining part of a limit, and the limit.
    left: Option<(u64, u64)>,
}

/// The verdict of a rule that rejects the call.
const REFUSES: &str = "rejects";

/// Shows the form, and the explanation if the form was sent.
pub(crate) async fn page(
    State(console): ConsoleState,
    visitor: Visitor,
    fields: Fields,
) -> PageResult {
    let question = fields.has("peer").then(|| question_body(&fields).read());
    let (answer, wrong) = match question {
        None => (None, None),
        Some(Ok(question)) => {
            let explanation = Arc::clone(&console.gateway).explain(question).await;
            (Some(ExplanationView::of(&explanation)), None)
        }
        Some(Err(mistakes)) => (
            None,
            Some(Problem::unreadable(mistakes).detail().to_owned()),
        ),
    };
    let page = ExplainPage {
        layout: visitor.layout("explain", "Explain"),
        accesses: suggested_names(&console, "").await,
        methods: methods().into(),
        ways: ways().into(),
        fields,
        answer,
        wrong,
    };
    let status = if page.wrong.is_some() {
        StatusCode::BAD_REQUEST
    } else {
        StatusCode::OK
    };
    Ok(html(status, &page))
}

fn question_body(fields: &Fields) -> ExplainBody {
    let lines = fields
        .get("headers")
        .lines()
        .filter(|line| !line.trim().is_empty());
    let pairs = lines.map(|line| {
        let (name, value) = line.split_once(':').unwrap_or((line, ""));
        (name.trim().to_owned(), value.trim().to_owned())
    });
    let optional = |name| {
        Some(fields.get(name))
            .filter(|text: &&str| !text.is_empty())
            .map(str::to_owned)
    };
    ExplainBody {
        peer: fields.get("peer").to_owned(),
        headers: HeaderLines::Pairs(pairs.collect()),
        access: fields.get("access").to_owned(),
        method: fields.get("method").to_owned(),
        way: optional("way"),
        destination: optional("destination"),
        secret_in_url: fields.has("secret_in_url"),
    }
}

impl ExplanationView {
    fn of(explanation: &Value) -> ExplanationView {
        let is_admitted = explanation["admitted"] == true;
        let verdict = if is_admitted {
            "The call would be accepted.".to_owned()
        } else {
            format!(
                "The call would be rejected with {} {}: {}",
                explanation["status"],
                text(&explanation["code"]),
                text(&explanation["reason"])
            )
        };
        let cache = &explanation["cache"];
        let address = explanation["address"].as_str().unwrap_or("unknown");
        ExplanationView {
            rules: RuleView::all(&explanation["judgements"]),
            steps: items(&explanation["steps"]).map(StepView::of).collect(),
            verdict,
            is_admitted,
            address: address.to_owned(),
            cache: cache.is_object().then(|| match cache["why"].as_str() {
                Some(why) => format!("The answer would not be cached: {why}."),
                None => format!(
                    "The answer would be cached for {} s, for this access only.",
                    cache["kept_s"]
                ),
            }),
        }
    }
}

impl StepView {
    fn of(step: &Value) -> StepView {
        let address = step["address"].as_str().or(step["written"].as_str());
        StepView {
            address: escape_invisible(address.unwrap_or("–")),
            finding: text(&step["finding"]),
            reason: text(&step["reason"]),
            source: match step["line"].as_u64() {
                Some(line) => format!("{}, line {line}", text(&step["from"])),
                None => "the connection".to_owned(),
            },
        }
    }
}

impl RuleView {
    fn all(judgements: &Value) -> Vec<RuleView> {
        let mut rules: Vec<_> = items(judgements).map(RuleView::of).collect();
        if let Some(first) = rules.iter_mut().find(|rule| rule.word == REFUSES) {
            first.decided = true;
        }
        rules
    }

    fn of(judgement: &Value) -> RuleView {
        let refuses = judgement["refuses"].is_string();
        let (word, kind) = match (refuses, judgement["would_refuse"].is_string()) {
            (true, _) => (REFUSES, "refused"),
            (_, true) => ("would reject", "other"),
            _ => ("passes", "well"),
        };
        let limit = &judgement["limit"];
        RuleView {
            rule: text(&judgement["rule"]),
            says: text(&judgement["says"]),
            word,
            kind,
            decided: false,
            left: limit["left"].as_u64().zip(limit["most"].as_u64()),
        }
    }
}
