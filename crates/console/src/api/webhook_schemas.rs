//! The bodies and answers of the webhook endpoints as JSON Schemas.

use adapter::EVENT_TYPES;
use serde_json::{Value, json};
use store::WebhookState;
use webhooks::GRACE_S_MAX;

use crate::access::bounds::TEXT_BYTES_MAX;
use crate::access::field_schemas::name;
use crate::json_schema::{
    Properties, array, boolean, count, integer, list, nullable, one_of, partly, pattern,
    properties, reference, string, text, time, whole,
};
use crate::moment;

fn types() -> Value {
    json!({"type": "array", "items": one_of(&EVENT_TYPES), "minItems": 1, "maxItems": EVENT_TYPES.len()})
}

fn payload() -> Value {
    one_of(&["full", "thin"])
}

/// Returns the schemas of the bodies that operators send.
pub(super) fn bodies() -> Properties {
    let url = || json!({"type": "string", "format": "public-https-url", "maxLength": 2048, "example": "https://hooks.example.com/in"});
    let change = properties([
        ("url", nullable(url())),
        ("types", nullable(types())),
        ("payload", nullable(payload())),
        ("note", nullable(text(0, TEXT_BYTES_MAX))),
    ]);
    let mut draft = change.clone();
    draft.extend(properties([("access", name()), ("url", url())]));
    let redelivery = properties([
        ("event", pattern("^evt_[0-9a-z]{1,64}$")),
        ("dead", json!({"const": true})),
        ("since", moment::schema()),
    ]);
    let mut redelivery = partly(redelivery, "");
    let one = |name: &str| json!({"required": [name]});
    redelivery["oneOf"] = ["event", "dead", "since"].map(one).into_iter().collect();
    let grace = properties([("grace_s", nullable(integer(0, GRACE_S_MAX)))]);
    let skip = properties([("skip", boolean())]);
    properties([
        ("WebhookDraft", partly(draft, "access url")),
        ("WebhookChange", partly(change, "")),
        ("WebhookResumption", partly(skip, "")),
        ("WebhookRotation", partly(grace, "")),
        ("WebhookRedelivery", redelivery),
    ])
}

/// Returns the schemas of the answers, as `webhooks.rs` writes them.
pub(super) fn answers() -> Properties {
    let secret = properties([("created", time()), ("until", nullable(time()))]);
    let webhook = properties([
        ("id", string()),
        ("access", name()),
        ("url", string()),
        ("types", types()),
        ("payload", payload()),
        ("note", string()),
        ("state", one_of(&WebhookState::ALL.map(WebhookState::word))),
        ("cause", nullable(string())),
        ("state_since", time()),
        ("failing_since", nullable(time())),
        ("cursor", string()),
        ("lost", count()),
        ("secrets", array(&whole(secret))),
    ]);
    let mut made = webhook.clone();
    made.insert("secret".to_owned(), pattern("^whsec_"));
    let delivery = properties([
        ("event", string()),
        ("cursor", string()),
        ("state", one_of(&["pending", "dead"])),
        ("cause", nullable(string())),
    ]);
    let attempt = properties([
        ("event", string()),
        ("cursor", string()),
        ("at", time()),
        ("number", count()),
        ("status", nullable(integer(100, 999))),
        ("outcome", string()),
        ("ms", count()),
    ]);
    let deliveries = properties([
        ("deliveries", array(&whole(delivery))),
        ("attempts", array(&reference("WebhookAttempt"))),
    ]);
    let redelivered = properties([("deliveries", nullable(count()))]);
    properties([
        ("Webhook", whole(webhook)),
        ("WebhookMade", whole(made)),
        ("Webhooks", list("webhooks", "Webhook")),
        ("WebhookAttempt", whole(attempt)),
        ("WebhookDeliveries", whole(deliveries)),
        ("WebhookRedelivered", whole(redelivered)),
    ])
}
