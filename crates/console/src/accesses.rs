//! `/admin/v1/accesses`: who may call, managed while the gateway runs.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderValue, Request, StatusCode, header};
use serde_json::{Value, json};
use store::ChangeError;

use crate::Console;
use crate::draft::Draft;
use crate::endpoint::{Endpoint, Key};
use crate::manage::{self, Rotation, seen};
use crate::problem::{Problem, json_answer};
use crate::request::{body, if_match, tagged};
use crate::view::change_view;

/// How many changes of an access are told.
pub(crate) const CHANGES_MAX: u32 = 100;

type Shared = State<Arc<Console>>;
type Answered = Result<Response, Problem>;

const ALL: &str = "/admin/v1/accesses";
const ONE: &str = "/admin/v1/accesses/{name}";

/// What can be asked about an access by its name as long as it is there. Its changes are not among them, which can be asked
/// for when it is gone.
const ABOUT: &[&str] = &[
    "showAccess",
    "changeAccess",
    "deleteAccess",
    "rotateSecret",
    "revokeTokens",
];

/// The paths.
pub(crate) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::get(ALL, async |s: Shared, h: HeaderMap| told(list(&s, &h)))
            .named("listAccesses", "All accesses")
            .wants(Key::Viewer)
            .answers(200, "Accesses"),
        Endpoint::post(ALL, async |s: Shared, r| told(create(&s, r).await))
            .named(
                "createAccess",
                "Makes an access; its secrets are shown this once",
            )
            .wants(Key::Operator)
            .takes("AccessDraft")
            .answers(201, "AccessMade")
            .refuses(&[409, 422, 503])
            .tagged()
            .links(ABOUT),
        Endpoint::get(
            ONE,
            async |s: Shared, Path(n): Path<String>, h: HeaderMap| told(show(&s, &n, &h)),
        )
        .named("showAccess", "One access")
        .wants(Key::Viewer)
        .answers(200, "Access")
        .tagged(),
    ]
    .into_iter()
    .chain(changing())
    .collect()
}

/// What is done to one access.
fn changing() -> Vec<Endpoint> {
    vec![
        Endpoint::patch(ONE, async |s: Shared, Path(n): Path<String>, r| {
            told(change(&s, &n, r).await)
        })
        .named(
            "changeAccess",
            "Changes what the body names; holds from the next request on",
        )
        .wants(Key::Operator)
        .if_match()
        .may_take("AccessChange")
        .answers(200, "Access")
        .refuses(&[409, 412, 422, 503])
        .tagged(),
        Endpoint::delete(
            ONE,
            async |s: Shared, Path(n): Path<String>, h: HeaderMap| told(delete(&s, &n, &h).await),
        )
        .named("deleteAccess", "Takes an access away")
        .wants(Key::Operator)
        .if_match()
        .answers_nothing()
        .refuses(&[412, 503]),
        Endpoint::post(
            "/admin/v1/accesses/{name}/rotate",
            async |s: Shared, Path(n): Path<String>, r| told(rotate(&s, &n, r).await),
        )
        .named(
            "rotateSecret",
            "A new secret beside the one in use; it is shown this once",
        )
        .wants(Key::Operator)
        .if_match()
        .may_take("Rotation")
        .answers(200, "AccessMade")
        .refuses(&[412, 422, 503])
        .tagged(),
        Endpoint::post(
            "/admin/v1/accesses/{name}/revoke-tokens",
            async |s: Shared, Path(n): Path<String>, h: HeaderMap| {
                told(revoke_tokens(&s, &n, &h).await)
            },
        )
        .named(
            "revokeTokens",
            "Ends every token that was issued for it so far, here and by outside issuers",
        )
        .wants(Key::Operator)
        .if_match()
        .answers(200, "Access")
        .refuses(&[412, 503])
        .tagged(),
        Endpoint::get(
            "/admin/v1/accesses/{name}/changes",
            async |s: Shared, Path(n): Path<String>, h: HeaderMap| told(changes(&s, &n, &h).await),
        )
        .named(
            "listChanges",
            "The latest changes of an access, newest first, deletion included",
        )
        .wants(Key::Viewer)
        .answers(200, "Changes")
        .refuses(&[503]),
    ]
}

pub(crate) fn told(answered: Answered) -> Response {
    answered.into_response()
}

fn list(console: &Console, headers: &HeaderMap) -> Answered {
    console.viewer(headers)?;
    let accesses = console.store.accesses();
    let accesses: Vec<Value> = accesses
        .all()
        .iter()
        .map(|access| seen(console, access))
        .collect();
    Ok(json_answer(StatusCode::OK, &json!({"accesses": accesses})))
}

fn show(console: &Console, name: &str, headers: &HeaderMap) -> Answered {
    console.viewer(headers)?;
    let accesses = console.store.accesses();
    let access = accesses.named(name).ok_or(ChangeError::Missing)?;
    Ok(tagged(StatusCode::OK, access, &seen(console, access)))
}

async fn create(console: &Console, request: Request<Body>) -> Answered {
    let actor = console.operator(request.headers())?;
    let draft: Draft = body(request).await?;
    let (access, shown) = manage::create(console, &actor, draft).await?;
    let mut response = tagged(StatusCode::CREATED, &access, &shown);
    if let Ok(location) = HeaderValue::try_from(format!("/admin/v1/accesses/{}", access.name)) {
        response.headers_mut().insert(header::LOCATION, location);
    }
    Ok(response)
}

async fn change(console: &Console, name: &str, request: Request<Body>) -> Answered {
    let actor = console.operator(request.headers())?;
    let expected = if_match(request.headers())?;
    let draft: Draft = body(request).await?;
    let access = manage::change(console, (&actor, name, expected), draft).await?;
    Ok(tagged(StatusCode::OK, &access, &seen(console, &access)))
}

async fn delete(console: &Console, name: &str, headers: &HeaderMap) -> Answered {
    let actor = console.operator(headers)?;
    let expected = if_match(headers)?;
    manage::delete(console, (&actor, name, expected)).await?;
    let mut response = json_answer(StatusCode::NO_CONTENT, &Value::Null);
    *response.body_mut() = Body::empty();
    Ok(response)
}

async fn rotate(console: &Console, name: &str, request: Request<Body>) -> Answered {
    let actor = console.operator(request.headers())?;
    let expected = if_match(request.headers())?;
    let wanted: Rotation = body(request).await?;
    let (access, shown) = manage::rotate(console, (&actor, name, expected), wanted).await?;
    Ok(tagged(StatusCode::OK, &access, &shown))
}

async fn revoke_tokens(console: &Console, name: &str, headers: &HeaderMap) -> Answered {
    let actor = console.operator(headers)?;
    let expected = if_match(headers)?;
    let access = manage::end_tokens(console, (&actor, name, expected)).await?;
    Ok(tagged(StatusCode::OK, &access, &seen(console, &access)))
}

async fn changes(console: &Console, name: &str, headers: &HeaderMap) -> Answered {
    console.viewer(headers)?;
    let changes = console
        .store
        .changes(name, CHANGES_MAX)
        .await
        .map_err(ChangeError::Store)?;
    if changes.is_empty() && console.store.accesses().named(name).is_none() {
        return Err(ChangeError::Missing.into());
    }
    let changes: Vec<Value> = changes.iter().map(change_view).collect();
    Ok(json_answer(StatusCode::OK, &json!({"changes": changes})))
}
