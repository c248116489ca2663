//! `chatgate access`: who may call, managed on a running gateway through its admin API.

use http::Method;
use serde_json::{Value, json};

use super::admin::{Admin, COMMAND_TIMEOUT};
use super::output::{print, print_json, table};
use super::read_secret;
use crate::cli::access::{
    AccessCommand, AllArgs, CreateArgs, ImportArgs, NetworkArgs, OneArgs, RotateArgs,
};

const ACCESSES: &str = "/admin/v1/accesses";

pub(crate) async fn access_command(command: AccessCommand) -> Result<(), String> {
    match command {
        AccessCommand::Create(args) => create(args).await,
        AccessCommand::List(args) => list(&args).await,
        AccessCommand::Show(args) => {
            let access = admin(&args.all)?.get(&path(&args, "")).await?;
            shown(&args.all, &access)
        }
        AccessCommand::Changes(args) => {
            let changes = admin(&args.all)?.get(&path(&args, "/changes")).await?;
            print_json(&changes["changes"])
        }
        AccessCommand::Rotate(args) => rotate(args).await,
        AccessCommand::Suspend(args) => change(&args, &json!({"state": "suspended"})).await,
        AccessCommand::Resume(args) => change(&args, &json!({"state": "active"})).await,
        AccessCommand::Allow(args) => networks(args, "allow").await,
        AccessCommand::Deny(args) => networks(args, "deny").await,
        AccessCommand::Delete(args) => {
            let (admin, path) = (admin(&args.all)?, path(&args, ""));
            admin
                .send(Method::DELETE, &path, &Value::Null)
                .await
                .map(|_| ())
        }
        AccessCommand::Export(args) => print_json(&admin(&args)?.get("/admin/v1/export").await?),
        AccessCommand::Import(args) => import(args).await,
    }
}

async fn create(args: CreateArgs) -> Result<(), String> {
    let mut draft = json!({"name": args.name, "allow": args.allow, "deny": args.deny});
    let optional = [
        ("user", args.user.map(Value::from)),
        ("ways", args.ways.map(Value::from)),
        ("methods", args.methods.map(Value::from)),
        ("rate", args.rate.map(Value::from)),
        ("expires", args.expires.map(Value::from)),
        ("owner", args.owner.map(Value::from)),
        ("note", args.note.map(Value::from)),
    ];
    for (name, value) in optional {
        if let Some(value) = value {
            draft[name] = value;
        }
    }
    if args.password_stdin {
        draft["password"] = read_secret()?.into();
    }
    let access = admin(&args.all)?
        .send(Method::POST, ACCESSES, &draft)
        .await?;
    shown(&args.all, &access)
}

async fn list(args: &AllArgs) -> Result<(), String> {
    let answer = admin(args)?.get(ACCESSES).await?;
    let accesses = &answer["accesses"];
    if args.json {
        return print_json(accesses);
    }
    let rows: Vec<_> = accesses.as_array().into_iter().flatten().map(row).collect();
    print(table(["NAME", "USER", "STATE", "RATE", "ALLOW"], &rows))
}

fn row(access: &Value) -> [String; 5] {
    ["name", "user", "state", "rate", "allow"].map(|name| cell(&access[name]))
}

async fn rotate(args: RotateArgs) -> Result<(), String> {
    let wish = json!({"drop_old": args.drop_old});
    let sent = admin(&args.one.all)?
        .send(Method::POST, &path(&args.one, "/rotate"), &wish)
        .await?;
    shown(&args.one.all, &sent)
}

async fn change(args: &OneArgs, wish: &Value) -> Result<(), String> {
    let changed = admin(&args.all)?
        .send(Method::PATCH, &path(args, ""), wish)
        .await?;
    shown(&args.all, &changed)
}

/// Adds to a list, or takes away from it. What is written in another spelling is found by its text alone.
async fn networks(args: NetworkArgs, list: &str) -> Result<(), String> {
    let NetworkArgs {
        name,
        networks,
        remove,
        all,
    } = args;
    let one = OneArgs { name, all };
    let access = admin(&one.all)?.get(&path(&one, "")).await?;
    let there = access[list].as_array().cloned().unwrap_or_default();
    let mut wanted: Vec<String> = there.iter().map(cell).collect();
    if remove {
        if let Some(missing) = networks.iter().find(|network| !wanted.contains(network)) {
            return Err(format!(
                "{missing} is not in the list: {}",
                wanted.join(", ")
            ));
        }
        wanted.retain(|network| !networks.contains(network));
    } else {
        wanted.extend(networks);
    }
    change(&one, &json!({ list: wanted })).await
}

async fn import(args: ImportArgs) -> Result<(), String> {
    let file = args.file.display();
    let text = std::fs::read_to_string(&args.file).map_err(|error| format!("{file}: {error}"))?;
    let document: Value =
        serde_json::from_str(&text).map_err(|error| format!("{file}: {error}"))?;
    let answer = admin(&args.all)?
        .send(Method::POST, "/admin/v1/import", &document)
        .await?;
    if args.all.json {
        print_json(&answer)
    } else {
        print(format!("{} changed\n", answer["changed"]))
    }
}

fn admin(args: &AllArgs) -> Result<Admin, String> {
    Admin::new(&args.admin, COMMAND_TIMEOUT)
}

/// The server refuses what is no name; here it only must not become another path.
fn path(args: &OneArgs, rest: &str) -> String {
    let name: String = url::form_urlencoded::byte_serialize(args.name.as_bytes()).collect();
    format!("{ACCESSES}/{name}{rest}")
}

/// One access, a line a field; secrets stand there only when they have just been made.
fn shown(args: &AllArgs, access: &Value) -> Result<(), String> {
    if args.json {
        return print_json(access);
    }
    let fields = access.as_object().into_iter().flatten();
    let rows: Vec<_> = fields
        .map(|(name, value)| [name.clone(), cell(value)])
        .collect();
    print(table(["FIELD", "VALUE"], &rows))
}

fn cell(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => text.clone(),
        Value::Array(values) if values.iter().all(Value::is_string) => {
            values.iter().map(cell).collect::<Vec<_>>().join(",")
        }
        other => other.to_string(),
    }
}
