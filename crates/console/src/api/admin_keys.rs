//! `/admin/v1/admin-keys`: the keys of operators, each with a name and a role.

use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use http::{Request, StatusCode};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};
use store::{AdminKey, ChangeError, Role, check_name, new_admin_key};

use crate::api::auth::Actor;
use crate::api::endpoint::{AdminEndpoint, RequiredKey};
use crate::api::request::body;
use crate::audit::notes::ActionNote;
use crate::moment::rfc3339;
use crate::path_names::ApiPath;
use crate::problem::{ApiResult, Problem, json_answer, no_content};
use crate::state::{Console, ConsoleState};

const ALL: &str = "/admin/v1/admin-keys";

/// Returns the endpoints.
pub(super) fn endpoints() -> Vec<AdminEndpoint> {
    vec![
        AdminEndpoint::get(RequiredKey::Viewer, ALL, list)
            .named("listAdminKeys", "Lists the admin keys")
            .answers(200, "AdminKeys"),
        AdminEndpoint::post(RequiredKey::Operator, ALL, create)
            .named(
                "createAdminKey",
                "Creates an admin key; it is shown only once",
            )
            .accepts("AdminKeyDraft")
            .answers(201, "AdminKeyMade")
            .refuses(&[409, 422])
            .links(&["rotateAdminKey", "deleteAdminKey"]),
        AdminEndpoint::delete(RequiredKey::Operator, "/admin/v1/admin-keys/{name}", delete)
            .named(
                "deleteAdminKey",
                "Deletes an admin key, unless it is the last one with the role operator",
            )
            .answers_empty()
            .refuses(&[409]),
        AdminEndpoint::post(
            RequiredKey::Operator,
            "/admin/v1/admin-keys/{name}/rotate",
            rotate,
        )
        .named(
            "rotateAdminKey",
            "Replaces an admin key by a new one, which is shown only once",
        )
        .answers(200, "AdminKeyMade")
        .refuses(&[409]),
    ]
}

/// The request body of a new key.
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AdminKeyDraft {
    name: String,
    role: String,
}

async fn list(State(console): ConsoleState) -> ApiResult {
    let keys: Vec<Value> = console.store.admin_keys().iter().map(view).collect();
    Ok(json_answer(StatusCode::OK, &json!({"admin_keys": keys})))
}

async fn create(
    State(console): ConsoleState,
    Actor(actor): Actor,
    request: Request<Body>,
) -> ApiResult {
    let draft: AdminKeyDraft = body(request).await?;
    check_name(&draft.name).map_err(|text| Problem::wrong("name", text))?;
    let role = Role::from_name(&draft.role);
    let role = role.ok_or_else(|| Problem::wrong("role", "write viewer or operator"))?;
    let new = NewKey::make(&console, &draft.name, role)?;
    let key = new.key.clone();
    let create = move |keys: &[AdminKey]| {
        if keys.iter().any(|other| other.name == key.name) {
            let text = "A key with this name already exists.";
            return Err(Problem::new(StatusCode::CONFLICT, "exists", text));
        }
        Ok(Some(key))
    };
    console.store.change_admin_key(&draft.name, create).await?;
    Ok(new.answer(&actor, StatusCode::CREATED, "created"))
}

async fn rotate(
    State(console): ConsoleState,
    Actor(actor): Actor,
    ApiPath(name): ApiPath<String>,
) -> ApiResult {
    let keys = console.store.admin_keys();
    let seen = keys.iter().find(|key| key.name == name).cloned();
    let seen = seen.ok_or_else(Problem::not_found)?;
    let new = NewKey::make(&console, &name, seen.role)?;
    let key = new.key.clone();
    let rotate = move |keys: &[AdminKey]| {
        let now = keys.iter().find(|other| other.name == key.name);
        // If several requests rotate the key at the same time, only the last new key would work. Therefore only the first request
        // succeeds.
        if now.ok_or_else(Problem::not_found)? != &seen {
            let text = "Another request has just rotated this key.";
            return Err(Problem::new(StatusCode::CONFLICT, "changed_since", text));
        }
        Ok(Some(key))
    };
    console.store.change_admin_key(&name, rotate).await?;
    Ok(new.answer(&actor, StatusCode::OK, "rotated"))
}

async fn delete(
    State(console): ConsoleState,
    Actor(actor): Actor,
    ApiPath(name): ApiPath<String>,
) -> ApiResult {
    let deleted = name.clone();
    let delete = move |keys: &[AdminKey]| {
        let (same, others): (Vec<_>, Vec<_>) = keys.iter().partition(|key| key.name == deleted);
        if !others.iter().any(|key| key.role == Role::Operator) {
            let text = "The last key with the role operator can't be deleted, because nobody could create another one.";
            return Err(Problem::new(StatusCode::CONFLICT, "last_operator", text));
        }
        same.first().map(|_| None).ok_or_else(Problem::not_found)
    };
    console.store.change_admin_key(&name, delete).await?;
    tracing::info!(target: "chatgate::change", actor, key = name, "admin key deleted");
    let mut response = no_content();
    let note = ActionNote(format!("admin key {name} deleted"));
    response.extensions_mut().insert(note);
    Ok(response)
}

/// A newly made key and its secret.
struct NewKey {
    key: AdminKey,
    secret: SecretString,
}

impl NewKey {
    fn make(console: &Console, name: &str, role: Role) -> Result<NewKey, Problem> {
        let secret = new_admin_key().map_err(|error| ChangeError::Refused(error.to_string()))?;
        let key = AdminKey::new(
            name,
            role,
            console.judged_now(),
            console.hasher.keyed(&secret),
        );
        Ok(NewKey { key, secret })
    }

    /// Returns the answer that shows the secret, only this once.
    fn answer(&self, actor: &str, status: StatusCode, done: &str) -> Response {
        let (name, role) = (&self.key.name, self.key.role.name());
        tracing::info!(target: "chatgate::change", actor, key = name, role, "admin key {done}");
        let mut view = view(&self.key);
        view["key"] = json!(self.secret.expose_secret());
        let mut response = json_answer(status, &view);
        let note = ActionNote(format!("admin key {name} {done}, as {role}"));
        response.extensions_mut().insert(note);
        response
    }
}

fn view(key: &AdminKey) -> Value {
    json!({"name": key.name, "role": key.role.name(), "created": rfc3339(key.created)})
}
