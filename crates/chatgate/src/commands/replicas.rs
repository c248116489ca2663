//! `chatgate replicas`: lists the processes that share the store of a running gateway.

use serde_json::Value;

use super::admin::{Admin, COMMAND_TIMEOUT};
use super::output::{print, print_json, table};
use crate::args::connect::RequestArgs;

pub(crate) async fn run(args: RequestArgs) -> Result<(), String> {
    let admin = Admin::new(&args.admin, COMMAND_TIMEOUT)?;
    let answer = admin.get("/admin/v1/replicas").await?;
    let replicas = &answer["replicas"];
    if args.json {
        return print_json(replicas);
    }
    let rows: Vec<_> = replicas.as_array().into_iter().flatten().map(row).collect();
    if rows.is_empty() {
        return print("The gateway has its store for itself.\n");
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
    ];
    print(table(columns, rows))
}

fn row(replica: &Value) -> [String; 8] {
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
    ]
}
