//! The first operator: requests to the admin API with the key that the gateway made.

use std::borrow::Borrow;
use std::ops::Range;

use reqwest::Method;
use serde_json::{Value, json};

use super::caller::{Answer, client};
use super::gateway::Gateway;

/// Sends a request to the admin API, without a body if it is null.
pub async fn admin(
    gateway: &Gateway,
    method: Method,
    path: &str,
    body: impl Borrow<Value>,
) -> Answer {
    Answer::of(admin_request(
        &client(),
        gateway,
        method,
        path,
        body.borrow(),
    ))
    .await
}

/// Returns such a request unsent, over a client that keeps its connections.
pub fn admin_request(
    client: &reqwest::Client,
    gateway: &Gateway,
    method: Method,
    path: &str,
    body: &Value,
) -> reqwest::RequestBuilder {
    let key = std::fs::read_to_string(gateway.data().join("admin.key")).unwrap();
    let url = format!("http://{}/admin/v1/{path}", gateway.admin);
    let request = client.request(method, url).bearer_auth(key.trim());
    if body.is_null() {
        request
    } else {
        request.body(body.to_string())
    }
}

/// Makes an access and returns its password.
pub async fn made(gateway: &Gateway, draft: Value) -> String {
    let answer = admin(gateway, Method::POST, "accesses", draft).await;
    assert_eq!(answer.status, 201, "{}", answer.body);
    answer.json()["password"].as_str().unwrap().to_owned()
}

/// Returns the first access as an export contains it.
pub async fn exported(gateway: &Gateway) -> Value {
    let exported = admin(gateway, Method::GET, "export", Value::Null).await;
    exported.json()["accesses"][0].take()
}

/// Imports copies of this access with the names `access-00000` and so on.
pub async fn import_accesses(gateway: &Gateway, template: &Value, numbers: Range<usize>) {
    let accesses = numbers.map(|number| {
        let mut access = template.clone();
        access["name"] = format!("access-{number:05}").into();
        access["user"] = access["name"].clone();
        access["client_id"] = format!("cga_{number:016}").into();
        access
    });
    let accesses: Vec<Value> = accesses.collect();
    let body = json!({"accesses": accesses});
    let imported = admin(gateway, Method::POST, "import", body).await;
    assert_eq!(imported.status, 200, "{}", imported.body);
    assert_eq!(imported.json()["changed"], accesses.len());
}

/// Returns all journal rows that match the query, the oldest first.
pub async fn rows(gateway: &Gateway, query: &str) -> Vec<Value> {
    let path = format!("journal?{query}&follow=true");
    let request = admin_request(&client(), gateway, Method::GET, &path, &Value::Null);
    let answer = Answer::of(request.header("Accept", "application/x-ndjson")).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    let lines = answer.body.lines();
    lines
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}
