//! `/admin/v1/accesses`: the accounts of callers, which operators manage while the gateway runs.

use axum::body::Body;
use axum::extract::State;
use http::{HeaderMap, HeaderValue, Request, StatusCode, Uri, header};
use serde_json::{Value, json};
use store::{ChangeError, NAME_PATTERN, check_name};

use crate::access::draft::AccessDraft;
use crate::access::manage::{self, ChangeTarget, Rotation};
use crate::access::pages::page;
use crate::access::view::{access_with_last_use, change_view};
use crate::api::auth::Actor;
use crate::api::endpoint::{AdminEndpoint, RequiredKey};
use crate::api::request::{body, if_match, with_etag};
use crate::path_names::ApiPath;
use crate::problem::{ApiResult, Problem, json_answer, no_content};
use crate::query::{for_each_unique, limit};
use crate::route_kind::RouteKind;
use crate::state::ConsoleState;

const ALL: &str = "/admin/v1/accesses";
const ONE: &str = "/admin/v1/accesses/{name}";

/// Maximum and default number of accesses on a page: one or two megabytes of JSON.
const PAGE_ACCESSES_MAX: u32 = 1000;

/// The endpoints that take the name of an existing access. The list of changes is not among them, because it outlives the access.
const ABOUT: &[&str] = &[
    "showAccess",
    "changeAccess",
    "deleteAccess",
    "rotateSecret",
    "revokeTokens",
];

/// Returns the endpoints.
pub(super) fn endpoints() -> Vec<AdminEndpoint> {
    let mut endpoints = vec![
        AdminEndpoint::get(RequiredKey::Viewer, ALL, list)
            .named(
                "listAccesses",
                "Lists accesses by name, one page at a time; pass next as after to get the next page",
            )
            .query("q", &json!({"type": "string"}))
            .query("after", &json!({"type": "string", "pattern": NAME_PATTERN}))
            .query(
                "limit",
                &json!({"type": "integer", "minimum": 1, "maximum": u32::MAX}),
            )
            .answers(200, "Accesses")
            .refuses(&[422]),
        AdminEndpoint::post(RequiredKey::Operator, ALL, create)
            .kind(RouteKind::JournaledChange)
            .named(
                "createAccess",
                "Creates an access; its secrets are shown only once",
            )
            .accepts("AccessDraft")
            .answers(201, "AccessMade")
            .refuses(&[409, 422])
            .with_etag()
            .links(ABOUT),
        AdminEndpoint::get(RequiredKey::Viewer, ONE, show)
            .named("showAccess", "Shows one access")
            .answers(200, "Access")
            .with_etag(),
    ];
    endpoints.extend(changing());
    endpoints
}

/// Returns the endpoints that change one access or show its changes.
fn changing() -> [AdminEndpoint; 5] {
    [
        AdminEndpoint::patch(RequiredKey::Operator, ONE, change)
            .kind(RouteKind::JournaledChange)
            .named(
                "changeAccess",
                "Changes the fields in the body, with effect from the next request",
            )
            .if_match()
            .accepts_optional("AccessChange")
            .answers(200, "Access")
            .refuses(&[409, 412, 422])
            .with_etag(),
        AdminEndpoint::delete(RequiredKey::Operator, ONE, delete)
            .kind(RouteKind::JournaledChange)
            .named("deleteAccess", "Deletes an access")
            .if_match()
            .answers_empty()
            .refuses(&[412]),
        AdminEndpoint::post(RequiredKey::Operator, "/admin/v1/accesses/{name}/rotate", rotate)
            .kind(RouteKind::JournaledChange)
            .named(
                "rotateSecret",
                "Adds a new secret next to the one in use; the new secret is shown only once",
            )
            .if_match()
            .accepts_optional("Rotation")
            .answers(200, "AccessMade")
            .refuses(&[412, 422])
            .with_etag(),
        AdminEndpoint::post(RequiredKey::Operator, "/admin/v1/accesses/{name}/revoke-tokens", revoke_tokens)
            .kind(RouteKind::JournaledChange)
            .named(
                "revokeTokens",
                "Revokes all tokens issued for the access so far, by this gateway and by external issuers",
            )
            .if_match()
            .answers(200, "Access")
            .refuses(&[412])
            .with_etag(),
        AdminEndpoint::get(RequiredKey::Viewer, "/admin/v1/accesses/{name}/changes", changes)
            .named(
                "listChanges",
                "Lists the latest changes of an access, newest first, including its deletion",
            )
            .answers(200, "Changes"),
    ]
}

async fn list(State(console): ConsoleState, uri: Uri) -> ApiResult {
    let query = AccessQuery::parse(uri.query().unwrap_or_default()).map_err(Problem::invalid)?;
    let count_max = query.limit.unwrap_or(PAGE_ACCESSES_MAX);
    let count_max = count_max.min(PAGE_ACCESSES_MAX) as usize;
    let from = (query.search.as_str(), query.after.as_str());
    let page = page(&console.store.accesses(), from, count_max).await;
    let views = page.accesses.iter();
    let views: Vec<Value> = views
        .map(|access| access_with_last_use(&console, access))
        .collect();
    let body = json!({"accesses": views, "next": page.next});
    Ok(json_answer(StatusCode::OK, &body))
}

/// The query of the list: which accesses it contains.
#[derive(Default)]
struct AccessQuery {
    search: String,
    /// The name after which the page begins.
    after: String,
    limit: Option<u32>,
}

impl AccessQuery {
    fn parse(query: &str) -> Result<AccessQuery, Vec<(String, String)>> {
        let mut parsed = AccessQuery::default();
        for_each_unique(query, |name, value| {
            match name {
                "q" => value.clone_into(&mut parsed.search),
                "after" => {
                    check_name(value)?;
                    value.clone_into(&mut parsed.after);
                }
                "limit" => parsed.limit = Some(limit(value)?),
                _ => return Err("this parameter does not exist".to_owned()),
            }
            Ok(())
        })?;
        Ok(parsed)
    }
}

async fn show(State(console): ConsoleState, ApiPath(name): ApiPath<String>) -> ApiResult {
    let accesses = console.store.accesses();
    let access = accesses.named(&name).ok_or(ChangeError::Missing)?;
    let view = access_with_last_use(&console, access);
    Ok(with_etag(StatusCode::OK, access, &view))
}

async fn create(
    State(console): ConsoleState,
    Actor(actor): Actor,
    request: Request<Body>,
) -> ApiResult {
    let draft: AccessDraft = body(request).await?;
    let (access, view) = manage::create(&console, &actor, draft).await?;
    let mut response = with_etag(StatusCode::CREATED, &access, &view);
    if let Ok(location) = HeaderValue::try_from(format!("{ALL}/{}", access.name)) {
        response.headers_mut().insert(header::LOCATION, location);
    }
    Ok(response)
}

async fn change(
    State(console): ConsoleState,
    Actor(actor): Actor,
    ApiPath(name): ApiPath<String>,
    request: Request<Body>,
) -> ApiResult {
    let expected = if_match(request.headers())?;
    let draft: AccessDraft = body(request).await?;
    let target = ChangeTarget::new(&actor, &name, expected);
    let access = manage::change(&console, target, draft).await?;
    let view = access_with_last_use(&console, &access);
    Ok(with_etag(StatusCode::OK, &access, &view))
}

async fn delete(
    State(console): ConsoleState,
    Actor(actor): Actor,
    ApiPath(name): ApiPath<String>,
    headers: HeaderMap,
) -> ApiResult {
    let target = ChangeTarget::new(&actor, &name, if_match(&headers)?);
    manage::delete(&console, target).await?;
    Ok(no_content())
}

async fn rotate(
    State(console): ConsoleState,
    Actor(actor): Actor,
    ApiPath(name): ApiPath<String>,
    request: Request<Body>,
) -> ApiResult {
    let expected = if_match(request.headers())?;
    let rotation: Rotation = body(request).await?;
    let target = ChangeTarget::new(&actor, &name, expected);
    let (access, view) = manage::rotate(&console, target, rotation).await?;
    Ok(with_etag(StatusCode::OK, &access, &view))
}

async fn revoke_tokens(
    State(console): ConsoleState,
    Actor(actor): Actor,
    ApiPath(name): ApiPath<String>,
    headers: HeaderMap,
) -> ApiResult {
    let target = ChangeTarget::new(&actor, &name, if_match(&headers)?);
    let access = manage::end_tokens(&console, target).await?;
    let view = access_with_last_use(&console, &access);
    Ok(with_etag(StatusCode::OK, &access, &view))
}

async fn changes(State(console): ConsoleState, ApiPath(name): ApiPath<String>) -> ApiResult {
    let changes = manage::latest_changes(&console, &name).await?;
    if changes.is_empty() && console.store.accesses().named(&name).is_none() {
        return Err(ChangeError::Missing.into());
    }
    let changes: Vec<Value> = changes.iter().map(change_view).collect();
    Ok(json_answer(StatusCode::OK, &json!({"changes": changes})))
}
