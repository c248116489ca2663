//! The bodies and answers of the admin API as JSON Schemas. Bounds and names come from the same constants that the code checks
//! against.
//!
//! A test here compares the bodies with the fields that serde accepts; schemathesis compares the answers with the document.

use adapter::Way;
use serde_json::{Value, json};
use store::SECRETS_MAX;

use crate::access::bounds::ID_BYTES_MAX;
use crate::access::draft::{AccessDraft, methods};
use crate::access::field_schemas::{allowed, cache_policy, name, network, networks, password, phc};
use crate::access::imported::{CLIENT_ID_BYTES_MAX, SECONDS, VERSIONS};
use crate::api::webhook_schemas;
use crate::explain::HEADERS_MAX;
use crate::json_schema::{
    Properties, array, boolean, count, integer, list, nullable, one_of, open, partly, pattern,
    positive, properties, reference, string, text, time, whole, without,
};
use crate::moment;

/// The pattern of a journal row's id.
pub(super) const CURSOR: &str = "^([0-7][0-9a-fA-F]{15}|[0-9a-fA-F]{1,15})$";

/// The patterns of a header line's name and value.
const LINE_NAME: &str = "^[!#$%&'*+.^_`|~A-Za-z0-9-]+$";
const LINE_VALUE: &str = "^[^\\u0000-\\u0008\\u000a-\\u001f\\u007f]*$";

/// Returns all schemas by name.
pub(super) fn all() -> Value {
    let mut schemas = access_schemas();
    schemas.extend(key_schemas());
    schemas.extend(webhook_schemas::bodies());
    schemas.extend(webhook_schemas::answers());
    schemas.extend(journal_schemas());
    schemas.extend(gateway_schemas());
    Value::Object(schemas)
}

fn access_schemas() -> Properties {
    let draft = AccessDraft::schemas();
    let change = without(draft.clone(), "name password password_hash");
    let mut made = access();
    let names = made.keys().cloned().collect::<Vec<_>>().join(" ");
    // A secret that was given as a hash is not shown.
    made.extend(properties([
        ("password", string()),
        ("client_secret", string()),
    ]));
    let rotation = properties([
        ("password", password()),
        ("password_hash", phc()),
        ("drop_old", boolean()),
    ]);
    let page = properties([
        ("accesses", array(&reference("Access"))),
        ("next", nullable(name())),
    ]);
    let document = || nullable(json!({"type": "object"}));
    let entry = properties([
        ("version", count()),
        ("at", time()),
        ("actor", string()),
        ("before", document()),
        ("after", document()),
    ]);
    properties([
        ("AccessDraft", one_secret(partly(draft, "name"))),
        ("AccessChange", partly(change, "")),
        ("Access", whole(access())),
        ("AccessMade", partly(made, &names)),
        ("Accesses", whole(page)),
        ("Rotation", one_secret(partly(rotation, ""))),
        ("Change", whole(entry)),
        ("Changes", list("changes", "Change")),
        ("Transfer", list("accesses", "StoredAccess")),
        ("StoredAccess", stored()),
        ("Imported", whole(properties([("changed", count())]))),
    ])
}

fn key_schemas() -> Properties {
    let role = || one_of(&["viewer", "operator"]);
    let draft = properties([("name", name()), ("role", role())]);
    let mut key = draft.clone();
    key.insert("created".to_owned(), time());
    let mut made = key.clone();
    made.insert("key".to_owned(), pattern("^cgk_"));
    let signing_key = properties([
        ("kid", string()),
        ("algorithm", one_of(&["EdDSA", "RS256"])),
        ("created_at", time()),
        ("state", one_of(&["signing", "verifying"])),
        ("verifies_until", nullable(time())),
    ]);
    let rotation = properties([("revoke", boolean())]);
    properties([
        ("AdminKeyDraft", whole(draft)),
        ("AdminKey", whole(key)),
        ("AdminKeyMade", whole(made)),
        ("AdminKeys", list("admin_keys", "AdminKey")),
        ("SigningKey", whole(signing_key)),
        ("SigningKeys", list("keys", "SigningKey")),
        ("KeyRotation", partly(rotation, "")),
    ])
}

fn journal_schemas() -> Properties {
    let kind = one_of(&[
        "request", "change", "clearing", "erasure", "operator", "failover", "unknown",
    ]);
    let calls = json!({"type": "integer", "minimum": 1, "description": "Number of calls that the row represents"});
    let row = json!({"type": "object", "required": ["id", "time", "kind", "count"],
        "properties": {"kind": kind, "count": calls}});
    let searched_to = json!({"type": ["string", "null"], "format": "date-time",
        "description": "The time that the search reached, if it ended before the page was full; next continues from there"});
    let page = properties([
        ("rows", array(&row)),
        ("next", nullable(pattern(CURSOR))),
        ("searched_to", searched_to),
        ("follow", nullable(pattern(CURSOR))),
    ]);
    let receipt = properties([
        ("method", one_of(&methods())),
        ("state", one_of(&["under_way", "ended"])),
        ("delivery", one_of(&["sent", "unknown"])),
        ("code", nullable(string())),
        ("request_id", string()),
        ("made_at", time()),
    ]);
    let proposal = properties([
        ("access", string()),
        ("since", moment::schema()),
        ("allow", nullable(allowed())),
        ("deny", nullable(networks(&network()))),
    ]);
    let replay = "allow deny judged refused newly_refused newly_admitted addresses rows";
    let erasure = properties([("destination", text(1, ID_BYTES_MAX))]);
    properties([
        ("JournalPage", whole(page)),
        ("Receipt", whole(receipt)),
        ("Receipts", list("receipts", "Receipt")),
        ("Erasure", whole(erasure)),
        ("Erased", whole(properties([("erased", count())]))),
        ("Proposal", partly(proposal, "access since")),
        ("Replay", open(replay)),
    ])
}

fn gateway_schemas() -> Properties {
    let explanation = "admitted code status reason address walk steps judgements cache";
    let health = properties([
        ("status", one_of(&["ok", "ready", "not_ready"])),
        ("reason", string()),
        ("degraded", array(&string())),
    ]);
    let status = "version public_url config_generation last_reload accesses ready";
    let problem = properties([
        ("type", pattern("^urn:chatgate:problem:")),
        ("title", string()),
        ("status", integer(400, 599)),
        ("code", string()),
        ("detail", string()),
        ("errors", array(&json!({"type": "object"}))),
    ]);
    let required = "type title status code detail";
    properties([
        ("Question", question()),
        ("Explanation", open(explanation)),
        ("Health", partly(health, "status")),
        ("Status", open(status)),
        ("Replicas", list("replicas", "Replica")),
        (
            "Replica",
            open("id name answers state version config started_at lease_ms in_force behind"),
        ),
        ("Reload", open("at by config_generation outcome")),
        ("OpenApi", open("openapi info servers paths components")),
        ("Problem", partly(problem, required)),
    ])
}

/// Returns the fields of an access, as `access/view.rs` writes them.
fn access() -> Properties {
    let rate = |unit| nullable(pattern(&format!("^[1-9][0-9]*/{unit}$")));
    let secret = properties([
        ("kind", one_of(&["random", "chosen"])),
        ("created", nullable(time())),
    ]);
    let last_use = properties([("at", time()), ("address", string()), ("way", string())]);
    let mut access = without(AccessDraft::schemas(), "password password_hash");
    access.extend(properties([
        ("client_id", string()),
        ("not_before", nullable(time())),
        ("expires", nullable(time())),
        ("allow", array(&string())),
        ("deny", array(&string())),
        ("rate", rate("min")),
        ("per_day", rate("day")),
        ("per_destination", rate("min")),
        ("cache", cache_policy("enabled")),
        ("last_used", nullable(whole(last_use))),
        ("tokens_since", nullable(time())),
        ("secrets", secrets(&whole(secret))),
        ("version", count()),
    ]));
    access
}

/// Returns the schema of an access as an export writes it and an import reads it: `store::Access` in JSON.
fn stored() -> Value {
    let elsewhere = "password password_hash state rate per_day per_destination concurrent report";
    let version = || integer(VERSIONS.start(), VERSIONS.end());
    // Seconds since 1970, UTC.
    let seconds = || integer(SECONDS.start(), SECONDS.end());
    let secret = properties([("hash", stored_hash()), ("created", seconds())]);
    let cidr = json!({"type": "string", "format": "cidr", "maxLength": 64});
    let mut access = without(AccessDraft::schemas(), elsewhere);
    access.extend(properties([
        ("version", version()),
        ("client_id", text(1, CLIENT_ID_BYTES_MAX)),
        ("active", boolean()),
        ("secrets", secrets(&whole(secret))),
        ("not_before", nullable(seconds())),
        ("expires", nullable(seconds())),
        ("token_generation", version()),
        ("tokens_since", nullable(seconds())),
        ("allow", networks(&cidr)),
        ("deny", networks(&cidr)),
        ("report_networks", boolean()),
        ("limits", stored_limits()),
    ]));
    let required = "name user client_id secrets active allow ways methods";
    partly(access, required)
}

fn secrets(items: &Value) -> Value {
    json!({"type": "array", "maxItems": SECRETS_MAX, "items": items})
}

fn stored_hash() -> Value {
    // 32 bytes in base64url.
    let keyed = pattern("^[A-Za-z0-9_-]{42}[AEIMQUYcgkosw048]$");
    let hash = |name, schema| whole(properties([(name, schema)]));
    json!({"oneOf": [hash("keyed", keyed), hash("argon2id", phc())]})
}

fn stored_limits() -> Value {
    let limits = properties([
        ("per_minute", nullable(positive())),
        ("per_day", nullable(positive())),
        ("per_destination", nullable(positive())),
        ("concurrent", nullable(positive())),
        ("report", boolean()),
    ]);
    partly(limits, "")
}

/// Forbids a schema's object to have both a password and a password hash.
fn one_secret(mut schema: Value) -> Value {
    schema["not"] = json!({"required": ["password", "password_hash"]});
    schema
}

/// Returns the schema of a call to explain, as `explain.rs` reads it.
fn question() -> Value {
    let (name, value) = (pattern(LINE_NAME), pattern(LINE_VALUE));
    let pair = json!({"type": "array", "prefixItems": [name, value], "minItems": 2, "maxItems": 2});
    let lines = json!({"anyOf": [
        {"type": "array", "items": pair, "maxItems": HEADERS_MAX},
        {"type": "object", "propertyNames": name, "additionalProperties": value, "maxProperties": HEADERS_MAX},
    ]});
    let peer = json!({"type": "string", "format": "ip-address", "maxLength": 64,
        "description": "An IPv4 or IPv6 address, with or without a port."});
    let question = properties([
        ("peer", peer),
        ("headers", lines),
        ("access", string()),
        ("method", string()),
        ("way", nullable(one_of(&Way::ALL.map(Way::name)))),
        ("destination", nullable(string())),
        ("secret_in_url", boolean()),
    ]);
    partly(question, "peer access method")
}

#[cfg(test)]
mod tests {
    use serde::de::DeserializeOwned;

    use super::*;

    /// Returns the fields that serde accepts, as listed in its error message for an unknown field.
    fn taken<T: DeserializeOwned>() -> Vec<String> {
        let refusal = serde_json::from_str::<T>(r#"{"no such field": 0}"#)
            .map(|_| ())
            .unwrap_err()
            .to_string();
        let names: Vec<_> = refusal
            .split('`')
            .skip(3)
            .step_by(2)
            .map(str::to_owned)
            .collect();
        assert!(!names.is_empty(), "{refusal}");
        names
    }

    /// Checks that the schema at this place documents exactly the fields that serde accepts there, apart from `besides`.
    #[track_caller]
    fn check<T: DeserializeOwned>(place: &str, besides: &[&str]) {
        let schemas = all();
        let documented = schemas.pointer(place).unwrap()["properties"]
            .as_object()
            .unwrap();
        let documented = documented.keys().map(String::as_str);
        let mut documented: Vec<_> = documented.chain(besides.iter().copied()).collect();
        let mut taken = taken::<T>();
        documented.sort_unstable();
        taken.sort_unstable();
        assert_eq!(documented, taken, "{place}");
    }

    #[test]
    fn schemas_document_exactly_the_fields_that_serde_accepts() {
        check::<crate::access::draft::AccessDraft>("/AccessDraft", &[]);
        // The body type accepts these fields, and the handler rejects them with a specific message.
        let refused = ["name", "password", "password_hash"];
        check::<crate::access::draft::AccessDraft>("/AccessChange", &refused);
        check::<store::Channel>("/AccessDraft/properties/channels/anyOf/0/items", &[]);
        check::<crate::access::manage::Rotation>("/Rotation", &[]);
        check::<crate::api::signing_keys::KeyRotation>("/KeyRotation", &[]);
        check::<crate::api::admin_keys::AdminKeyDraft>("/AdminKeyDraft", &[]);
        check::<crate::api::webhooks::NewWebhook>("/WebhookDraft", &[]);
        check::<crate::api::webhooks::WebhookChange>("/WebhookChange", &[]);
        check::<crate::api::webhooks::WebhookResumption>("/WebhookResumption", &[]);
        check::<crate::api::webhooks::WebhookRotation>("/WebhookRotation", &[]);
        check::<crate::api::webhooks::WebhookRedelivery>("/WebhookRedelivery", &[]);
        check::<crate::explain::ExplainBody>("/Question", &[]);
        check::<crate::api::journal::Erasure>("/Erasure", &[]);
        check::<crate::journal::replay::ReplayRequest>("/Proposal", &[]);
        check::<crate::api::transfer::Import>("/Transfer", &[]);
        check::<store::Access>("/StoredAccess", &[]);
        check::<store::AccessLimits>("/StoredAccess/properties/limits", &[]);
        check::<store::Secret>("/StoredAccess/properties/secrets/items", &[]);
    }

    #[test]
    fn every_schema_reference_resolves_and_every_schema_is_used() {
        let document = crate::api::openapi::document(&crate::api::endpoints(), &Value::Null);
        let text = document.to_string();
        let marks = text.split("\"#/components/schemas/").skip(1);
        let used: std::collections::BTreeSet<_> =
            marks.map(|rest| rest.split('"').next().unwrap()).collect();
        let there = all();
        let there = there.as_object().unwrap().keys().map(String::as_str);
        assert_eq!(used, there.collect());
    }

    #[test]
    fn operation_ids_are_unique_and_every_link_names_an_operation() {
        let endpoints = crate::api::endpoints();
        let names: std::collections::BTreeSet<_> =
            endpoints.iter().map(|endpoint| endpoint.id).collect();
        assert_eq!(names.len(), endpoints.len());
        assert!(
            endpoints
                .iter()
                .flat_map(|e| e.links)
                .all(|link| names.contains(link))
        );
        assert!(
            endpoints
                .iter()
                .all(|e| !e.id.is_empty() && !e.answers.is_empty())
        );
    }
}
