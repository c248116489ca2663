//! Renders the OpenAPI document as a page of plain HTML, with the content that any viewer shows.

use askama::Template;
use serde_json::Value;

#[derive(Template)]
#[template(path = "docs/openapi.html")]
pub(crate) struct OpenApi {
    title: String,
    description: String,
    servers: Vec<String>,
    calls: Vec<DocumentedCall>,
}

/// A method of a path.
struct DocumentedCall {
    /// The anchor in the page's address.
    id: String,
    method: String,
    path: String,
    summary: String,
    description: String,
    security: String,
    parameters: Vec<DocumentedParameter>,
    /// The media types of the body, each with its schema.
    bodies: Vec<(String, String)>,
    responses: Vec<DocumentedAnswer>,
}

struct DocumentedParameter {
    name: String,
    place: String,
    required: bool,
    description: String,
    schema: String,
}

struct DocumentedAnswer {
    status: String,
    description: String,
    headers: String,
    /// The media types of the answer, each with its schema.
    bodies: Vec<(String, String)>,
}

impl OpenApi {
    pub(crate) fn new(document: &Value) -> OpenApi {
        let servers = list(&document["servers"]);
        OpenApi {
            title: text(&document["info"]["title"]),
            description: text(&document["info"]["description"]),
            servers: servers.map(|server| text(&server["url"])).collect(),
            calls: members(&document["paths"])
                .flat_map(|(path, item)| {
                    members(item).map(move |(method, call)| (path, method, call))
                })
                .map(|(path, method, call)| DocumentedCall::new(path, method, call))
                .collect(),
        }
    }
}

impl DocumentedCall {
    fn new(path: &str, method: &str, call: &Value) -> DocumentedCall {
        let parameters = list(&call["parameters"]).map(|parameter| DocumentedParameter {
            name: text(&parameter["name"]),
            place: text(&parameter["in"]),
            required: parameter["required"] == true,
            description: text(&parameter["description"]),
            schema: pretty(&parameter["schema"]),
        });
        let responses = members(&call["responses"]).map(|(status, answer)| DocumentedAnswer {
            status: status.clone(),
            description: text(&answer["description"]),
            headers: names(&answer["headers"]),
            bodies: bodies(&answer["content"]),
        });
        DocumentedCall {
            id: text(&call["operationId"]),
            method: method.to_ascii_uppercase(),
            path: path.to_owned(),
            summary: text(&call["summary"]),
            description: text(&call["description"]),
            security: security(&call["security"]),
            parameters: parameters.collect(),
            bodies: bodies(&call["requestBody"]["content"]),
            responses: responses.collect(),
        }
    }
}

/// Returns the authentication schemes that a call accepts. One entry of the list is enough, and all schemes of an entry are
/// required together.
fn security(security: &Value) -> String {
    let ways: Vec<_> = list(security)
        .map(|way| {
            let schemes: Vec<_> = members(way).map(|(name, _)| name.as_str()).collect();
            schemes.join(" and ")
        })
        .collect();
    ways.join(", or ")
}

fn bodies(content: &Value) -> Vec<(String, String)> {
    let bodies = members(content);
    bodies
        .map(|(kind, body)| (kind.clone(), pretty(&body["schema"])))
        .collect()
}

fn names(object: &Value) -> String {
    let names: Vec<_> = members(object).map(|(name, _)| name.as_str()).collect();
    names.join(", ")
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn pretty(value: &Value) -> String {
    format!("{value:#}")
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn members(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flatten()
}
