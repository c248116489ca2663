//! What is asked before a webhook is deleted, or goes on without what is left to send: neither can be taken back.

use askama::Template;
use axum::extract::State;
use http::StatusCode;

use super::webhook_view::WebhookView;
use super::{ALL, done, seen};
use crate::path_names::PagePath;
use crate::problem::Problem;
use crate::state::{Console, ConsoleState};
use crate::web::extract::OperatorForm;
use crate::web::layout::{PageLayout, html, see_other};
use crate::web::page_error::PageResult;
use crate::web::text::grouped;
use crate::web::visitor::Visitor;
use crate::webhooks::{noted, view};

#[derive(Template)]
#[template(path = "webhook_question.html")]
struct WebhookQuestionPage {
    layout: PageLayout,
    webhook: WebhookView,
    version: i64,
    /// The last part of the address that does it.
    action: &'static str,
    /// What the button says.
    button: &'static str,
    /// Deliveries that are left to send.
    left: String,
    /// Deliveries that were given up.
    given_up: String,
}

/// Asks before a webhook is deleted.
pub(crate) async fn confirm_deletion(
    State(console): ConsoleState,
    visitor: Visitor,
    PagePath(id): PagePath,
) -> PageResult {
    ask(&console, &visitor, &id, ("delete", "Delete it")).await
}

/// Asks before a webhook goes on without what is left to send.
pub(crate) async fn confirm_skip(
    State(console): ConsoleState,
    visitor: Visitor,
    PagePath(id): PagePath,
) -> PageResult {
    ask(&console, &visitor, &id, ("skip", "Resume from now on")).await
}

async fn ask(
    console: &Console,
    visitor: &Visitor,
    id: &str,
    (action, button): (&'static str, &'static str),
) -> PageResult {
    visitor.operator()?;
    let found = console.webhooks().find(id).await;
    let (webhook, access) = found.map_err(Problem::from)?;
    let unsettled = console.webhooks().deliveries(id).await;
    let unsettled = unsettled.map_err(Problem::from)?;
    let given_up = unsettled.iter().filter(|row| row.is_dead).count();
    let title = match action {
        "delete" => format!("Delete webhook {id}"),
        _ => format!("Resume webhook {id} from now on"),
    };
    let page = WebhookQuestionPage {
        layout: visitor.layout("webhooks", title),
        webhook: WebhookView::of(&view(console, &webhook, &access)),
        version: webhook.version,
        action,
        button,
        left: grouped((unsettled.len() - given_up) as u64),
        given_up: grouped(given_up as u64),
    };
    Ok(html(StatusCode::OK, &page))
}

/// Deletes the webhook, if it has not changed since the question.
pub(crate) async fn delete(
    State(console): ConsoleState,
    PagePath(id): PagePath,
    form: OperatorForm,
) -> PageResult {
    let target = (&*id, Some(seen(&form.fields)?));
    let deleted = console.webhooks().delete(target).await;
    deleted.map_err(Problem::from)?;
    let response = see_other(&format!("{ALL}?deleted=1"));
    Ok(noted(response, (&form.actor, &id), "deleted"))
}

/// Has the webhook go on from now on, if it has not changed since the question.
pub(crate) async fn skip(
    State(console): ConsoleState,
    PagePath(id): PagePath,
    form: OperatorForm,
) -> PageResult {
    let target = (&*id, Some(seen(&form.fields)?));
    let resumed = console.webhooks().skip(&form.actor, target).await;
    resumed.map_err(Problem::from)?;
    Ok(done(&form, &id, "skip", None))
}
