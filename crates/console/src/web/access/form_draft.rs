//! Reads the form of an access as a draft.

use adapter::cacheable;
use serde_json::{Value, json};
use store::{Access, CACHE_S_MAX};

use crate::access::draft::{AccessDraft, Mistakes};
use crate::access::manage;
use crate::problem::Problem;
use crate::web::access::form::{ALL, AccessForm, NONE};
use crate::web::fields::Fields;

/// Reads the form of a new access as a body of the admin API.
pub(crate) fn new_draft(fields: &Fields) -> Result<AccessDraft, Problem> {
    let mut mistakes = Vec::new();
    let mut body = rules(fields, &mut mistakes);
    for name in ["name", "user"] {
        if !fields.get(name).is_empty() {
            body[name] = json!(fields.get(name));
        }
    }
    read(body, mistakes)
}

/// Reads the form of an existing access as a body of the admin API. Omits the fields that the operator has not touched, because the
/// API accepts some texts that a form would change, such as a user name with a blank at its end.
pub(crate) fn draft(fields: &Fields, access: &Access) -> Result<AccessDraft, Problem> {
    let mut mistakes = Vec::new();
    let mut body = rules(fields, &mut mistakes);
    if !fields.get("name").is_empty() {
        body["name"] = json!(fields.get("name"));
    }
    // Blanks around the user name are part of it, as in the calls that present it.
    if !fields.get("user").is_empty() {
        body["user"] = json!(fields.raw("user"));
    }
    let shown = AccessForm::of(access);
    let is_touched = |field: &str| !shown.shows(field, fields.raw(field));
    if let Some(body) = body.as_object_mut() {
        body.retain(|field, _| is_touched(field));
    }
    mistakes.retain(|(field, _)| is_touched(field));
    read(body, mistakes)
}

/// Reads the body as a draft. Returns an error if the form has mistakes that a body can't have.
fn read(body: Value, mut mistakes: Mistakes) -> Result<AccessDraft, Problem> {
    let draft: AccessDraft = serde_json::from_value(body).map_err(|_| {
        let text = "The form can't be read.";
        Problem::new(http::StatusCode::BAD_REQUEST, "malformed", text)
    })?;
    if mistakes.is_empty() {
        return Ok(draft);
    }
    // Report all mistakes together, not only the ones that are specific to forms.
    mistakes.extend(manage::mistakes(draft));
    Err(Problem::invalid(mistakes))
}

/// Reads all fields except the names. A field that can't be read is omitted and recorded as a mistake.
fn rules(fields: &Fields, mistakes: &mut Mistakes) -> Value {
    let bound = |name: &str| match fields.get(name) {
        "" => Value::Null,
        text => json!(text),
    };
    let ticked = |name: &'static str| fields.all(name).collect::<Vec<_>>();
    let mut number = |name: &str, least: u32, most: u32| match fields.get(name) {
        "" => Value::Null,
        text => match text.parse::<u32>() {
            Ok(number) if (least..=most).contains(&number) => json!(number),
            _ => {
                let text = format!("{text} is not a number from {least} to {most}");
                mistakes.push((name.to_owned(), text));
                Value::Null
            }
        },
    };
    let concurrent = number("concurrent", 1, u32::MAX);
    let mut cache = json!({"enabled": fields.has("cache")});
    for (_, caching) in cacheable() {
        cache[caching.field] = number(caching.field, 0, CACHE_S_MAX);
    }
    let platforms = ticked("platforms");
    json!({
        "owner": fields.get("owner"),
        "note": fields.get("note"),
        "not_before": bound("not_before"),
        "expires": bound("expires"),
        "allow": fields.words("allow"),
        "deny": fields.words("deny"),
        "rate": bound("rate"),
        "per_day": bound("per_day"),
        "per_destination": bound("per_destination"),
        "concurrent": concurrent,
        "ways": ticked("ways"),
        "methods": ticked("methods"),
        "platforms": if platforms.contains(&ALL) { Value::Null } else { json!(platforms) },
        "channels": channels(fields.get("channels"), mistakes),
        "report": ticked("report"),
        "cache": cache,
        "journal": if fields.has("full") { "full" } else { "metadata" },
        "query_credentials": fields.has("query_credentials"),
    })
}

/// Reads the channels: platform and id, one channel per line.
fn channels(text: &str, mistakes: &mut Mistakes) -> Value {
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let channels: Option<Vec<_>> = match text {
        "" => return Value::Null,
        NONE => Some(Vec::new()),
        _ => lines
            .map(|line| {
                let (platform, id) = line.split_once(char::is_whitespace)?;
                Some(json!({"platform": platform, "platformid": id.trim()}))
            })
            .collect(),
    };
    if channels.is_none() {
        let text = "write a platform and an id on each line, such as whatsapp 100";
        mistakes.push(("channels".to_owned(), text.to_owned()));
    }
    json!(channels)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_rules(text: &str) -> (Value, Mistakes) {
        let mut mistakes = Vec::new();
        let body = rules(&Fields::read(text.as_bytes()), &mut mistakes);
        (body, mistakes)
    }

    #[test]
    fn a_form_distinguishes_no_platforms_from_all_platforms() {
        let (body, _) = read_rules("platforms=all&platforms=webchat");
        assert_eq!(body["platforms"], Value::Null);
        assert_eq!(body["channels"], Value::Null);
        let (body, _) = read_rules("channels=none");
        assert_eq!(body["platforms"], json!([]), "a form that names none");
        assert_eq!(body["channels"], json!([]));
        let text = "channels=whatsapp+100%0D%0A%0D%0A+telegram%09+a+b&cache=1";
        let (body, mistakes) = read_rules(text);
        let first = json!({"platform": "whatsapp", "platformid": "100"});
        let second = json!({"platform": "telegram", "platformid": "a b"});
        assert_eq!(body["channels"], json!([first, second]));
        let cache = json!({"enabled": true, "getchatchannels_s": null, "getchats_s": null});
        assert_eq!((&body["cache"], mistakes), (&cache, vec![]));
    }

    #[test]
    fn a_form_reports_all_its_mistakes_together() {
        let text = "concurrent=0&getchats_s=86401&getchatchannels_s=x&channels=whatsapp&rate=often&allow=here";
        let problem = new_draft(&Fields::read(text.as_bytes())).unwrap_err();
        for field in [
            "concurrent",
            "getchats_s",
            "getchatchannels_s",
            "channels",
            "rate",
            "allow",
        ] {
            assert!(problem.about(field).is_some(), "{field}");
        }
        assert_eq!(problem.about("deny"), None);
    }
}
