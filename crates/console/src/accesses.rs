//! `/admin/v1/accesses`: who may call, managed while the gateway runs.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderValue, Request, StatusCode, header};
use secrecy::SecretString;
use serde_json::{Value, json};
use store::{Access, ChangeError, SECRETS_MAX, Secret, new_client_id};

use crate::Console;
use crate::draft::{Draft, check_name, given};
use crate::endpoint::{Endpoint, Key};
use crate::problem::{Problem, json_answer};
use crate::request::{body, if_match, tagged};
use crate::secrets::Wanted;
use crate::view::{change_view, view};

/// How many changes of an access are told.
const CHANGES_MAX: u32 = 100;

type Shared = State<Arc<Console>>;
type Answered = Result<Response, Problem>;

const ALL: &str = "/admin/v1/accesses";
const ONE: &str = "/admin/v1/accesses/{name}";

/// What can be asked about an access by its name.
const ABOUT: &[&str] = &[
    "showAccess",
    "changeAccess",
    "deleteAccess",
    "rotateSecret",
    "listChanges",
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
    if changes.is_empty() && console.store.accesses().named(name).is_none() {
        return Err(ChangeError::Missing.into());
    }
    let changes: Vec<Value> = changes.iter().map(change_view).collect();
    Ok(json_answer(StatusCode::OK, &json!({"changes": changes})))
}

#[derive(Default, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Rotation {
    /// A chosen password in place of a random secret.
    #[serde(default, deserialize_with = "given")]
    password: Option<SecretString>,
    /// The argon2id hash of one.
    #[serde(default, deserialize_with = "given")]
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
