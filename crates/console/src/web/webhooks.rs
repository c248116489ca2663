//! The pages of webhooks: the list, and one webhook with its pending deliveries, dead deliveries, and latest attempts.

pub(crate) mod questions;
mod webhook_view;

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;
use webhooks::{GRACE_S, RedeliveryRequest, WebhookDraft, WebhookError, WebhookTarget};

use crate::path_names::PagePath;
use crate::problem::Problem;
use crate::state::{Console, ConsoleState};
use crate::web::extract::OperatorForm;
use crate::web::fields::Fields;
use crate::web::json::text;
use crate::web::layout::{PageLayout, html, see_other};
use crate::web::page_error::PageResult;
use crate::web::text::{moment, or_dash};
use crate::web::visitor::Visitor;
use crate::webhooks::{ATTEMPTS_LISTED_MAX, attempt, delivery, noted, view};
use webhook_view::{WebhookForm, WebhookView};

const ALL: &str = "/console/webhooks";

/// Maximum number of listed deliveries. The page shows the total number next to them.
const DELIVERIES_SHOWN: usize = 50;

#[derive(Template)]
#[template(path = "webhooks.html")]
struct WebhooksPage {
    layout: PageLayout,
    deleted: bool,
    lines: Vec<WebhookView>,
    form: WebhookForm,
    accesses: bool,
}

#[derive(Template)]
#[template(path = "webhook.html")]
struct WebhookPage {
    layout: PageLayout,
    done: String,
    webhook: WebhookView,
    /// The current version of the webhook.
    version: i64,
    /// True if the webhook has changed since the form was made.
    is_stale: bool,
    form: WebhookForm,
    /// The deliveries: event, state, and the reason why it waits.
    deliveries: Vec<[String; 3]>,
    unsettled: usize,
    /// The attempts: time, event, number of the attempt, status, outcome and duration.
    attempts: Vec<[String; 6]>,
}

#[derive(Template)]
#[template(path = "webhook_secret.html")]
struct WebhookSecretPage {
    layout: PageLayout,
    id: String,
    secret: String,
}

/// The texts of finished actions, by the word in the page's address. Buttons and confirmation pages use the same words.
const DONE: [(&str, &str); 5] = [
    ("change", "changed"),
    ("pause", "paused"),
    ("resume", "resumed"),
    ("skip", "resumed from now on"),
    ("retire", "limited to its newest secret"),
];

/// The word for events that are sent again. Their number is a separate field of the address.
const AGAIN: &str = "again";

fn draft(fields: &Fields) -> WebhookDraft {
    WebhookDraft {
        url: Some(fields.get("url").to_owned()),
        types: Some(fields.all("types").map(str::to_owned).collect()),
        thin: Some(fields.has("thin")),
        note: Some(fields.raw("note").to_owned()),
    }
}

/// Shows all webhooks.
pub(crate) async fn list(
    State(console): ConsoleState,
    visitor: Visitor,
    fields: Fields,
) -> PageResult {
    let mut page = all(&console, &visitor, WebhookForm::empty()).await?;
    page.deleted = fields.has("deleted");
    Ok(html(StatusCode::OK, &page))
}

async fn all(
    console: &Console,
    visitor: &Visitor,
    form: WebhookForm,
) -> Result<WebhooksPage, Problem> {
    let all = console.webhooks().list().await?;
    let lines = all
        .iter()
        .map(|(webhook, access)| WebhookView::of(&view(console, webhook, access)));
    Ok(WebhooksPage {
        layout: visitor.layout("webhooks", "Webhooks"),
        deleted: false,
        lines: lines.collect(),
        form,
        accesses: !console.store.accesses().is_empty(),
    })
}

/// Creates a webhook and shows its secret only this once.
pub(crate) async fn create(State(console): ConsoleState, form: OperatorForm) -> PageResult {
    let made = console
        .webhooks()
        .create(form.fields.get("access"), draft(&form.fields))
        .await;
    match made.map_err(Problem::from) {
        Ok((webhook, secret)) => {
            let page = secret_page(&form, (&webhook.id, &secret));
            Ok(noted(page, (&form.actor, &webhook.id), "created"))
        }
        Err(problem) => {
            let again = WebhookForm::resubmitted(&form.fields, &problem);
            let page = all(&console, &form.visitor, again).await?;
            Ok(html(problem.status(), &page))
        }
    }
}

/// Shows the page of a webhook.
pub(crate) async fn page(
    State(console): ConsoleState,
    visitor: Visitor,
    PagePath(id): PagePath,
    fields: Fields,
) -> PageResult {
    let mut page = one(&console, &visitor, &id).await?;
    page.done = done_text(fields.get("done"), fields.get("count").parse().ok());
    Ok(html(StatusCode::OK, &page))
}

async fn one(console: &Console, visitor: &Visitor, id: &str) -> Result<WebhookPage, Problem> {
    let (webhook, access) = console.webhooks().find(id).await?;
    let shown = view(console, &webhook, &access);
    let deliveries = console.webhooks().deliveries(id).await?;
    let attempts = console.webhooks().attempts(id, ATTEMPTS_LISTED_MAX).await?;
    Ok(WebhookPage {
        layout: visitor.layout("webhooks", format!("Webhook {id}")),
        done: String::new(),
        webhook: WebhookView::of(&shown),
        version: webhook.version,
        is_stale: false,
        form: WebhookForm::of(&webhook, &access.name),
        unsettled: deliveries.len(),
        deliveries: deliveries
            .iter()
            .take(DELIVERIES_SHOWN)
            .map(|row| delivery_line(&delivery(row)))
            .collect(),
        attempts: attempts
            .iter()
            .map(|row| attempt_line(&attempt(row)))
            .collect(),
    })
}

fn delivery_line(row: &Value) -> [String; 3] {
    [
        text(&row["event"]),
        text(&row["state"]),
        or_dash(row["cause"].as_str()),
    ]
}

fn attempt_line(row: &Value) -> [String; 6] {
    [
        moment(&text(&row["at"])),
        text(&row["event"]),
        row["number"].to_string(),
        row["status"]
            .as_u64()
            .map_or_else(|| "–".to_owned(), |status| status.to_string()),
        text(&row["outcome"]),
        format!("{} ms", row["ms"]),
    ]
}

/// Changes a webhook according to the form, unless the webhook has changed since the form was made. The form contains every field,
/// so it would otherwise undo another operator's change.
pub(crate) async fn change(
    State(console): ConsoleState,
    PagePath(id): PagePath,
    form: OperatorForm,
) -> PageResult {
    let target = WebhookTarget::version(&id, form_version(&form.fields)?);
    let changed = console.webhooks().set(target, draft(&form.fields)).await;
    match changed.map_err(Problem::from) {
        Ok(()) => Ok(done(&form, &id, "change", None)),
        Err(problem) => {
            let mut page = one(&console, &form.visitor, &id).await?;
            page.form = WebhookForm::resubmitted(&form.fields, &problem);
            page.is_stale = page.form.version != page.version;
            Ok(html(problem.status(), &page))
        }
    }
}

/// Returns the version from which the form was made. A form without a version counts as stale.
fn form_version(fields: &Fields) -> Result<i64, Problem> {
    let version = fields.get("version").parse();
    version.map_err(|_| WebhookError::Stale.into())
}

/// Performs the action of a button.
pub(crate) async fn act(
    State(console): ConsoleState,
    PagePath(id): PagePath,
    form: OperatorForm,
) -> PageResult {
    let action = form.fields.get("action");
    match action {
        "test" => return test(&console, &form, &id).await,
        "rotate" => {
            // Without the version, an operator who presses the button twice would see only the second secret, and the second press
            // would end the secret in use.
            let target = WebhookTarget::version(&id, form_version(&form.fields)?);
            let rotated = console.webhooks().rotate(target, GRACE_S).await;
            let (_, secret) = rotated.map_err(Problem::from)?;
            let page = secret_page(&form, (&id, &secret));
            return Ok(noted(page, (&form.actor, &id), "given a new secret"));
        }
        _ => {}
    }
    let (webhooks, by) = (console.webhooks(), &*form.actor);
    let event = form.fields.get("event").to_owned();
    let acted = match action {
        "pause" => webhooks.pause(by, &id).await.map(|()| None),
        "resume" => webhooks.resume(by, &id).await.map(|()| None),
        "retire" => webhooks.retire(&id).await.map(|()| None),
        "dead" => webhooks.redeliver(&id, RedeliveryRequest::Dead).await,
        "event" => {
            webhooks
                .redeliver(&id, RedeliveryRequest::Event(event))
                .await
        }
        _ => return Err(Problem::not_found().into()),
    };
    let count = acted.map_err(Problem::from)?;
    let word = if count.is_some() { AGAIN } else { action };
    Ok(done(&form, &id, word, count))
}

/// Sends a test event and shows the result, which is not stored anywhere else.
async fn test(console: &Console, form: &OperatorForm, id: &str) -> PageResult {
    let tested = console.webhooks().test(id).await.map_err(Problem::from)?;
    let mut page = one(console, &form.visitor, id).await?;
    page.done = match tested.status {
        Some(status) => format!("tested: {}, status {status}", tested.cause),
        None => format!("tested: {}", tested.cause),
    };
    let response = html(StatusCode::OK, &page);
    Ok(noted(response, (&form.actor, id), &page.done))
}

/// Returns the text of a finished action. It consists only of our own words and a number, whatever the page's address contains.
fn done_text(word: &str, count: Option<u64>) -> String {
    let known = DONE.iter().find(|(known, _)| *known == word);
    match (known, count) {
        (Some((_, text)), _) => (*text).to_owned(),
        (None, Some(count)) if word == AGAIN => format!("told to redeliver {count} deliveries"),
        (None, _) => String::new(),
    }
}

/// Redirects to the page of the webhook, which shows the text of the finished action.
fn done(form: &OperatorForm, id: &str, word: &str, count: Option<u64>) -> Response {
    let count_part = count.map_or(String::new(), |count| format!("&count={count}"));
    let response = see_other(&format!("{ALL}/{id}?done={word}{count_part}"));
    noted(response, (&form.actor, id), &done_text(word, count))
}

/// Shows a secret only this once. Reads nothing that could fail.
fn secret_page(form: &OperatorForm, (id, secret): (&str, &SecretString)) -> Response {
    let page = WebhookSecretPage {
        layout: form.visitor.layout("webhooks", "New secret"),
        id: id.to_owned(),
        secret: secret.expose_secret().to_owned(),
    };
    html(StatusCode::OK, &page)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn done_text_accepts_only_known_actions() {
        assert_eq!(done_text("pause", None), "paused");
        assert_eq!(done_text(AGAIN, Some(3)), "told to redeliver 3 deliveries");
        for strange in ["", "paused", "broken: call 555", AGAIN] {
            assert_eq!(done_text(strange, None), "", "{strange}");
        }
        assert_eq!(done_text("broken: call 555", Some(3)), "");
    }
}
