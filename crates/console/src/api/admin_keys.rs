//! `/admin/v1/admin-keys`: the keys of operators, each with a name and a role.

use axum::body::Body;
use axum::extract::{Path, State};
use http::{HeaderMap, Request, StatusCode};
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use store::{AdminKey, ChangeError, Role, check_name, new_admin_key};

use crate::api::endpoint::{AdminEndpoint, RequiredKey};
use crate::api::request::body;
use crate::audit::notes::ActionNote;
use crate::moment::rfc3339;
use crate::problem::{ApiResult, Problem, json_answer, no_content};
use crate::state::{Console, ConsoleState};

const ALL: &str = "/admin/v1/admin-keys";

/// Lists the paths.
pub(super) fn endpoints() -> Vec<AdminEndpoint> {
    vec![
        AdminEndpoint::get(ALL, list)
            .named("listAdminKeys", "Lists the keys of operators")
            .wants(RequiredKey::Viewer)
            .answers(200, "AdminKeys"),
        AdminEndpoint::post(ALL, create)
            .named("createAdminKey", "Makes a key; it is shown this once")
            .wants(RequiredKey::Operator)
            .takes("AdminKeyDraft")
            .answers(201, "AdminKeyMade")
            .refuses(&[409, 422, 503])
            .links(&["rotateAdminKey", "deleteAdminKey"]),
        AdminEndpoint::delete("/admin/v1/admin-keys/{name}", delete)
            .named(
                "deleteAdminKey",
                "Deletes a key, unless it is the last operator's",
            )
            .wants(RequiredKey::Operator)
            .answers_nothing()
            .refuses(&[409, 503]),
        AdminEndpoint::post("/admin/v1/admin-keys/{name}/rotate", rotate)
            .named(
                "rotateAdminKey",
                "Replaces a key by a new one; it is shown this once",
            )
            .wants(RequiredKey::Operator)
            .answers(200, "AdminKeyMade")
            .refuses(&[503]),
    ]
}

/// The body of a new key.
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AdminKeyDraft {
    name: String,
    role: String,
}

async fn list(State(console): ConsoleState, headers: HeaderMap) -> ApiResult {
    console.viewer(&headers)?;
    let keys: Vec<Value> = console.store.admin_keys().iter().map(view).collect();
    Ok(json_answer(StatusCode::OK, &json!({"admin_keys": keys})))
}

async fn create(State(console): ConsoleState, request: Request<Body>) -> ApiResult {
    let actor = console.operator(request.headers())?;
    let draft: AdminKeyDraft = body(request).await?;
    check_name(&draft.name).map_err(|text| Problem::wrong("name", text))?;
    let role = Role::from_name(&draft.role);
    let role = role.ok_or_else(|| Problem::wrong("role", "write viewer or operator"))?;
    let keys = console.store.admin_keys();
    if keys.iter().any(|key| key.name == draft.name) {
        let text = "There is a key with this name already.";
        return Err(Problem::new(StatusCode::CONFLICT, "exists", text));
    }
    put_key(&console, &actor, &draft.name, role, StatusCode::CREATED).await
}

async fn rotate(
    State(console): ConsoleState,
    Path(name): Path<String>,
    headers: HeaderMap,
) -> ApiResult {
    let actor = console.operator(&headers)?;
    let keys = console.store.admin_keys();
    let key = keys.iter().find(|key| key.name == name);
    let role = key.ok_or_else(Problem::not_found)?.role;
    put_key(&console, &actor, &name, role, StatusCode::OK).await
}
async fn delete(
    State(console): ConsoleState,
    Path(name): Path<String>,
    headers: HeaderMap,
) -> ApiResult {
    let actor = console.operator(&headers)?;
    let keys = console.store.admin_keys();
    let mut others = keys.iter().filter(|key| key.name != name);
    if !others.any(|key| key.role == Role::Operator) {
        let text = "The last operator's key can't be deleted: nobody could make another.";
        return Err(Problem::new(StatusCode::CONFLICT, "last_operator", text));
    }
    let deleted = console.store.delete_admin_key(&name).await;
    if !deleted.map_err(ChangeError::Store)? {
        return Err(Problem::not_found());
    }
    tracing::info!(target: "chatgate::change", actor, key = name, "admin key deleted");
    let mut response = no_content();
    let note = ActionNote(format!("admin key {name} deleted"));
    response.extensions_mut().insert(note);
    Ok(response)
}

/// Makes a key, in the place of one with the same name, and shows it this once.
async fn put_key(
    console: &Console,
    actor: &str,
    name: &str,
    role: Role,
    status: StatusCode,
) -> ApiResult {
    let secret = new_admin_key().map_err(|error| ChangeError::Refused(error.to_string()))?;
    let key = AdminKey::new(name, role, console.now(), console.hasher.keyed(&secret));
    let stored = console.store.put_admin_key(&key).await;
    stored.map_err(ChangeError::Store)?;
    tracing::info!(target: "chatgate::change", actor, key = name, role = role.name(), "admin key made");
    let mut view = view(&key);
    view["key"] = json!(secret.expose_secret());
    let mut response = json_answer(status, &view);
    let done = if status == StatusCode::CREATED {
        "made"
    } else {
        "rotated"
    };
    let note = ActionNote(format!("admin key {name} {done}, as {}", role.name()));
    response.extensions_mut().insert(note);
    Ok(response)
}

fn view(key: &AdminKey) -> Value {
    json!({"name": key.name, "role": key.role.name(), "created": rfc3339(key.created)})
}
