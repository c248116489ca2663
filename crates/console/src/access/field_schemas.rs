//! JSON Schemas of the fields of an access.

use adapter::{PASSWORD_BYTES_MAX, PLATFORMS, USER_BYTES_MAX, cacheable};
use serde_json::{Value, json};
use store::{CACHE_S_MAX, NAME_PATTERN, PASSWORD_CHARACTERS_MIN};

use crate::access::bounds::{CHANNELS_MAX, ID_BYTES_MAX, NETWORKS_MAX, RATE_MAX};
use crate::json_schema::{
    boolean, integer, nullable, one_of, partly, pattern, properties, text, whole,
};

pub(crate) fn name() -> Value {
    pattern(NAME_PATTERN)
}

/// Returns the schema of a user name, which has no colon.
pub(crate) fn user() -> Value {
    let mut user = text(1, USER_BYTES_MAX);
    user["not"] = json!({"pattern": ":"});
    user
}

pub(crate) fn password() -> Value {
    let mut password = text(PASSWORD_CHARACTERS_MIN, PASSWORD_BYTES_MAX);
    password["not"] = json!({"pattern": "^cgs_"});
    password
}

/// Returns the schema of a password hash, a PHC string.
pub(crate) fn phc() -> Value {
    json!({"type": "string", "format": "argon2id", "maxLength": 256,
        "description": "A PHC string of argon2id, version 19. The parameters m, t and p have bounds; the error message of a rejected value states them."})
}

pub(crate) fn network() -> Value {
    json!({"type": "string", "format": "ip-network", "maxLength": 64,
        "description": "An IPv4 or IPv6 address, or a network without host bits, such as 10.0.0.0/8."})
}

pub(crate) fn networks(items: &Value) -> Value {
    json!({"type": "array", "maxItems": NETWORKS_MAX, "items": items})
}

/// Returns the schema of a list of networks, or of `any` for all networks.
pub(crate) fn allowed() -> Value {
    networks(&json!({"anyOf": [{"const": "any"}, network()]}))
}

pub(crate) fn channels() -> Value {
    let channel = whole(properties([
        ("platform", one_of(&PLATFORMS)),
        ("platformid", text(1, ID_BYTES_MAX)),
    ]));
    json!({"type": "array", "maxItems": CHANNELS_MAX, "items": channel})
}

/// Returns the schema of a rate in calls per `min` or `day`.
pub(crate) fn rate(unit: &str) -> Value {
    json!({"anyOf": [
        integer(1, RATE_MAX),
        pattern(&format!("^[1-9][0-9]{{0,8}}(/{unit})?$")),
        {"type": "null"},
    ]})
}

pub(crate) fn cache_policy(required: &str) -> Value {
    let lifetime = || nullable(integer(0, CACHE_S_MAX));
    let mut policy = properties([("enabled", boolean())]);
    policy.extend(cacheable().map(|(_, caching)| (caching.field.to_owned(), lifetime())));
    partly(policy, required)
}
