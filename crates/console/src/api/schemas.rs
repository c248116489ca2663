//! The bodies of the admin API as JSON Schemas: bounds and names are the ones that the code checks by.
//!
//! That no field is missing is held by a test here; that answers fit is held by other people's tests of the whole document.

use adapter::{OPERATIONS, PASSWORD_BYTES_MAX, PLATFORMS, USER_BYTES_MAX, Way, text_schema};
use serde_json::{Map, Value, json};
use store::{CACHE_S_MAX, JournalLevel, NAME_PATTERN, SECRETS_MAX};

use crate::access::draft::{
    CHANNELS_MAX, ID_BYTES_MAX, NETWORKS_MAX, RATE_MAX, REPORTS, TEXT_BYTES_MAX,
};
use crate::access::imported::{CLIENT_ID_BYTES_MAX, SECONDS, VERSIONS};
use crate::access::secrets::PASSWORD_CHARACTERS_MIN;
use crate::explain::HEADERS_MAX;
use crate::moment;

/// All of them by name.
#[expect(clippy::too_many_lines, reason = "a line a schema")]
pub(crate) fn all() -> Value {
    let draft = draft();
    let without = |names: &[&str]| {
        let mut fields = draft.clone();
        fields.retain(|name, _| !names.contains(&name.as_str()));
        fields
    };
    let made = {
        let mut fields = access();
        fields.insert("password".to_owned(), json!({"type": "string"}));
        fields.insert("client_secret".to_owned(), json!({"type": "string"}));
        let names: Vec<String> = access().keys().cloned().collect();
        // Of a secret that came as a hash there is nothing to show.
        partly(
            fields,
            &names.iter().map(String::as_str).collect::<Vec<_>>(),
        )
    };
    let key = fields([
        ("name", name()),
        ("role", one_of(&["viewer", "operator"])),
        ("created", time()),
    ]);
    let mut key_made = key.clone();
    key_made.insert(
        "key".to_owned(),
        json!({"type": "string", "pattern": "^cgk_"}),
    );
    json!({
        "AccessDraft": one_secret(partly(draft.clone(), &["name"])),
        "AccessChange": partly(without(&["name", "password", "password_hash"]), &[]),
        "Access": whole(access()),
        "AccessMade": made,
        "Accesses": list("accesses", "Access"),
        "Rotation": one_secret(partly(fields([
            ("password", password()), ("password_hash", phc()), ("drop_old", boolean()),
        ]), &[])),
        "KeyRotation": partly(fields([("revoke", boolean())]), &[]),
        "Change": whole(fields([
            ("version", count()), ("at", time()), ("actor", json!({"type": "string"})),
            ("before", nullable(json!({"type": "object"}))), ("after", nullable(json!({"type": "object"}))),
        ])),
        "Changes": list("changes", "Change"),
        "AdminKeyDraft": whole(fields([("name", name()), ("role", one_of(&["viewer", "operator"]))])),
        "AdminKey": whole(key),
        "AdminKeyMade": whole(key_made),
        "AdminKeys": list("admin_keys", "AdminKey"),
        "SigningKey": whole(fields([
            ("kid", json!({"type": "string"})), ("algorithm", one_of(&["EdDSA", "RS256"])), ("created_at", time()),
            ("state", one_of(&["signing", "verifying"])), ("verifies_until", nullable(time())),
        ])),
        "SigningKeys": list("keys", "SigningKey"),
        "Transfer": list("accesses", "StoredAccess"),
        "StoredAccess": stored(),
        "Imported": whole(fields([("changed", count())])),
        "Question": question(),
        "Explanation": open(&["admitted", "code", "status", "reason", "address", "walk", "steps", "judgements", "cache"]),
        "JournalPage": whole(fields([
            ("rows", json!({"type": "array", "items": {"type": "object", "required": ["id", "time", "kind", "count"], "properties": {"kind": one_of(&["request", "change", "clearing", "erasure", "operator"]), "count": {"type": "integer", "minimum": 1, "description": "Calls that the row stands for"}}}})),
            ("next", nullable(json!({"type": "string", "pattern": CURSOR}))),
        ])),
        "Receipt": whole(fields([
            ("method", one_of(&methods())), ("state", one_of(&["under_way", "ended"])),
            ("delivery", one_of(&["sent", "unknown"])), ("code", nullable(json!({"type": "string"}))),
            ("request_id", json!({"type": "string"})), ("made_at", time()),
        ])),
        "Receipts": list("receipts", "Receipt"),
        "Erasure": whole(fields([("destination", text(1, ID_BYTES_MAX))])),
        "Erased": whole(fields([("erased", count())])),
        "Proposal": partly(fields([
            ("access", json!({"type": "string"})), ("since", moment::schema()),
            ("allow", nullable(allowed())), ("deny", nullable(networks(&network()))),
        ]), &["access", "since"]),
        "Replay": open(&["allow", "deny", "judged", "refused", "newly_refused", "newly_admitted", "addresses", "rows"]),
        "Health": partly(fields([
            ("status", one_of(&["ok", "ready", "not_ready"])), ("reason", json!({"type": "string"})),
        ]), &["status"]),
        "Status": open(&["version", "public_url", "config_generation", "last_reload", "accesses", "ready"]),
        "Reload": open(&["at", "by", "config_generation", "outcome"]),
        "OpenApi": open(&["openapi", "info", "servers", "paths", "components"]),
        "Problem": partly(fields([
            ("type", json!({"type": "string", "pattern": "^urn:chatgate:problem:"})), ("title", json!({"type": "string"})),
            ("status", json!({"type": "integer", "minimum": 400, "maximum": 599})), ("code", json!({"type": "string"})),
            ("detail", json!({"type": "string"})), ("errors", json!({"type": "array", "items": {"type": "object"}})),
        ]), &["type", "title", "status", "code", "detail"]),
    })
}

/// The fields of a draft, as `draft.rs` reads them.
pub(crate) fn draft() -> Map<String, Value> {
    fields([
        ("name", name()),
        ("user", text(1, USER_BYTES_MAX)),
        ("password", password()),
        ("password_hash", phc()),
        ("owner", text(0, TEXT_BYTES_MAX)),
        ("note", text(0, TEXT_BYTES_MAX)),
        ("state", one_of(&["active", "suspended"])),
        ("not_before", nullable(time())),
        ("expires", nullable(time())),
        ("allow", allowed()),
        ("deny", networks(&network())),
        ("ways", some_of(&Way::ALL.map(Way::name))),
        ("methods", some_of(&methods())),
        ("platforms", nullable(some_of(&PLATFORMS))),
        ("channels", nullable(channels())),
        ("rate", rate("min")),
        ("per_day", rate("day")),
        ("per_destination", rate("min")),
        ("concurrent", nullable(positive())),
        ("report", some_of(&REPORTS)),
        (
            "cache",
            json!({"anyOf": [{"type": "boolean"}, cache_policy(&[])]}),
        ),
        (
            "journal",
            one_of(&JournalLevel::ALL.map(JournalLevel::name)),
        ),
        ("query_credentials", boolean()),
    ])
}

/// The fields of an access, as `view.rs` writes them.
fn access() -> Map<String, Value> {
    let rate =
        |unit| nullable(json!({"type": "string", "pattern": format!("^[1-9][0-9]*/{unit}$")}));
    let strings = json!({"type": "array", "items": {"type": "string"}});
    let secret = fields([
        ("kind", one_of(&["random", "chosen"])),
        ("created", nullable(time())),
    ]);
    let last_use = fields([
        ("at", time()),
        ("address", json!({"type": "string"})),
        ("way", json!({"type": "string"})),
    ]);
    let mut access = draft();
    access.remove("password");
    access.remove("password_hash");
    access.extend(fields([
        ("client_id", json!({"type": "string"})),
        ("allow", strings.clone()),
        ("deny", strings),
        ("rate", rate("min")),
        ("per_day", rate("day")),
        ("per_destination", rate("min")),
        ("cache", cache_policy(&["enabled"])),
        ("last_used", nullable(whole(last_use))),
        ("tokens_since", nullable(time())),
        (
            "secrets",
            json!({"type": "array", "maxItems": SECRETS_MAX, "items": whole(secret)}),
        ),
        ("version", count()),
    ]));
    access
}

/// An access as an export writes it and an import takes it, `store::Access` in JSON.
fn stored() -> Value {
    let mut access = draft();
    for other in WRITTEN_OTHERWISE {
        access.remove(other);
    }
    let secrets = json!({"type": "array", "maxItems": SECRETS_MAX, "items": stored_secret()});
    access.extend(fields([
        (
            "version",
            json!({"type": "integer", "minimum": VERSIONS.start(), "maximum": VERSIONS.end()}),
        ),
        ("client_id", text(1, CLIENT_ID_BYTES_MAX)),
        ("active", boolean()),
        ("secrets", secrets),
        ("not_before", nullable(seconds())),
        ("expires", nullable(seconds())),
        (
            "token_generation",
            json!({"type": "integer", "minimum": VERSIONS.start(), "maximum": VERSIONS.end()}),
        ),
        ("tokens_since", nullable(seconds())),
        ("allow", networks(&cidr())),
        ("deny", networks(&cidr())),
        ("report_networks", boolean()),
        ("limits", stored_limits()),
    ]));
    let required = [
        "name",
        "user",
        "client_id",
        "secrets",
        "active",
        "allow",
        "ways",
        "methods",
    ];
    partly(access, &required)
}

/// The fields of a draft that the store keeps in other ones.
const WRITTEN_OTHERWISE: [&str; 8] = [
    "password",
    "password_hash",
    "state",
    "rate",
    "per_day",
    "per_destination",
    "concurrent",
    "report",
];

fn stored_secret() -> Value {
    // 32 bytes in base64url.
    let keyed = json!({"type": "string", "pattern": "^[A-Za-z0-9_-]{42}[AEIMQUYcgkosw048]$"});
    let hash = |name, schema| whole(fields([(name, schema)]));
    let hashes = [hash("keyed", keyed), hash("argon2id", phc())];
    whole(fields([
        ("hash", json!({"oneOf": hashes})),
        ("created", seconds()),
    ]))
}

fn stored_limits() -> Value {
    let limits = fields([
        ("per_minute", nullable(positive())),
        ("per_day", nullable(positive())),
        ("per_destination", nullable(positive())),
        ("concurrent", nullable(positive())),
        ("report", boolean()),
    ]);
    partly(limits, &[])
}

fn cache_policy(required: &[&str]) -> Value {
    let life = || nullable(json!({"type": "integer", "minimum": 0, "maximum": CACHE_S_MAX}));
    let policy = fields([
        ("enabled", boolean()),
        ("getchatchannels_s", life()),
        ("getchats_s", life()),
    ]);
    partly(policy, required)
}

fn boolean() -> Value {
    json!({"type": "boolean"})
}

fn positive() -> Value {
    json!({"type": "integer", "minimum": 1, "maximum": u32::MAX})
}

/// The hash of a password, a PHC string.
fn phc() -> Value {
    json!({"type": "string", "format": "argon2id", "maxLength": 256,
        "description": "A PHC string of argon2id, version 19, with m, t and p within bounds that a refusal tells."})
}

/// A password or its hash, not both.
fn one_secret(mut schema: Value) -> Value {
    schema["not"] = json!({"required": ["password", "password_hash"]});
    schema
}

/// A call that nobody makes, as `explain.rs` reads it.
fn question() -> Value {
    let string = || json!({"type": "string"});
    let name = json!({"type": "string", "pattern": LINE_NAME});
    let value = json!({"type": "string", "pattern": LINE_VALUE});
    let pair = json!({"type": "array", "prefixItems": [name, value], "minItems": 2, "maxItems": 2});
    let lines = json!({"anyOf": [
        {"type": "array", "items": pair, "maxItems": HEADERS_MAX},
        {"type": "object", "propertyNames": name, "additionalProperties": value, "maxProperties": HEADERS_MAX},
    ]});
    let peer = json!({"type": "string", "format": "ip-address", "maxLength": 64,
        "description": "An IPv4 or IPv6 address, with a port or without."});
    let question = fields([
        ("peer", peer),
        ("headers", lines),
        ("access", string()),
        ("method", string()),
        ("way", nullable(one_of(&Way::ALL.map(Way::name)))),
        ("destination", nullable(string())),
        ("secret_in_url", boolean()),
    ]);
    partly(question, &["peer", "access", "method"])
}

/// What can be the name of a header line, and its value.
const LINE_NAME: &str = "^[!#$%&'*+.^_`|~A-Za-z0-9-]+$";
const LINE_VALUE: &str = "^[^\\u0000-\\u0008\\u000a-\\u001f\\u007f]*$";

/// The number of a row of the journal.
pub(crate) const CURSOR: &str = "^([0-7][0-9a-fA-F]{15}|[0-9a-fA-F]{1,15})$";

/// Networks of an access, everybody among them.
fn allowed() -> Value {
    networks(&json!({"anyOf": [{"const": "any"}, network()]}))
}

/// Seconds since 1970, UTC.
fn seconds() -> Value {
    json!({"type": "integer", "minimum": SECONDS.start(), "maximum": SECONDS.end()})
}

fn methods() -> [&'static str; OPERATIONS.len()] {
    OPERATIONS.each_ref().map(|operation| operation.method)
}

fn name() -> Value {
    json!({"type": "string", "pattern": NAME_PATTERN})
}

fn text(characters_min: usize, bytes_max: usize) -> Value {
    text_schema(characters_min, bytes_max, false)
}

fn password() -> Value {
    let mut password = text(PASSWORD_CHARACTERS_MIN, PASSWORD_BYTES_MAX);
    password["not"] = json!({"pattern": "^cgs_"});
    password
}

fn time() -> Value {
    json!({"type": "string", "format": "date-time"})
}

pub(crate) fn network() -> Value {
    json!({"type": "string", "format": "ip-network", "maxLength": 64,
        "description": "An IPv4 or IPv6 address, or a network without host bits, such as 10.0.0.0/8."})
}

/// As a store writes it: with the length of the prefix.
fn cidr() -> Value {
    json!({"type": "string", "format": "cidr", "maxLength": 64})
}

fn networks(items: &Value) -> Value {
    json!({"type": "array", "maxItems": NETWORKS_MAX, "items": items})
}

fn channels() -> Value {
    let channel = whole(fields([
        ("platform", one_of(&PLATFORMS)),
        ("platformid", text(1, ID_BYTES_MAX)),
    ]));
    json!({"type": "array", "maxItems": CHANNELS_MAX, "items": channel})
}

fn rate(unit: &str) -> Value {
    json!({"anyOf": [
        {"type": "integer", "minimum": 1, "maximum": RATE_MAX},
        {"type": "string", "pattern": format!("^[1-9][0-9]{{0,8}}(/{unit})?$")},
        {"type": "null"},
    ]})
}

fn count() -> Value {
    json!({"type": "integer", "minimum": 0})
}

fn one_of(names: &[&str]) -> Value {
    json!({"type": "string", "enum": names})
}

fn some_of(names: &[&str]) -> Value {
    json!({"type": "array", "items": one_of(names)})
}

fn nullable(schema: impl serde::Serialize) -> Value {
    json!({"anyOf": [schema, {"type": "null"}]})
}

fn list(name: &str, items: &str) -> Value {
    let items =
        json!({"type": "array", "items": {"$ref": format!("#/components/schemas/{items}")}});
    whole(fields([(name, items)]))
}

/// An object that may hold more than the document says.
fn open(required: &[&str]) -> Value {
    json!({"type": "object", "required": required})
}

fn fields<const N: usize>(fields: [(&str, Value); N]) -> Map<String, Value> {
    fields
        .map(|(name, schema)| (name.to_owned(), schema))
        .into_iter()
        .collect()
}

fn whole(fields: Map<String, Value>) -> Value {
    let names: Vec<String> = fields.keys().cloned().collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    partly(fields, &names)
}

fn partly(fields: impl serde::Serialize, required: &[&str]) -> Value {
    json!({"type": "object", "properties": fields, "required": required, "additionalProperties": false})
}

#[cfg(test)]
mod tests {
    use serde::de::DeserializeOwned;

    use super::*;

    /// The fields that serde takes, by its own word: it lists them when it refuses another one.
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

    /// Holds the object at this place in the schemas to the fields that serde takes there.
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
    fn every_field_that_is_taken_is_documented_and_no_other() {
        check::<crate::access::draft::AccessDraft>("/AccessDraft", &[]);
        // They are taken, and refused with a sentence of their own.
        let refused = ["name", "password", "password_hash"];
        check::<crate::access::draft::AccessDraft>("/AccessChange", &refused);
        check::<store::Channel>("/AccessDraft/properties/channels/anyOf/0/items", &[]);
        check::<crate::access::manage::Rotation>("/Rotation", &[]);
        check::<crate::api::signing_keys::KeyRotation>("/KeyRotation", &[]);
        check::<crate::api::admin_keys::AdminKeyDraft>("/AdminKeyDraft", &[]);
        check::<crate::explain::ExplainBody>("/Question", &[]);
        check::<crate::api::journal::Erasure>("/Erasure", &[]);
        check::<crate::journal::replay::ReplayRequest>("/Proposal", &[]);
        check::<crate::api::transfer::Import>("/Transfer", &[]);
        check::<store::Access>("/StoredAccess", &[]);
        check::<store::AccessLimits>("/StoredAccess/properties/limits", &[]);
        check::<store::Secret>("/StoredAccess/properties/secrets/items", &[]);
    }

    #[test]
    fn every_reference_leads_somewhere_and_no_schema_is_left_over() {
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
    fn every_operation_has_a_name_of_its_own_and_every_link_leads_to_one() {
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
