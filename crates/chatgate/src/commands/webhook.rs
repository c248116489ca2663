//! `chatgate webhook`: manages webhooks through the admin API of a running gateway.

use http::Method;
use serde_json::{Value, json};

use super::admin::{Admin, COMMAND_TIMEOUT};
use super::output::{cell, print, print_json, rows, table};
use crate::args::connect::RequestArgs;
use crate::args::webhook::{
    WebhookArgs, WebhookChangeArgs, WebhookCommand, WebhookCreateArgs, WebhookFieldArgs,
    WebhookRedeliverArgs, WebhookSetArgs,
};

const WEBHOOKS: &str = "/admin/v1/webhooks";

pub(crate) async fn run(command: WebhookCommand) -> Result<(), String> {
    match command {
        WebhookCommand::Create(args) => create(args).await,
        WebhookCommand::List(args) => list(&args).await,
        WebhookCommand::Show(args) => {
            let webhook = admin(&args.request)?.get(&path(&args.id, "")).await?;
            print_fields(&args.request, &webhook)
        }
        WebhookCommand::Set(args) => set(args).await,
        WebhookCommand::Test(args) => test(&args).await,
        WebhookCommand::Rotate(args) => {
            let body = json!({"grace_s": args.grace});
            post(&args.one, "/rotate", &body).await
        }
        WebhookCommand::Retire(args) => post(&args, "/retire", &json!({})).await,
        WebhookCommand::Pause(args) => post(&args, "/pause", &json!({})).await,
        WebhookCommand::Resume(args) => {
            post(&args.one, "/resume", &json!({"skip": args.skip})).await
        }
        WebhookCommand::Log(args) => log(args).await,
        WebhookCommand::Redeliver(args) => redeliver(args).await,
        WebhookCommand::Delete(args) => {
            let (admin, path) = (Admin::for_change(&args.change)?, path(&args.id, ""));
            let deleted = admin.send(Method::DELETE, &path, &Value::Null).await;
            deleted.map(drop)
        }
    }
}

async fn create(args: WebhookCreateArgs) -> Result<(), String> {
    let mut draft = fields(args.fields);
    draft["access"] = args.access.into();
    draft["url"] = args.url.into();
    let made = Admin::for_change(&args.change)?
        .send(Method::POST, WEBHOOKS, &draft)
        .await?;
    print_fields(&args.change.request, &made)
}

async fn set(args: WebhookSetArgs) -> Result<(), String> {
    let mut change = fields(args.fields);
    if let Some(url) = args.url {
        change["url"] = url.into();
    }
    let changed = Admin::for_change(&args.change)?
        .send(Method::PATCH, &path(&args.id, ""), &change)
        .await?;
    print_fields(&args.change.request, &changed)
}

/// Returns the given fields under their names in the admin API.
fn fields(args: WebhookFieldArgs) -> Value {
    let fields = [
        ("types", args.types.map(Value::from)),
        ("payload", args.payload.map(Value::from)),
        ("note", args.note.map(Value::from)),
    ];
    let given = fields
        .into_iter()
        .filter_map(|(name, value)| Some((name.to_owned(), value?)));
    Value::Object(given.collect())
}

async fn list(args: &RequestArgs) -> Result<(), String> {
    let all = admin(args)?.get(WEBHOOKS).await?;
    if args.json {
        return print_json(&all["webhooks"]);
    }
    let header = ["ID", "ACCESS", "STATE", "SINCE", "URL"];
    let fields = ["id", "access", "state", "state_since", "url"];
    print(table(header, rows(&all["webhooks"], fields)))
}

async fn log(args: WebhookArgs) -> Result<(), String> {
    let found = admin(&args.request)?
        .get(&path(&args.id, "/deliveries"))
        .await?;
    if args.request.json {
        return print_json(&found);
    }
    let header = ["EVENT", "STATE", "CAUSE"];
    let fields = ["event", "state", "cause"];
    print(table(header, rows(&found["deliveries"], fields)))?;
    let header = ["AT", "EVENT", "NUMBER", "STATUS", "OUTCOME", "MS"];
    let fields = ["at", "event", "number", "status", "outcome", "ms"];
    print(format!(
        "\n{}",
        table(header, rows(&found["attempts"], fields))
    ))
}

/// Sends a test event. Fails if the receiver does not accept the event.
async fn test(args: &WebhookChangeArgs) -> Result<(), String> {
    let attempt = posted(args, "/test", &json!({})).await?;
    print_fields(&args.change.request, &attempt)?;
    match attempt["outcome"].as_str() {
        Some("ok") => Ok(()),
        _ => Err(format!(
            "the receiver did not accept the test event: {}, status {}",
            cell(&attempt["outcome"]),
            cell(&attempt["status"])
        )),
    }
}

async fn redeliver(args: WebhookRedeliverArgs) -> Result<(), String> {
    let which = args.which;
    let body = match (&which.event, &which.since, which.dead) {
        (Some(event), ..) => json!({ "event": event }),
        (None, Some(since), _) => json!({ "since": since }),
        (None, None, dead) => json!({ "dead": dead }),
    };
    let answer = posted(&args.one, "/redeliver", &body).await?;
    match which.since {
        // Such events are not counted in advance.
        Some(since) if !args.one.change.request.json => {
            print(format!("All events since {since} are sent again.\n"))
        }
        _ => print_fields(&args.one.change.request, &answer),
    }
}

async fn post(args: &WebhookChangeArgs, rest: &str, body: &Value) -> Result<(), String> {
    let answer = posted(args, rest, body).await?;
    print_fields(&args.change.request, &answer)
}

async fn posted(args: &WebhookChangeArgs, rest: &str, body: &Value) -> Result<Value, String> {
    let admin = Admin::for_change(&args.change)?;
    admin.send(Method::POST, &path(&args.id, rest), body).await
}

fn admin(args: &RequestArgs) -> Result<Admin, String> {
    Admin::new(&args.admin, COMMAND_TIMEOUT)
}

/// Returns the path of a webhook. The id is escaped, so that it cannot become another path.
fn path(id: &str, rest: &str) -> String {
    let id: String = url::form_urlencoded::byte_serialize(id.as_bytes()).collect();
    format!("{WEBHOOKS}/{id}{rest}")
}

/// Prints an answer, one line per field, including a new secret, which is shown only once.
fn print_fields(args: &RequestArgs, answer: &Value) -> Result<(), String> {
    if args.json {
        return print_json(answer);
    }
    let fields = answer.as_object().into_iter().flatten();
    let rows = fields.map(|(name, value)| [name.clone(), cell(value)]);
    print(table(["FIELD", "VALUE"], rows.collect()))
}
