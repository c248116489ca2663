//! `chatgate replicas`: lists the processes that share the store of a running gateway.

use std::collections::BTreeSet;

use serde_json::Value;

use super::admin::{Admin, COMMAND_TIMEOUT};
use super::output::{print, print_json, table};
use super::terminal::print_warning;
use crate::args::connect::RequestArgs;

pub(crate) async fn run(args: RequestArgs) -> Result<(), String> {
    let admin = Admin::new(&args.admin, COMMAND_TIMEOUT)?;
    let answer = admin.get("/admin/v1/replicas").await?;
    let replicas = &answer["replicas"];
    if args.json {
        return print_json(replicas);
    }
    if let Some(text) = differing(replicas) {
        print_warning(&text);
    }
    let rows: Vec<_> = replicas.as_array().into_iter().flatten().map(row).collect();
    if rows.is_empty() {
        return print("The gateway does not share its store.\n");
    }
    let columns = [
        "NAME",
        "STATE",
        "VERSION",
        "CONFIG",
        "STARTED",
        "ACCESSES",
        "ADMIN KEYS",
        "SIGNING KEYS",
        "BEHIND",
    ];
    print(table(columns, rows))
}

/// Returns a text for people if the configurations of the live replicas differ.
fn differing(replicas: &Value) -> Option<String> {
    let replicas = replicas.as_array()?.iter();
    let live = replicas.filter(|replica| replica["state"] == "live");
    let configs: BTreeSet<_> = live
        .filter_map(|replica| replica["config"].as_str())
        .collect();
    (configs.len() > 1).then(|| {
        format!(
            "the live replicas have {} different configurations",
            configs.len()
        )
    })
}

fn row(replica: &Value) -> [String; 9] {
    let text = |name: &str| replica[name].as_str().unwrap_or("-").to_owned();
    let in_force = |name: &str| replica["in_force"][name].to_string();
    let config = text("config").chars().take(8).collect();
    [
        text("name"),
        text("state"),
        text("version"),
        config,
        text("started_at"),
        in_force("accesses"),
        in_force("admin_keys"),
        in_force("signing_keys"),
        replica["behind"].to_string(),
    ]
}
