//! The confirmation pages before a webhook is deleted, or resumed without its pending deliveries. Neither action can be undone.

use askama::Template;
use axum::extract::State;
use http::StatusCode;

use super::webhook_view::WebhookView;
use super::{ALL, done, form_version};
use crate::path_names::PagePath;
use crate::problem::Problem;
use crate::state::{Console, ConsoleState};
use crate::web::extract::OperatorForm;
use crate::web::layout::{PageLayout, html, see_other};
use crate::web::page_error::PageResult;
use crate::web::text::grouped;
use crate::web::visitor::Visitor;
use crate::webhooks::{noted, view};
use webhooks::WebhookTarget;

#[derive(Template)]
#[template(path = "webhook_question.html")]
struct WebhookQuestionPage {
    layout: PageLayout,
    webhook: WebhookView,
    version: i64,
    /// The last part of the address that performs the action.
    action: &'static str,
    /// The label of the button.
    button: &'static str,
    /// The number of pending deliveries.
    left: String,
    /// The number of dead deliveries, which were given up.
    given_up: String,
}

/// Asks for confirmation before a webhook is deleted.
pub(crate) async fn confirm_deletion(
    State(console): ConsoleState,
    visitor: Visitor,
    PagePath(id): PagePath,
) -> PageResult {
    ask(&console, &visitor, &id, ("delete", "Delete webhook")).await
}

/// Asks for confirmation before a webhook is resumed without its pending deliveries.
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

/// Deletes the webhook, unless it has changed since the confirmation page was shown.
pub(crate) async fn delete(
    State(console): ConsoleState,
    PagePath(id): PagePath,
    form: OperatorForm,
) -> PageResult {
    let target = WebhookTarget::version(&id, form_version(&form.fields)?);
    let deleted = console.webhooks().delete(target).await;
    deleted.map_err(Problem::from)?;
    let response = see_other(&format!("{ALL}?deleted=1"));
    Ok(noted(response, (&form.actor, &id), "deleted"))
}

/// Resumes the webhook without its pending deliveries, unless it has changed since the confirmation page was shown.
pub(crate) async fn skip(
    State(console): ConsoleState,
    PagePath(id): PagePath,
    form: OperatorForm,
) -> PageResult {
    let target = WebhookTarget::version(&id, form_version(&form.fields)?);
    let resumed = console.webhooks().skip(&form.actor, target).await;
    resumed.map_err(Problem::from)?;
    Ok(done(&form, &id, "skip", None))
}
