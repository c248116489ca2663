//! Describes the stream of events in the OpenAPI document.

use std::collections::BTreeMap;

use adapter::{Code, GET_EVENTS, Notation, Operation, Way, call_schema};
use serde_json::{Map, Value, json};

use super::{can_occur, refusal, response};
use crate::interface::PublicInterface;

/// Describes the stream of events. Its parameters are those of `getevents`, except the ones that bound an answer.
pub(super) fn stream(interface: &PublicInterface<'_>) -> Value {
    let operation = Operation::named(GET_EVENTS);
    let schema = operation.map(|operation| call_schema(operation, Notation::Form));
    let is_of_streams = |name: &str| !matches!(name, "class" | "method" | "wait" | "limit");
    let members = schema
        .iter()
        .flat_map(|schema| schema["properties"].as_object());
    let given = members.flatten().filter(|(name, _)| is_of_streams(name));
    let mut parameters: Vec<_> = given
        .map(|(name, schema)| json!({"name": name, "in": "query", "schema": schema}))
        .collect();
    parameters.push(json!({"name": "Last-Event-ID", "in": "header",
        "description": "The cursor of the last event that you have handled. It takes precedence over the parameter cursor.",
        "schema": {"type": "string"}}));
    let mut responses = Map::new();
    responses.insert("200".to_owned(), json!({
        "description": "Server-Sent Events. A server-sent event without a name contains one event; the names reset, bye and busy report changes of the stream itself.",
        "content": {"text/event-stream": {"schema": {"type": "string"}}},
    }));
    let (basic, token) = (interface.is_open(Way::Basic), interface.is_open(Way::Jwt));
    let mut words: BTreeMap<u16, Vec<Code>> = BTreeMap::new();
    for code in Code::ALL {
        let occurs = |way| can_occur(way, code);
        let is_of_upstream = code.word().starts_with("UPSTREAM_");
        if (basic && occurs(Way::Basic) || token && occurs(Way::Jwt)) && !is_of_upstream {
            words.entry(code.status()).or_default().push(code);
        }
    }
    for (status, codes) in words {
        let text: Vec<_> = codes.iter().map(|code| code.text()).collect();
        let refused = response(&text.join(" "), &refusal(&codes), &[]);
        responses.insert(status.to_string(), refused);
    }
    let mut security = Vec::new();
    security.extend(basic.then(|| json!({"basic": []})));
    security.extend(token.then(|| json!({"token": []})));
    json!({
        "operationId": "events",
        "summary": "Streams events as they happen",
        "description": "If the request accepts text/event-stream, a temporary error (429 or 503) is returned as the event busy in a response with status 200.",
        "parameters": parameters,
        "responses": responses,
        "security": security,
    })
}
