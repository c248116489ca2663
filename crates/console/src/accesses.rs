//! `/admin/v1/accesses`: who may call, managed while the gateway runs.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use http::{HeaderMap, HeaderValue, Request, StatusCode, header};
use secrecy::SecretString;
use serde_json::{Value, json};
use store::{Access, ChangeError, SECRETS_MAX, Secret, new_client_id};

use crate::Console;
use crate::draft::{Draft, check_name};
use crate::problem::{Problem, json_answer};
use crate::request::{body, if_match, tagged};
use crate::secrets::Wanted;
use crate::view::{change_view, view};

/// How many changes of an access are told.
const CHANGES_MAX: u32 = 100;

type Shared = State<Arc<Console>>;
type Answered = Result<Response, Problem>;

/// The paths.
pub(crate) fn routes() -> Router<Arc<Console>> {
    Router::new()
        .route(
            "/admin/v1/accesses",
            get(async |s: Shared, h: HeaderMap| told(list(&s, &h)))
                .post(async |s: Shared, r| told(create(&s, r).await)),
        )
        .route(
            "/admin/v1/accesses/{name}",
            get(async |s: Shared, Path(n): Path<String>, h: HeaderMap| told(show(&s, &n, &h)))
                .patch(async |s: Shared, Path(n): Path<String>, r| told(change(&s, &n, r).await))
                .delete(async |s: Shared, Path(n): Path<String>, h: HeaderMap| {
                    told(delete(&s, &n, &h).await)
                }),
        )
        .route(
            "/admin/v1/accesses/{name}/rotate",
            post(async |s: Shared, Path(n): Path<String>, r| told(rotate(&s, &n, r).await)),
        )
        .route(
            "/admin/v1/accesses/{name}/changes",
            get(async |s: Shared, Path(n): Path<String>, h: HeaderMap| {
                told(changes(&s, &n, &h).await)
            }),
        )
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

/// An access with its last use.
fn seen(console: &Console, access: &Access) -> Value {
    view(access, console.store.last_use(access))
}

async fn create(console: &Console, request: Request<Body>) -> Answered {
    let actor = console.operator(request.headers())?;
    let draft: Draft = body(request).await?;
    let name = draft.name.clone().unwrap_or_default();
    check_name(&name).map_err(|text| Problem::invalid(vec![("name".to_owned(), text)]))?;
    let wanted = Wanted {
        password: draft.password.clone(),
        password_hash: draft.password_hash.clone(),
    };
    let made = wanted.make(console).await?;
    let mut access = blank(&name, &made.secret)?;
    draft.apply(&mut access).map_err(Problem::invalid)?;
    let create = |there: Option<&Access>| match there {
        Some(_) => Err(ChangeError::Exists),
        None => Ok(Some(access)),
    };
    let access = console
        .store
        .change_access((&actor, console.now()), &name, create)
        .await?;
    let access = access.ok_or(ChangeError::Missing)?;
    let mut shown = seen(console, &access);
    made.show(&mut shown);
    let mut response = tagged(StatusCode::CREATED, &access, &shown);
    if let Ok(location) = HeaderValue::try_from(format!("/admin/v1/accesses/{name}")) {
        response.headers_mut().insert(header::LOCATION, location);
    }
    Ok(response)
}

async fn change(console: &Console, name: &str, request: Request<Body>) -> Answered {
    let actor = console.operator(request.headers())?;
    let expected = if_match(request.headers())?;
    let draft: Draft = body(request).await?;
    if draft.name.as_ref().is_some_and(|new| new != name) {
        return Err(Problem::invalid(vec![(
            "name".to_owned(),
            "a name can't be changed".to_owned(),
        )]));
    }
    let secrets = [
        ("password", &draft.password),
        ("password_hash", &draft.password_hash),
    ];
    if let Some((field, _)) = secrets.iter().find(|(_, given)| given.is_some()) {
        let text = "a secret is replaced by …/rotate".to_owned();
        return Err(Problem::invalid(vec![((*field).to_owned(), text)]));
    }
    let mut mistakes = Vec::new();
    let changed = console
        .store
        .change_access((&actor, console.now()), name, |there| {
            let mut access = current(there, expected)?.clone();
            draft.apply(&mut access).map_err(|wrong| {
                mistakes = wrong;
                ChangeError::Refused(String::new())
            })?;
            Ok(Some(access))
        })
        .await;
    if !mistakes.is_empty() {
        return Err(Problem::invalid(mistakes));
    }
    let access = changed?.ok_or(ChangeError::Missing)?;
    Ok(tagged(StatusCode::OK, &access, &seen(console, &access)))
}

async fn delete(console: &Console, name: &str, headers: &HeaderMap) -> Answered {
    let actor = console.operator(headers)?;
    let expected = if_match(headers)?;
    let delete = |there: Option<&Access>| current(there, expected).map(|_| None);
    console
        .store
        .change_access((&actor, console.now()), name, delete)
        .await?;
    let mut response = json_answer(StatusCode::NO_CONTENT, &Value::Null);
    *response.body_mut() = Body::empty();
    Ok(response)
}

/// A new secret beside the one in use, so that there is no gap; the one before that goes.
async fn rotate(console: &Console, name: &str, request: Request<Body>) -> Answered {
    let actor = console.operator(request.headers())?;
    let expected = if_match(request.headers())?;
    let wanted: Rotation = body(request).await?;
    let secret = Wanted {
        password: wanted.password,
        password_hash: wanted.password_hash,
    };
    let made = secret.make(console).await?;
    let fresh = made.secret.clone();
    let rotate = |there: Option<&Access>| {
        let mut access = current(there, expected)?.clone();
        let kept = if wanted.drop_old { 0 } else { SECRETS_MAX - 1 };
        let surplus = access.secrets.len().saturating_sub(kept);
        access.secrets.drain(..surplus);
        access.secrets.push(fresh);
        Ok(Some(access))
    };
    let access = console
        .store
        .change_access((&actor, console.now()), name, rotate)
        .await?;
    let access = access.ok_or(ChangeError::Missing)?;
    let mut shown = seen(console, &access);
    made.show(&mut shown);
    Ok(tagged(StatusCode::OK, &access, &shown))
}

async fn changes(console: &Console, name: &str, headers: &HeaderMap) -> Answered {
    console.viewer(headers)?;
    let changes = console
        .store
        .changes(name, CHANGES_MAX)
        .await
        .map_err(ChangeError::Store)?;
    let changes: Vec<Value> = changes.iter().map(change_view).collect();
    Ok(json_answer(StatusCode::OK, &json!({"changes": changes})))
}

#[derive(Default, serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Rotation {
    /// A chosen password in place of a random secret.
    password: Option<SecretString>,
    /// The argon2id hash of one.
    password_hash: Option<SecretString>,
    /// Whether the secret in use ends at once.
    #[serde(default)]
    drop_old: bool,
}

fn blank(name: &str, secret: &Secret) -> Result<Access, Problem> {
    let client_id = new_client_id().map_err(|error| ChangeError::Refused(error.to_string()))?;
    let ways = adapter::Way::ALL.map(adapter::Way::name);
    let methods = adapter::OPERATIONS
        .each_ref()
        .map(|operation| operation.method);
    let document = json!({"name": name, "user": name, "client_id": client_id, "secrets": [secret], "active": true,
        "allow": [], "ways": ways, "methods": methods});
    serde_json::from_value(document).map_err(|error| ChangeError::Refused(error.to_string()).into())
}

fn current(there: Option<&Access>, expected: Option<i64>) -> Result<&Access, ChangeError> {
    let access = there.ok_or(ChangeError::Missing)?;
    match expected {
        Some(version) if version != access.version => Err(ChangeError::Stale),
        _ => Ok(access),
    }
}
