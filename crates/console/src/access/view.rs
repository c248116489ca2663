//! The JSON views of accesses and changes in the admin API. They contain everything but secrets.

use serde_json::{Value, json};
use store::{Access, Change, LastUse, Rate};

use crate::moment::rfc3339;
use crate::state::Console;

/// Returns the view of an access with its last use.
pub(crate) fn access_with_last_use(console: &Console, access: &Access) -> Value {
    access_view(access, console.store.last_use(access))
}

/// Returns the view of an access in the form in which drafts write it.
fn access_view(access: &Access, last: Option<LastUse>) -> Value {
    let rate = |rate: Option<Rate>| rate.map(|rate| format!("{}/min", rate.per_minute));
    let networks = |list: &[ipnet::IpNet]| list.iter().map(ToString::to_string).collect::<Vec<_>>();
    let reports = [
        ("networks", access.report_networks),
        ("limits", access.limits.report),
    ];
    let report: Vec<_> = reports
        .iter()
        .filter(|(_, on)| *on)
        .map(|(name, _)| *name)
        .collect();
    let secrets = &access.without_secrets()["secrets"];
    let secrets = secrets.as_array().into_iter().flatten().map(
        |secret| json!({"kind": secret["kind"], "created": secret["created"].as_i64().map(rfc3339)}),
    );
    json!({
        "name": access.name,
        "user": access.user,
        "client_id": access.client_id,
        "owner": access.owner,
        "note": access.note,
        "state": if access.active { "active" } else { "suspended" },
        "not_before": access.not_before.map(rfc3339),
        "expires": access.expires.map(rfc3339),
        "allow": networks(&access.allow),
        "deny": networks(&access.deny),
        "ways": access.ways,
        "methods": access.methods,
        "platforms": access.platforms,
        "channels": access.channels,
        "rate": rate(access.limits.per_minute),
        "per_day": access.limits.per_day.map(|calls| format!("{calls}/day")),
        "per_destination": rate(access.limits.per_destination),
        "concurrent": access.limits.concurrent,
        "report": report,
        "cache": access.cache,
        "journal": access.journal.name(),
        "query_credentials": access.query_credentials,
        "secrets": secrets.collect::<Vec<_>>(),
        "tokens_since": access.tokens_since.map(rfc3339),
        "last_used": last.map(|last| json!({
            "at": rfc3339(last.at), "address": last.address.to_string(), "way": last.way,
        })),
        "version": access.version,
    })
}

/// Returns the view of a change: its author, its time, and the access before and after.
pub(crate) fn change_view(change: &Change) -> Value {
    json!({
        "version": change.id,
        "at": rfc3339(change.at),
        "actor": change.actor,
        "before": change.before,
        "after": change.after,
    })
}
