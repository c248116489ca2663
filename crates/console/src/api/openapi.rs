//! The OpenAPI 3.1 document of the admin listener, generated from the same endpoints as the router, and
//! `/admin/v1/openapi-ways.json`, the gateway's document of the public listener.

use axum::extract::State;
use http::StatusCode;
use serde_json::{Map, Value, json};
use store::NAME_PATTERN;

use crate::api::endpoint::{AdminEndpoint, AnswerSpec, RequiredKey};
use crate::api::schemas;
use crate::problem::{ApiResult, json_answer};
use crate::propagation;
use crate::state::ConsoleState;

/// Returns the endpoint that serves the gateway's document.
pub(super) fn endpoints() -> Vec<AdminEndpoint> {
    vec![
        AdminEndpoint::get(RequiredKey::Viewer, "/admin/v1/openapi-ways.json", ways)
            .named(
                "describeWays",
                "Returns the OpenAPI document of the JSON ways in",
            )
            .answers(200, "OpenApi"),
    ]
}

async fn ways(State(console): ConsoleState) -> ApiResult {
    Ok(json_answer(StatusCode::OK, &console.gateway.openapi_ways()))
}

/// Returns the OpenAPI document of these endpoints.
pub(super) fn document(endpoints: &[AdminEndpoint], version: &Value) -> Value {
    let mut paths = Map::new();
    for endpoint in endpoints {
        paths.entry(endpoint.path).or_insert_with(|| json!({}))[endpoint.method] =
            operation(endpoint);
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Chatgate's admin API",
            "description": "All paths below /admin/v1/ require an admin key as a bearer token; x-role is the minimum role of the key. \
                x-bytes-max is the maximum length of a text in bytes of UTF-8, in addition to maxLength. An absent field of a draft leaves the value unchanged, and null removes a limit.",
            "version": version,
        },
        "servers": [{"url": "/"}],
        "paths": paths,
        "components": {
            "schemas": schemas::all(),
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer", "description": "An admin key, cgk_…"}},
        },
    })
}

fn operation(endpoint: &AdminEndpoint) -> Value {
    let of_path = endpoint.path.split(['{', '}']).skip(1).step_by(2);
    let of_path: Vec<_> = of_path.map(path_parameter).collect();
    let mut parameters = endpoint.parameters.clone();
    parameters.extend(of_path.iter().cloned());
    parameters.extend(endpoint.changes().then(propagation::parameter));
    let mut refusals = endpoint.refusals.to_vec();
    refusals.extend((endpoint.key != RequiredKey::None).then_some(401));
    refusals.extend((endpoint.key != RequiredKey::None).then_some(429));
    refusals.extend((endpoint.key == RequiredKey::Operator).then_some(403));
    refusals.extend((endpoint.body.is_some() || endpoint.changes()).then_some(400));
    refusals.extend((!of_path.is_empty()).then_some(404));
    refusals.extend(endpoint.needs_lease().then_some(503));
    let answers = endpoint
        .answers
        .iter()
        .map(|answer| (answer.status.to_string(), response(endpoint, answer)));
    let refusals = refusals
        .iter()
        .map(|status| (status.to_string(), refusal(*status)));
    let mut responses: Map<String, Value> = refusals.collect();
    for (status, answer) in answers {
        match responses.get_mut(&status) {
            // The endpoint has a second answer with this status, in another media type.
            Some(known) => {
                let (known, more) = (&mut known["content"], &answer["content"]);
                for (media_type, content) in more.as_object().into_iter().flatten() {
                    known[media_type] = content.clone();
                }
            }
            None => {
                responses.insert(status, answer);
            }
        }
    }
    let mut operation = json!({
        "operationId": endpoint.id,
        "summary": endpoint.summary,
        "parameters": parameters,
        "responses": responses,
        "security": if endpoint.key == RequiredKey::None { json!([]) } else { json!([{"key": []}]) },
    });
    match endpoint.key {
        RequiredKey::None => {}
        RequiredKey::Viewer => operation["x-role"] = "viewer".into(),
        RequiredKey::Operator => operation["x-role"] = "operator".into(),
    }
    if let Some((schema, required)) = endpoint.body {
        let content = json!({"application/json": {"schema": reference(schema)}});
        operation["requestBody"] = json!({"required": required, "content": content});
    }
    operation
}

/// Describes a path parameter. Every path parameter is a name, except the key of a receipt.
fn path_parameter(name: &str) -> Value {
    let schema = match name {
        "key" => json!({"type": "string", "minLength": 1}),
        _ => json!({"type": "string", "pattern": NAME_PATTERN}),
    };
    json!({"name": name, "in": "path", "required": true, "schema": schema})
}

fn response(endpoint: &AdminEndpoint, answer: &AnswerSpec) -> Value {
    let mut response = json!({"description": endpoint.summary});
    let schema = answer.schema.map_or_else(|| json!({}), reference);
    if !answer.media_type.is_empty() {
        response["content"] = json!({answer.media_type: {"schema": schema}});
    }
    let mut headers = json!({"Cache-Control": header("no-store")});
    if endpoint.tagged {
        headers["ETag"] = header("^\"v[0-9]+\"$");
    }
    if answer.status == 201 && endpoint.tagged {
        headers["Location"] = header("^/admin/v1/");
    }
    response["headers"] = headers;
    if endpoint.changes() {
        for name in [propagation::IN_FORCE, propagation::PENDING] {
            response["headers"][name.as_str()] = json!({"schema": {"type": "string"}});
        }
    }
    for id in endpoint.links {
        let parameters = json!({"name": "$response.body#/name"});
        response["links"][id] = json!({"operationId": id, "parameters": parameters});
    }
    response
}

fn refusal(status: u16) -> Value {
    let text = StatusCode::from_u16(status)
        .ok()
        .and_then(|status| status.canonical_reason());
    let content = json!({"application/problem+json": {"schema": reference("Problem")}});
    let mut refusal = json!({"description": text, "content": content,
        "headers": {"Cache-Control": header("no-store")}});
    if status == 401 {
        refusal["headers"]["WWW-Authenticate"] = header("^Bearer ");
    }
    refusal
}

fn header(pattern: &str) -> Value {
    json!({"required": true, "schema": {"type": "string", "pattern": pattern}})
}

fn reference(schema: &str) -> Value {
    json!({"$ref": format!("#/components/schemas/{schema}")})
}
