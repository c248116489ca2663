//! `chatgate access`: manages the accesses of a running gateway through its admin API.

use gateway::EVERYBODY;
use http::Method;
use serde_json::{Value, json};

use super::admin::{Admin, COMMAND_TIMEOUT};
use super::error::CommandError;
use super::input::read_secret;
use super::output::{cell, print, print_json, table};
use super::progress::{TransferProgress, during};
use crate::args::access::{
    AccessChangeArgs, AccessCommand, CreateArgs, FieldArgs, ImportArgs, ListArgs, NetworkArgs,
    RotateArgs, SetArgs,
};
use crate::args::connect::RequestArgs;

const ACCESSES: &str = "/admin/v1/accesses";

/// Maximum number of attempts at a change that collides with changes by others. It is high enough that up to so many concurrent
/// commands all succeed.
const TRIES_MAX: usize = 100;

pub(crate) async fn run(command: AccessCommand) -> Result<(), CommandError> {
    let done = match command {
        AccessCommand::Create(args) => return create(args).await,
        AccessCommand::Set(args) => return set(args).await,
        AccessCommand::List(args) => list(args).await,
        AccessCommand::Show(args) => {
            let access = admin(&args.request)?.get(&path(&args.name, "")).await?;
            print_access(&args.request, &access)
        }
        AccessCommand::Changes(args) => {
            let path = path(&args.name, "/changes");
            let changes = admin(&args.request)?.get(&path).await?;
            print_json(&changes["changes"])
        }
        AccessCommand::Rotate(args) => rotate(args).await,
        AccessCommand::RevokeTokens(args) => {
            let admin = Admin::for_change(&args.change)?;
            let access = admin.post(&path(&args.name, "/revoke-tokens")).await?;
            print_access(&args.change.request, &access)
        }
        AccessCommand::Suspend(args) => change(&args, &json!({"state": "suspended"})).await,
        AccessCommand::Resume(args) => change(&args, &json!({"state": "active"})).await,
        AccessCommand::Allow(args) => networks(args, "allow").await,
        AccessCommand::Deny(args) => networks(args, "deny").await,
        AccessCommand::Delete(args) => {
            let (admin, path) = (Admin::for_change(&args.change)?, path(&args.name, ""));
            let deleted = admin.send(Method::DELETE, &path, &Value::Null).await;
            deleted.map(drop)
        }
        AccessCommand::Export(args) => {
            let admin = admin(&args)?;
            let exporting = admin.get("/admin/v1/export");
            print_json(&during("Exporting", &TransferProgress::default(), exporting).await?)
        }
        AccessCommand::Import(args) => import(args).await,
    };
    Ok(done?)
}

async fn create(args: CreateArgs) -> Result<(), CommandError> {
    let mut draft = fields(args.fields)?;
    draft["name"] = args.name.into();
    draft["allow"] = args.allow.into();
    draft["deny"] = args.deny.into();
    if let Some(user) = args.user {
        draft["user"] = user.into();
    }
    if args.password_stdin {
        draft["password"] = read_secret()?.into();
    }
    if args.password_hash_stdin {
        draft["password_hash"] = read_secret()?.into();
    }
    let access = Admin::for_change(&args.change)?
        .send(Method::POST, ACCESSES, &draft)
        .await?;
    let name = cell(&access["name"]);
    Ok(print_access(&args.change.request, &access).map_err(|error| {
        format!("{error}; the access {name} was created nevertheless: run chatgate access rotate {name} --drop-old to get \
                 another secret")
    })?)
}

async fn set(args: SetArgs) -> Result<(), CommandError> {
    let patch = fields(args.fields)?;
    let one = AccessChangeArgs {
        name: args.name,
        change: args.change,
    };
    Ok(change(&one, &patch).await?)
}

/// Returns the given fields under their names in the admin API.
fn fields(args: FieldArgs) -> Result<Value, CommandError> {
    let mut draft = json!({});
    let optional = [
        ("ways", args.ways.map(Value::from)),
        ("methods", args.methods.map(Value::from)),
        ("expires", args.expires.map(time_or_never)),
        ("journal", args.journal.map(Value::from)),
        ("owner", args.owner.map(Value::from)),
        ("note", args.note.map(Value::from)),
    ];
    for (name, value) in optional {
        if let Some(value) = value {
            draft[name] = value;
        }
    }
    let is_none = |rate: &String| rate == "none";
    if args.rate.iter().any(is_none) {
        // Limits that are given in addition replace these.
        draft["rate"] = Value::Null;
        draft["per_day"] = Value::Null;
    }
    for rate in args.rate.into_iter().filter(|rate| !is_none(rate)) {
        // The part after the slash selects the field; the server validates the value.
        let field = if rate.ends_with("/day") {
            "per_day"
        } else {
            "rate"
        };
        if !draft[field].is_null() {
            return Err(CommandError::Usage(format!(
                "--rate {rate}: a limit for this period was already given; give only one"
            )));
        }
        draft[field] = rate.into();
    }
    if !args.cache.is_empty() {
        draft["cache"] = cache_policy(&args.cache)?;
    }
    Ok(draft)
}

/// Returns a time; null for `never`.
fn time_or_never(text: String) -> Value {
    match text.as_str() {
        "never" => Value::Null,
        _ => text.into(),
    }
}

fn cache_policy(words: &[String]) -> Result<Value, CommandError> {
    let mut policy = json!({});
    for word in words {
        let life = word.split_once('=').map(|(m, s)| (m, s.parse::<u32>()));
        match (word.as_str(), life) {
            ("on" | "off", _) => policy["enabled"] = (word == "on").into(),
            (_, Some((method, Ok(seconds)))) => policy[format!("{method}_s")] = seconds.into(),
            _ => {
                let text = format!("--cache {word}: write on, off or METHOD=SECONDS");
                return Err(CommandError::Usage(text));
            }
        }
    }
    Ok(policy)
}

async fn list(args: ListArgs) -> Result<(), String> {
    let admin = admin(&args.request)?;
    let (mut accesses, mut after) = (Vec::new(), args.after.clone());
    let mut left = args.limit.unwrap_or(u64::MAX);
    loop {
        let mut answer = admin.get(&page_path(&args, after.as_deref(), left)).await?;
        let Value::Array(page) = answer["accesses"].take() else {
            return Err("the answer has no accesses".to_owned());
        };
        left = left.saturating_sub(page.len() as u64);
        accesses.extend(page);
        after = answer["next"].as_str().map(str::to_owned);
        if after.is_none() || left == 0 {
            break;
        }
    }
    if args.request.json {
        return print_json(&accesses.into());
    }
    let rows = accesses.iter().map(row).collect();
    let header = ["NAME", "USER", "STATE", "RATE", "LAST USED", "ALLOW"];
    print(table(header, rows))
}

/// Returns the path of a page that begins after a name. The server limits the number of accesses on it.
fn page_path(args: &ListArgs, after: Option<&str>, left: u64) -> String {
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    if let Some(search) = &args.search {
        query.append_pair("q", search);
    }
    if let Some(after) = after {
        query.append_pair("after", after);
    }
    let limit = left.min(u64::from(u32::MAX));
    query.append_pair("limit", &limit.to_string());
    format!("{ACCESSES}?{}", query.finish())
}

fn row(access: &Value) -> [String; 6] {
    let field = |name: &str| cell(&access[name]);
    let rates = ["rate", "per_day"].map(|name| &access[name]);
    let rates: Vec<_> = rates.into_iter().filter(|rate| !rate.is_null()).collect();
    let rate = match rates.as_slice() {
        [] => cell(&Value::Null),
        rates => rates
            .iter()
            .map(|rate| cell(rate))
            .collect::<Vec<_>>()
            .join(", "),
    };
    [
        field("name"),
        field("user"),
        field("state"),
        rate,
        cell(&access["last_used"]["at"]),
        field("allow"),
    ]
}

async fn rotate(args: RotateArgs) -> Result<(), String> {
    let wanted = json!({"drop_old": args.drop_old});
    let sent = Admin::for_change(&args.one.change)?
        .send(Method::POST, &path(&args.one.name, "/rotate"), &wanted)
        .await?;
    let name = cell(&sent["name"]);
    print_access(&args.one.change.request, &sent).map_err(|error| {
        format!("{error}; the access {name} got a new secret nevertheless: run the command again to get one that is shown")
    })
}

async fn change(args: &AccessChangeArgs, patch: &Value) -> Result<(), String> {
    let changed = Admin::for_change(&args.change)?
        .send(Method::PATCH, &path(&args.name, ""), patch)
        .await?;
    print_access(&args.change.request, &changed)
}

/// Adds networks to a list or removes them. Retries if somebody else changes the access at the same time.
async fn networks(args: NetworkArgs, list: &str) -> Result<(), String> {
    let request = &args.one.change.request;
    let (reading, changing) = (admin(request)?, Admin::for_change(&args.one.change)?);
    let path = path(&args.one.name, "");
    for _ in 0..TRIES_MAX {
        let (access, tag) = reading.get_tagged(&path).await?;
        let patch = json!({ list: wanted(&access[list], &args)? });
        if let Some(changed) = changing.patch_seen(&path, (&patch, tag)).await? {
            return print_access(request, &changed);
        }
    }
    Err("others kept changing the access at the same time; nothing was changed, run the command again".to_owned())
}

/// Returns the list with the networks added or removed. A network to remove must be spelled as in the list.
fn wanted(list: &Value, args: &NetworkArgs) -> Result<Vec<String>, String> {
    let there = list.as_array().into_iter().flatten();
    let mut wanted: Vec<String> = there.map(cell).collect();
    let everybody = EVERYBODY.map(str::to_owned);
    let networks = args
        .networks
        .iter()
        .flat_map(|network| match network.as_str() {
            "any" => &everybody[..],
            _ => std::slice::from_ref(network),
        });
    let networks: Vec<&String> = networks.collect();
    if !args.remove {
        wanted.extend(networks.into_iter().cloned());
        return Ok(wanted);
    }
    if let Some(missing) = networks.iter().find(|network| !wanted.contains(network)) {
        let list = wanted.join(", ");
        return Err(format!("{missing} is not in the list: {list}"));
    }
    wanted.retain(|network| !networks.contains(&network));
    Ok(wanted)
}

async fn import(args: ImportArgs) -> Result<(), String> {
    let file = args.file.display();
    let text = std::fs::read_to_string(&args.file).map_err(|error| {
        format!("{file}: {error}; give a file that `access export` has written")
    })?;
    let document: Value =
        serde_json::from_str(&text).map_err(|error| format!("{file}: {error}"))?;
    let admin = Admin::for_change(&args.change)?;
    let importing = admin.send(Method::POST, "/admin/v1/import", &document);
    let answer = during("Importing", &TransferProgress::default(), importing).await?;
    if args.change.request.json {
        print_json(&answer)
    } else {
        print(format!("{} changed\n", answer["changed"]))
    }
}

fn admin(args: &RequestArgs) -> Result<Admin, String> {
    Admin::new(&args.admin, COMMAND_TIMEOUT)
}

/// Returns the path of an access. The server rejects invalid names; escaping here only ensures that a name cannot become another
/// path.
fn path(name: &str, rest: &str) -> String {
    let name: String = url::form_urlencoded::byte_serialize(name.as_bytes()).collect();
    format!("{ACCESSES}/{name}{rest}")
}

/// Prints one access, one line per field, including new secrets, which are shown only once.
fn print_access(args: &RequestArgs, access: &Value) -> Result<(), String> {
    if args.json {
        return print_json(access);
    }
    let fields = access.as_object().into_iter().flatten();
    let rows = fields.map(|(name, value)| [name.clone(), cell(value)]);
    print(table(["FIELD", "VALUE"], rows.collect()))
}
