//! The OpenAPI 3.1 document of the ways in that use JSON, the token endpoint and the public documents. Calls come from the
//! operation table, and statuses from the adapters themselves under the current status policy.

mod stream;

use std::collections::BTreeMap;

use adapter::{
    Adapter, Answer, Code, CodeOrigin, Dialect, Error, IDEMPOTENCY_KEY_BYTES_MAX, Notation,
    Operation, Way, call_example, call_schema, json_reply, refusal_schema, success_schema,
    text_schema,
};
use adapter_jwt::{JWKS_PATH, METADATA_PATH, OauthError, TOKEN_PATH};
use serde_json::{Map, Value, json};

use crate::interface::PublicInterface;

/// Builds the document.
#[must_use]
pub fn document(interface: &PublicInterface<'_>) -> Value {
    let (url, mut paths) = (interface.url, Map::new());
    for (way, adapter) in &interface.ways {
        if *way != Way::Soap {
            let operations: Vec<_> = interface.operations().collect();
            paths.insert(way.path().to_owned(), way_in((*way, *adapter), &operations));
        }
    }
    if interface.has_streams() {
        paths.insert(
            "/api/events".to_owned(),
            json!({"get": stream::stream(interface)}),
        );
    }
    if interface.is_open(Way::Jwt) {
        let token = token(interface.operations());
        paths.insert(TOKEN_PATH.to_owned(), json!({"post": token}));
        paths.insert(
            JWKS_PATH.to_owned(),
            public("readKeys", "Returns the keys that verify tokens", &["keys"]),
        );
        let metadata = ["issuer", "token_endpoint", "jwks_uri"];
        paths.insert(
            METADATA_PATH.to_owned(),
            public(
                "readMetadata",
                "Returns the metadata of the token issuer (RFC 8414)",
                &metadata,
            ),
        );
    }
    let parameter = |name| json!({"type": "apiKey", "in": "query", "name": name});
    let token_url = format!("{url}{TOKEN_PATH}");
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Chatgate's JSON ways in",
            "description": "Each way in is one path for all methods; the parameter `method` selects one. The slash at the end of a path is optional. Parameters may be in the query, \
                in the body or in both. Unknown parameters are ignored, and an empty parameter counts as absent. x-bytes-max is the maximum length of a text in bytes of UTF-8, in addition to maxLength.",
            "version": env!("CARGO_PKG_VERSION"),
        },
        "servers": [{"url": url}],
        "externalDocs": {"description": "The SOAP way in", "url": format!("{url}{}?wsdl", Way::Soap.path())},
        "paths": paths,
        "components": {"securitySchemes": {
            "user": parameter("user"),
            "password": parameter("password"),
            "basic": {"type": "http", "scheme": "basic"},
            "token": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT",
                "description": format!("A token from {token_url} (OAuth 2.0 client credentials) or from a trusted issuer; its scope is chat or a list of methods.")},
        }},
    })
}

/// The operations that a document describes.
type Described = [&'static Operation];

fn way_in((way, adapter): (Way, &dyn Adapter), operations: &Described) -> Value {
    let name = way.name();
    let examples = |with_credentials| examples(operations, with_credentials);
    let calls = |notation, with_credentials| calls(operations, notation, with_credentials);
    let (get, post) = match way {
        // Only a GET takes the credentials in the query. A POST has them in its body, because URLs end up in logs.
        Way::Http => (json!([{"user": [], "password": []}]), json!([])),
        Way::Basic => (json!([{"basic": []}]), json!([{"basic": []}])),
        Way::Jwt | Way::Soap => (json!([{"token": []}]), json!([{"token": []}])),
    };
    let responses = responses(way, adapter, operations);
    let call = json!({"name": "call", "in": "query", "required": true, "style": "form", "explode": true,
        "schema": calls(Notation::Form, false), "examples": examples(false)});
    let key = json!({"name": "Idempotency-Key", "in": "header",
        "description": "A send with this key is executed only once, even if you retry it. The parameter idempotency_key has the same effect.",
        "schema": {"type": "string", "pattern": format!("^[!-~]{{1,{IDEMPOTENCY_KEY_BYTES_MAX}}}$")}});
    let in_body = way == Way::Http;
    let content = |schema: Value| json!({"schema": schema, "examples": examples(in_body)});
    let mut parts = calls(Notation::Form, in_body);
    // The name of a part appears in a header line.
    parts["propertyNames"] = json!({"pattern": "^[^\\u0000-\\u0008\\u000a-\\u001f\\u007f]*$"});
    json!({
        "get": {
            "operationId": format!("{name}Get"),
            "summary": "Makes a call with its parameters in the query",
            "parameters": [call, key],
            "responses": responses,
            "security": get,
        },
        "post": {
            "operationId": format!("{name}Post"),
            "summary": "Makes a call with its parameters in the body",
            "parameters": [key],
            "requestBody": {"required": true, "content": {
                "application/x-www-form-urlencoded": content(calls(Notation::Form, in_body)),
                "multipart/form-data": content(parts),
                "application/json": content(calls(Notation::Json, in_body)),
            }},
            "responses": responses,
            "security": post,
        },
    })
}

/// Describes a call of any method, with or without user and password. The schema's type is object, so that clients know how to
/// write it in a query.
fn calls(operations: &Described, notation: Notation, with_credentials: bool) -> Value {
    let mut calls: Vec<_> = operations
        .iter()
        .map(|operation| call_schema(operation, notation))
        .collect();
    for call in calls.iter_mut().filter(|_| with_credentials) {
        for (name, bytes_max) in CREDENTIALS {
            call["properties"][name] = text_schema(1, bytes_max, false);
            if let Some(required) = call["required"].as_array_mut() {
                required.push(name.into());
            }
        }
    }
    json!({"type": "object", "oneOf": calls})
}

/// The credential parameters of the HTTP way in, with their maximum sizes in bytes.
const CREDENTIALS: [(&str, usize); 2] = [
    ("user", adapter::USER_BYTES_MAX),
    ("password", adapter::PASSWORD_BYTES_MAX),
];

/// Builds one example call of each method, by name.
fn examples(operations: &Described, with_credentials: bool) -> Value {
    let mut examples = Map::new();
    for operation in operations {
        let mut call = call_example(operation);
        if with_credentials {
            call["user"] = "USER".into();
            call["password"] = "PASSWORD".into();
        }
        examples.insert(operation.method.to_owned(), json!({"value": call}));
    }
    examples.into()
}

/// Describes every status of a way in, with the codes that its adapter renders with this status.
fn responses(way: Way, adapter: &dyn Adapter, operations: &Described) -> Value {
    let mut words: BTreeMap<u16, Vec<Code>> = BTreeMap::new();
    let mut challenged = Vec::new();
    for code in Code::ALL.into_iter().filter(|code| can_occur(way, *code)) {
        let error = Error::refused(code);
        let answer = Answer {
            request_id: "",
            operation: None,
            outcome: Err(&error),
        };
        let reply = adapter.encode(Dialect::default(), &answer);
        words.entry(reply.status).or_default().push(code);
        challenged.extend((!reply.challenges.is_empty()).then_some(reply.status));
    }
    let succeeded = operations.iter().map(|operation| success_schema(operation));
    let mut schemas: Vec<Value> = succeeded.collect();
    schemas.extend(words.remove(&200).map(|codes| refusal(&codes)));
    let ok = json!({"anyOf": schemas});
    let mut responses = Map::new();
    responses.insert(
        "200".to_owned(),
        response("The result of the call.", &ok, &[]),
    );
    for (status, codes) in words {
        let mut headers = Vec::new();
        headers.extend(challenged.contains(&status).then_some("WWW-Authenticate"));
        let text: Vec<_> = codes.iter().map(|code| code.text()).collect();
        responses.insert(
            status.to_string(),
            response(&text.join(" "), &refusal(&codes), &headers),
        );
    }
    responses.into()
}

/// Returns whether a call by this way in can end with this code.
pub(crate) fn can_occur(way: Way, code: Code) -> bool {
    match code {
        Code::MissingUser | Code::MissingPassword | Code::IncorrectUserPassword => way != Way::Jwt,
        Code::MissingToken | Code::IncorrectToken | Code::ExpiredToken => way == Way::Jwt,
        // These codes belong to a method or path that the document does not contain.
        Code::HttpMethodNotAllowed | Code::NotFound => false,
        _ => true,
    }
}

fn refusal(codes: &[Code]) -> Value {
    let words: Vec<_> = codes
        .iter()
        .filter(|code| **code != Code::UpstreamCode)
        .map(|code| code.word())
        .collect();
    let mut schema = refusal_schema(&words, codes.contains(&Code::UpstreamCode));
    if codes
        .iter()
        .all(|code| code.origin() == CodeOrigin::Gateway)
    {
        schema["required"] = json!(["status", "error", "request_id"]);
    }
    schema
}

fn response(text: &str, schema: &Value, headers: &[&str]) -> Value {
    let mut response =
        json!({"description": text, "content": {"application/json": {"schema": schema}}});
    for name in ["X-Request-ID", "Cache-Control"].iter().chain(headers) {
        response["headers"][name] = json!({"required": true, "schema": {"type": "string"}});
    }
    for name in [
        "RateLimit",
        "RateLimit-Policy",
        "Retry-After",
        "Cache-Status",
        "Idempotent-Replayed",
    ] {
        response["headers"][name] = json!({"schema": {"type": "string"}});
    }
    response
}

/// Describes the token endpoint (RFC 6749, 4.4).
fn token(operations: impl Iterator<Item = &'static Operation>) -> Value {
    let methods: Vec<_> = operations.map(|operation| operation.method).collect();
    let scope = format!("^(chat|({0})( ({0}))*)$", methods.join("|"));
    let request = json!({
        "type": "object",
        "properties": {
            "grant_type": {"const": "client_credentials"},
            "scope": {"type": "string", "pattern": scope},
        },
        "required": ["grant_type"],
    });
    let granted = json!({
        "type": "object",
        "properties": {
            "access_token": {"type": "string"}, "token_type": {"const": "Bearer"},
            "expires_in": {"type": "integer"}, "scope": {"type": "string"},
        },
        "required": ["access_token", "token_type", "expires_in", "scope"],
    });
    let mut responses = Map::new();
    responses.insert("200".to_owned(), response("A token.", &granted, &[]));
    for (status, words) in token_errors() {
        let schema = json!({
            "type": "object",
            "properties": {"error": {"enum": words}, "error_description": {"type": "string"}},
            "required": ["error", "error_description"],
            "additionalProperties": false,
        });
        let headers: &[&str] = if status == 401 {
            &["WWW-Authenticate"]
        } else {
            &[]
        };
        responses.insert(
            status.to_string(),
            response(&words.join(", "), &schema, headers),
        );
    }
    json!({
        "operationId": "token",
        "summary": "Issues a token to a client (OAuth 2.0 client credentials)",
        "description": "The credentials are the client_id and the client_secret of an access. Send them in the header, or under these names in the body.",
        "requestBody": {"required": true, "content": {"application/x-www-form-urlencoded": {"schema": request}}},
        "responses": responses,
        "security": [{"basic": []}],
    })
}

/// Returns the errors of the token endpoint, by status.
fn token_errors() -> BTreeMap<u16, Vec<&'static str>> {
    let mut errors: BTreeMap<u16, Vec<_>> = BTreeMap::new();
    let codes = Code::ALL
        .into_iter()
        .filter(|code| can_occur(Way::Basic, *code));
    let codes = codes.filter(|code| code.origin() == CodeOrigin::Gateway || code.is_credential());
    let own = [
        OauthError::invalid_scope(""),
        OauthError::unsupported_grant_type(),
    ];
    for error in codes
        .map(|code| OauthError::from(&Error::refused(code)))
        .chain(own)
    {
        let words = errors.entry(error.status).or_default();
        if !words.contains(&error.error) {
            words.push(error.error);
        }
    }
    errors
}

/// Describes a document that is the same for every caller.
fn public(id: &str, summary: &str, members: &[&str]) -> Value {
    let found = response(
        summary,
        &json!({"type": "object", "required": members}),
        &[],
    );
    let mut responses = json!({"200": found});
    for code in [
        Code::IpNotAllowed,
        Code::RateLimited,
        Code::MalformedRequest,
        Code::InternalError,
    ] {
        let error = Error::refused(code);
        let reply = json_reply(
            &Answer {
                request_id: "",
                operation: None,
                outcome: Err(&error),
            },
            code.status(),
            &[],
        );
        responses[reply.status.to_string()] = response(code.text(), &refusal(&[code]), &[]);
    }
    json!({"get": {"operationId": id, "summary": summary, "responses": responses, "security": []}})
}
