//! `/admin/v1/webhooks`: manages webhooks, to which the gateway sends the events of accesses.

use axum::body::Body;
use axum::extract::State;
use http::{HeaderValue, Request, StatusCode, header};
use serde_json::{Value, json};
use webhooks::{GRACE_S, RedeliveryRequest, WebhookDraft, WebhookError, WebhookTarget};

use crate::api::auth::Actor;
use crate::api::endpoint::{AdminEndpoint, RequiredKey};
use crate::api::request::body;
use crate::moment;
use crate::path_names::ApiPath;
use crate::problem::{ApiResult, Problem, json_answer, no_content};
use crate::state::{Console, ConsoleState};
use crate::webhooks::{
    ATTEMPTS_LISTED_MAX, attempt, delivery, is_event_id, noted, view, view_with_secret,
};

const ALL: &str = "/admin/v1/webhooks";
const ONE: &str = "/admin/v1/webhooks/{id}";

/// Returns the endpoints.
pub(super) fn endpoints() -> Vec<AdminEndpoint> {
    let mut endpoints = vec![
        AdminEndpoint::get(RequiredKey::Viewer, ALL, list)
            .named("listWebhooks", "Lists all webhooks")
            .answers(200, "Webhooks"),
        AdminEndpoint::post(RequiredKey::Operator, ALL, create)
            .named(
                "createWebhook",
                "Creates a webhook for the events of an access from now on; its secret is shown only once",
            )
            .accepts("WebhookDraft")
            .answers(201, "WebhookMade")
            .refuses(&[409, 422]),
        AdminEndpoint::get(RequiredKey::Viewer, ONE, show)
            .named("showWebhook", "Shows one webhook")
            .answers(200, "Webhook"),
        AdminEndpoint::get(RequiredKey::Viewer, "/admin/v1/webhooks/{id}/deliveries", deliveries)
            .named(
                "listDeliveries",
                "Lists the pending and the abandoned deliveries, and the latest attempts",
            )
            .answers(200, "WebhookDeliveries"),
    ];
    endpoints.extend(changing());
    endpoints
}

/// Returns the endpoints that change one webhook.
fn changing() -> Vec<AdminEndpoint> {
    vec![
        AdminEndpoint::patch(RequiredKey::Operator, ONE, change)
            .named("changeWebhook", "Changes the fields in the body")
            .accepts_optional("WebhookChange")
            .answers(200, "Webhook")
            .refuses(&[422]),
        AdminEndpoint::delete(RequiredKey::Operator, ONE, delete)
            .named("deleteWebhook", "Deletes a webhook and its pending deliveries")
            .answers_empty(),
        AdminEndpoint::post(RequiredKey::Operator, "/admin/v1/webhooks/{id}/pause", pause)
            .named("pauseWebhook", "Pauses a webhook; its events wait in the event log")
            .answers(200, "Webhook"),
        AdminEndpoint::post(RequiredKey::Operator, "/admin/v1/webhooks/{id}/resume", resume)
            .named("resumeWebhook", "Resumes a webhook where it stopped, or with events from now on")
            .accepts_optional("WebhookResumption")
            .answers(200, "Webhook"),
        AdminEndpoint::post(RequiredKey::Operator, "/admin/v1/webhooks/{id}/rotate", rotate)
            .named(
                "rotateWebhookSecret",
                "Creates a new secret, which is shown only once; the previous secret also signs for a while",
            )
            .accepts_optional("WebhookRotation")
            .answers(200, "WebhookMade")
            .refuses(&[422]),
        AdminEndpoint::post(RequiredKey::Operator, "/admin/v1/webhooks/{id}/retire", retire)
            .named("retireWebhookSecret", "Revokes all secrets except the newest immediately")
            .answers(200, "Webhook"),
        AdminEndpoint::post(RequiredKey::Operator, "/admin/v1/webhooks/{id}/test", test)
            .named("testWebhook", "Sends a test event immediately, and returns the result")
            .answers(200, "WebhookAttempt"),
        AdminEndpoint::post(RequiredKey::Operator, "/admin/v1/webhooks/{id}/redeliver", redeliver)
            .named(
                "redeliver",
                "Redelivers events with their original ids: one event, all abandoned events, or all events since a time",
            )
            .accepts("WebhookRedelivery")
            .answers(200, "WebhookRedelivered")
            .refuses(&[422]),
    ]
}

/// The request body of a new webhook.
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NewWebhook {
    access: String,
    url: String,
    types: Option<Vec<String>>,
    payload: Option<PayloadWord>,
    note: Option<String>,
}

/// The fields of a change; an absent field stays as it is.
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WebhookChange {
    url: Option<String>,
    types: Option<Vec<String>>,
    payload: Option<PayloadWord>,
    note: Option<String>,
}

#[derive(Clone, Copy, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
enum PayloadWord {
    Full,
    Thin,
}

/// The request body of a resumption.
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WebhookResumption {
    #[serde(default)]
    skip: bool,
}

/// The request body of a rotation.
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WebhookRotation {
    grace_s: Option<i64>,
}

/// The events to send again; exactly one of the three fields is set.
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WebhookRedelivery {
    event: Option<String>,
    dead: Option<bool>,
    since: Option<String>,
}

impl From<WebhookChange> for WebhookDraft {
    fn from(change: WebhookChange) -> WebhookDraft {
        WebhookDraft {
            url: change.url,
            types: change.types,
            thin: change.payload.map(|word| word == PayloadWord::Thin),
            note: change.note,
        }
    }
}

async fn list(State(console): ConsoleState) -> ApiResult {
    let all = console.webhooks().list().await?;
    let views: Vec<_> = all
        .iter()
        .map(|(webhook, access)| view(&console, webhook, access))
        .collect();
    Ok(json_answer(StatusCode::OK, &json!({"webhooks": views})))
}

async fn create(
    State(console): ConsoleState,
    Actor(actor): Actor,
    request: Request<Body>,
) -> ApiResult {
    let new: NewWebhook = body(request).await?;
    let draft = WebhookChange {
        url: Some(new.url),
        types: new.types,
        payload: new.payload,
        note: new.note,
    };
    // Look the access up before the webhook is made: no read that may fail can follow, because the secret is shown only this once.
    let access = console.store.accesses();
    let access = access.named(&new.access).ok_or(WebhookError::NoAccess)?;
    let (webhook, secret) = console.webhooks().create(&new.access, draft.into()).await?;
    let shown = view_with_secret(&console, (&webhook, access), &secret);
    let response = json_answer(StatusCode::CREATED, &shown);
    let mut response = noted(response, (&actor, &webhook.id), "created");
    if let Ok(location) = HeaderValue::try_from(format!("{ALL}/{}", webhook.id)) {
        response.headers_mut().insert(header::LOCATION, location);
    }
    Ok(response)
}

async fn show(State(console): ConsoleState, ApiPath(id): ApiPath<String>) -> ApiResult {
    shown(&console, &id).await
}

async fn deliveries(State(console): ConsoleState, ApiPath(id): ApiPath<String>) -> ApiResult {
    console.webhooks().find(&id).await?;
    let all = console.webhooks().deliveries(&id).await?;
    let attempts = console
        .webhooks()
        .attempts(&id, ATTEMPTS_LISTED_MAX)
        .await?;
    let body = json!({
        "deliveries": all.iter().map(delivery).collect::<Value>(),
        "attempts": attempts.iter().map(attempt).collect::<Value>(),
    });
    Ok(json_answer(StatusCode::OK, &body))
}

async fn change(
    State(console): ConsoleState,
    Actor(actor): Actor,
    ApiPath(id): ApiPath<String>,
    request: Request<Body>,
) -> ApiResult {
    let change: WebhookChange = body(request).await?;
    console
        .webhooks()
        .set(WebhookTarget::any(&id), change.into())
        .await?;
    Ok(noted(shown(&console, &id).await?, (&actor, &id), "changed"))
}

async fn delete(
    State(console): ConsoleState,
    Actor(actor): Actor,
    ApiPath(id): ApiPath<String>,
) -> ApiResult {
    console.webhooks().delete(WebhookTarget::any(&id)).await?;
    Ok(noted(no_content(), (&actor, &id), "deleted"))
}

async fn pause(
    State(console): ConsoleState,
    Actor(actor): Actor,
    ApiPath(id): ApiPath<String>,
) -> ApiResult {
    console.webhooks().pause(&actor, &id).await?;
    Ok(noted(shown(&console, &id).await?, (&actor, &id), "paused"))
}

async fn resume(
    State(console): ConsoleState,
    Actor(actor): Actor,
    ApiPath(id): ApiPath<String>,
    request: Request<Body>,
) -> ApiResult {
    let resumption: WebhookResumption = body(request).await?;
    let webhooks = console.webhooks();
    if resumption.skip {
        webhooks.skip(&actor, WebhookTarget::any(&id)).await?;
    } else {
        webhooks.resume(&actor, &id).await?;
    }
    let done = if resumption.skip {
        "resumed from now on"
    } else {
        "resumed"
    };
    Ok(noted(shown(&console, &id).await?, (&actor, &id), done))
}

async fn rotate(
    State(console): ConsoleState,
    Actor(actor): Actor,
    ApiPath(id): ApiPath<String>,
    request: Request<Body>,
) -> ApiResult {
    let rotation: WebhookRotation = body(request).await?;
    let grace_s = rotation.grace_s.unwrap_or(GRACE_S);
    // Look the access up before the rotation, for the same reason as before a creation.
    let (_, access) = console.webhooks().find(&id).await?;
    let (webhook, secret) = console
        .webhooks()
        .rotate(WebhookTarget::any(&id), grace_s)
        .await?;
    let shown = view_with_secret(&console, (&webhook, &access), &secret);
    let response = json_answer(StatusCode::OK, &shown);
    Ok(noted(response, (&actor, &id), "given a new secret"))
}

async fn retire(
    State(console): ConsoleState,
    Actor(actor): Actor,
    ApiPath(id): ApiPath<String>,
) -> ApiResult {
    console.webhooks().retire(&id).await?;
    Ok(noted(
        shown(&console, &id).await?,
        (&actor, &id),
        "limited to its newest secret",
    ))
}

async fn test(
    State(console): ConsoleState,
    Actor(actor): Actor,
    ApiPath(id): ApiPath<String>,
) -> ApiResult {
    let made = console.webhooks().test(&id).await?;
    let response = json_answer(StatusCode::OK, &attempt(&made));
    Ok(noted(response, (&actor, &id), "tested"))
}

async fn redeliver(
    State(console): ConsoleState,
    Actor(actor): Actor,
    ApiPath(id): ApiPath<String>,
    request: Request<Body>,
) -> ApiResult {
    let wanted: WebhookRedelivery = body(request).await?;
    let which = match (wanted.event, wanted.dead, wanted.since) {
        (Some(event), None, None) if is_event_id(&event) => RedeliveryRequest::Event(event),
        (None, Some(true), None) => RedeliveryRequest::Dead,
        (None, None, Some(since)) => {
            let at = moment::time_ms(&since, console.judged_now());
            RedeliveryRequest::Since(at.map_err(|text| Problem::wrong("since", text))?)
        }
        _ => {
            return Err(Problem::wrong(
                "event",
                "write one of event, dead: true, and since",
            ));
        }
    };
    let count = console.webhooks().redeliver(&id, which).await?;
    let response = json_answer(StatusCode::OK, &json!({ "deliveries": count }));
    Ok(noted(response, (&actor, &id), "told to redeliver events"))
}

async fn shown(console: &Console, id: &str) -> ApiResult {
    let (webhook, access) = console.webhooks().find(id).await?;
    Ok(json_answer(
        StatusCode::OK,
        &view(console, &webhook, &access),
    ))
}
