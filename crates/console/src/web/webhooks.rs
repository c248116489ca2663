//! Webhooks: all of them, and one with what is left to send, what was given up, and its latest attempts.

mod webhook_view;

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use secrecy::SecretString;
use serde_json::Value;
use webhooks::{Again, GRACE_S, WebhookDraft};

use crate::path_names::PagePath;
use crate::problem::Problem;
use crate::state::{Console, ConsoleState};
use crate::web::extract::OperatorForm;
use crate::web::fields::Fields;
use crate::web::json::text;
use crate::web::layout::{PageLayout, html, see_other};
use crate::web::page_error::PageResult;
use crate::web::text::{moment, or_dash, visible};
use crate::web::visitor::Visitor;
use crate::webhooks::{ATTEMPTS_LISTED_MAX, attempt, delivery, noted, view, view_with_secret};
use webhook_view::{WebhookForm, WebhookView};

const ALL: &str = "/console/webhooks";

/// Deliveries that are shown; how many there are is said beside them.
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
    form: WebhookForm,
    /// The event, its state, and why it waits.
    deliveries: Vec<[String; 3]>,
    unsettled: usize,
    /// When, the event, which attempt, the status, the outcome and how long it took.
    attempts: Vec<[String; 6]>,
}

#[derive(Template)]
#[template(path = "webhook_secret.html")]
struct WebhookSecretPage {
    layout: PageLayout,
    id: String,
    secret: String,
}

fn draft(fields: &Fields) -> WebhookDraft {
    WebhookDraft {
        url: Some(fields.get("url").to_owned()),
        types: Some(fields.all("types").map(str::to_owned).collect()),
        thin: Some(fields.has("thin")),
        note: Some(fields.get("note").to_owned()),
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

/// Makes a webhook and shows its secret this once.
pub(crate) async fn create(State(console): ConsoleState, form: OperatorForm) -> PageResult {
    let made = console
        .webhooks()
        .create(form.fields.get("access"), draft(&form.fields))
        .await;
    match made.map_err(Problem::from) {
        Ok((webhook, secret)) => {
            let page = secret_page(&console, &form, (&webhook.id, &secret)).await?;
            Ok(noted(page, (&form.actor, &webhook.id), "made"))
        }
        Err(problem) => {
            let again = WebhookForm::again(&form.fields, &problem);
            let page = all(&console, &form.visitor, again).await?;
            Ok(html(problem.status(), &page))
        }
    }
}

/// Shows one webhook.
pub(crate) async fn page(
    State(console): ConsoleState,
    visitor: Visitor,
    PagePath(id): PagePath,
    fields: Fields,
) -> PageResult {
    let mut page = one(&console, &visitor, &id).await?;
    page.done = visible(fields.get("done"));
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
        form: WebhookForm::of(&shown),
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

/// Changes a webhook as the form says.
pub(crate) async fn change(
    State(console): ConsoleState,
    PagePath(id): PagePath,
    form: OperatorForm,
) -> PageResult {
    let changed = console.webhooks().set(&id, draft(&form.fields)).await;
    match changed.map_err(Problem::from) {
        Ok(()) => Ok(noted(see(&id, "changed"), (&form.actor, &id), "changed")),
        Err(problem) => {
            let mut page = one(&console, &form.visitor, &id).await?;
            page.form = WebhookForm::again(&form.fields, &problem);
            Ok(html(problem.status(), &page))
        }
    }
}

/// Does what a button says.
pub(crate) async fn act(
    State(console): ConsoleState,
    PagePath(id): PagePath,
    form: OperatorForm,
) -> PageResult {
    let (webhooks, by) = (console.webhooks(), &*form.actor);
    let event = form.fields.get("event").to_owned();
    let done = match form.fields.get("action") {
        "pause" => webhooks.pause(by, &id).await.map(|()| "paused".to_owned()),
        "resume" => webhooks
            .resume(by, &id, false)
            .await
            .map(|()| "resumed".to_owned()),
        "skip" => webhooks
            .resume(by, &id, true)
            .await
            .map(|()| "resumed from now on".to_owned()),
        "retire" => webhooks
            .retire(&id)
            .await
            .map(|()| "left with its newest secret".to_owned()),
        "test" => webhooks.test(&id).await.map(|it| match it.status {
            Some(status) => format!("tested: {}, status {status}", it.cause),
            None => format!("tested: {}", it.cause),
        }),
        "dead" => webhooks.redeliver(&id, Again::Dead).await.map(again),
        "event" => webhooks
            .redeliver(&id, Again::Event(event))
            .await
            .map(again),
        "rotate" => {
            let secret = webhooks.rotate(&id, GRACE_S).await.map_err(Problem::from)?;
            let page = secret_page(&console, &form, (&id, &secret)).await?;
            return Ok(noted(page, (&form.actor, &id), "given a new secret"));
        }
        "delete" => {
            webhooks.delete(&id).await.map_err(Problem::from)?;
            let response = see_other(&format!("{ALL}?deleted=1"));
            return Ok(noted(response, (&form.actor, &id), "deleted"));
        }
        _ => return Err(Problem::not_found().into()),
    };
    let done = done.map_err(Problem::from)?;
    Ok(noted(see(&id, &done), (&form.actor, &id), &done))
}

fn again(count: Option<u64>) -> String {
    format!("told to send {} once more", count.unwrap_or_default())
}

fn see(id: &str, done: &str) -> Response {
    let done: String = url::form_urlencoded::byte_serialize(done.as_bytes()).collect();
    see_other(&format!("{ALL}/{id}?done={done}"))
}

async fn secret_page(
    console: &Console,
    form: &OperatorForm,
    (id, secret): (&str, &SecretString),
) -> Result<Response, Problem> {
    let (webhook, access) = console.webhooks().find(id).await?;
    let shown = view_with_secret(console, (&webhook, &access), secret);
    let page = WebhookSecretPage {
        layout: form.visitor.layout("webhooks", "New secret"),
        id: id.to_owned(),
        secret: text(&shown["secret"]),
    };
    Ok(html(StatusCode::OK, &page))
}
