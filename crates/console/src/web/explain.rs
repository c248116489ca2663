//! What would become of a call and why: the form, the walk to its address, and what each rule says.

use adapter::{OPERATIONS, Way};
use askama::Template;
use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use serde_json::Value;

use super::door::Shared;
use super::fields::Fields;
use super::page::{Shell, html};
use super::text::visible;
use super::visitor::{Refusal, Visitor};
use crate::explain::{Draft, Lines};
use crate::problem::Problem;

#[derive(Template)]
#[template(path = "explain.html")]
struct Page {
    shell: Shell,
    fields: Fields,
    accesses: Vec<String>,
    methods: Vec<&'static str>,
    ways: Vec<&'static str>,
    wrong: Option<String>,
    answer: Option<Answer>,
}

struct Answer {
    verdict: String,
    is_admitted: bool,
    address: String,
    /// Address, what was found, why, and where it was written.
    steps: Vec<(String, String, String, String)>,
    judgements: Vec<Judgement>,
    cache: Option<String>,
}

struct Judgement {
    rule: String,
    says: String,
    /// `passes`, `refuses` or `would refuse`.
    word: &'static str,
    kind: &'static str,
    decided: bool,
    /// What is left, and of how much.
    left: Option<(u64, u64)>,
}

/// The form, and the answer if something was asked.
pub(super) async fn page(
    State(console): Shared,
    visitor: Visitor,
    fields: Fields,
) -> Result<Response, Refusal> {
    let asked = fields.has("peer").then(|| draft(&fields).read());
    let (answer, wrong) = match asked {
        None => (None, None),
        Some(Ok(question)) => (Some(Answer::of(&console.gateway.explain(&question))), None),
        Some(Err(mistakes)) => (
            None,
            Some(Problem::unreadable(mistakes).detail().to_owned()),
        ),
    };
    let page = Page {
        shell: Shell::of(&visitor, "explain", "Explain"),
        accesses: console
            .store
            .accesses()
            .all()
            .iter()
            .map(|access| access.name.clone())
            .collect(),
        methods: OPERATIONS
            .iter()
            .map(|operation| operation.method)
            .collect(),
        ways: Way::ALL.map(Way::name).into(),
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

fn draft(fields: &Fields) -> Draft {
    let lines = fields
        .get("headers")
        .lines()
        .filter(|line| !line.trim().is_empty());
    let pairs = lines.map(|line| {
        let (name, value) = line.split_once(':').unwrap_or((line, ""));
        (name.trim().to_owned(), value.trim().to_owned())
    });
    let given = |name| {
        Some(fields.get(name))
            .filter(|text: &&str| !text.is_empty())
            .map(str::to_owned)
    };
    Draft {
        peer: fields.get("peer").to_owned(),
        headers: Lines::Pairs(pairs.collect()),
        access: fields.get("access").to_owned(),
        method: fields.get("method").to_owned(),
        way: given("way"),
        destination: given("destination"),
        secret_in_url: fields.has("secret_in_url"),
    }
}

impl Answer {
    fn of(told: &Value) -> Answer {
        let text = |value: &Value| visible(value.as_str().unwrap_or_default());
        let is_admitted = told["admitted"] == true;
        let verdict = if is_admitted {
            "The call would be let in".to_owned()
        } else {
            format!(
                "The call would be refused with {} {}: {}",
                told["status"],
                text(&told["code"]),
                text(&told["reason"])
            )
        };
        let steps = told["steps"].as_array().into_iter().flatten().map(|step| {
            let place = match step["line"].as_u64() {
                Some(line) => format!("{}, line {line}", text(&step["from"])),
                None => "the connection".to_owned(),
            };
            let address = step["address"].as_str().or(step["written"].as_str());
            (
                visible(address.unwrap_or("–")),
                text(&step["finding"]),
                text(&step["reason"]),
                place,
            )
        });
        let mut has_decided = false;
        let judgements = told["judgements"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|judgement| {
                let refuses = judgement["refuses"].is_string();
                let decided = refuses && !has_decided;
                has_decided |= refuses;
                let (word, kind) = match (refuses, judgement["would_refuse"].is_string()) {
                    (true, _) => ("refuses", "refused"),
                    (_, true) => ("would refuse", "other"),
                    _ => ("passes", "well"),
                };
                let limit = &judgement["limit"];
                Judgement {
                    rule: text(&judgement["rule"]),
                    says: text(&judgement["says"]),
                    word,
                    kind,
                    decided,
                    left: limit["left"].as_u64().zip(limit["most"].as_u64()),
                }
            });
        let cache = &told["cache"];
        Answer {
            judgements: judgements.collect(),
            steps: steps.collect(),
            verdict,
            is_admitted,
            address: told["address"].as_str().unwrap_or("unknown").to_owned(),
            cache: cache.is_object().then(|| match cache["why"].as_str() {
                Some(why) => format!("The answer would not be kept: {why}."),
                None => format!(
                    "The answer would be kept for {} s, for this access alone.",
                    cache["kept_s"]
                ),
            }),
        }
    }
}
