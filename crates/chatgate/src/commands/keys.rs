//! `chatgate keys`: lists and rotates the keys that sign tokens on a running gateway.

use http::Method;
use serde_json::{Value, json};

use super::admin::{Admin, COMMAND_TIMEOUT};
use super::error::CommandError;
use super::output::{print, print_json, table};
use super::shared_store;
use crate::args::KeysCommand;

pub(crate) async fn run(command: KeysCommand) -> Result<(), CommandError> {
    let (args, answer) = match command {
        KeysCommand::List(args) => {
            let admin = Admin::new(&args.admin, COMMAND_TIMEOUT)?;
            let answer = admin.get("/admin/v1/keys").await?;
            (args, answer)
        }
        KeysCommand::Reseal(args) => return shared_store::reseal(&args).await,
        KeysCommand::Rotate(args) => {
            let wanted = json!({"revoke": args.revoke});
            let admin = Admin::for_change(&args.change)?;
            let path = "/admin/v1/keys/rotate";
            let answer = admin.send(Method::POST, path, &wanted).await?;
            (args.change.request, answer)
        }
    };
    let keys = &answer["keys"];
    if args.json {
        return Ok(print_json(keys)?);
    }
    let rows = keys.as_array().into_iter().flatten().map(row).collect();
    Ok(print(table(
        ["KID", "ALGORITHM", "CREATED", "STATE"],
        rows,
    ))?)
}

fn row(key: &Value) -> [String; 4] {
    let text = |name: &str| key[name].as_str().unwrap_or("-").to_owned();
    let state = match key["verifies_until"].as_str() {
        Some(until) => format!("{} until {until}", text("state")),
        None => text("state"),
    };
    [text("kid"), text("algorithm"), text("created_at"), state]
}
