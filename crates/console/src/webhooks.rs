//! The JSON views of webhooks, for the admin API and the pages.

use axum::response::Response;
use http::StatusCode;
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};
use store::{Access, Position, Webhook, WebhookAttempt, WebhookDelivery};
use webhooks::WebhookError;

use crate::audit::notes::ActionNote;
use crate::moment::{rfc3339, rfc3339_ms};
use crate::problem::Problem;
use crate::state::Console;

/// Maximum number of attempts in one list.
pub(crate) const ATTEMPTS_LISTED_MAX: u32 = 100;

impl From<WebhookError> for Problem {
    fn from(error: WebhookError) -> Problem {
        match error {
            WebhookError::Missing => {
                let text = "There is no webhook with this id.";
                Problem::new(StatusCode::NOT_FOUND, "no_such_webhook", text)
            }
            WebhookError::Stale => {
                let text = "The webhook has changed since it was read.";
                Problem::new(StatusCode::PRECONDITION_FAILED, "changed_since", text)
            }
            WebhookError::NoAccess => Problem::wrong("access", "there is no access with this name"),
            WebhookError::Invalid(field, text) => Problem::wrong(field, text),
            WebhookError::Conflict(text) => Problem::new(StatusCode::CONFLICT, "conflict", text),
            WebhookError::Store(error) => error.into(),
        }
    }
}

/// Returns the view of a webhook. It contains everything but the secrets, of which only the age is shown.
pub(crate) fn view(console: &Console, webhook: &Webhook, access: &Access) -> Value {
    let now = console.judged_now();
    let (state, cause) = console.webhooks().state_of(webhook, access);
    let (at, settings) = (&webhook.progress, &webhook.settings);
    let secrets = webhook.secrets.iter();
    let secrets = secrets.filter(|secret| secret.until.is_none_or(|until| now < until));
    let secrets = secrets.map(
        |secret| json!({"created": rfc3339(secret.created), "until": secret.until.map(rfc3339)}),
    );
    json!({
        "id": webhook.id,
        "access": access.name,
        "url": settings.url,
        "types": settings.types,
        "payload": payload_word(settings.thin),
        "note": settings.note,
        "state": state.word(),
        "cause": Some(cause).filter(|cause| !cause.is_empty()),
        "state_since": rfc3339_ms(at.state_at),
        "failing_since": at.failing_since.map(rfc3339_ms),
        "cursor": cursor(at.position),
        "lost": at.lost,
        "secrets": secrets.collect::<Value>(),
    })
}

/// Returns the view of a webhook with its newly made secret, which is shown only this once.
pub(crate) fn view_with_secret(
    console: &Console,
    (webhook, access): (&Webhook, &Access),
    secret: &SecretString,
) -> Value {
    let mut view = view(console, webhook, access);
    view["secret"] = json!(secret.expose_secret());
    view
}

pub(crate) fn delivery(delivery: &WebhookDelivery) -> Value {
    json!({
        "event": delivery.event_id,
        "cursor": cursor(delivery.position),
        "state": if delivery.is_dead { "dead" } else { "pending" },
        "cause": Some(&delivery.cause).filter(|cause| !cause.is_empty()),
    })
}

pub(crate) fn attempt(attempt: &WebhookAttempt) -> Value {
    json!({
        "event": attempt.event_id,
        "cursor": cursor(attempt.position),
        "at": rfc3339_ms(attempt.at),
        "number": attempt.number,
        "status": attempt.status,
        "outcome": attempt.cause,
        "ms": attempt.ms,
    })
}

/// Returns whether a text has the form of an event id.
pub(crate) fn is_event_id(text: &str) -> bool {
    let rest = text.strip_prefix("evt_").unwrap_or_default();
    (1..=64).contains(&rest.len())
        && rest
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
}

/// Returns the admin API's word for whether events contain texts.
pub(crate) fn payload_word(thin: bool) -> &'static str {
    if thin { "thin" } else { "full" }
}

fn cursor(position: u64) -> String {
    Position::of(i64::try_from(position).unwrap_or(i64::MAX)).to_string()
}

/// Logs an action, and adds a note about it for the journal.
pub(crate) fn noted(mut response: Response, (actor, id): (&str, &str), done: &str) -> Response {
    tracing::info!(target: "chatgate::change", actor, webhook = id, "webhook {done}");
    response
        .extensions_mut()
        .insert(ActionNote(format!("webhook {id} {done}")));
    response
}
