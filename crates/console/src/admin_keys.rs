//! `/admin/v1/admin-keys`: the keys of operators, each with a name and a role.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Path, State};
use axum::response::Response;
use http::{HeaderMap, Request, StatusCode};
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use store::{AdminKey, ChangeError, Role, check_name, new_admin_key};

use crate::Console;
use crate::accesses::told;
use crate::endpoint::{Endpoint, Key};
use crate::operator_rows::About;
use crate::problem::{Problem, json_answer};
use crate::request::body;

type Shared = State<Arc<Console>>;
type Answered = Result<Response, Problem>;

const ALL: &str = "/admin/v1/admin-keys";

/// The paths.
pub(crate) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::get(ALL, async |s: Shared, h: HeaderMap| told(list(&s, &h)))
            .named("listAdminKeys", "The keys of operators")
            .wants(Key::Viewer)
            .answers(200, "AdminKeys"),
        Endpoint::post(ALL, async |s: Shared, r| told(create(&s, r).await))
            .named("createAdminKey", "Makes a key; it is shown this once")
            .wants(Key::Operator)
            .takes("AdminKeyDraft")
            .answers(201, "AdminKeyMade")
            .refuses(&[409, 422, 503])
            .links(&["rotateAdminKey", "deleteAdminKey"]),
        Endpoint::delete(
            "/admin/v1/admin-keys/{name}",
            async |s: Shared, Path(n): Path<String>, h: HeaderMap| told(delete(&s, &n, &h).await),
        )
        .named(
            "deleteAdminKey",
            "Takes a key away, unless it is the last operator's",
        )
        .wants(Key::Operator)
        .answers_nothing()
        .refuses(&[409, 503]),
        Endpoint::post(
            "/admin/v1/admin-keys/{name}/rotate",
            async |s: Shared, Path(n): Path<String>, h: HeaderMap| told(rotate(&s, &n, &h).await),
        )
        .named(
            "rotateAdminKey",
            "A new key in the place of the old one; it is shown this once",
        )
        .wants(Key::Operator)
        .answers(200, "AdminKeyMade")
        .refuses(&[503]),
    ]
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Draft {
    name: String,
    role: String,
}

fn list(console: &Console, headers: &HeaderMap) -> Answered {
    console.viewer(headers)?;
    let keys: Vec<Value> = console.store.admin_keys().iter().map(view).collect();
    Ok(json_answer(StatusCode::OK, &json!({"admin_keys": keys})))
}

async fn create(console: &Console, request: Request<Body>) -> Answered {
    let actor = console.operator(request.headers())?;
    let draft: Draft = body(request).await?;
    let wrong = |field: &str, text: String| Problem::invalid(vec![(field.to_owned(), text)]);
    check_name(&draft.name).map_err(|text| wrong("name", text))?;
    let role = Role::from_name(&draft.role);
    let role = role.ok_or_else(|| wrong("role", "write viewer or operator".to_owned()))?;
    if console
        .store
        .admin_keys()
        .iter()
        .any(|key| key.name == draft.name)
    {
        let text = "There is a key with this name already.";
        return Err(Problem::new(StatusCode::CONFLICT, "exists", text));
    }
    made(console, (&draft.name, role), &actor, StatusCode::CREATED).await
}

async fn rotate(console: &Console, name: &str, headers: &HeaderMap) -> Answered {
    let actor = console.operator(headers)?;
    let keys = console.store.admin_keys();
    let key = keys
        .iter()
        .find(|key| key.name == name)
        .ok_or_else(Problem::not_found)?;
    made(console, (name, key.role), &actor, StatusCode::OK).await
}

async fn delete(console: &Console, name: &str, headers: &HeaderMap) -> Answered {
    let actor = console.operator(headers)?;
    let keys = console.store.admin_keys();
    let others = keys.iter().filter(|key| key.name != name);
    if !others.clone().any(|key| key.role == Role::Operator) {
        let text = "The last operator's key can't be taken away: nobody could make another.";
        return Err(Problem::new(StatusCode::CONFLICT, "last_operator", text));
    }
    if !console
        .store
        .delete_admin_key(name)
        .await
        .map_err(ChangeError::Store)?
    {
        return Err(Problem::not_found());
    }
    tracing::info!(target: "chatgate::change", actor, key = name, "admin key deleted");
    let mut response = json_answer(StatusCode::NO_CONTENT, &Value::Null);
    *response.body_mut() = Body::empty();
    let about = About(format!("admin key {name} deleted"));
    response.extensions_mut().insert(about);
    Ok(response)
}

/// Makes a key under this name, in the place of the one that is there, and shows it this once.
async fn made(
    console: &Console,
    (name, role): (&str, Role),
    actor: &str,
    status: StatusCode,
) -> Answered {
    let secret = new_admin_key().map_err(|error| ChangeError::Refused(error.to_string()))?;
    let key = AdminKey::new(name, role, console.now(), console.hasher.keyed(&secret));
    console
        .store
        .put_admin_key(&key)
        .await
        .map_err(ChangeError::Store)?;
    tracing::info!(target: "chatgate::change", actor, key = name, role = role.name(), "admin key made");
    let mut shown = view(&key);
    shown["key"] = json!(secret.expose_secret());
    let mut response = json_answer(status, &shown);
    let done = if status == StatusCode::CREATED {
        "made"
    } else {
        "rotated"
    };
    let about = About(format!("admin key {name} {done}, as {}", role.name()));
    response.extensions_mut().insert(about);
    Ok(response)
}

fn view(key: &AdminKey) -> Value {
    let created = jiff::Timestamp::from_second(key.created).map(|time| time.to_string());
    json!({"name": key.name, "role": key.role.name(), "created": created.unwrap_or_default()})
}
