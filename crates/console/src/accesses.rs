//! `/admin/v1/accesses`: who may call, managed while the gateway runs.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use http::{HeaderMap, HeaderValue, Request, StatusCode, header};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};
use store::{
    Access, ChangeError, SECRETS_MAX, Secret, StoredSecret, new_client_id, new_random_secret,
};

use crate::Console;
use crate::draft::{Draft, check_name};
use crate::problem::{Problem, json_answer};
use crate::request::{body, if_match, tagged};
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
    let accesses: Vec<Value> = accesses.all().iter().map(|access| view(access)).collect();
    Ok(json_answer(StatusCode::OK, &json!({"accesses": accesses})))
}

fn show(console: &Console, name: &str, headers: &HeaderMap) -> Answered {
    console.viewer(headers)?;
    let accesses = console.store.accesses();
    let access = accesses.named(name).ok_or(ChangeError::Missing)?;
    Ok(tagged(StatusCode::OK, access, &view(access)))
}

async fn create(console: &Console, request: Request<Body>) -> Answered {
    let actor = console.operator(request.headers())?;
    let draft: Draft = body(request).await?;
    let name = draft.name.clone().unwrap_or_default();
    check_name(&name).map_err(|text| Problem::invalid(vec![("name".to_owned(), text)]))?;
    let (hash, secret) = secret(console, draft.password.clone()).await?;
    let mut access = blank(
        &name,
        &Secret {
            hash,
            created: console.now(),
        },
    )?;
    draft.apply(&mut access).map_err(Problem::invalid)?;
    let create = |there: Option<&Access>| match there {
        Some(_) => Err(ChangeError::Exists),
        None => Ok(Some(access)),
    };
    let made = console
        .store
        .change_access((&actor, console.now()), &name, create)
        .await?;
    let made = made.ok_or(ChangeError::Missing)?;
    let mut shown = view(&made);
    // Shown this once: afterwards there are only hashes.
    shown["password"] = json!(secret.expose_secret());
    shown["client_secret"] = json!(secret.expose_secret());
    let mut response = tagged(StatusCode::CREATED, &made, &shown);
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
    if draft.password.is_some() {
        let text = "a secret is replaced by …/rotate".to_owned();
        return Err(Problem::invalid(vec![("password".to_owned(), text)]));
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
    Ok(tagged(StatusCode::OK, &access, &view(&access)))
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
    let (hash, secret) = secret(console, wanted.password).await?;
    let fresh = Secret {
        hash,
        created: console.now(),
    };
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
    let mut shown = view(&access);
    shown["password"] = json!(secret.expose_secret());
    shown["client_secret"] = json!(secret.expose_secret());
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
    /// Whether the secret in use ends at once.
    #[serde(default)]
    drop_old: bool,
}

/// The stored form of a chosen password, or of a random secret made here, with what to show of it.
async fn secret(
    console: &Console,
    chosen: Option<SecretString>,
) -> Result<(StoredSecret, SecretString), Problem> {
    let failed = |text: String| Problem::invalid(vec![("password".to_owned(), text)]);
    match chosen {
        None => {
            let secret = new_random_secret().map_err(|error| failed(error.to_string()))?;
            Ok((console.hasher.keyed(&secret), secret))
        }
        Some(password) => {
            let length = password.expose_secret().len();
            if !(8..=adapter::PASSWORD_BYTES_MAX).contains(&length) {
                return Err(failed(format!(
                    "write 8 to {} bytes",
                    adapter::PASSWORD_BYTES_MAX
                )));
            }
            let hashed = password.clone();
            let hash = tokio::task::spawn_blocking(move || StoredSecret::argon2id(&hashed)).await;
            let hash = hash.map_err(|_| failed("it can't be hashed".to_owned()))?;
            Ok((hash.map_err(|error| failed(error.to_string()))?, password))
        }
    }
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
